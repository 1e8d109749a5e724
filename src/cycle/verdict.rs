//! The verdict on a cycle: its result, its exit code, and what the operator can do.

use crate::model::{Exit, OutstandingKind};
use crate::report::{CycleReport, CycleResult};
use crate::session::End;

/// Whether the endpoint answered in this cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Endpoint {
    /// It answered, or no answer was needed.
    Heard,
    /// It was called, and did not answer.
    Silent,
}

/// Sets result and exit code: 1 before 3 before 4. Counts and users are in the report already.
pub(super) fn verdict(report: &mut CycleReport, end: Option<&End>, endpoint: Endpoint) {
    let failed = report.count(OutstandingKind::Failed) + report.count(OutstandingKind::Parked) > 0;
    let may_show =
        report.outstanding.iter().any(|entry| entry.kind == OutstandingKind::Waiting && entry.until.is_some());
    let ended = |exit, error: String, hint: Option<&str>| (exit, vec![error], hint.map(str::to_owned));
    let (exit, error, hint) = match end {
        Some(End::Unauthorized(said)) => ended(
            Exit::Failed,
            format!("Rhombus refuses the token: {said}"),
            Some("put a valid token into the token file; no user was marked failed, and the next cycle continues"),
        ),
        Some(End::WrongEndpoint(said)) => ended(
            Exit::Failed,
            format!("this does not look like the endpoint this state belongs to: {said}"),
            Some("compare [rhombus] base_url with the Rhombus console"),
        ),
        Some(End::Unanswered(said)) => ended(
            if report.done.any() { Exit::Partial } else { Exit::Failed },
            format!("Rhombus does not answer: {said}"),
            Some("the rest was neither tried nor marked failed; the next cycle continues"),
        ),
        Some(End::NotRefreshed(said)) => ended(
            Exit::Failed,
            format!("could not read what Rhombus holds: {said}"),
            Some("nothing was sent; a cycle without --refresh does not need it"),
        ),
        Some(End::Throttled(until)) => ended(Exit::Partial, format!("Rhombus asked us to retry after {until}"), None),
        Some(End::Deactivated) => deactivated(),
        Some(End::State(error)) => ended(Exit::Failed, error.to_string(), None),
        Some(End::Stopped) => (Exit::Done, Vec::new(), None),
        None if endpoint == Endpoint::Silent => ended(
            Exit::Failed,
            "Rhombus does not answer".to_owned(),
            Some("check the network and [rhombus] base_url; no user was marked failed"),
        ),
        None if failed || may_show => (Exit::Partial, Vec::new(), None),
        None if report.count(OutstandingKind::Held) > 0 => (Exit::Held, Vec::new(), None),
        None => (Exit::Done, Vec::new(), None),
    };
    report.exit = exit;
    report.error = error;
    report.hint = hint;
    report.result = match exit {
        // Obeying a signal is not an error, but not everything was done.
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
