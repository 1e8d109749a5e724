//! What speaks against access must go on speaking: exports that lose a column, or the words in it, let nobody in.

use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{InProcess, Steps};
use rhombus_sync::model::{Column, ColumnName, OutstandingKind, WithoutState};
use rhombus_sync::plan::Scope;
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use sha2::{Digest, Sha256};

/// A run whose exports must say states.
fn strict() -> InProcess {
    let mut run = InProcess::new();
    run.settings.without_state = WithoutState::Refuse;
    run.settings.scope = Scope::new(&[], &[]);
    run
}

fn cycle(run: &InProcess, export: &str) -> CycleReport {
    std::fs::write(run.path("directory.json"), export).expect("an export");
    run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends")
}

/// Ten users, each with these members; `{n}` is the number.
fn users(members: impl Fn(usize) -> String) -> String {
    let user = |n| format!("{{\"_id\":\"p{n}\",\"username\":\"p{n}@x.example\"{}}}", members(n));
    format!("[{}]", (0..10).map(user).collect::<Vec<_>>().join(","))
}

fn counts(report: &CycleReport) -> (u8, u64, u64) {
    (report.exit.code(), report.done.created_count, report.done.deleted_count + report.done.deactivated_count)
}

fn states(n: usize) -> String {
    format!(",\"state\":\"{}\"", if n < 2 { "SUSPENDED" } else { "ACTIVATED" })
}

#[test]
fn a_state_that_goes_silent_refuses_the_export_whole() {
    for silent in ["", ",\"state\":null", ",\"state\":\"\"", ",\"suspended\":false", ",\"activated\":true"] {
        let mut run = strict();
        assert_eq!(counts(&cycle(&run, &users(states))), (0, 8, 0));
        let report = cycle(&run, &users(|_| silent.to_owned()));
        assert_eq!(counts(&report), (1, 0, 0), "{silent}: {report:?}");
        assert!(report.error.join(": ").contains("`state` is empty in every record"), "{report:?}");
        assert!(report.hint.as_deref().unwrap_or_default().contains("state = \"\""), "{report:?}");
        // The way out that is printed.
        run.settings.layout.columns[Column::State as usize] = ColumnName::Nothing;
        run.settings.without_state = WithoutState::Activated;
        assert_eq!(counts(&cycle(&run, &users(|_| silent.to_owned()))), (0, 2, 0), "{silent}");
    }
}

#[test]
fn what_a_few_said_and_nobody_says_now_holds_those_who_come_in() {
    let mut run = strict();
    let few = |n: usize| format!(",\"state\":\"ACTIVATED\"{}", if n < 2 { ",\"suspended\":true" } else { "" });
    assert_eq!(counts(&cycle(&run, &users(few))), (0, 8, 0));
    for _ in 0..2 {
        let report = cycle(&run, &users(|_| ",\"state\":\"ACTIVATED\"".to_owned()));
        assert_eq!(counts(&report), (4, 0, 0), "{report:?}");
        let held: Vec<_> = report.outstanding.iter().filter(|entry| entry.kind == OutstandingKind::Held).collect();
        assert!(held.len() == 2 && held.iter().all(|entry| entry.reason.code() == "status"), "{report:?}");
    }
    let gone = users(|n| format!(",\"state\":\"{}\"", if n == 9 { "SUSPENDED" } else { "ACTIVATED" }));
    assert_eq!(counts(&cycle(&run, &gone)), (4, 0, 1), "the rest goes on");
    run.settings.layout.columns[Column::Suspended as usize] = ColumnName::Nothing;
    assert_eq!(counts(&cycle(&run, &gone)), (0, 2, 0), "the way out that is printed");
}

/// Who is held for what a record does not say.
fn held_for_status(report: &CycleReport) -> usize {
    let held = report.outstanding.iter().filter(|entry| entry.kind == OutstandingKind::Held);
    held.filter(|entry| entry.reason.code() == "status").count()
}

#[test]
fn a_state_that_thins_out_lets_nobody_in_who_does_not_say_it() {
    let said = |n: usize| format!("p{n},p{n}@x.example,{}\n", if n < 2 { "SUSPENDED" } else { "ACTIVATED" });
    let csv = |of: &dyn Fn(usize) -> String| {
        let rows: String = (0..10).map(of).collect();
        format!("_id,username,state\n{rows}")
    };
    let few = |n: usize| if n < 6 { format!("p{n},p{n}@x.example,\n") } else { said(n) };
    let json = |n: usize| if n < 6 { String::new() } else { states(n) };
    for (before, after) in [(csv(&said), csv(&few)), (users(states), users(json))] {
        let mut run = strict();
        assert_eq!(counts(&cycle(&run, &before)), (0, 8, 0));
        // It stays so in every cycle, and whoever says it comes in.
        for _ in 0..3 {
            let report = cycle(&run, &after);
            assert_eq!((counts(&report), held_for_status(&report)), ((4, 0, 0), 2), "{report:?}");
        }
        let new = after.replace("p9", "q9");
        let report = cycle(&run, &new);
        assert_eq!((report.done.created_count, held_for_status(&report)), (1, 2), "{report:?}");
        run.settings.layout.columns[Column::State as usize] = ColumnName::Nothing;
        run.settings.without_state = WithoutState::Activated;
        assert_eq!(cycle(&run, &new).done.created_count, 2, "the way out that is printed");
    }
}

#[test]
fn an_empty_cell_among_full_ones_lets_nobody_in_and_removes_nobody() {
    let rows = |suspended: [&str; 10]| {
        let row = |(n, said)| format!("p{n},p{n}@x.example,{said},true\n");
        format!("_id,username,suspended,activated\n{}", suspended.iter().enumerate().map(row).collect::<String>())
    };
    let run = strict();
    let mut said = ["false"; 10];
    said[0] = "true";
    assert_eq!(counts(&cycle(&run, &rows(said))), (0, 9, 0));
    said[0] = "";
    said[1] = " ";
    let report = cycle(&run, &rows(said));
    assert_eq!((counts(&report), held_for_status(&report)), ((4, 0, 0), 1), "{report:?}");
    said[0] = "false";
    assert_eq!(counts(&cycle(&run, &rows(said))), (0, 1, 0), "it ends once the record says it");

    let run = strict();
    let flags =
        |of_first: &'static str| move |n: usize| format!(",\"activated\":{}", if n == 0 { of_first } else { "true" });
    assert_eq!(counts(&cycle(&run, &users(flags("false")))), (0, 9, 0));
    let report = cycle(&run, &users(flags("null")));
    assert_eq!((counts(&report), held_for_status(&report)), ((4, 0, 0), 1), "{report:?}");
    // A member that is not there says what it always said.
    let absent =
        users(|n| if n == 0 { String::new() } else { ",\"state\":\"ACTIVATED\",\"suspended\":false".to_owned() });
    let report = cycle(&strict(), &absent);
    assert_eq!(held_for_status(&report), 0, "{report:?}");
}

#[test]
fn an_empty_cell_in_a_column_that_is_mostly_empty_says_nothing() {
    let row = |n: usize| format!("p{n},p{n}@x.example,ACTIVATED,{}\n", if n == 0 { "true" } else { "" });
    let csv = format!("_id,username,state,suspended\n{}", (0..10).map(row).collect::<String>());
    assert_eq!(counts(&cycle(&strict(), &csv)), (0, 9, 0));
}

#[test]
fn what_is_left_may_decide_for_everybody() {
    let run = strict();
    let both = |n: usize| format!("{},\"activated\":{}", states(n), n != 2);
    assert_eq!(counts(&cycle(&run, &users(both))), (0, 8, 0));
    assert_eq!(counts(&cycle(&run, &users(states))), (0, 0, 0), "`activated` beside a full `state`");
    let run = strict();
    let grouped = |n: usize| format!("{},\"groups\":[\"R\"]", states(n));
    assert_eq!(counts(&cycle(&run, &users(grouped))), (0, 8, 0));
    assert_eq!(counts(&cycle(&run, &users(states))), (0, 0, 0), "`groups` without a scope by groups");
}

#[test]
fn another_directory_is_not_compared_with_the_one_before() {
    let mut run = strict();
    cycle(&run, &users(|n| format!(",\"suspended\":{}", n < 2)));
    run.settings.directory_number = 2;
    assert_eq!(counts(&cycle(&run, &users(states))), (0, 0, 0));
}

#[test]
fn groups_that_go_silent_refuse_the_export_whole() {
    let mut run = strict();
    run.settings.scope = Scope::new(&["R".to_owned()], &[]);
    let header = "_id,username,state,groups\n";
    let export =
        |groups: &str| (0..10).map(|n| format!("p{n},p{n}@x.example,ACTIVATED,{groups}\n")).collect::<String>();
    assert_eq!(counts(&cycle(&run, &format!("{header}{}", export("R")))), (0, 10, 0));
    let report = cycle(&run, &format!("{header}{}", export("")));
    assert_eq!(counts(&report), (1, 0, 0), "{report:?}");
    assert!(report.error.join(": ").contains("`groups` is empty in every record"), "{report:?}");
}

#[test]
fn an_export_that_never_said_a_state_lets_nobody_in() {
    for (export, said) in [
        (users(|_| String::new()), "no record in it says whether its user is active"),
        (users(|_| ",\"enabled\":false".to_owned()), "its column `enabled` is not mapped"),
        (
            users(|_| ",\"Account Status\":\"x\",\"suspended\":false".to_owned()),
            "its column `Account Status` is not mapped",
        ),
        (users(|_| ",\"state\":\"WA\"".to_owned()), "`state` contains no known state in any record"),
        ("_id,username,Archived\np0,p0@x.example,yes\n".to_owned(), "its column `Archived` is not mapped"),
        ("_id,username\np0,p0@x.example\n".to_owned(), "no record in it says whether"),
    ] {
        let report = cycle(&strict(), &export);
        assert_eq!(counts(&report), (1, 0, 0), "{export:.80}");
        assert!(report.error.join(": ").contains(said), "{export:.80}: {report:?}");
    }
}

#[test]
fn an_export_without_a_usable_record_is_no_good_cycle() {
    for export in [
        "{\"message\":\"Unauthorized\",\"error\":\"\"}\n",
        "{}\n",
        "{\"value\":[{\"_id\":\"a\",\"username\":\"a@x.example\",\"state\":\"ACTIVATED\"}],\"Count\":1}\n",
        "[{\"_id\":\"a\",\"username\":\"ann\",\"state\":\"ACTIVATED\"}]",
        "[{\"_id\":\"a\",\"username\":\"a@x.example\",\"state\":\"x\"},{\"_id\":\"b\",\"username\":\"b\",\"state\":\"ACTIVATED\"}]",
    ] {
        let run = strict();
        let report = cycle(&run, export);
        assert_eq!(counts(&report), (1, 0, 0), "{export}: {report:?}");
        assert!(report.error.join(": ").contains("be used"), "{export}: {report:?}");
        assert!(report.hint.is_some());
    }
}

#[test]
fn only_usable_records_count_for_min_users_and_too_many_others_refuse() {
    let mut run = strict();
    run.settings.users_count_min = 9;
    let unusable = |count: usize, all: usize| {
        let user = |n| {
            let name = if n < count { format!("p{n}") } else { format!("p{n}@x.example") };
            format!("{{\"_id\":\"p{n}\",\"username\":\"{name}\",\"state\":\"ACTIVATED\"}}")
        };
        format!("[{}]", (0..all).map(user).collect::<Vec<_>>().join(","))
    };
    let report = cycle(&run, &unusable(2, 10));
    assert!(
        report.exit.code() == 1 && report.error.join(": ").contains("8 usable records, but min_users is 9"),
        "{report:?}"
    );
    let run = strict();
    let report = cycle(&run, &unusable(101, 300));
    assert!(
        report.exit.code() == 1 && report.error.join(": ").contains("101 records that could be in scope"),
        "{report:?}"
    );
    assert_eq!(cycle(&run, &unusable(100, 300)).done.created_count, 200);
}

#[test]
fn rows_of_separators_are_no_records() {
    let run = strict();
    let rows = |from: usize| (from..10).map(|n| format!("p{n},p{n}@x.example,ACTIVATED\n")).collect::<String>();
    assert_eq!(counts(&cycle(&run, &format!("_id,username,state\n{}", rows(0)))), (0, 10, 0));
    let spreadsheet = format!("_id,username,state\n{},,\n , ,\n\"\",\"\",\"\"\n", rows(1));
    for expected in [(0, 0, 0), (0, 0, 1)] {
        // Written at another time: the second sighting.
        let path = run.path("directory.json");
        std::fs::write(&path, &spreadsheet).expect("an export");
        let file = std::fs::File::options().write(true).open(&path).expect("it opens");
        let minutes = if expected.2 == 0 { 1 } else { 2 };
        let time = std::time::SystemTime::now() + std::time::Duration::from_secs(60 * minutes);
        file.set_modified(time).expect("a time");
        let report = run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends");
        assert_eq!(counts(&report), expected, "{report:?}");
    }
}

#[test]
fn a_cell_of_groups_that_is_no_list_of_names_removes_nobody() {
    let mut run = strict();
    run.settings.scope = Scope::new(&["Rhombus".to_owned(), "Cameras".to_owned()], &[]);
    let export = |cell: &str| {
        let rows = (1..10).map(|n| format!("p{n},p{n}@x.example,ACTIVATED,Rhombus\n")).collect::<String>();
        format!("_id,username,state,groups\np0,p0@x.example,ACTIVATED,\"{cell}\"\n{rows}")
    };
    assert_eq!(counts(&cycle(&run, &export("Everyone; Rhombus"))), (0, 10, 0));
    for cell in [
        "Rhombus,Staff",
        "Staff, Rhombus",
        "Staff|Rhombus",
        "Staff\nRhombus",
        "Staff Rhombus",
        "/Rhombus",
        "CN=Rhombus,OU=Groups",
        "[\"\"Staff\"\"]",
        "{Staff}",
        "System.Object[]",
        "rhombus",
        "staff,CAMERAS",
        "@{name=Staff}",
    ] {
        let report = cycle(&run, &export(cell));
        assert_eq!(counts(&report), (0, 0, 0), "{cell}: {report:?}");
        let refused: Vec<_> = report.outstanding.iter().map(|entry| entry.reason.code()).collect();
        assert_eq!(refused, ["groups_form"], "{cell}");
    }
    assert_eq!(counts(&cycle(&run, &export("Staff;Everyone"))), (0, 0, 1), "a statement");
    run.settings.layout.group_separator = ',';
    assert_eq!(counts(&cycle(&run, &export("Staff,Rhombus"))), (0, 1, 0));
    let report = cycle(&run, &export("Staff;Rhombus"));
    assert_eq!(report.outstanding.iter().map(|entry| entry.reason.code()).collect::<Vec<_>>(), ["groups_form"]);
}

#[test]
fn a_dead_export_job_is_no_good_cycle_and_keeps_everybody() {
    let run = strict();
    assert_eq!(counts(&cycle(&run, &users(states))), (0, 8, 0));
    let last_good = || {
        let state = store::open(&run.path("state.db"), Access::Read).expect("the state opens");
        store::installation(&state).expect("the row").last_good_cycle_at
    };
    let before = last_good();
    let wrapped = format!("{{\"value\":{},\"Count\":10}}", users(states));
    for dead in ["{\"message\":\"Unauthorized\",\"error\":\"\"}\n", "{}\n", "[]", &wrapped, &format!("{wrapped}\n")] {
        assert_eq!(counts(&cycle(&run, dead)), (1, 0, 0), "{dead}");
        assert_eq!(last_good(), before, "{dead}");
    }
    assert_eq!(counts(&cycle(&run, &users(states))), (0, 0, 0));
    assert!(last_good() > before);
}

#[test]
fn other_words_for_states_make_nobody_and_say_so() {
    for state in ["active", "ENABLED", "", "1"] {
        let report = cycle(&strict(), &users(|_| format!(",\"state\":\"{state}\"")));
        assert_eq!(counts(&report), (1, 0, 0), "{state}: {report:?}");
        let said = format!("{} {}", report.error.join(": "), report.hint.unwrap_or_default());
        assert!(said.contains("[directory.states]") || said.contains("without_state"), "{state}: {said}");
    }
}

#[test]
fn a_checksum_is_read_in_every_form_and_named_if_it_is_none() {
    let run = strict();
    let text = users(states);
    let digits = rhombus_sync::model::hex(&Sha256::digest(&text));
    let utf_16 = |text: &str| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    for checksum in [
        utf_16(&format!("{} *directory.json\r\n", digits.to_uppercase())),
        format!("\u{feff}{digits}\r\n").into_bytes(),
        format!("SHA256 (directory.json) = {digits}\n").into_bytes(),
    ] {
        std::fs::write(run.path("directory.json.sha256"), &checksum).expect("written");
        assert_eq!(cycle(&run, &text).exit.code(), 0, "{checksum:?}");
    }
    for checksum in [Vec::new(), b"sum".to_vec(), utf_16(&"0".repeat(64))] {
        std::fs::write(run.path("directory.json.sha256"), &checksum).expect("written");
        let report = cycle(&run, &text);
        let said = report.error.join(": ");
        assert!(report.exit.code() == 1 && said.contains("its checksum directory.json.sha256"), "{checksum:?}: {said}");
    }
}

#[test]
fn a_mapped_column_that_a_csv_never_had_refuses_it_whole() {
    let mapped = |columns: &[(Column, &str)]| {
        let mut run = strict();
        for (column, name) in columns {
            run.settings.layout.columns[*column as usize] = ColumnName::Theirs((*name).into());
        }
        run
    };
    let suspended = [(Column::Suspended, "Blocked")];
    let full = "_id,username,state\na,a@x.example,ACTIVATED\nb,b@x.example,ACTIVATED\n";
    let part = "_id,username,state\na,a@x.example,ACTIVATED\nb,b@x.example,\nc,c@x.example,\n";
    let ours = "_id,username,state,suspended\na,a@x.example,ACTIVATED,true\n";
    for (columns, export, lacks) in [
        (&suspended[..], full, "no `Blocked` ([directory.columns] suspended); it has 3 columns"),
        (&suspended, ours, "no `Blocked` ([directory.columns] suspended)"),
        (&[(Column::Activated, "On")], part, "no `On` ([directory.columns] activated)"),
        (&[(Column::State, "On"), suspended[0]], full, "no `On` ([directory.columns] state) and no `Blocked`"),
    ] {
        let report = cycle(&mapped(columns), export);
        assert_eq!(counts(&report), (1, 0, 0), "{report:?}");
        assert!(report.error.join(": ").contains(lacks), "{report:?}");
    }
    assert_eq!(counts(&cycle(&mapped(&[(Column::Activated, "On")]), full)), (0, 2, 0), "a full `state` decides");
    assert_eq!(counts(&cycle(&mapped(&[(Column::Firstname, "Given")]), full)), (0, 2, 0), "a name is not managed");
    let mut run = mapped(&suspended);
    run.settings.layout.columns[Column::Suspended as usize] = ColumnName::Nothing;
    assert_eq!(counts(&cycle(&run, full)), (0, 2, 0), "the way out that is printed");
    // What was there before is judged by how many records it spoke in.
    let run = mapped(&suspended);
    let few = full.replace("state\n", "state,Blocked\n").replace("ACTIVATED\n", "ACTIVATED,\n")
        + "c,c@x.example,ACTIVATED,1\n";
    assert_eq!(counts(&cycle(&run, &few)), (0, 2, 0));
    assert_eq!(counts(&cycle(&run, &format!("{full}d,d@x.example,ACTIVATED\n"))), (4, 0, 0), "held, not refused");
}
