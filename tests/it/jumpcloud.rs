//! JumpCloud as the directory: a company over four days, and each fault at each call and page. Whatever goes wrong, nobody is
//! removed for it.

mod binding;
mod faults;
mod groups;
mod waits;

use crate::support::fake_jumpcloud::{APPLICATION, Call, FakeJumpCloud, Fault, KEY, client_secret, id, user};
use crate::support::real_binary::RealBinary;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

/// A company, the program, and a Rhombus.
pub(crate) struct Company {
    pub(crate) run: RealBinary,
    pub(crate) jumpcloud: FakeJumpCloud,
}

impl Company {
    /// So many people; 0 to 299 are in the first group, 250 to 399 in the second, both bound; 400 and up in a third, which is not.
    pub(crate) fn of(users_count: usize) -> Self {
        let jumpcloud = FakeJumpCloud::start(users_count);
        {
            let mut now = jumpcloud.now();
            now.group(0, "Doors", 0..users_count.min(300), true);
            now.group(1, "Lifts & Gates", 250.min(users_count)..users_count.min(400), true);
            now.group(2, "Canteen", 400.min(users_count)..users_count, false);
        }
        let company = Self { run: RealBinary::open(""), jumpcloud };
        company.secret("key", KEY);
        company.configure(&format!("application_id = \"{APPLICATION}\""), "");
        company
    }

    pub(crate) fn secret(&self, name: &str, text: &str) {
        std::fs::write(self.run.path(name), text).expect("written");
        std::fs::set_permissions(self.run.path(name), PermissionsExt::from_mode(0o600)).expect("a mode");
    }

    pub(crate) fn configure(&self, directory: &str, scope: &str) {
        let key = if directory.contains("client_id") { "" } else { "api_key_file = \"key\"\n" };
        let source = format!(
            "[directory]\nsource = \"jumpcloud\"\napi_url = \"{}\"\n{key}{directory}\n{scope}\n",
            self.jumpcloud.url()
        );
        self.run.configure_source(&source, "");
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.run.accounts().into_keys().collect();
        names.sort_by_key(|name| name[1..].split('@').next().and_then(|number| number.parse::<usize>().ok()));
        names
    }

    /// Kills a command once JumpCloud has got so many of its requests; whether it was killed, and did not end before.
    pub(crate) fn killed(&self, arguments: &[&str], at: usize) -> bool {
        let child = Arc::new(Mutex::new(None::<Child>));
        let (of, mut count) = (child.clone(), 0);
        self.jumpcloud.now().at_each = Some(Box::new(move |_| {
            count += 1;
            if count == at {
                of.lock().expect("whole").as_mut().expect("it runs").kill().expect("killed");
            }
        }));
        {
            let mut slot = child.lock().expect("whole");
            let mut command = self.run.command(arguments);
            *slot = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs"));
        }
        // Not waited for under the lock: the kill needs it.
        let status = loop {
            let ended = child.lock().expect("whole").as_mut().expect("it runs").try_wait().expect("it can be asked");
            if let Some(status) = ended {
                break status;
            }
            std::thread::yield_now();
        };
        self.jumpcloud.now().at_each = None;
        status.code().is_none()
    }

    #[track_caller]
    pub(crate) fn refuses(&self, exit: i32, words: &str) {
        let before = self.run.accounts();
        let report = self.run.reconcile(exit);
        let said = format!("{} {}", report["error"], report["hint"]);
        assert!(said.contains(words), "{said}");
        assert_eq!(self.run.accounts(), before);
    }
}

fn person(number: usize) -> String {
    format!("p{number}@x.example")
}

fn persons(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(person).collect()
}

fn counts(report: &Value) -> [u64; 4] {
    ["created", "updated", "deactivated", "deleted"].map(|name| report[name].as_u64().expect("a number"))
}

#[test]
fn a_company_of_450_walks_through_four_days() {
    let company = Company::of(450);
    company.run.activate();
    // Monday: exactly those whom JumpCloud's own connector would provision.
    assert_eq!(counts(&company.run.reconcile(0)), [400, 0, 0, 0]);
    assert_eq!(company.names(), persons(0..400));
    let calls = company.jumpcloud.calls();
    assert_eq!((calls[&Call::Users], calls[&Call::Bound]), (10, 8), "twice: `activate` has looked, too");
    // Tuesday: a name, a suspension, a newcomer in a bound group, one who leaves both groups, one who leaves one of two.
    {
        let mut now = company.jumpcloud.now();
        now.users.get_mut(&id(1)).expect("a user")["firstname"] = "Patricia".into();
        let suspended = now.users.get_mut(&id(2)).expect("a user");
        (suspended["state"], suspended["suspended"]) = ("SUSPENDED".into(), true.into());
        now.users.insert(id(450), user(450));
        now.members(0).insert(id(450));
        now.members(0).remove(&id(3));
        now.members(0).remove(&id(260));
    }
    assert_eq!(counts(&company.run.reconcile(0)), [1, 1, 1, 1]);
    let names = company.names();
    assert!(names.contains(&person(450)) && names.contains(&person(260)));
    assert!(!names.contains(&person(2)) && !names.contains(&person(3)));
    // Wednesday: nothing. The same bytes end the cycle early.
    assert_eq!(counts(&company.run.reconcile(0)), [0, 0, 0, 0]);
    // Thursday: a group is unbound, one person is bound directly, one is deleted, one is staged from the start.
    {
        let mut now = company.jumpcloud.now();
        now.bound_groups.pop_last();
        now.bound_users.extend([id(390), id(449)]);
        now.users.remove(&id(10));
        now.users.get_mut(&id(449)).expect("a user")["state"] = "STAGED".into();
    }
    assert_eq!(counts(&company.run.reconcile(0)), [0, 0, 0, 101]);
    let mut expected = persons(0..300);
    expected.retain(|name| ![2, 3, 10, 260].map(person).contains(name));
    expected.extend([person(390), person(450)]);
    // 260 is in no bound group any more.
    assert_eq!(company.names(), expected);
}

#[test]
fn groups_of_the_scope_select_as_the_application_does() {
    let company = Company::of(450);
    company.configure("", "[scope]\ngroups = [\"Doors\", \"Lifts & Gates\"]");
    company.run.activate();
    assert_eq!(counts(&company.run.reconcile(0)), [400, 0, 0, 0]);
    company.jumpcloud.now().members(1).remove(&id(399));
    company.jumpcloud.now().members(1).remove(&id(260));
    assert_eq!(counts(&company.run.reconcile(0)), [0, 0, 0, 1]);
    let explained = company.run.run(&["explain", &person(399)]);
    assert!(String::from_utf8_lossy(&explained.stdout).contains(&person(399)));
    company.configure("", "[scope]\ngroups = [\"Doors\", \"Lift*\"]");
    company.refuses(1, "does not have the group `Lift*`");
}

#[test]
fn usernames_may_be_mapped_to_addresses() {
    let company = Company::of(3);
    for number in 0..3 {
        company.jumpcloud.now().users.get_mut(&id(number)).expect("a user")["username"] = format!("pat{number}").into();
    }
    company.configure(&format!("application_id = \"{APPLICATION}\"\n[directory.columns]\nusername = \"email\""), "");
    company.run.activate();
    assert_eq!(counts(&company.run.reconcile(0)), [3, 0, 0, 0]);
    assert!(company.run.accounts().contains_key("p1@mail.example"));
}

#[test]
fn a_service_account_is_let_in_and_its_token_is_renewed() {
    let company = Company::of(450);
    company.secret("client-secret", client_secret());
    let keys = format!(
        "application_id = \"{APPLICATION}\"\nclient_id = \"client-1\"\nclient_secret_file = \"client-secret\"\n\
         token_url = \"{}/oauth2/token\"\norganization_id = \"5f0000000000000000000001\"",
        company.jumpcloud.url()
    );
    company.configure(&keys, "");
    company.run.activate();
    company.jumpcloud.calls();
    company.run.reconcile(0);
    assert_eq!(company.jumpcloud.calls()[&Call::Token], 1);
    let seen = company.jumpcloud.endpoint.seen();
    let with = |name: &str| seen.iter().filter(|head| head.to_lowercase().contains(name)).count();
    assert_eq!(with("x-api-key"), 0);
    assert!(seen.iter().filter(|head| head.contains("/api/organizations")).all(|head| !head.contains("x-org-id")));
    assert!(with("x-org-id") > 0);
    assert!(seen.iter().filter(|head| head.contains(client_secret())).count() == 0);
    // A token that lives for a second is another one before the read ends.
    company.jumpcloud.now().expires_in = 1;
    company.jumpcloud.now().latency = std::time::Duration::from_millis(120);
    company.run.reconcile(0);
    assert!(company.jumpcloud.calls()[&Call::Token] > 1);
    company.secret("client-secret", "wrong");
    company.refuses(1, "invalid_client");
}

#[test]
fn another_organisation_is_never_a_smaller_directory() {
    let company = Company::of(5);
    company.run.activate();
    company.run.reconcile(0);
    {
        let mut now = company.jumpcloud.now();
        now.organizations = vec!["5f0000000000000000000002".to_owned()];
        now.users.clear();
        now.users.insert(id(9), user(9));
        now.bound_users.insert(id(9));
    }
    company.refuses(78, "5f0000000000000000000001");
    let plan = company.run.run(&["plan"]);
    assert_eq!(plan.status.code(), Some(78));
    let activated = company.run.run(&["activate"]);
    assert_eq!(activated.status.code(), Some(1), "none of the linked users is there");
    company.jumpcloud.now().organizations.push("5f0000000000000000000001".to_owned());
    company.refuses(1, "organization_id");
}

#[test]
fn an_api_that_does_not_list_organisations_names_it_in_its_records() {
    let company = Company::of(5);
    company.jumpcloud.fault(Call::Organizations, 0, Fault::Status(404, "", "{}"), 1000);
    company.run.activate();
    assert_eq!(counts(&company.run.reconcile(0)), [5, 0, 0, 0]);
    for user in company.jumpcloud.now().users.values_mut() {
        user["organization"] = "5f0000000000000000000002".into();
    }
    company.refuses(78, "5f0000000000000000000001");
}

#[test]
fn who_is_still_bound_is_still_wanted_whatever_the_lists_show() {
    let company = Company::of(150);
    company.run.activate();
    company.run.reconcile(0);
    // Announced and never shown.
    company.jumpcloud.now().hidden.extend([id(7), id(149)]);
    assert_eq!(counts(&company.run.reconcile(0)), [0, 0, 0, 0]);
    assert_eq!(company.names().len(), 150);
    // Beside it others leave and come.
    company.jumpcloud.now().members(0).remove(&id(8));
    company.jumpcloud.now().users.insert(id(150), user(150));
    company.jumpcloud.now().members(0).insert(id(150));
    assert_eq!(counts(&company.run.reconcile(0)), [1, 0, 0, 1]);
    // A server that does not count its graph lists, and gives fewer rows at a time.
    company.jumpcloud.now().hidden.clear();
    company.jumpcloud.now().counts = false;
    assert_eq!(counts(&company.run.reconcile(0)), [0, 0, 0, 0]);
    company.jumpcloud.now().rows_max = 37;
    company.jumpcloud.now().members(0).remove(&id(9));
    assert_eq!(counts(&company.run.reconcile(0)), [0, 0, 0, 1]);
}

#[test]
fn an_application_that_nobody_is_bound_to_any_more_holds_everybody() {
    let company = Company::of(20);
    company.run.activate();
    company.run.reconcile(0);
    company.jumpcloud.now().bound_groups.clear();
    let report = company.run.reconcile(4);
    assert_eq!((counts(&report), report["held"].as_array().expect("a list").len()), ([0; 4], 20));
    company.jumpcloud.now().users.clear();
    company.refuses(1, "no users");
}

#[test]
fn every_command_comes_in_through_the_same_door_and_only_reads() {
    let company = Company::of(12);
    company.run.activate();
    company.run.reconcile(0);
    company.jumpcloud.now().members(0).remove(&id(4));
    for arguments in
        [&["plan"][..], &["explain", "p4@x.example"], &["history", "p5@x.example"], &["check", "--online"], &["status"]]
    {
        let output = company.run.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let plan: Value = serde_json::from_slice(&company.run.run(&["plan", "--json"]).stdout).expect("a document");
    assert_eq!(plan["changes"][0]["username"], "p4@x.example");
    let seen = company.jumpcloud.endpoint.seen();
    assert!(seen.iter().all(|head| head.starts_with("GET ")), "only reads");
    let left = std::fs::read_dir(company.run.folder.path()).expect("a folder").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().contains("spool")), "nothing stays");
}

#[test]
fn keys_that_do_not_go_together_are_a_wrong_configuration() {
    let company = Company::of(1);
    let app = format!("application_id = \"{APPLICATION}\"");
    for (directory, scope) in [
        (String::new(), ""),
        (app.clone(), "[scope]\ngroups = [\"Doors\"]"),
        (format!("{app}\napi_key_credential = \"x\""), ""),
        (format!("{app}\nformat = \"csv\""), ""),
        (format!("{app}\nurl = \"https://x.example\""), ""),
        (format!("{app}\nproxy = \"http://127.0.0.1:1\""), ""),
        (format!("{app}\ntoken_url = \"https://x.example\""), ""),
        (format!("{app}\nclient_id = \"x\""), ""),
        ("application_id = \"a/b\"".to_owned(), ""),
        (format!("{app}\n[directory.columns]\ngroups = \"x\""), ""),
        (format!("{app}\n[directory.columns]\nid = \"email\""), ""),
    ] {
        company.configure(&directory, scope);
        let output = company.run.run(&["check"]);
        assert_eq!(output.status.code(), Some(78), "{directory}: {}", String::from_utf8_lossy(&output.stdout));
    }
    company.configure(&app, "");
    let checked = company.run.run(&["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.contains("secret: "), "{said}");
    assert_eq!(company.jumpcloud.endpoint.seen(), Vec::<String>::new(), "nobody is asked without --online");
}
