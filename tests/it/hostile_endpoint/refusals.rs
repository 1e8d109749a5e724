//! An endpoint that refuses: tokens, single users, everybody for a while, or with no answer at all.

use super::*;

#[test]
fn a_refused_token_ends_the_cycle_at_once_and_blames_nobody() {
    for status in [401, 403] {
        let run = InProcess::new();
        run.run_whole(THREE);
        run.refuse(move |_| Some(answer(status, "")));
        let before = run.accounts.borrow().seen.len();
        let report = run.run_whole(&staff(50, "Pat"));
        assert_eq!((report.exit.code(), report.count(OutstandingKind::Failed)), (1, 0), "{report:?}");
        let calls = run.accounts.borrow().seen.len() - before;
        assert!(calls <= 10, "{calls} calls after {status}");
        run.obey();
    }
}

#[test]
fn a_403_to_one_user_is_that_users_failure() {
    let run = InProcess::new();
    run.refuse(|request| {
        let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).into_owned();
        body.contains("b@x.example").then(|| answer(403, ""))
    });
    let report = run.run_whole(THREE);
    check(&report, 3, OutstandingKind::Failed, 1);
    assert_eq!(report.done.created_count, 2);
}

#[test]
fn a_rejected_user_is_tried_again_later_and_at_once_when_it_changes() {
    let run = InProcess::new();
    run.run_whole(THREE);
    run.refuse(|request| (request.method == Method::Patch).then(|| answer(400, r#"{"detail":"bad value"}"#)));
    let moved = "a a@x.example Anna|b b@x.example Ben|c c@x.example Cem";
    let report = run.run_whole(moved);
    check(&report, 3, OutstandingKind::Failed, 1);
    assert_eq!(report.outstanding[0].reason, Reason::Rejected { text: "400 Bad Request: bad value".into() });
    let calls = run.accounts.borrow().seen.len();
    check(&run.run_whole(moved), 3, OutstandingKind::Failed, 1);
    assert_eq!(run.accounts.borrow().seen.len(), calls, "it was not due");
    run.run_whole("a a@x.example Anja|b b@x.example Ben|c c@x.example Cem");
    assert_eq!(run.accounts.borrow().seen.len(), calls + 1, "another value is tried at once");
    run.refuse(|_| Some(answer(401, "")));
    run.run_whole("a a@x.example Anja|b b@x.example Ben");
    run.obey();
    run.clock.fetch_add(6 * 60_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(run.run_whole("a a@x.example Anja|b b@x.example Ben|c c@x.example Cem").done.updated_count, 1);
}

#[test]
fn thirty_users_without_an_answer_end_the_cycle_even_if_the_list_is_answered() {
    for target in [Method::Patch, Method::Post, Method::Delete] {
        let run = InProcess::new();
        run.run_whole(&staff(60, "Pat"));
        run.refuse(move |request| (request.method == target).then(|| answer(503, "<html>busy</html>")));
        let export = match target {
            Method::Patch => staff(60, "Quinn"),
            Method::Post => {
                format!("{}|{}", staff(60, "Pat"), staff(120, "Pat").split('|').skip(60).collect::<Vec<_>>().join("|"))
            }
            Method::Delete | Method::Get | Method::Put => staff(10, "Pat"),
        };
        let before = run.accounts.borrow().seen.iter().filter(|(method, ..)| *method == target).count();
        let report = run.run_whole(&export);
        assert_eq!(report.exit.code(), 1, "{target:?}: {:?}", report.error);
        assert!(report.error[0].contains("does not answer"), "{:?}", report.error);
        let sent = run.accounts.borrow().seen.iter().filter(|(method, ..)| *method == target).count() - before;
        // Thirty, and whoever is in the window while the list waits for its turn; four tries each.
        assert!(sent <= 52 * 4, "{target:?}: {sent} requests");
    }
}

#[test]
fn ten_users_without_an_answer_end_the_cycle_if_the_list_has_none_either() {
    let run = InProcess::new();
    run.run_whole(&staff(60, "Pat"));
    run.refuse(|_| Some(answer(503, "<html>busy</html>")));
    let before = run.accounts.borrow().seen.len();
    let report = run.run_whole(&staff(10, "Pat"));
    assert_eq!(report.exit.code(), 1, "{report:?}");
    assert!(report.error[0].contains("does not answer"), "{:?}", report.error);
    assert!(report.outstanding.iter().all(|entry| entry.until.is_none()), "nobody is put off for an outage");
    let seen = run.accounts.borrow().seen.len() - before;
    // The first ten, and whoever is in the window then (8 for each of 4 requests at once), four tries each.
    assert!(seen <= (10 + 8 * 4) * 4 + 1, "{seen} requests");
}

/// 40 users, the first 12 of whom leave and are never deleted, because something refers to them.
fn blocked() -> (InProcess, impl Fn(&str) -> String) {
    let run = InProcess::new();
    run.run_whole(&staff(40, "Pat"));
    run.refuse(|request| (request.method == Method::Delete).then(|| answer(500, "")));
    let stay = staff(40, "Pat").split('|').skip(12).collect::<Vec<_>>().join("|");
    (run, move |newcomers| format!("{stay}{newcomers}"))
}

fn deletions(run: &InProcess) -> usize {
    run.accounts.borrow().seen.iter().filter(|(method, ..)| *method == Method::Delete).count()
}

#[test]
fn twelve_users_who_cannot_be_removed_keep_nobody_else_out() {
    let (run, export) = blocked();
    let report = run.run_whole(&export("|n n@x.example New"));
    check(&report, 3, OutstandingKind::Failed, 12);
    assert_eq!(report.done.created_count, 1);
    assert!(report.outstanding.iter().all(|entry| entry.until.is_some()), "{report:?}");
    let sent = deletions(&run);
    check(&run.run_whole(&export("|n n@x.example New")), 3, OutstandingKind::Failed, 12);
    assert_eq!(deletions(&run), sent, "they are not due");
    // Due, and another newcomer.
    run.clock.fetch_add(6 * 60_000, std::sync::atomic::Ordering::SeqCst);
    let report = run.run_whole(&export("|n n@x.example New|m m@x.example Mia"));
    check(&report, 3, OutstandingKind::Failed, 12);
    assert_eq!((report.done.created_count, deletions(&run)), (1, 2 * sent));
    // Due with nobody else to be served: that is told as an outage, and they stay put off.
    run.clock.fetch_add(16 * 60_000, std::sync::atomic::Ordering::SeqCst);
    let same = export("|n n@x.example New|m m@x.example Mia");
    check(&run.run_whole(&same), 1, OutstandingKind::Failed, 12);
    let sent = deletions(&run);
    check(&run.run_whole(&same), 3, OutstandingKind::Failed, 12);
    assert_eq!(deletions(&run), sent);
    run.obey();
    run.clock.fetch_add(16 * 60_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(run.run_whole(&same).done.deleted_count, 12);
    run.judge(&same, "removed at last");
}

/// So many users whose requests of one method are answered 500, and one who joins: in which cycle that one is created, and how
/// many of those requests each cycle sent.
fn with_poisoned(target: Method, count: usize) -> (usize, Vec<usize>) {
    let run = InProcess::new();
    let (stay, leavers) = ("s s@x.example Sam|t t@x.example Tom", staff(count, "Pat"));
    run.run_whole(&if target == Method::Post { stay.to_owned() } else { format!("{stay}|{leavers}") });
    run.refuse(move |request| {
        let joins = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).contains("n@x.example");
        let meant = request.method == target && !joins && (target != Method::Get || is_read(request));
        meant.then(|| answer(500, ""))
    });
    let export = match target {
        Method::Delete | Method::Get => format!("{stay}|n n@x.example New"),
        Method::Post => format!("{stay}|{leavers}|v v@x.example New"),
        Method::Patch | Method::Put => format!("{stay}|{}|n n@x.example New", staff(count, "Quinn")),
    };
    let export = export.replace("v v@x.example", "v n@x.example");
    let meant = || {
        let accounts = run.accounts.borrow();
        accounts
            .seen
            .iter()
            .filter(|(method, to, _)| *method == target && (*method != Method::Get || !to.contains('?')))
            .count()
    };
    let (mut served_in, mut sent) = (0, Vec::new());
    for cycle in 1..=6 {
        let before = meant();
        let report = run.run_whole(&export);
        sent.push(meant() - before);
        if report.done.created_count > 0 && served_in == 0 {
            served_in = cycle;
        }
        run.clock.fetch_add(2_000, std::sync::atomic::Ordering::SeqCst);
    }
    (served_in, sent)
}

#[test]
fn however_many_users_get_no_answer_everybody_else_is_served_within_a_few_cycles() {
    for target in [Method::Delete, Method::Patch, Method::Post, Method::Get] {
        for count in [31, 60] {
            let (served_in, sent) = with_poisoned(target, count);
            assert!((1..=3).contains(&served_in), "{target:?} of {count}: served in cycle {served_in}, sent {sent:?}");
            // Four tries each, and whoever was put off is left alone until that is over. Fewer than ten are tried in each cycle.
            assert!(
                sent[0] <= 60 * 4 && sent[served_in..].iter().all(|sent| *sent < 10 * 4),
                "{target:?} of {count}: {sent:?}"
            );
        }
    }
}

#[test]
fn a_cycle_in_which_no_change_is_accepted_is_an_outage_and_blames_nobody() {
    let (run, export) = blocked();
    let report = run.run_whole(&export(""));
    check(&report, 1, OutstandingKind::Failed, 12);
    assert!(report.error[0].contains("does not answer"), "{:?}", report.error);
    assert!(report.outstanding.iter().all(|entry| entry.until.is_none()), "{report:?}");
    // In the next cycle they come last.
    assert_eq!(run.run_whole(&export("|n n@x.example New")).done.created_count, 1);
}

#[test]
fn without_any_answer_nobody_has_failed() {
    let run = InProcess::new();
    *run.mangle.borrow_mut() = Rc::new(|_, _| Err(CallError::NotSent("connection refused".to_owned())));
    check(&run.run_whole("a a@x.example Ann"), 1, OutstandingKind::Failed, 0);
    run.obey();
}

#[test]
fn retry_after_holds_every_request_also_across_a_restart() {
    let run = InProcess::new();
    run.run_whole(&staff(3, "Pat"));
    let told = Rc::new(Cell::new(false));
    let wait = |seconds, told: Rc<Cell<bool>>| {
        move |request: &Request| {
            let first = request.method == Method::Post && !told.replace(true);
            first.then(|| Answer {
                retry_after: Some(RetryAfter::Seconds(seconds)),
                ..answer(429, "Enhance your calm.")
            })
        }
    };
    run.refuse(wait(20, told.clone()));
    let start = run.accounts.borrow().seen.len();
    assert_eq!(run.run_whole(&staff(30, "Pat")).exit.code(), 0);
    let seen = run.accounts.borrow().seen[start..].to_vec();
    let posts: Vec<_> = seen.iter().filter(|(method, ..)| *method == Method::Post).map(|(.., at)| *at).collect();
    let soon = posts.iter().filter(|at| at.duration_since(posts[0]).as_secs() < 19).count();
    assert!(soon <= 4, "{soon} requests left before the time");
    told.set(false);
    run.refuse(wait(3600, told));
    let report = run.run_whole(&staff(40, "Pat"));
    assert_eq!(report.exit.code(), 3);
    assert!(report.outstanding.iter().any(|entry| entry.kind == OutstandingKind::Waiting && entry.until.is_some()));
    let calls = run.accounts.borrow().seen.len();
    assert_eq!(run.run_whole(&staff(41, "Pat")).exit.code(), 3, "the next process keeps it too");
    assert_eq!(run.accounts.borrow().seen.len(), calls);
    run.clock.fetch_add(3_700_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(run.run_whole(&staff(41, "Pat")).exit.code(), 0);
}

#[test]
fn a_redirect_is_a_wrong_endpoint() {
    let run = InProcess::new();
    run.refuse(|_| Some(answer(307, "")));
    let report = run.run_whole("a a@x.example Ann");
    assert_eq!((report.exit.code(), report.count(OutstandingKind::Failed)), (1, 0), "{report:?}");
}

#[test]
fn a_token_that_is_revoked_and_good_again_loses_nothing() {
    let run = InProcess::new();
    let revoked = std::rc::Rc::new(std::cell::Cell::new(false));
    let (asked, seen) = (revoked.clone(), std::rc::Rc::new(std::cell::Cell::new(0)));
    run.refuse(move |_| {
        seen.set(seen.get() + 1);
        asked.set(asked.get() || seen.get() == 7);
        asked.get().then(|| answer(401, "{}"))
    });
    let report = run.run_whole(&staff(12, "Pat"));
    assert_eq!((report.exit.code(), report.count(OutstandingKind::Failed)), (1, 0), "{report:?}");
    run.accounts.borrow_mut().refuse = None;
    let report = run.run_whole(&staff(12, "Pat"));
    assert_eq!(report.exit.code(), 0, "{report:?}");
    run.judge(&staff(12, "Pat"), "it goes on by itself");
}

#[test]
fn a_long_list_stands_apart_from_what_each_look_reads_and_only_what_changed_is_written() {
    let run = InProcess::new();
    run.refuse(|request| (request.method == Method::Post).then(|| answer(400, "")));
    let many = staff(300, "Pat");
    check(&run.run_whole(&many), 3, OutstandingKind::Failed, 300);
    let state = rusqlite::Connection::open(run.folder.path().join("state.db")).expect("the state");
    let number = |sql: &str| state.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert!(number("SELECT length(report) FROM last_report") > 30_000);
    assert_eq!(number("SELECT count(*) FROM last_report WHERE token IS report ->> '$.token'"), 1);
    let columns = number("SELECT count(*) FROM pragma_table_info('installation')");
    let bytes = state.query_row("SELECT * FROM installation", [], |row| {
        let length = |column| row.get_ref(column).map(|value| value.as_str().map_or(8, str::len));
        (0..usize::try_from(columns).expect("some")).map(length).sum::<Result<usize, _>>()
    });
    let bytes = bytes.expect("a row");
    assert!(bytes < 4_000, "{bytes} bytes are read at each look");
    state.execute("DELETE FROM outstanding_users WHERE rowid = 1", []).expect("one entry less");
    run.run_whole(&many);
    let rows = "SELECT min(rowid) * 1000 + count(*) FROM outstanding_users";
    assert_eq!(number(rows), 2_300, "one is written anew, and the others stay where they are");
}

#[test]
fn one_user_who_is_to_come_back_later_keeps_the_others_out_for_one_cycle() {
    for status in [429, 503] {
        let run = InProcess::new();
        run.run_whole(&staff(5, "Pat"));
        let wait = Answer { retry_after: Some(RetryAfter::Seconds(31)), ..answer(status, "") };
        run.refuse(move |request| (request.method == Method::Delete).then(|| wait.clone()));
        let stay = staff(5, "Pat").split('|').skip(1).collect::<Vec<_>>().join("|");
        let export = format!("{stay}|n n@x.example New");
        let report = run.run_whole(&export);
        assert_eq!((report.exit.code(), report.done.created_count), (3, 0), "{status}: {report:?}");
        run.clock.fetch_add(32_000, std::sync::atomic::Ordering::SeqCst);
        let report = run.run_whole(&export);
        check(&report, 3, OutstandingKind::Failed, 1);
        assert_eq!(report.done.created_count, 1, "{status}: {report:?}");
        let sent = deletions(&run);
        check(&run.run_whole(&export), 3, OutstandingKind::Failed, 1);
        assert_eq!(deletions(&run), sent, "it is not due");
        run.obey();
        run.clock.fetch_add(6 * 60_000, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(run.run_whole(&export).done.deleted_count, 1, "{status}");
        run.judge(&export, "told to wait");
    }
}

#[test]
fn a_wait_that_holds_for_the_list_too_is_everybodys() {
    let run = InProcess::new();
    run.run_whole(&staff(5, "Pat"));
    let wait = Answer { retry_after: Some(RetryAfter::Seconds(31)), ..answer(429, "") };
    let export = format!("{}|n n@x.example New", staff(4, "Pat"));
    run.refuse(move |request| (request.method == Method::Delete || is_list(request)).then(|| wait.clone()));
    for _ in 0..3 {
        let report = run.run_whole(&export);
        assert_eq!((report.exit.code(), report.done.created_count), (3, 0), "{report:?}");
        check(&report, 3, OutstandingKind::Failed, 0);
        run.clock.fetch_add(32_000, std::sync::atomic::Ordering::SeqCst);
    }
}
