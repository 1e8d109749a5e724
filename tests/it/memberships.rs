//! The members file beside an export: it stands for `groups`, and whom it does not list is absent from it, which must be proven.

use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{InProcess, Steps};
use rhombus_sync::config::SourceConfig;
use rhombus_sync::cycle::open_export;
use rhombus_sync::model::{Duration, GuardKind, Moment, OutstandingKind};
use rhombus_sync::plan::{Limits, Scope};
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::{Duration as StdDuration, SystemTime};

/// A run whose scope is `R`, by a members file.
fn run() -> InProcess {
    let mut run = InProcess::new();
    let members_path = Some(run.path("members.csv"));
    run.settings.source = SourceConfig::File { path: run.path("directory.json"), members_path };
    run.settings.scope = Scope::new(&["R".to_owned()], &[]);
    run
}

/// Ten users, none of whom says a group; those of `states` in another state.
fn users(states: &[(usize, &str)]) -> String {
    let state = |n: usize| states.iter().find(|(of, _)| *of == n).map_or("ACTIVATED", |(_, state)| state);
    let user = |n| format!("{{\"_id\":\"p{n}\",\"username\":\"p{n}@x.example\",\"state\":\"{}\"}}", state(n));
    format!("[{}]", (0..10).map(user).collect::<Vec<_>>().join(","))
}

/// Memberships of `R` by id and username, and one of another group for everybody.
fn members(of: impl IntoIterator<Item = usize>) -> String {
    let all: String = (0..10).map(|n| format!("\"Staff\",\"p{n}@x.example\",\"p{n}\"\r\n")).collect();
    let some: String = of.into_iter().map(|n| format!("\"R\",\"p{n}@x.example\",\"p{n}\"\r\n")).collect();
    format!("\"GroupName\",\"Username\",\"UserID\"\r\n{all}{some}")
}

/// Writes a file with a modification time of so many minutes after the first one.
fn write(path: &Path, bytes: impl AsRef<[u8]>, minutes: u64) {
    std::fs::write(path, bytes).expect("written");
    let file = std::fs::File::options().write(true).open(path).expect("it opens");
    let first = SystemTime::UNIX_EPOCH + StdDuration::from_millis(crate::support::NOW.0 as u64 - 86_400_000);
    file.set_modified(first + StdDuration::from_secs(60 * minutes)).expect("a time");
}

/// One cycle over a pair, the members file written at that minute.
fn cycle(run: &InProcess, export: &str, members: impl AsRef<[u8]>, minutes: u64) -> CycleReport {
    write(&run.path("directory.json"), export, minutes);
    write(&run.path("members.csv"), members, minutes);
    run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends")
}

fn counts(report: &CycleReport) -> (u8, u64, u64) {
    (report.exit.code(), report.done.created_count, report.done.deleted_count + report.done.deactivated_count)
}

/// "kind id code" of everybody who is listed.
fn listed(report: &CycleReport) -> Vec<String> {
    let entry = |entry: &rhombus_sync::model::OutstandingUser| {
        let id = entry.directory_id.as_ref().map_or("-", |id| id.as_str());
        format!("{} {id} {}", entry.kind.as_str(), entry.reason.code())
    };
    report.outstanding.iter().map(entry).collect()
}

fn refused(report: &CycleReport, said: &str) {
    assert!(report.exit.code() == 1 && report.error.join(": ").contains(said), "{said}: {report:?}");
}

#[test]
fn it_stands_for_groups_whatever_the_records_say() {
    let run = run();
    assert_eq!(counts(&cycle(&run, &users(&[(0, "SUSPENDED")]), members(0..5), 1)), (0, 4, 0));
    let grouped = users(&[]).replace("\"state\"", "\"groups\":[\"R\"],\"state\"");
    let report = cycle(&run, &grouped, members(0..5), 2);
    assert_eq!(counts(&report), (0, 1, 0), "nobody is in a group because a record says so: {report:?}");
}

#[test]
fn whom_it_does_not_list_must_be_missing_from_it_twice() {
    let run = run();
    assert_eq!(counts(&cycle(&run, &users(&[]), members(0..10), 1)), (0, 10, 0));
    let report = cycle(&run, &users(&[]), members(1..10), 2);
    assert_eq!((counts(&report), listed(&report)), ((0, 0, 0), vec!["waiting p0 unlisted".to_owned()]));
    let report = cycle(&run, &users(&[]), members(1..10), 2);
    assert_eq!(counts(&report), (0, 0, 0), "written at the same time: the same sighting");
    assert_eq!(counts(&cycle(&run, &users(&[]), members(0..10), 3)), (0, 0, 0));
    let report = cycle(&run, &users(&[]), members(1..10), 4);
    assert_eq!(counts(&report), (0, 0, 0), "who came back starts anew: {report:?}");
    let report = cycle(&run, &users(&[]), members(1..10), 5);
    assert_eq!((counts(&report), listed(&report)), ((0, 0, 1), vec![]));
    assert_eq!(counts(&cycle(&run, &users(&[]), members(1..10), 6)), (0, 0, 0));
}

#[test]
fn missing_from_the_export_and_then_from_the_groups_is_not_missing_twice() {
    let run = run();
    let csv = |from: usize| {
        let rows: String = (from..10).map(|n| format!("p{n},p{n}@x.example,ACTIVATED\n")).collect();
        format!("_id,username,state\n{rows}")
    };
    assert_eq!(counts(&cycle(&run, &csv(0), members(0..10), 1)), (0, 10, 0));
    let report = cycle(&run, &csv(1), members(0..10), 2);
    assert_eq!(listed(&report), ["waiting p0 absent", "refused p0 membership_of_nobody"], "{report:?}");
    let report = cycle(&run, &csv(0), members(1..10), 3);
    assert_eq!((counts(&report), listed(&report)), ((0, 0, 0), vec!["waiting p0 unlisted".to_owned()]));
    let report = cycle(&run, &csv(1), members(1..10), 4);
    assert_eq!((counts(&report), listed(&report)), ((0, 0, 0), vec!["waiting p0 absent".to_owned()]));
    assert_eq!(counts(&cycle(&run, &csv(1), members(1..10), 5)), (0, 0, 1));
}

#[test]
fn a_checksum_beside_it_proves_it_and_must_fit() {
    let run = run();
    assert_eq!(counts(&cycle(&run, &users(&[]), members(0..10), 1)), (0, 10, 0));
    let text = members(1..10);
    let sum = rhombus_sync::model::hex(&Sha256::digest(members(0..10)));
    std::fs::write(run.path("members.csv.sha256"), format!("{sum}  members.csv\n")).expect("written");
    let report = cycle(&run, &users(&[]), &text, 2);
    refused(&report, "its checksum members.csv.sha256 is not the export's");
    let sum = rhombus_sync::model::hex(&Sha256::digest(&text));
    std::fs::write(run.path("members.csv.sha256"), format!("{sum}  members.csv\n")).expect("written");
    assert_eq!(counts(&cycle(&run, &users(&[]), &text, 2)), (0, 0, 1));
}

#[test]
fn a_state_is_a_statement_whether_or_not_the_user_is_listed() {
    let run = run();
    assert_eq!(counts(&cycle(&run, &users(&[]), members(0..10), 1)), (0, 10, 0));
    let report = cycle(&run, &users(&[(0, "SUSPENDED"), (1, "STAGED")]), members(1..10), 2);
    assert_eq!(counts(&report), (0, 0, 2), "{report:?}");
}

#[test]
fn a_membership_of_nobody_is_listed_and_too_many_refuse_the_pair() {
    let run = run();
    let report = cycle(&run, &users(&[]), members(5..15), 1);
    assert_eq!(counts(&report), (0, 5, 0));
    let strangers: Vec<_> = (10..15).map(|n| format!("refused p{n} membership_of_nobody")).collect();
    assert_eq!(listed(&report), strangers);
    let report = cycle(&run, &users(&[]), members(5..20), 2);
    assert_eq!(counts(&report), (0, 0, 0));
    let report = cycle(&run, &users(&[]), members(5..21), 3);
    refused(&report, "the members file lists 11 of 16 users whom the export does not have, limit is 10");
    let report = cycle(&run, &users(&[]), members(0..10).replace("\"p", "\"q"), 4);
    assert_eq!(
        counts(&report),
        (0, 0, 0),
        "ten of ten are within the limit, and none of them grants anything: {report:?}"
    );
}

#[test]
fn ids_come_first_and_usernames_stand_in() {
    let run = run();
    let file = "UserID,GROUPNAME,username\np0,R,\n,R,P1@X.example\np2,R,p9@x.example\n";
    let report = cycle(&run, &users(&[]), file, 1);
    assert_eq!(counts(&report), (0, 3, 0), "{report:?}");
    assert_eq!(listed(&report), ["refused p9 membership_id"]);
    let run = self::run();
    assert_eq!(counts(&cycle(&run, &users(&[]), "GroupName,Username\nR,p1@x.example\n", 1)), (0, 1, 0));
    let file = "GroupName,UserID\nR,p1\nR,p2\n";
    assert_eq!(counts(&cycle(&run, &users(&[]), file, 2)), (0, 1, 0));
}

#[test]
fn an_id_that_was_rewritten_is_no_absence() {
    let run = run();
    assert_eq!(counts(&cycle(&run, &users(&[]), members(0..10), 1)), (0, 10, 0));
    for minutes in [2, 3] {
        let rewritten = members(0..10).replace("\"p0\"", "\"0\"");
        let report = cycle(&run, &users(&[]), rewritten, minutes);
        assert_eq!(counts(&report), (0, 0, 0), "{report:?}");
        assert_eq!(listed(&report), ["refused 0 membership_of_nobody", "refused p0 membership_id"]);
    }
    for minutes in [4, 5] {
        let nobody = format!("{}\"R\",\"\",\"\"\r\n", members(1..10));
        let report = cycle(&run, &users(&[]), nobody, minutes);
        assert_eq!((counts(&report), listed(&report)), ((0, 0, 0), vec!["waiting p0 unnamed_membership".to_owned()]));
    }
}

#[test]
fn a_group_that_is_written_otherwise_is_no_absence() {
    let run = run();
    assert_eq!(counts(&cycle(&run, &users(&[]), members(0..5), 1)), (0, 5, 0));
    let otherwise = members(0..5)
        .replace("\"R\",\"p1@", "\"r\",\"p1@")
        .replace("\"R\",\"p2@", "\"Staff,R\",\"p2@")
        .replace("\"R\",\"p3@", "\"R\u{200b}\",\"p3@");
    for minutes in 2..4 {
        let report = cycle(&run, &users(&[]), &otherwise, minutes);
        assert_eq!(counts(&report), (0, 0, 0), "{report:?}");
        let refused = listed(&report).into_iter().filter(|entry| entry.starts_with("refused ")).collect::<Vec<_>>();
        assert_eq!(
            refused,
            ["refused p1 groups_form", "refused p2 groups_form", "refused p3 groups_form"],
            "{report:?}"
        );
    }
}

#[test]
fn what_is_no_members_file_refuses_the_pair() {
    let run = run();
    assert_eq!(counts(&cycle(&run, &users(&[]), members(0..10), 1)), (0, 10, 0));
    let text = members(0..10);
    for (file, said) in [
        (String::new(), "it is empty"),
        (text.trim_end().to_owned(), "no newline"),
        (text.replace(',', ";").replace('"', ""), "the header has no `GroupName` and no `UserID` (or `Username`)"),
        ("Group,UserID\nR,p0\n".to_owned(), "the header has no `GroupName`; it has 2 columns: Group, UserID"),
        ("GroupName,Name\nR,p0\n".to_owned(), "the header has no `UserID` (or `Username`)"),
        (format!("{text}\"GroupName\",\"Username\",\"UserID\"\r\n"), "the header is repeated"),
        (text.replace("\"R\"", "\"r\""), "it has the group `R` only in different letter case"),
        ("[{\"GroupName\":\"R\"}]\n".to_owned(), "row 1: "),
    ] {
        let report = cycle(&run, &users(&[]), file, 2);
        refused(&report, said);
        assert!(report.error.join(": ").contains("members.csv") && report.hint.is_some(), "{report:?}");
    }
    std::fs::remove_file(run.path("members.csv")).expect("removed");
    let report = run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends");
    refused(&report, "cannot be read");
    let utf_16: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(counts(&cycle(&run, &users(&[]), utf_16, 3)), (0, 0, 0));
}

#[test]
fn its_age_counts_as_the_exports_does() {
    let mut run = run();
    run.settings.max_age = Some(Duration::from_seconds(86_400 - 60));
    assert_eq!(counts(&cycle(&run, &users(&[]), members(0..10), 10)), (0, 10, 0));
    write(&run.path("members.csv"), members(0..10), 9);
    let report = run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends");
    refused(&report, "before the last one that was read");
    write(&run.path("members.csv"), members(0..10), 0);
    let report = run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends");
    refused(&report, "more than");
}

#[test]
fn the_same_file_as_last_time_means_both() {
    let run = run();
    cycle(&run, &users(&[]), members(0..5), 1);
    let quiet = || {
        let state = store::open(&run.path("state.db"), Access::Read).expect("the state opens");
        store::installation(&state).expect("the row").quiet
    };
    assert!(quiet().is_some());
    let report = cycle(&run, &users(&[]), members(0..6), 1);
    assert_eq!(counts(&report), (0, 1, 0), "the members file alone has changed: {report:?}");
    let before = quiet();
    cycle(&run, &users(&[]), members(0..6), 1);
    assert_eq!(quiet(), before);
}

#[test]
fn an_edit_of_the_scope_or_of_the_path_removes_nobody_by_itself() {
    let mut run = run();
    let both = |of: usize| {
        format!(
            "{}{}",
            members(of..10),
            members(0..10).replace("\"Staff\"", "\"S\"").split_once("\r\n").expect("rows").1
        )
    };
    run.settings.wanted_under.scope = run.settings.scope.clone();
    assert_eq!(counts(&cycle(&run, &users(&[]), both(0), 1)), (0, 10, 0));
    run.settings.scope = Scope::new(&["T".to_owned()], &[]);
    run.settings.wanted_under.scope = run.settings.scope.clone();
    for minutes in [2, 3, 4] {
        let report = cycle(&run, &users(&[]), format!("{}\"T\",\"p9@x.example\",\"p9\"\r\n", both(0)), minutes);
        assert_eq!(counts(&report).2, 0, "{report:?}");
    }
    let report = cycle(&run, &users(&[]), format!("{}\"T\",\"p9@x.example\",\"p9\"\r\n", both(0)), 5);
    let held = report.outstanding.iter().filter(|entry| entry.kind == OutstandingKind::Held).count();
    assert_eq!((report.exit.code(), held), (4, 9), "{report:?}");
}

#[test]
fn whole_groups_that_are_gone_are_stopped_by_the_guard() {
    let mut run = run();
    assert_eq!(counts(&cycle(&run, &users(&[]), members(0..10), 1)), (0, 10, 0));
    run.settings.limits.insert(GuardKind::Absent, Limits { count_free: 3, percent_max: 10, count_max: 50 });
    let few = format!("{}\"R\",\"p9@x.example\",\"p9\"\r\n", members([]));
    assert_eq!(counts(&cycle(&run, &users(&[]), &few, 2)), (0, 0, 0));
    assert_eq!(counts(&cycle(&run, &users(&[]), &few, 3)), (4, 0, 0));
}

#[test]
fn a_pair_that_is_not_in_step_is_read_again_for_a_while() {
    let mut run = run();
    run.settings.checksum_patience = Duration::from_seconds(60);
    let many: String = (0..40).map(|n| format!("R,q{n}\n")).collect();
    std::fs::write(run.path("directory.json"), users(&[])).expect("written");
    std::fs::write(run.path("members.csv"), format!("GroupName,UserID\n{many}")).expect("written");
    let (path, state) = (run.path("directory.json"), run.path("state.db"));
    let export: Vec<_> = (0..40).map(|n| format!("{{\"_id\":\"q{n}\",\"username\":\"q{n}@x.example\"}}")).collect();
    let job = std::thread::spawn(move || {
        std::thread::sleep(StdDuration::from_millis(50));
        std::fs::write(path.with_extension("new"), format!("[{}]", export.join(","))).expect("written");
        std::fs::rename(path.with_extension("new"), &path).expect("renamed over");
    });
    let reader = store::open(&state, Access::Read).expect("the state opens");
    let installation = store::installation(&reader).expect("the row");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let opened = open_export(&run.settings, Moment(now.as_millis() as i64), &installation, &Default::default());
    let read = opened.and_then(|mut export| export.read(&mut |_| {})).expect("it is read");
    job.join().expect("written");
    assert_eq!(read.memberships.map(|read| read.of_nobody_count), Some(0));
}
