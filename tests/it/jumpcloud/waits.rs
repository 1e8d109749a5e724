//! A directory that wants to be left alone for longer than a read waits: no tick and no restart asks it before, somebody may.

use super::Company;
use crate::daemon::{Daemon, until};
use crate::support::fake_jumpcloud::{Call, Fault, id};

fn every_second(company: &Company) {
    let text = std::fs::read_to_string(company.run.path("config.toml")).expect("a configuration");
    let schedule = "[schedule]\ncron = \"* * * * * *\"\nrefresh_cron = \"\"\n";
    std::fs::write(company.run.path("config.toml"), format!("{text}{schedule}")).expect("written");
}

fn failed_cycles(company: &Company) -> usize {
    company.run.events().iter().filter(|event| event["event_type"] == "reconcile_failed").count()
}

#[test]
fn a_long_wait_is_kept_by_ticks_and_restarts_and_ended_by_hand() {
    let company = Company::of(20);
    company.run.activate();
    company.run.reconcile(0);
    every_second(&company);
    company.jumpcloud.now().members(0).remove(&id(3));
    company.jumpcloud.fault(Call::Bound, 0, Fault::Status(429, "Retry-After: 3600\r\n", "Too many"), 1000);
    company.jumpcloud.calls();
    for start in 0..2 {
        let mut daemon = Daemon::start(&company.run, &[]);
        let before = failed_cycles(&company);
        until("three ticks", || failed_cycles(&company) >= before + 3);
        daemon.signal("TERM");
        assert_eq!(daemon.exit(), Some(0));
        let calls = company.jumpcloud.calls();
        assert_eq!(
            calls.get(&Call::Bound).copied(),
            (start == 0).then_some(1),
            "asked once, and never again: {calls:?}"
        );
    }
    let said = company.run.events().last().map(|event| event["error_message"].clone());
    assert!(said.is_some_and(|said| said.as_str().is_some_and(|said| said.contains("asked us to retry after"))));
    // Somebody asks, and is answered: it is over for the ticks, too.
    company.jumpcloud.now().faults.clear();
    assert_eq!(company.run.reconcile(0)["deleted"], 1);
    company.jumpcloud.calls();
    let daemon = Daemon::start(&company.run, &[]);
    until("a tick asks", || company.jumpcloud.calls().contains_key(&Call::Bound));
    drop(daemon);
    let left = std::fs::read_dir(company.run.folder.path()).expect("a folder").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().contains("spool")), "nothing stays");
}

#[test]
fn a_token_that_is_not_lent_at_once_is_asked_for_again() {
    let company = Company::of(20);
    company.secret("client-secret", crate::support::fake_jumpcloud::client_secret());
    let keys = format!(
        "application_id = \"{}\"\nclient_id = \"client-1\"\nclient_secret_file = \"client-secret\"\n\
         token_url = \"{}/oauth2/token\"",
        crate::support::fake_jumpcloud::APPLICATION,
        company.jumpcloud.url()
    );
    company.configure(&keys, "");
    company.run.activate();
    company.run.reconcile(0);
    company.jumpcloud.now().members(0).remove(&id(3));
    for (fault, times, words) in [
        (Fault::Cut, 1000, "asked three times"),
        (Fault::Status(503, "", ""), 1000, "it answers 503"),
        (Fault::Status(200, "", "<html>"), 1000, "the answer is not one"),
        (Fault::Status(429, "Retry-After: 40\r\n", ""), 1000, "retry after 40 s"),
    ] {
        company.jumpcloud.fault(Call::Token, 0, fault, times);
        company.refuses(1, words);
    }
    company.jumpcloud.fault(Call::Token, 0, Fault::Status(429, "Retry-After: 1\r\n", ""), 2);
    assert_eq!(company.run.reconcile(0)["deleted"], 1);
}
