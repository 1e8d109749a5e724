//! Two hosts and a lease: one of them leads, and whatever happens to it or to etcd, nothing is sent after the other has taken over, and
//! both logs are one log.

mod world;

use crate::support::real_binary::people;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;
use world::{Etcd, Host, World};

/// A lease that lapses soon, and one that does not while a test looks the other way.
const SHORT_S: u32 = 4;
const LONG_S: u32 = 20;

/// A first host that leads with so many accounts, and a second that stands by.
fn pair(world: &World, ttl_s: u32, users_count: usize) -> (Host<'_>, Host<'_>) {
    world.run.export(&people(0..users_count));
    let (mut a, mut b) = (world.host("host-a", ttl_s, Etcd::Says), world.host("host-b", ttl_s, Etcd::Says));
    a.says(&["activate"], 0);
    a.start();
    a.until_it_leads();
    a.until_accounts(users_count);
    b.start();
    b.until("it stands by", || b.log().contains("standby (acme leads: host-a)"));
    (a, b)
}

#[test]
fn a_host_that_does_not_lead_says_who_does_and_sends_nothing() {
    let world = World::open("");
    let (a, b) = pair(&world, LONG_S, 5);
    let said = b.says(&["status"], 0);
    assert!(said.starts_with("standby (acme leads: host-a, renewed ") && said.contains(" s ago)"), "{said}");
    let status = b.status();
    assert_eq!(
        (&status["standby"]["state"], &status["standby"]["leader"]),
        (&"standby".into(), &"host-a".into()),
        "{status}"
    );
    b.says(&["status", "--exit-code"], 0);
    let healthz = b.healthz();
    assert!(
        healthz.starts_with("HTTP/1.1 200") && healthz.contains("ok: standby (acme leads: host-a, renewed"),
        "{healthz}"
    );
    let said = b.says(&["--reconcile"], 5);
    assert!(said.contains("another host sends (acme leads: host-a") && said.contains("lead"), "{said}");
    for command in
        [&["activate"][..], &["deactivate"], &["forget", "p1@x.example"], &["events", "replay", "--from", "1"]]
    {
        let said = b.says(command, 5);
        assert!(said.contains("acme leads: host-a"), "{command:?}: {said}");
    }
    assert!(!b.folder.join("state.db").exists(), "it opens no state");
    let status = a.status();
    assert_eq!(status["standby"]["state"], "leading", "{status}");
    assert!(a.says(&["status"], 0).contains("lead      leading (reign "), "{status}");
    assert!(a.healthz().contains("ok: leading (reign "), "{}", a.healthz());
    assert!(a.says(&["--reconcile"], 5).contains("already running"));
}

#[test]
fn the_other_host_goes_on_where_a_killed_one_stopped() {
    let world = World::open("");
    let (mut a, mut b) = pair(&world, SHORT_S, 8);
    a.die();
    world.run.export(&people(2..12));
    b.until_it_leads();
    b.until("the leavers are gone", || !world.run.accounts().contains_key("p1@x.example"));
    b.until_accounts(10);
    let status = b.status();
    assert_eq!((&status["restored"], &status["hold"]), (&false.into(), &serde_json::Value::Null), "{status}");
    // The first one comes back: it stands by, and its own state stays shut.
    a.start();
    a.until("it stands by", || a.log().contains("standby (acme leads: host-b)"));
    assert!(a.says(&["--reconcile"], 5).contains("host-b"));
    b.end();
    a.until_it_leads();
    a.end();
    let events = world.events(&[&a, &b]);
    assert_eq!(events.keys().copied().collect::<Vec<_>>(), (1..=events.len() as i64).collect::<Vec<_>>(), "one log");
    let creates = events.values().filter(|event| event["event_type"] == "user_create_provision").count();
    assert_eq!(creates, 12, "each once");
    let leads: Vec<_> = events
        .values()
        .filter(|event| event["initiated_by"]["source"] == "lead")
        .map(|event| event["message_chain"]["message_details"].as_str().expect("a text").to_owned())
        .collect();
    let hosts: Vec<_> = leads.iter().map(|said| said.split([' ', ',']).nth(1).expect("a host")).collect();
    assert_eq!(hosts, ["host-a", "host-b", "host-a"], "{leads:?}");
    assert!(leads[1].starts_with("leads: host-b, reign ") && leads[1].contains(", after sequence "), "{leads:?}");
}

#[test]
fn a_frozen_leader_sends_nothing_once_it_wakes() {
    let world = World::open("delay_ms:40");
    let (a, b) = pair(&world, SHORT_S, 3);
    world.run.export(&people(0..80));
    a.signal("USR1");
    a.until("it is at it", || world.run.accounts().len() > 10);
    a.signal("STOP");
    b.until_it_leads();
    b.until_accounts(80);
    b.until("it rests", || b.status()["last_cycle"]["result"] == "done");
    let changes_count = world.changes_count();
    a.signal("CONT");
    a.until("it stands by", || a.log().contains("standby (acme leads: host-b)"));
    // What was frozen between its last look at the clock and the socket may still leave: as many requests as `concurrency_max`.
    let late_count = world.changes_count() - changes_count;
    assert!(late_count <= 2, "{late_count} changes after the hand-over");
    world.events(&[&a, &b]);
    assert_eq!(world.run.accounts().len(), 80);
}

#[test]
fn a_leader_that_etcd_does_not_answer_is_cut_off_and_goes_on_by_itself() {
    let world = World::open("");
    let (a, b) = pair(&world, LONG_S, 3);
    let reign = a.status()["standby"]["reign"].clone();
    world.etcd.be_away(true);
    a.until("it is cut off", || a.healthz().contains("cut off (no request until the lease is renewed)"));
    let changes_count = world.changes_count();
    world.run.export(&people(0..6));
    a.signal("USR1");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(world.changes_count(), changes_count);
    assert!(b.says(&["status"], 0).contains("nobody knows who leads"), "{}", b.log());
    let said = a.says(&["approve", "12345678"], 1);
    assert!(said.contains("nobody knows whether this host still leads"), "{said}");
    a.says(&["events", "replay", "--from", "1"], 1);
    world.etcd.be_away(false);
    a.until_accounts(6);
    assert_eq!(a.status()["standby"]["reign"], reign, "it led all the time");
    world.events(&[&a, &b]);
}

#[test]
fn a_lease_that_is_revoked_ends_the_cycle_and_not_the_daemon() {
    let world = World::open("delay_ms:40");
    let (mut a, b) = pair(&world, LONG_S, 3);
    world.run.export(&people(0..80));
    a.signal("USR1");
    a.until("it is at it", || world.run.accounts().len() > 10);
    world.etcd.revoke_all();
    a.until("it is lost", || a.log().contains("the lease is lost"));
    a.until_accounts(80);
    // Either of them may have taken the lead: whoever it is delivers what is left.
    let delivered = || {
        let texts = [&a, &b].map(|host| std::fs::read_to_string(host.folder.join("events.ndjson")).unwrap_or_default());
        texts.iter().map(|text| text.matches("user_create_provision").count()).sum::<usize>()
    };
    a.until("every event is delivered", || delivered() >= 80);
    a.end();
    let events = world.events(&[&a, &b]);
    let creates = events
        .values()
        .filter(|event| event["event_type"] == "user_create_provision" && event["success"] == true)
        .count();
    assert_eq!(creates, 80, "each once");
}

#[test]
fn a_leader_whose_term_is_over_notes_nothing() {
    let world = World::open("");
    let (a, _b) = pair(&world, LONG_S, 3);
    let note = world.etcd.value("/log").expect("a note");
    world.etcd.usurp("host-c");
    let changes_count = world.changes_count();
    world.run.export(&people(0..6));
    a.signal("USR1");
    a.until("it is lost", || a.log().contains("the lease is lost"));
    a.until("it stands by", || a.log().contains("standby (acme leads: host-c)"));
    assert_eq!(world.etcd.value("/log"), Some(note), "what stands there is the last that was noted in time");
    assert_eq!(world.changes_count(), changes_count, "no request rests on what is not noted");
    assert!(world.etcd.refused_count() > 0 || a.log().contains("its key is gone"), "{}", a.log());
}

#[test]
fn an_answer_that_says_nothing_is_no_word_of_etcds() {
    let world = World::open("");
    let (a, b) = pair(&world, LONG_S, 3);
    let reign = a.status()["standby"]["reign"].clone();
    world.etcd.be_strange(true);
    a.until("it is heard", || a.log().contains("the lease cannot be asked for or renewed"));
    b.until("it is heard there", || b.log().contains("the lease cannot be asked for or renewed"));
    let changes_count = world.changes_count();
    world.run.export(&people(0..6));
    a.signal("USR1");
    a.until("it is cut off", || a.healthz().contains("cut off (no request until the lease is renewed)"));
    assert_eq!(world.changes_count(), changes_count, "no request rests on what is not noted");
    world.etcd.be_strange(false);
    a.until_accounts(6);
    assert_eq!(a.status()["standby"]["reign"], reign, "it led all the time");
    assert!(!a.log().contains("the lease is lost"), "{}", a.log());
    world.events(&[&a, &b]);
}

#[test]
fn a_cycle_that_was_cut_off_goes_on_once_etcd_answers() {
    let world = World::open("delay_ms:40");
    let (a, b) = pair(&world, LONG_S, 3);
    world.run.export(&people(0..40));
    a.signal("USR1");
    a.until("it is at it", || world.run.accounts().len() > 10);
    world.etcd.be_strange(true);
    a.until("the cycle has ended", || a.log().contains("a cycle failed"));
    assert!(world.run.accounts().len() < 40, "it was cut off in its middle");
    world.etcd.be_strange(false);
    a.until_accounts(40);
    assert!(!a.log().contains("the lease is lost"), "{}", a.log());
    world.events(&[&a, &b]);
}

#[test]
fn an_old_state_is_a_restored_one_if_etcd_has_lost_what_was_noted() {
    let world = World::open("");
    let (mut a, mut b) = pair(&world, SHORT_S, 3);
    a.die();
    world.run.export(&people(0..5));
    b.until_accounts(5);
    b.until("it rests", || b.status()["last_cycle"]["result"] == "done");
    b.die();
    world.etcd.lose_everything();
    // One of whom this host knows has left, and one whom the other host made.
    world.run.export(&people(1..4));
    a.start();
    a.until_it_leads();
    a.until("its cycle has ended", || a.status()["held"].as_array().is_some_and(|held| held.len() == 2));
    let status = a.status();
    assert_eq!((&status["restored"], world.run.accounts().len()), (&true.into(), 5), "{status}");
    world.events(&[&a, &b]);
}

#[test]
fn two_hosts_with_one_name_are_told_apart() {
    let world = World::open("");
    world.run.export(&people(0..3));
    let (mut a, mut b) = (world.host("host-a", SHORT_S, Etcd::Says), world.host("host-b", SHORT_S, Etcd::Says));
    b.name = "host-a";
    a.says(&["activate"], 0);
    a.start();
    a.until_it_leads();
    a.until_accounts(3);
    let reign = a.status()["standby"]["reign"].clone();
    b.start();
    let twin =
        "another process that calls itself host-a leads; if it is on another host, give one of them another name";
    b.until("it listens", || b.log().contains("the monitor listens"));
    b.until("it sees the other one", || b.healthz().contains(twin));
    for command in [&["activate"][..], &["approve", "12345678"], &["deactivate"]] {
        let said = b.says(command, 5);
        assert!(said.contains("host-a led acme last, and the state here is not the one that did"), "{said}");
    }
    assert!(!b.folder.join("state.db").exists(), "it opens no state");
    a.die();
    world.run.export(&people(0..4));
    b.until_accounts(4);
    b.until_it_leads();
    let status = b.status();
    assert_ne!(status["standby"]["reign"], reign, "its replica is not the other one's");
    assert_eq!(status["restored"], false, "{status}");
    world.events(&[&a, &b]);
}

#[test]
fn a_person_changes_over_with_lead_and_resign() {
    let world = World::open("");
    let (mut a, mut b) = pair(&world, LONG_S, 4);
    assert!(b.says(&["resign"], 5).contains("host-a"));
    assert!(a.says(&["lead"], 0).contains("this host leads: host-a, reign "));
    assert!(b.says(&["lead", "--force"], 2).contains("without etcd"));
    let said = b.says(&["lead"], 0);
    assert!(said.contains("this host leads: host-b, reign "), "{said}");
    a.until("it stands by", || a.log().contains("standby (acme leads: host-b)"));
    world.run.export(&people(0..5));
    b.signal("USR1");
    b.until_accounts(5);
    let said = b.says(&["resign"], 0);
    assert!(said.contains("handed over"), "{said}");
    a.until_it_leads();
    let status = a.status();
    assert_eq!((&status["restored"], &status["provisioned"]), (&false.into(), &5.into()), "{status}");
    a.end();
    // It only stopped: nobody asked for the other one, so that takes over.
    b.until_it_leads();
    b.end();
    let events = world.events(&[&a, &b]);
    let said =
        |event: &serde_json::Value| event["message_chain"]["message_details"].as_str().unwrap_or_default().to_owned();
    let leads: Vec<_> = events.values().map(said).filter(|said| said.starts_with("leads")).collect();
    let begun: Vec<_> = leads.iter().filter_map(|said| said.split(", ").next()).collect();
    let expected = [
        "leads: host-a",
        "leads no more: host-a",
        "leads: host-b",
        "leads no more: host-b",
        "leads: host-a",
        "leads: host-b",
    ];
    assert_eq!(begun, expected, "{leads:?}");
    assert_eq!(events.keys().copied().collect::<Vec<_>>(), (1..=events.len() as i64).collect::<Vec<_>>(), "one log");
}

#[test]
fn cycles_without_a_daemon_run_where_the_lead_was_last() {
    let world = World::open("");
    world.run.export(&people(0..3));
    let (a, b) = (world.host("host-a", LONG_S, Etcd::Says), world.host("host-b", LONG_S, Etcd::Says));
    a.says(&["activate"], 0);
    a.says(&["--reconcile"], 0);
    let said = b.says(&["--reconcile"], 5);
    assert!(said.contains("host-a"), "{said}");
    a.says(&["--reconcile"], 0);
    b.says(&["lead"], 0);
    world.run.export(&people(0..4));
    b.says(&["--reconcile"], 0);
    assert!(a.says(&["--reconcile"], 5).contains("host-b"));
    assert_eq!(world.run.accounts().len(), 4);
    b.says(&["resign"], 0);
    assert!(b.says(&["--reconcile"], 5).contains("handed acme over"));
    world.events(&[&a, &b]);
}

#[test]
fn without_etcd_a_person_says_who_leads() {
    let world = World::open("");
    world.run.export(&people(0..3));
    let mut a = world.host("host-a", LONG_S, Etcd::IsNotConfigured);
    a.says(&["activate"], 0);
    let said = a.says(&["--reconcile"], 5);
    assert!(said.contains("nobody told this host to lead") && said.contains("lead --force"), "{said}");
    a.says(&["lead"], 2);
    assert!(a.says(&["lead", "--force"], 1).contains("not confirmed"));
    let answered = |answer: &str| {
        let mut child =
            a.command(&["lead", "--force"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        child.stdin.take().expect("its input").write_all(answer.as_bytes()).expect("answered");
        child.wait().expect("its end").code()
    };
    assert_eq!((answered("no\n"), answered("yes\n")), (Some(1), Some(0)));
    a.says(&["--reconcile"], 0);
    let reign = a.status()["standby"]["reign"].as_i64().expect("a reign");
    assert!(reign > 0);
    a.start();
    world.run.export(&people(0..4));
    a.until_accounts(4);
    assert_eq!(a.status()["standby"]["reign"], reign, "the same lead");
    a.says(&["resign"], 0);
    a.until("it stands by", || a.log().contains("standby (nobody told this host to lead"));
    assert!(a.healthz().starts_with("HTTP/1.1 200"), "{}", a.healthz());
    a.says(&["approve", "12345678"], 5);
    a.end();
    assert!(a.says(&["--reconcile"], 5).contains("nobody told this host to lead"));
}

#[test]
fn without_a_standby_there_is_nothing_to_lead() {
    let world = World::open("");
    for command in ["lead", "resign"] {
        let output = world.run.run(&[command]);
        assert_eq!(output.status.code(), Some(78), "{command}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("there is no [standby] in the configuration"));
    }
}
