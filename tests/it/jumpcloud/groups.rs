//! Groups of the scope instead of an application: each fault at each page of the calls that say who is in them.

use super::Company;
use crate::support::fake_jumpcloud::{Call, Fault, id};

/// The calls of a read by two groups with somebody to confirm, each with its pages.
const CALLS: [(Call, u64); 3] = [(Call::Groups, 1), (Call::Members, 3), (Call::OfUser, 1)];

/// 450 people of whom 400 are in a group and provisioned; one has left the only group he was in, one is gone.
fn company() -> Company {
    let company = Company::of(450);
    company.configure("", "[scope]\ngroups = [\"Doors\", \"Lifts & Gates\"]");
    with_leavers(company)
}

fn with_leavers(company: Company) -> Company {
    company.run.activate();
    company.run.reconcile(0);
    let mut now = company.jumpcloud.now();
    now.members(0).remove(&id(5));
    now.users.remove(&id(6));
    now.members(0).remove(&id(6));
    drop(now);
    company
}

#[test]
fn a_fault_at_any_page_of_any_call_about_groups_removes_nobody() {
    let company = company();
    for (call, pages) in CALLS {
        for page in 0..pages {
            for (fault, words) in [
                (Fault::Status(403, "", r#"{"message":"no permission"}"#), "no permission"),
                (Fault::Status(401, "", r#"{"message":"api key user not found"}"#), "refuses the API key"),
                (Fault::Status(302, "Location: /elsewhere\r\n", ""), "redirects are not followed"),
                (Fault::Status(429, "Retry-After: 31\r\n", ""), "retry after 31 s"),
                (Fault::Status(503, "Retry-After: 86400\r\n", ""), "retry after 86400 s"),
                (Fault::Status(400, "", r#"{"message":"bad request"}"#), "400 bad request"),
            ] {
                company.jumpcloud.fault(call, page, fault, 1000);
                company.refuses(1, words);
            }
        }
    }
    assert!(company.jumpcloud.endpoint.seen().iter().all(|head| !head.contains("elsewhere")));
    company.jumpcloud.now().faults.clear();
    assert_eq!(company.run.reconcile(0)["deleted"], 2, "the two who left, and nobody else");
}

#[test]
fn what_may_pass_is_asked_again_and_then_refused_at_each_call_about_groups() {
    let company = company();
    for (call, page, fault) in [
        (Call::Groups, 0, Fault::Cut),
        (Call::Groups, 0, Fault::Status(500, "", "")),
        (Call::Members, 0, Fault::Status(200, "", "<html>maintenance</html>")),
        (Call::Members, 1, Fault::Cut),
        (Call::Members, 2, Fault::Status(500, "", "")),
        (Call::OfUser, 0, Fault::Status(502, "", "")),
    ] {
        company.jumpcloud.fault(call, page, fault.clone(), 1000);
        company.refuses(1, "asked three times");
        company.jumpcloud.fault(call, page, fault, 2);
        assert_eq!(company.run.run(&["plan"]).status.code(), Some(0), "the third answer is good: {call:?} {page}");
    }
    assert_eq!(company.run.reconcile(0)["deleted"], 2);
}

#[test]
fn pages_of_members_that_repeat_shift_or_come_short_make_nobody_a_leaver() {
    for page in 0..3 {
        let company = company();
        for fault in [Fault::Short, Fault::Empty] {
            // Who is not shown is asked for alone; a group that is not shown is no group without members.
            company.jumpcloud.fault(Call::Members, page, fault, 1000);
            let report = company.run.reconcile(0);
            assert!(report["deleted"].as_u64().is_some_and(|count| count <= 2), "{report}");
            assert_eq!(company.run.accounts().len(), 398, "page {page}");
        }
        for fault in [Fault::Total, Fault::Repeat] {
            company.jumpcloud.fault(Call::Members, page, fault, 1000);
            company.refuses(1, "three times");
        }
    }
    for page in 1..3 {
        let company = company();
        company.jumpcloud.fault(Call::Members, page, Fault::Shift, 1);
        assert_eq!(company.run.reconcile(0)["deleted"], 3, "whoever left in the middle has left, too");
        assert_eq!(company.run.accounts().len(), 397);
    }
}

#[test]
fn a_list_that_is_not_counted_and_never_ends_is_refused() {
    let company = company();
    company.jumpcloud.now().counts = false;
    company.jumpcloud.now().rows_max = 40;
    company.jumpcloud.fault(Call::Members, 0, Fault::Repeat, 100_000);
    company.refuses(1, "shows nothing new");
}

#[test]
fn a_group_that_is_not_shown_is_named_and_removes_nobody() {
    let company = company();
    company.jumpcloud.fault(Call::Groups, 0, Fault::Empty, 1000);
    company.refuses(1, "does not have the group `Doors`");
    company.jumpcloud.fault(Call::Members, 0, Fault::Status(404, "", "{}"), 1000);
    company.refuses(1, "the group `Doors` is gone");
}

#[test]
fn an_absence_that_cannot_be_confirmed_is_no_absence() {
    for company in [company(), with_leavers(Company::of(450))] {
        // Of the one who left, more is announced than shown: any of our groups may be among it. The other one is gone.
        company.jumpcloud.fault(Call::OfUser, 0, Fault::Total, 1000);
        let report = company.run.reconcile(0);
        let refused = report["refused"].as_array().expect("a list");
        assert!(
            refused.iter().any(|user| user["username"] == "p5@x.example" && user["code"] == "no_groups"),
            "{report}"
        );
        assert!(company.run.accounts().contains_key("p5@x.example"));
        // Of the one who is gone it says that he is a member all the same.
        let members = r#"[{"id":"900000000000000000000000"},{"id":"6f0000000000000000000001"}]"#;
        company.jumpcloud.now().users.remove(&id(7));
        company.jumpcloud.now().members(0).remove(&id(7));
        company.jumpcloud.fault(Call::OfUser, 0, Fault::Status(200, "x-total-count: 2\r\n", members), 1000);
        company.refuses(1, "has no record");
    }
}
