//! Crash points: a mixed run is stopped at every step in turn (before and after each request, each commit, each delivery),
//! started again with a CHANGED export, and judged by one oracle.

use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{InProcess, Steps};
use std::sync::atomic::Ordering;

const YESTERDAY: &str = "a a@x.example Ann|b b@x.example Ben|c c@x.example Cem|d d@x.example Dan|e e@x.example Eve|f f@x.example Fay|g g@x.example Gus";
/// Joiners (h, i, j), a link (k), movers (a, b), a suspension (c), leavers (d, e), a freed username (l), a rename (f).
const TODAY: &str = "a a@x.example Anna|b b@x.example Benno|c c@x.example Cem +suspended|f new@x.example Fay|g g@x.example Gus\
 |h h@x.example Hal|i i@x.example Ida|j j@x.example Jon|k linked@x.example Kim|l d@x.example Lou";
/// What the restart finds: a joiner left again (i), a mover moved on (a), the suspended one is back (c), so is a leaver (e),
/// somebody new (m), and the rename was taken back (f).
const TOMORROW: &str = "a a@x.example Anja|b b@x.example Benno|c c@x.example Cem|e e@x.example Eve|f f@x.example Fay|g g@x.example Gus\
 |h h@x.example Hal|j j@x.example Jon|k linked@x.example Kim|l d@x.example Lou|m m@x.example Mia";

/// Walks through all steps of the mixed run; answers how many there were.
fn walk(fate: Fate, then: impl Fn(&InProcess, u32)) -> u32 {
    for step in 1.. {
        let run = InProcess::new();
        run.run_whole(YESTERDAY);
        let steps = Steps::new(step, fate);
        run.run(TODAY, &steps);
        then(&run, step);
        for _ in 0..2 {
            run.run_whole(TOMORROW);
        }
        let report = run.run_whole(TOMORROW);
        let how = format!("{fate:?} at step {step}");
        assert_eq!((report.exit.code(), report.unchanged_count), (0, 11), "{how}: {report:?}");
        run.judge(TOMORROW, &how);
        if steps.passed.load(Ordering::SeqCst) < step {
            return step - 1;
        }
    }
    unreachable!("the run has an end");
}

#[test]
fn a_kill_at_any_step_and_a_changed_export_lose_nothing() {
    let steps = walk(Fate::Die, |_, _| {});
    assert!(steps > 40, "only {steps} steps were walked");
}

#[test]
fn a_second_kill_within_the_recovery_loses_nothing() {
    walk(Fate::Die, |run, step| {
        run.run(TOMORROW, &Steps::new(step % 23 + 1, Fate::Die));
        run.run(TODAY, &Steps::new(step % 7 + 1, Fate::Die));
    });
}

#[test]
fn a_lost_answer_at_any_step_loses_nothing() {
    let steps = walk(Fate::Break, |_, _| {});
    assert!(steps > 40, "only {steps} steps were walked");
}

#[test]
fn an_undisturbed_day_ends_as_wanted() {
    let run = InProcess::new();
    run.run_whole(YESTERDAY);
    let report = run.run_whole(TODAY);
    assert_eq!(
        (
            report.done.created_count,
            report.done.linked_count,
            report.done.updated_count,
            report.done.deactivated_count,
            report.done.deleted_count
        ),
        (4, 1, 3, 1, 2)
    );
    let refused: Vec<_> =
        report.outstanding.iter().filter_map(|entry| entry.directory_id.as_ref()).map(ToString::to_string).collect();
    assert_eq!((report.exit.code(), refused), (0, vec!["f".to_owned()]));
    assert_eq!(run.run_whole(TODAY).unchanged_count, 8);
}
