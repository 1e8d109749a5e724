//! The calls that come at three in the morning, each on a terminal and in a pipe. What they say is kept in docs/nights and
//! compared; `UPDATE_DOCS=1 cargo test --test it nights::` writes it anew.

mod story;
mod words;

use crate::support::real_binary::people;
use crate::support::terminal::{Stderr, in_a_terminal, typing_in_a_terminal, without_colour};
use serde_json::{Value, json};
use story::Story;

const NAMES: [&str; 12] = [
    "Ann Archer",
    "Bob Baker",
    "Carla Celik",
    "Dmitri Doe",
    "Ewa Ek",
    "Farid Fuchs",
    "Gina Gold",
    "Hugo Hart",
    "Ines Ito",
    "Jonas Jung",
    "Keiko Kane",
    "Luis Lund",
];

/// The people of a small company: one is staged, one suspended, one in no scoped group.
fn staff() -> Vec<Value> {
    let person = |(number, name): (usize, &&str)| {
        let (given, family) = name.split_once(' ').expect("two names");
        let username = format!("{}.{}@harbor.example", given.to_lowercase(), family.to_lowercase());
        json!({"_id": format!("staff-{number}"), "username": username, "firstname": given, "lastname": family,
            "state": "ACTIVATED", "groups": ["Everyone", "Doors"]})
    };
    let mut all: Vec<_> = NAMES.iter().enumerate().map(person).collect();
    all[9]["groups"] = json!(["Everyone"]);
    all[10]["state"] = json!("STAGED");
    all[11]["state"] = json!("SUSPENDED");
    all
}

fn without(gone: &[usize]) -> Vec<Value> {
    staff().into_iter().enumerate().filter(|(number, _)| !gone.contains(number)).map(|(_, person)| person).collect()
}

/// Everybody who is wanted is provisioned.
fn begun(name: &'static str, title: &str) -> Story {
    let story = Story::begin(name, title);
    story.run.export(&staff());
    story.quietly(&["activate"]);
    story.quietly(&["--reconcile"]);
    story
}

#[test]
fn the_first_day() {
    let mut story = Story::begin("00-first-day", "The first day: from a configuration to the first accounts");
    story.run.export(&staff());
    story.acts(&["activate"], 0);
    story.looks(&["plan"], 0);
    story.acts(&["--reconcile"], 0);
    story.looks(&["status"], 0);
    story.end();
}

#[test]
fn the_rehearsal() {
    let mut story = Story::begin("00-rehearsal", "Before the first day: a rehearsal without token or Rhombus");
    story.run.export(&staff());
    story.note("The scope names a group that the directory does not have:");
    story.configure("[\"Doors\"]", "[\"Door access\"]");
    story.looks(&["check"], 0);
    story.configure("[\"Door access\"]", "[\"Doors\"]");
    story.note("With the right one:");
    story.looks(&["check"], 0);
    story.looks(&["plan", "--sandbox"], 0);
    story.acts(&["--reconcile", "--sandbox"], 0);
    story.acts(&["--reconcile", "--sandbox"], 0);
    story.end();
}

#[test]
fn ann_cannot_open_the_door() {
    let mut story = begun("01-door", "Ann cannot open the door");
    story.looks(&["explain", "ann.archer@harbor.example"], 0);
    story.note("Jonas is in no group that gets an account:");
    story.looks(&["explain", "jonas.jung@harbor.example"], 0);
    story.acts(&["plan", "--refresh", "--only", "ann.archer@harbor.example"], 0);
    story.end();
}

#[test]
fn bob_left_and_his_badge_still_works() {
    let mut story = begun("02-left", "Bob left, and his badge still works");
    story.run.export(&without(&[1]));
    story.looks(&["explain", "bob.baker@harbor.example"], 0);
    story.acts(&["--reconcile"], 0);
    story.looks(&["history", "bob.baker@harbor.example"], 0);
    story.looks(&["explain", "bob.baker@harbor.example"], 0);
    story.end();
}

#[test]
fn it_is_red_for_two_days() {
    let mut story = begun("03-red", "It is red for two days: the export job writes half a file");
    let whole = std::fs::read_to_string(story.run.path("directory.json")).expect("an export");
    std::fs::write(story.run.path("directory.json"), &whole[..whole.len() / 2]).expect("half of it");
    story.acts(&["--reconcile"], 1);
    story.two_days_pass();
    story.looks(&["status"], 0);
    story.looks(&["status", "--exit-code", "--all"], 1);
    story.run.export(&staff());
    story.note("The job is fixed:");
    story.acts(&["--reconcile"], 0);
    story.looks(&["status"], 0);
    story.end();
}

#[test]
fn the_token_was_rotated() {
    let mut story = begun("04-token", "Somebody made a new token in the console");
    let token = story.run.path("sandbox/token");
    let good = std::fs::read_to_string(&token).expect("a token");
    std::fs::write(&token, "an-old-token").expect("written");
    story.run.export(&without(&[1]));
    story.acts(&["--reconcile"], 1);
    story.looks(&["status"], 0);
    std::fs::write(&token, good).expect("written");
    story.note("The new token is in the file:");
    story.acts(&["--reconcile"], 0);
    story.end();
}

#[test]
fn four_in_ten_are_laid_off() {
    let mut story = begun("05-lay-off", "Four people are laid off in one night");
    story.run.export(&without(&[1, 2, 3, 4]));
    story.looks(&["plan"], 0);
    story.acts(&["--reconcile"], 4);
    story.looks(&["approve"], 0);
    story.looks(&["status"], 0);
    let hold = story.hold();
    story.acts(&["approve", &hold[..8], "--only", "bob.baker@harbor.example"], 0);
    story.looks(&["approve"], 0);
    story.looks(&["status"], 0);
    story.acts(&["approve", &hold[..8]], 0);
    story.acts(&["--reconcile"], 0);
    story.acts(&["approve", &hold[..8]], 1);
    story.end();
}

#[test]
fn the_disk_is_full() {
    let mut story = begun("06-disk", "The disk is full");
    story.run.export(&without(&[1]));
    story.acts_with_a_full_disk(&["--reconcile"], 1);
    story.note("There is space again:");
    story.acts(&["--reconcile"], 0);
    story.end();
}

#[test]
fn yesterdays_backup_is_put_back() {
    let mut story = begun("07-restore", "Yesterday's backup is restored");
    story.acts(&["backup", "yesterday.db"], 0);
    story.run.export(&without(&[1]));
    story.quietly(&["--reconcile"]);
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(story.run.path(file));
    }
    std::fs::copy(story.run.path("yesterday.db"), story.run.path("state.db")).expect("put back");
    story.run.export(&without(&[1, 2]));
    story.note("Bob was removed after the backup, and Carla has left since. The state is restored:");
    story.looks(&["plan"], 0);
    story.looks(&["status"], 0);
    story.note("The cycle finds Bob's account gone, so that only Carla's needs a word:");
    story.acts(&["--reconcile"], 4);
    story.end();
}

#[test]
fn a_group_of_the_scope_was_renamed() {
    let mut story = begun("08-group", "Somebody renamed the group in the directory");
    let mut renamed = staff();
    renamed.iter_mut().take(9).for_each(|person| person["groups"] = json!(["Everyone", "Doors 2027"]));
    renamed[10]["groups"] = json!(["Everyone"]);
    renamed[11]["groups"] = json!(["Everyone"]);
    story.run.export(&renamed);
    story.looks(&["plan"], 0);
    story.acts(&["--reconcile"], 4);
    story.looks(&["status"], 0);
    story.end();
}

#[test]
fn stop_managing() {
    let mut story = begun("09-stop", "Stop, now");
    story.acts(&["deactivate"], 0);
    story.looks(&["status"], 0);
    story.acts(&["--reconcile"], 6);
    story.acts(&["activate"], 0);
    story.end();
}

#[test]
fn the_export_job_died() {
    let mut story = begun("10-export", "The export job died, or writes something else");
    let path = story.run.path("directory.json");
    std::fs::write(&path, "<html><body>Please sign in</body></html>").expect("a web page");
    story.looks(&["plan"], 1);
    std::fs::write(&path, "").expect("an empty file");
    story.looks(&["plan"], 1);
    std::fs::remove_file(&path).expect("gone");
    story.looks(&["plan"], 1);
    story.end();
}

#[test]
fn users_that_rhombus_refuses() {
    let mut story = begun("11-refused", "Some users are not as they should be");
    let mut users = staff();
    users[4]["username"] = json!("ewa.new@harbor.example");
    users[5]["username"] = json!("farid fuchs");
    users[6]["state"] = json!("FROZEN");
    users[0]["firstname"] = json!("Anna");
    story.run.export(&users);
    story.looks(&["plan"], 0);
    story.acts(&["--reconcile"], 0);
    story.looks(&["status"], 0);
    story.looks(&["explain", "ewa.ek@harbor.example"], 0);
    story.end();
}

#[test]
fn words_that_are_mistyped() {
    let mut story = begun("12-words", "Words that one would type");
    for words in [&["reconcile"][..], &["plan", "--dry-run"], &["list"], &["statsu"], &["-v"]] {
        story.looks(words, 2);
    }
    story.looks(&["explain", "nobody@harbor.example"], 1);
    story.looks(&["approve", "bob"], 1);
    story.looks(&["--reconcile", "--only", "bbo@harbor.example"], 1);
    story.looks(&["--reconcile", "--expect", "deadbeef"], 7);
    story.looks(&["events", "verify"], 0);
    story.end();
}

#[test]
fn nobody_syncs() {
    let mut story = Story::begin("13-no-daemon", "Nobody syncs: the daemon died");
    story.configure("[[sinks]]", "[schedule]\ncron = \"0 0 0 1 1 *\"\nrefresh_cron = \"\"\n[[sinks]]");
    story.run.export(&staff());
    story.quietly(&["activate"]);
    story.a_daemon_dies_after_its_first_cycle();
    story.looks(&["status"], 0);
    story.looks(&["status", "--exit-code"], 1);
    story.note("Until it is started again (systemctl start rhombus-sync), a cycle can be run by hand. An hour without one is red again:");
    story.acts(&["--reconcile"], 0);
    story.looks(&["status"], 0);
    story.end();
}

#[test]
fn the_export_is_too_old() {
    let mut story = Story::begin("14-old-export", "The export is too old: its job has not run for three days");
    story.configure("[scope]", "max_age = \"26h\"\n[scope]");
    story.run.export(&staff());
    story.quietly(&["activate"]);
    story.quietly(&["--reconcile"]);
    story.the_export_is_of_three_days_ago();
    story.looks(&["plan"], 1);
    story.acts(&["--reconcile"], 1);
    story.looks(&["status"], 0);
    story.run.export(&staff());
    story.note("The job runs again:");
    story.acts(&["--reconcile"], 0);
    story.end();
}

#[test]
fn the_state_is_lost() {
    let mut story = begun("15-lost-state", "The state is lost, and there is no backup");
    for file in ["state.db", "state.db-wal", "state.db-shm", "state.db.lock"] {
        let _ = std::fs::remove_file(story.run.path(file));
    }
    std::fs::rename(story.run.path("events.ndjson"), story.run.path("events.old")).expect("moved away");
    story.run.export(&without(&[1]));
    story.note("Bob has left meanwhile. The log of before was moved away: another installation wrote it.");
    story.looks(&["status"], 1);
    story.acts(&["activate"], 0);
    story.looks(&["plan"], 0);
    story.acts(&["--reconcile"], 0);
    story.looks(&["status"], 0);
    story.looks(&["explain", "bob.baker@harbor.example"], 0);
    story.end();
}

#[test]
fn rhombus_does_not_remove_somebody() {
    let mut story = Story::begin_with_faults(
        "16-not-removed",
        "He left, and Rhombus does not carry the removal out",
        "delete_400:1,accepted_not_kept:1",
    );
    story.run.export(&staff());
    story.quietly(&["activate"]);
    story.quietly(&["--reconcile"]);
    story.run.export(&without(&[1]));
    story.acts(&["--reconcile"], 3);
    story.looks(&["status"], 0);
    story.looks(&["explain", "bob.baker@harbor.example"], 0);
    story.end();
}

#[test]
fn a_watched_status_is_drawn_until_q_and_a_pipe_is_told_so() {
    let story = begun("", "");
    let shown = typing_in_a_terminal(story.command(&["status", "--watch"]), Stderr::Pipe, b"q");
    assert_eq!(shown.exit, Some(0), "{}{}", shown.terminal, shown.stderr);
    assert!(shown.terminal.contains("OK: 9 users provisioned"), "{}", shown.terminal);
    assert!(shown.terminal.contains("q ends it") && shown.terminal.ends_with("\u{1b}[?1049l"), "{:?}", shown.terminal);
    let piped = story.command(&["status", "--watch"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&piped.stderr).into_owned();
    assert_eq!((piped.status.code(), piped.stdout.len()), (Some(2), 0), "{said}");
    assert!(said.contains("needs a terminal") && said.contains("hint: "), "{said}");
}

#[test]
fn the_audit_log_is_a_table_on_a_terminal_and_a_line_each_in_a_pipe() {
    let story = begun("", "");
    let shown = in_a_terminal(story.command(&["events", "tail", "-n", "3"]), Stderr::Pipe);
    let table = without_colour(&shown.terminal);
    assert!(table.lines().count() == 4 && table.contains("user_create_provision"), "{table}");
    let piped = story.command(&["events", "tail", "-n", "3"]).output().expect("it runs");
    for line in String::from_utf8_lossy(&piped.stdout).lines() {
        let event: Value = serde_json::from_str(line).expect("an event");
        assert!(event["sequence"].is_u64(), "{event}");
    }
}

#[test]
fn a_terminal_gets_colour_and_a_bar_that_every_locale_can_show() {
    let story = Story::begin("", "");
    let mut users = people(0..300);
    users.iter_mut().for_each(|user| user["groups"] = json!(["Doors"]));
    story.run.export(&users);
    story.quietly(&["activate"]);
    let mut command = story.command(&["--reconcile"]);
    command.env("LC_ALL", "C");
    let shown = in_a_terminal(command, Stderr::Terminal);
    assert_eq!(shown.exit, Some(0), "{}", shown.terminal);
    assert!(shown.terminal.contains("of 300 users") && shown.terminal.contains("\u{1b}["), "{}", shown.terminal);
    assert!(shown.terminal.is_ascii(), "{}", shown.terminal);
}

#[test]
fn a_plan_for_ten_thousand_is_a_page_and_whole_if_asked() {
    let story = Story::begin("", "");
    let mut users = people(0..10_000);
    users.iter_mut().for_each(|user| user["groups"] = json!(["Doors"]));
    (0..2_000).for_each(|number| users[number]["username"] = json!(format!("not an address {number}")));
    users.truncate(9_000);
    // Few enough may be unusable: the rest is of another group.
    (60..2_000).for_each(|number| users[number]["groups"] = json!(["Everyone"]));
    story.run.export(&users);
    story.quietly(&["activate"]);
    let page = story.command(&["plan"]).output().expect("it runs");
    let page = String::from_utf8(page.stdout).expect("text");
    assert!(page.lines().count() <= 40 && page.contains("7000 to create"), "{page}");
    let all = story.command(&["plan", "--all"]).output().expect("it runs");
    let all = String::from_utf8(all.stdout).expect("text");
    assert!(all.contains("p8999@x.example") && all.lines().count() > 7_000, "{} lines", all.lines().count());
}
