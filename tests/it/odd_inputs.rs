//! The odd inputs against the real source and plan. Not here: an API that
//! this program does not read yet.

use crate::support::in_process::InProcess;
use crate::support::plans::{plan, plan_of};
use crate::support::{array, ndjson};
use rhombus_sync::model::{Duration, Format, GuardKind, Layout, OutstandingKind};
use rhombus_sync::plan::Limits;
use std::fmt::Write as _;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration as StdDuration, Instant, SystemTime};

const RENAMED: &str = "the directory has another username; Rhombus does not change usernames";
const ALIKE: &str = "another id has the same username, or one that differs only in form";
const STAFF: &str = "a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D";

#[track_caller]
fn refused_whole(export: &str) {
    let said = plan("a a@x.example|b b@x.example", export);
    assert!(said.starts_with("rejected as a whole: "), "{export:.80}: {said}");
}

/// An array of one record for `a`, with these members, and the bystander.
fn of_a(members: &str) -> String {
    let state = if members.contains("\"state\"") { "" } else { "\"state\":\"ACTIVATED\"," };
    array(&format!("{{\"_id\":\"a\",\"username\":\"a@x.example\",\"groups\":[\"R\"],{state}{members}}}|z z@x.example"))
}

#[test]
fn an_empty_export_of_any_format_is_refused_whole() {
    for export in [
        "",
        " ",
        "[]",
        "{\"results\":[]}",
        "{\"totalCount\":0,\"results\":[]}",
        "_id,username,groups\n",
        "\n",
        "\u{feff}",
    ] {
        refused_whole(export);
    }
}

#[test]
fn a_truncated_export_removes_nobody() {
    // tests/it/prefixes.rs walks through every byte; here, one cut of each kind.
    refused_whole("[{\"_id\":\"z\",\"username\":\"z@x.example\",\"groups\":[\"R\"]}");
    refused_whole("_id,username,groups\nz,z@x.example,R\nb,b@x.exa");
    assert!(plan("a a@x.example", "_id,username,groups\nz,z@x.example,R\n").starts_with("waiting a"));
    assert!(plan("a a@x.example", &ndjson("z z@x.example")).starts_with("waiting a"));
}

#[test]
fn many_gone_are_held_with_the_numbers_and_the_rest_goes_on() {
    let plan = plan_of(STAFF, &array("d d@x.example Dora|e e@x.example"), |settings| {
        settings.limits.insert(GuardKind::Absent, Limits { count_free: 2, percent_max: 10, count_max: 50 });
    });
    let held = "missing from the export; 3 removals wanted, and [guard.absent] allows 2 of 4 users within its window";
    assert_eq!(
        plan,
        format!("update d name.givenName=Dora | create e | held a: {held} | held b: {held} | held c: {held}")
    );
}

#[test]
fn a_few_gone_need_a_proof() {
    let gone = "a a@x.example|z z@x.example";
    let waits = "waiting b: missing from an export that may be incomplete; must also be missing from the next one";
    assert_eq!(plan("a a@x.example|b b@x.example", &ndjson(gone)), waits);
    assert_eq!(plan("a a@x.example|b b@x.example", &array(gone)), "delete b (missing from the export)");
    let page = format!("{{\"totalCount\":2,\"results\":{}}}", array(gone));
    assert_eq!(plan("a a@x.example|b b@x.example", &page), "delete b (missing from the export)");
    let wrong = format!("{{\"totalCount\":3,\"results\":{}}}", array(gone));
    refused_whole(&wrong);
}

/// Plans again and again while a writer works on the file; each plan must be one of these, or a refusal.
fn beside_a_writer(writer: impl Fn(&std::path::Path) + Sync, good: &[String]) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let mut connection = crate::support::state(folder.path(), "https://x.example");
    crate::support::link(&mut connection, "a a@x.example|b b@x.example|z z@x.example");
    let path = folder.path().join("directory.json");
    writer(&path);
    let (settings, done) = (crate::support::settings(folder.path()), AtomicBool::new(false));
    let installation = rhombus_sync::store::installation(&connection).expect("an installation");
    let mut believed = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                writer(&path);
            }
        });
        let started = Instant::now();
        while started.elapsed() < StdDuration::from_millis(700) {
            let now = crate::support::NOW;
            let read = rhombus_sync::cycle::open_export(&settings, now, &installation, &Default::default())
                .map_err(Into::into)
                .and_then(|mut export| {
                    rhombus_sync::cycle::compare(&connection, &settings, &mut export, Default::default(), now)
                });
            if let Ok(compared) = read {
                let said = crate::support::plans::render(&compared.plan);
                assert!(good.contains(&said), "neither file: {said}");
                believed += 1;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    believed
}

#[test]
fn a_file_that_is_swapped_or_written_while_it_is_read_is_one_or_the_other() {
    let one = array("a a@x.example|b b@x.example|z z@x.example");
    let other = array("a a@x.example Ann|b b@x.example Ben|z z@x.example");
    let good = ["3 unchanged".to_owned(), "update a name.givenName=Ann | update b name.givenName=Ben".to_owned()];
    let swapped = beside_a_writer(
        |path| {
            for text in [&one, &other] {
                let new = path.with_extension("new");
                std::fs::write(&new, text).expect("written");
                std::fs::rename(&new, path).expect("renamed over");
            }
        },
        &good,
    );
    assert!(swapped > 50, "only {swapped} reads were believed");
    // In place and slowly, with the same length: the times of the file give it away.
    let short = one.replace("b b@x", "b c@x");
    beside_a_writer(
        |path| {
            let file = std::fs::File::options().write(true).create(true).truncate(false).open(path).expect("opens");
            for text in [&one, &short] {
                for (at, byte) in text.bytes().enumerate() {
                    file.write_all_at(&[byte], at as u64).expect("written");
                }
            }
        },
        &[good[0].clone(), format!("refused b: {RENAMED}")],
    );
}

#[test]
fn only_utf_8_is_read_with_or_without_its_mark() {
    let text = array("a a@x.example Zo\u{eb}|z z@x.example");
    assert_eq!(plan("a a@x.example Zo\u{eb}", &format!("\u{feff}{text}")), "2 unchanged");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("directory.json");
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin_1: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let layout = Layout { format: Format::Json, ..Layout::default() };
    for bytes in [utf_16, latin_1] {
        std::fs::write(&path, bytes).expect("written");
        let mut export =
            rhombus_sync::source::Export::open(&path, &layout, Duration::from_seconds(0), &Default::default())
                .expect("opens");
        assert!(export.read(&mut |_| {}).is_err());
    }
}

#[test]
fn nothing_is_replaced_to_make_it_fit() {
    refused_whole("[{\"_id\":\"z\",\"username\":\"z@x.example\",\"groups\":[\"R\"],\"firstname\":\"\\ud800\"}]");
    for control in ["\\u0000", "\\u0007", "\\u001b", "\\u0085", "\\u009f"] {
        let said = plan("a a@x.example", &of_a(&format!("\"lastname\":\"x{control}\"")));
        assert_eq!(said, "refused a: lastname \"x \" has a control character", "{control}");
    }
}

#[test]
fn an_unusable_record_is_a_present_user() {
    for broken in ["\"suspended\":\"x\"", "\"state\":7", "\"firstname\":{}", "\"email\":1", "\"state\":\"LEFT\""] {
        let said = plan("a a@x.example", &of_a(broken));
        assert!(said.starts_with("refused a: ") && !said.contains('|'), "{broken}: {said}");
    }
}

#[test]
fn huge_values_end_in_bounded_time() {
    let started = Instant::now();
    let long = "x".repeat(900_000);
    assert!(plan("a a@x.example", &of_a(&format!("\"firstname\":\"{long}\""))).starts_with("refused a: firstname"));
    assert_eq!(plan("a a@x.example", &of_a(&format!("\"unknown\":\"{long}\""))), "2 unchanged");
    refused_whole(&of_a(&format!("\"unknown\":\"{long}{long}\"")));
    refused_whole(&format!("{}\n", of_a(&format!("\"unknown\":\"{long}{long}\"")).trim_matches(['[', ']'])));
    let deep = format!("\"unknown\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(plan("a a@x.example", &of_a(&deep)), "2 unchanged", "what is passed over needs no stack");
    refused_whole(&format!("_id,username,groups\na,\"{long}{long}\",R\n"));
    assert!(started.elapsed() < StdDuration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn an_id_that_stands_twice_is_present_and_left_alone() {
    for second in ["a a@x.example", "a other@x.example", "a a@x.example +suspended", "a a@x.example +out"] {
        let said = plan("a a@x.example", &array(&format!("a a@x.example|{second}|z z@x.example")));
        assert_eq!(said, "refused a: two records have this id", "{second}");
    }
}

#[test]
fn usernames_that_differ_only_in_form_are_both_refused() {
    let both = format!("refused a: {ALIKE} | refused b: {ALIKE}");
    for (one, other) in [
        ("ann@x.example", "ANN@x.example"),
        ("zoe\u{308}@x.example", "zo\u{eb}@x.example"),
        ("\u{ff41}nn@x.example", "ann@x.example"),
        ("stra\u{df}e@x.example", "strasse@x.example"),
        ("\u{3a3}igma\u{3c2}@x.example", "\u{3c3}igma\u{3c3}@x.example"),
    ] {
        assert_eq!(plan("", &array(&format!("a {one}|b {other}|z z@x.example"))), both, "{one} {other}");
    }
    let dotted = plan("", &array("a \u{130}@x.example|b \u{131}@x.example|z z@x.example"));
    assert_eq!(dotted, "create a | create b", "i with and without a dot are two letters");
}

#[test]
fn look_alikes_are_different_users() {
    let said =
        plan("a ann@x.example", &array("a ann@x.example|b \u{430}nn@x.example|c a\u{200b}nn@x.example|z z@x.example"));
    let unseen = "username contains a space, a control character or an invisible character";
    assert_eq!(said, format!("create b | refused c: {unseen}"));
}

#[test]
fn a_username_that_is_used_again_waits_for_the_removal() {
    let said = plan("a a@x.example Ann", &array("b A@x.example Ben|z z@x.example"));
    assert_eq!(said, "delete a (missing from the export) | create b after a");
    let run = InProcess::new();
    run.run_whole("a a@x.example A|z z@x.example Z");
    let report = run.run_whole("b a@x.example B|z z@x.example Z");
    assert_eq!((report.exit.code(), report.done.deleted_count, report.done.created_count), (0, 1, 1), "{report:?}");
}

#[test]
fn a_swap_is_two_refusals_and_names_follow_their_ids() {
    let said = plan("a a@x.example A|b b@x.example B", &array("a b@x.example A2|b a@x.example B2|z z@x.example"));
    assert_eq!(
        said,
        format!(
            "update a name.givenName=A2 | update b name.givenName=B2 | refused a: {RENAMED} | refused b: {RENAMED}"
        )
    );
}

#[test]
fn a_rename_is_refused_and_names_are_still_updated() {
    let said = plan("a a@x.example A", &array("a new@x.example A2|z z@x.example"));
    assert_eq!(said, format!("update a name.givenName=A2 | refused a: {RENAMED}"));
}

#[test]
fn who_returns_drops_out_or_is_made_anew() {
    let run = InProcess::new();
    run.run_whole(STAFF);
    let before = run.accounts.borrow().by_id.len();
    let gone = run.run_whole("a a@x.example A|b b@x.example B|c c@x.example C");
    assert_eq!(gone.done.deleted_count, 1);
    let back = run.run_whole(STAFF);
    assert_eq!((back.done.created_count, run.accounts.borrow().by_id.len()), (1, before), "with another account");
}

#[test]
fn a_user_who_flaps_spends_the_window() {
    let mut run = InProcess::new();
    run.settings.limits.insert(GuardKind::Absent, Limits { count_free: 2, percent_max: 0, count_max: 2 });
    run.run_whole(STAFF);
    let without = "a a@x.example A|b b@x.example B|c c@x.example C";
    let mut removed = 0;
    for _ in 0..4 {
        removed += run.run_whole(without).done.deleted_count;
        run.run_whole(STAFF);
    }
    assert_eq!(removed, 2, "each removal is spent, whoever it was");
}

#[test]
fn an_absent_key_leaves_a_name_and_null_clears_it() {
    let snapshot = "a a@x.example Ann Lee";
    for (names, expected) in [
        ("\"firstname\":\"Ann\"", "2 unchanged"),
        ("\"firstname\":null", "update a name.givenName="),
        ("\"firstname\":\"\",\"lastname\":\"Lee\"", "update a name.givenName="),
    ] {
        assert_eq!(plan(snapshot, &of_a(names)), expected, "{names}");
    }
    assert_eq!(
        plan(snapshot, &array("{\"_id\":\"a\",\"groups\":[\"R\"]}|z z@x.example")),
        "refused a: the record has no username"
    );
}

#[test]
fn a_text_is_no_boolean_and_a_fraction_is_no_id() {
    for value in ["\"False\"", "\"false\"", "2", "\"no\"", "[]", "{}"] {
        let shown = if value.starts_with('"') { format!(" {value}") } else { String::new() };
        assert_eq!(
            plan("a a@x.example", &of_a(&format!("\"suspended\":{value}"))),
            format!("refused a: suspended{shown} is not a boolean")
        );
        assert_eq!(
            plan("a a@x.example", &of_a(&format!("\"activated\":{value}"))),
            format!("refused a: activated{shown} is not a boolean")
        );
    }
    let user = "{\"_id\":7,\"username\":\"b@x.example\",\"groups\":[\"R\"],\"state\":\"ACTIVATED\"}|007 a@x.example|z z@x.example";
    assert_eq!(plan("007 a@x.example", &array(user)), "create 7", "an integer is its digits");
    let long = user.replace(":7,", ":118234567890123456789,");
    assert_eq!(plan("007 a@x.example", &array(&long)), "create 118234567890123456789", "however many");
    let numbers = array("{\"_id\":7.0,\"username\":\"b@x.example\",\"groups\":[\"R\"]}|007 a@x.example|z z@x.example");
    assert_eq!(plan("007 a@x.example", &numbers), "refused -: a record that matches no known user: id is not a string");
}

#[test]
fn csv_is_read_to_the_letter_or_not_at_all() {
    let good = "GROUPS;x\n";
    refused_whole(good);
    for export in [
        "_id,username,groups\na,\"a@x.example,R\nz,z@x.example,R\n",
        "_id,username,groups\ra,a@x.example,R\rz,z@x.example,R\r",
        "_id;username;groups\na;a@x.example;R\n",
        "_id,username,groups\na,a@x.example\n",
        "_id,username,groups,username\na,a@x.example,R,b\n",
        "_id,username\na,a@x.example\n",
        "username,groups\na@x.example,R\n",
    ] {
        refused_whole(export);
    }
    let quoted =
        "username,_id,x,groups\n\"a@x.example\",a,\"line\nbreak, and \"\"more\"\"\",\"R;Everyone\"\nz@x.example,z,,R\n";
    assert_eq!(plan("a a@x.example", quoted), "2 unchanged");
}

#[test]
fn json_that_is_not_one_document_is_refused() {
    let user = "{\"_id\":\"z\",\"username\":\"z@x.example\",\"groups\":[\"R\"]}";
    for export in [
        format!("[{user}] x"),
        format!("[{user}][{user}]"),
        format!("[{user},]"),
        format!("[{user}"),
        format!("[{}]", user.replace("\"z\",", "NaN,")),
        format!("[{}]", user.replacen("{", "{\"_id\":\"y\",", 1)),
        format!("[{}]", user.replace("[\"R\"]", "[\"R\"],\"groups\":[\"X\"]")),
    ] {
        refused_whole(&export);
    }
}

#[test]
fn an_edit_of_our_own_is_named_as_the_cause() {
    // tests/it/guard.rs takes it through cycles and approvals.
    let said = plan_of(STAFF, &array(STAFF), |settings| {
        settings.scope = rhombus_sync::plan::Scope::new(&["Other".to_owned()], &[]);
        settings.wanted_under.scope = settings.scope.clone();
    });
    assert_eq!(said.matches("the configuration: [scope] was changed").count(), 4, "{said}");
    assert!(!said.contains("delete "), "{said}");
}

#[test]
fn a_stale_export_is_refused_whole() {
    let mut run = InProcess::new();
    run.run_whole(STAFF);
    run.settings.max_age = Some(Duration::from_seconds(3_600));
    run.clock.store(2_120_000_000_000, Ordering::SeqCst);
    let report = run.run_whole("a a@x.example A");
    assert_eq!((report.exit.code(), report.done.deleted_count), (1, 0));
    assert!(report.error.join(": ").contains("more than 1h ago"), "{report:?}");
}

#[test]
fn an_export_from_the_future_is_refused_whole() {
    let run = InProcess::new();
    run.run_whole(STAFF);
    std::fs::write(run.path("directory.json"), array("a a@x.example A")).expect("written");
    let file = std::fs::File::options().write(true).open(run.path("directory.json")).expect("opens");
    let ahead = |hours: u64| {
        let now_ms = u64::try_from(crate::support::NOW.0).expect("after 1970");
        SystemTime::UNIX_EPOCH + StdDuration::from_millis(now_ms) + StdDuration::from_secs(hours * 3_600)
    };
    file.set_modified(ahead(25)).expect("a time");
    let run_it =
        || run.run_export(&crate::support::in_process::Steps::new(u32::MAX, crate::support::fake_rhombus::Fate::GoOn));
    let report = run_it().expect("it ends");
    assert_eq!((report.exit.code(), report.done.deleted_count), (1, 0));
    assert!(report.error.join(": ").contains("more than a day ahead"), "{report:?}");
    file.set_modified(ahead(23)).expect("a time");
    assert_eq!(run_it().expect("it ends").exit.code(), 0, "clocks differ by hours");
}

#[test]
fn an_export_older_than_the_last_one_is_refused_whole() {
    let run = InProcess::new();
    run.run_whole(STAFF);
    std::fs::write(run.path("directory.json"), array("a a@x.example A")).expect("written");
    let file = std::fs::File::options().write(true).open(run.path("directory.json")).expect("opens");
    file.set_modified(SystemTime::now() - StdDuration::from_secs(86_400)).expect("put back");
    let report = run
        .run_export(&crate::support::in_process::Steps::new(u32::MAX, crate::support::fake_rhombus::Fate::GoOn))
        .expect("it ends");
    assert_eq!((report.exit.code(), report.done.deleted_count), (1, 0));
    assert!(report.error.join(": ").contains("before the last one that was read"), "{report:?}");
}

#[test]
fn a_user_in_two_groups_stays_until_the_last_one() {
    let in_groups = |groups: &str| of_a("\"x\":1").replacen("[\"R\"]", groups, 1);
    let two = |settings: &mut rhombus_sync::config::Settings| {
        settings.scope = rhombus_sync::plan::Scope::new(&["R".to_owned(), "S".to_owned()], &[]);
    };
    let snapshot = "a a@x.example|z z@x.example";
    assert_eq!(plan_of(snapshot, &in_groups("[\"R\",\"S\"]"), two), "2 unchanged");
    assert_eq!(plan_of(snapshot, &in_groups("[{\"name\":\"S\"}]"), two), "2 unchanged");
    assert_eq!(plan_of(snapshot, &in_groups("[\"Other\"]"), two), "delete a (not in any scoped group)");
}

#[test]
fn everybody_suspended_at_once_is_held() {
    let mut run = InProcess::new();
    let staff = (0..20).fold(String::new(), |mut text, n| {
        let _ = write!(text, "{}p{n:02} p{n}@x.example P", if n == 0 { "" } else { "|" });
        text
    });
    run.run_whole(&staff);
    run.settings.limits.insert(GuardKind::Suspended, Limits { count_free: 5, percent_max: 20, count_max: 200 });
    let report = run.run_whole(&staff.replace(" P|", " P +suspended|"));
    assert_eq!(
        (report.exit.code(), report.done.deactivated_count, report.count(OutstandingKind::Held)),
        (4, 0, 19),
        "{report:?}"
    );
}
