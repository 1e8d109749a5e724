//! What a cycle's end comes to: its result, its exit code, and what the reader can do about it.

use crate::model::{Exit, OutstandingKind};
use crate::report::{CycleReport, CycleResult};
use crate::session::End;

/// Whether the endpoint was heard of in this cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Endpoint {
    /// It answered, or nobody needed its answer.
    Heard,
    /// It was called, and answered nobody.
    Silent,
}

/// The exit code: 1 before 3 before 4. Counts and users stand in the report already.
pub(super) fn verdict(report: &mut CycleReport, end: Option<&End>, endpoint: Endpoint) {
    let failed = report.count(OutstandingKind::Failed) + report.count(OutstandingKind::Parked) > 0;
    let may_show =
        report.outstanding.iter().any(|entry| entry.kind == OutstandingKind::Waiting && entry.until.is_some());
    let ended = |exit, error: String, hint: Option<&str>| (exit, vec![error], hint.map(str::to_owned));
    let (exit, error, hint) = match end {
        Some(End::Unauthorized(said)) => ended(
            Exit::Failed,
            format!("Rhombus refuses the token: {said}"),
            Some("put a valid token into the token file; nobody was marked failed, and the next cycle goes on"),
        ),
        Some(End::WrongEndpoint(said)) => ended(
            Exit::Failed,
            format!("this is not the endpoint of this state: {said}"),
            Some("compare [rhombus] base_url with the Rhombus console"),
        ),
        Some(End::Unanswered(said)) => ended(
            if report.accepted_count() > 0 { Exit::Partial } else { Exit::Failed },
            format!("Rhombus does not answer: {said}"),
            Some("the rest was neither tried nor marked failed; the next cycle goes on"),
        ),
        Some(End::NotRefreshed(said)) => ended(
            Exit::Failed,
            format!("what Rhombus holds could not be read: {said}"),
            Some("nothing was sent; a cycle without --refresh goes on without it"),
        ),
        Some(End::Throttled(until)) => {
            ended(Exit::Partial, format!("Rhombus asked not to be called before {until}"), None)
        }
        Some(End::Deactivated) => deactivated(),
        Some(End::State(error)) => ended(Exit::Failed, error.to_string(), None),
        Some(End::Stopped) => (Exit::Done, Vec::new(), None),
        None if endpoint == Endpoint::Silent => ended(
            Exit::Failed,
            "Rhombus does not answer".to_owned(),
            Some("look at the network and at [rhombus] base_url; nobody was marked failed"),
        ),
        None if failed || may_show => (Exit::Partial, Vec::new(), None),
        None if report.count(OutstandingKind::Held) > 0 => (Exit::Held, Vec::new(), None),
        None => (Exit::Done, Vec::new(), None),
    };
    report.exit = exit;
    report.error = error;
    report.hint = hint;
    report.result = match exit {
        // A signal is obeyed, and that is no error; but not all was done.
        Exit::Done if end == Some(&End::Stopped) => CycleResult::Partial,
        Exit::Done => CycleResult::Done,
        Exit::Partial => CycleResult::Partial,
        Exit::Held => CycleResult::Held,
        Exit::Failed | Exit::Usage | Exit::Busy | Exit::Inactive | Exit::Unexpected | Exit::Misconfigured => {
            CycleResult::Failed
        }
    };
}

/// Somebody deactivated the integration while the cycle ran.
pub(super) fn deactivated() -> (Exit, Vec<String>, Option<String>) {
    let hint = "run `rhombus-sync activate` to manage users again";
    (Exit::Inactive, vec!["deactivated while the cycle ran".to_owned()], Some(hint.to_owned()))
}
