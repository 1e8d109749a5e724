//! The program killed at random instants, stopped by a signal or a command, and started five times at once.

use super::*;

/// Kills the program at random instants while people come, go and are renamed, then judges how it ends.
fn storm(rounds: usize, faults: &str) {
    let run = RealBinary::open_with_faults("concurrency_max = 4", faults);
    run.export(&people(0..40));
    while !run.run(&["activate"]).status.success() {}
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..rounds {
        // Each round finds another export: some have left, some are new, some are called otherwise.
        let mut users = people(round % 50..round % 50 + 40);
        for user in users.iter_mut().step_by(3) {
            user["firstname"] = format!("Pat{round}").into();
        }
        run.export(&users);
        let mut child =
            run.command(&["--reconcile"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_micros(seed >> 47));
        let _ = child.kill();
        let _ = child.wait();
    }
    let last = people(25..65);
    run.export(&last);
    let mut report = Value::Null;
    for _ in 0..20 {
        let output = run.run(&["--reconcile", "--json"]);
        report = serde_json::from_slice(&output.stdout).expect("one JSON document");
        if report["unchanged"] == 40 && report["exit"] == 0 {
            break;
        }
    }
    assert_eq!((report["unchanged"].as_u64(), report["exit"].as_u64()), (Some(40), Some(0)), "{faults}: {report}");
    let accounts = run.accounts();
    assert_eq!(accounts.len(), 40, "{faults}: an orphan, or somebody is missing");
    let mut entry: BTreeMap<String, i64> = BTreeMap::new();
    for event in run.events().iter().filter(|event| event["success"] == true) {
        let change = match event["event_type"].as_str() {
            Some("user_create_provision") => 1,
            Some("user_delete_provision" | "user_deprovision") => -1,
            _ => continue,
        };
        *entry.entry(event["resource"]["target_id"].as_str().expect("an account").to_owned()).or_default() += change;
    }
    entry.retain(|_, count| *count != 0);
    let held: BTreeMap<_, _> =
        accounts.values().map(|account| (account["id"].as_str().expect("an id").to_owned(), 1)).collect();
    assert_eq!(entry, held, "{faults}: the log does not tell how the accounts came to be");
    assert_eq!(run.run(&["events", "verify"]).status.code(), Some(0));
}

/// How many rounds of kills: few by default, so that the suite stays short; CI sets more.
fn rounds() -> usize {
    std::env::var("RHOMBUS_SYNC_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

#[test]
fn kills_at_random_instants_change_nothing_about_how_it_ends() {
    storm(rounds(), "");
}

#[test]
fn kills_and_a_faulty_network_change_nothing_about_how_it_ends() {
    storm(rounds(), "drop_before:0.05,drop_after:0.05,torn:0.05,e429:0.05,e503:0.05,delay_ms:2,seed:11");
}

#[test]
fn of_five_starts_at_once_never_two_send() {
    let run = RealBinary::open_with_faults("", "delay_ms:20");
    run.export(&people(0..60));
    run.activate();
    let starts: Vec<_> = (0..5)
        .map(|_| run.command(&["--reconcile"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"))
        .collect();
    let mut exits: Vec<_> = starts.into_iter().map(|mut child| child.wait().expect("it ends").code()).collect();
    exits.sort_unstable();
    assert_eq!(exits, [Some(0), Some(5), Some(5), Some(5), Some(5)]);
    assert_eq!(run.accounts().len(), 60);
}

#[test]
fn a_signal_ends_a_cycle_and_the_next_one_goes_on() {
    let run = RealBinary::open_with_faults("concurrency_max = 2", "delay_ms:20");
    run.export(&people(0..100));
    run.activate();
    let mut child = run.command(&["--reconcile"]).stdout(Stdio::null()).spawn().expect("it starts");
    while run.accounts().len() < 10 {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    assert_eq!(child.wait().expect("it ends").code(), Some(3), "something is left");
    let count = run.accounts().len();
    assert!((10..90).contains(&count), "{count} accounts when it stopped");
    run.reconcile(0);
    assert_eq!(run.accounts().len(), 100);
}

#[test]
fn deactivate_stops_a_cycle_under_way() {
    let run = RealBinary::open_with_faults("concurrency_max = 2", "delay_ms:50");
    run.export(&people(0..200));
    run.activate();
    let mut child =
        run.command(&["--reconcile"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    while run.accounts().len() < 5 {
        std::thread::yield_now();
    }
    assert!(run.run(&["deactivate"]).status.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(6));
    assert!(run.accounts().len() < 195);
}
