//! Each fault at each call and page of a read, and a kill at each request: no removal, one exit code, one clear message.

use super::Company;
use crate::support::fake_jumpcloud::{Call, Fault, id};
use std::time::Instant;

/// The calls of a read of 250 people with somebody to confirm, each with its pages.
const CALLS: [(Call, u64); 4] = [(Call::Organizations, 1), (Call::Bound, 3), (Call::Users, 3), (Call::OfUser, 1)];

/// A company of 250 who are all provisioned, of whom one has left the group and one is gone.
fn company() -> Company {
    let company = Company::of(250);
    company.run.activate();
    company.run.reconcile(0);
    let mut now = company.jumpcloud.now();
    now.members(0).remove(&id(5));
    now.users.remove(&id(6));
    drop(now);
    company
}

#[test]
fn a_fault_at_any_page_of_any_call_removes_nobody() {
    let company = company();
    for (call, pages) in CALLS {
        for page in 0..pages {
            for (fault, words) in [
                (Fault::Status(403, "", r#"{"message":"no permission"}"#), "no permission"),
                (
                    Fault::Status(401, "", r#"{"message":"Unauthorized: api key user not found"}"#),
                    "refuses the API key",
                ),
                (Fault::Status(302, "Location: /elsewhere\r\n", ""), "redirects are not followed"),
                (Fault::Status(429, "Retry-After: 31\r\n", ""), "asked too often"),
            ] {
                company.jumpcloud.fault(call, page, fault, 1000);
                company.refuses(1, words);
            }
        }
    }
    let seen = company.jumpcloud.endpoint.seen();
    assert!(seen.iter().all(|head| !head.contains("elsewhere")));
    company.jumpcloud.now().faults.clear();
    assert_eq!(company.run.reconcile(0)["deleted"], 2, "the two who left, and nobody else");
}

#[test]
fn what_may_pass_is_asked_again_three_times() {
    let company = company();
    let html = Fault::Status(200, "Content-Type: text/html\r\n", "<html>maintenance</html>");
    for (call, page, fault, words) in [
        (Call::Organizations, 0, Fault::Cut, "asked three times"),
        (Call::Bound, 1, html.clone(), "cannot be read"),
        (Call::Users, 2, Fault::Status(503, "", ""), "503"),
        (Call::Users, 0, Fault::Cut, "asked three times"),
        (Call::OfUser, 0, html, "cannot be read"),
        (Call::OfUser, 0, Fault::Status(404, "", "<html>no</html>"), "a web page"),
        // Of somebody who has a record.
        (Call::OfUser, 0, Fault::Status(404, "", "{}"), "three times"),
    ] {
        company.jumpcloud.fault(call, page, fault, 1000);
        company.refuses(1, words);
    }
    company.jumpcloud.fault(Call::Users, 1, Fault::Cut, 2);
    assert_eq!(company.run.reconcile(0)["deleted"], 2, "the third answer is good");
}

#[test]
fn pages_that_do_not_add_up_are_read_again_and_then_refused() {
    for (call, fault) in [(Call::Users, Fault::Short), (Call::Users, Fault::Total), (Call::Bound, Fault::Total)] {
        // A first page that is short is how a server shows that it gives fewer rows at a time; then the others go by it.
        let first = u64::from(matches!(fault, Fault::Short));
        for page in first..3 {
            let company = company();
            company.jumpcloud.fault(call, page, fault.clone(), 1000);
            company.refuses(1, "three times");
            company.jumpcloud.fault(call, page, fault.clone(), 1);
            assert_eq!(company.run.reconcile(0)["deleted"], 2, "{call:?} {page}");
        }
    }
}

#[test]
fn rows_that_move_up_while_they_are_read_are_read_again() {
    for page in 1..3 {
        let company = company();
        company.jumpcloud.fault(Call::Users, page, Fault::Shift, 1);
        let report = company.run.reconcile(0);
        assert_eq!(report["deleted"], 3, "whoever was deleted in the middle is gone, too");
        assert_eq!(company.run.accounts().len(), 247);
    }
}

#[test]
fn a_short_page_of_the_bound_users_makes_nobody_unbound() {
    let company = company();
    for page in 0..3 {
        company.jumpcloud.fault(Call::Bound, page, Fault::Short, 1000);
        let report = company.run.reconcile(0);
        assert!(report["deleted"].as_u64().is_some_and(|count| count <= 2), "{report}");
        assert_eq!(company.run.accounts().len(), 248, "page {page}");
    }
}

#[test]
fn a_wish_to_be_left_alone_is_kept() {
    let company = company();
    company.jumpcloud.fault(Call::Users, 1, Fault::Status(429, "Retry-After: 1\r\n", "Too many"), 1);
    let started = Instant::now();
    assert_eq!(company.run.reconcile(0)["deleted"], 2);
    assert!(started.elapsed().as_millis() >= 1_000);
}

#[test]
fn a_kill_at_any_request_of_a_read_changes_nothing() {
    let company = company();
    killed_at_each_request(&company);
    assert_eq!(company.run.reconcile(0)["deleted"], 2);
    // The very first read, which binds the state to the organisation.
    let company = Company::of(150);
    company.run.activate();
    killed_at_each_request(&company);
    assert_eq!(company.run.reconcile(0)["created"], 150);
}

/// A cycle is killed at each of the requests that a read takes.
fn killed_at_each_request(company: &Company) {
    let requests = {
        company.jumpcloud.calls();
        company.run.run(&["plan"]);
        company.jumpcloud.calls().values().sum::<usize>()
    };
    let before = company.run.accounts();
    for at in 1..=requests {
        company.killed(&["--reconcile"], at);
        assert_eq!(company.run.accounts(), before, "killed at request {at}");
    }
}
