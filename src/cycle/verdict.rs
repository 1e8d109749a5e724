//! The verdict on a cycle: its result, its exit code, and what the operator can do.

use crate::apply::Tally;
use crate::config::{Settings, SourceConfig};
use crate::hints::{of_nobody_there, of_other_organisation};
use crate::model::{AnswerDoubt, ClockDoubt, Exit, NotTried, OutstandingKind, clean, command, put_token};
use crate::report::{CycleReport, CycleResult, TokenProof, date};
use crate::session::{End, EndpointSeen};

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
    let ended = |exit, error: String, hint: Option<&str>| (exit, vec![error], hint.map(str::to_owned));
    let failed = |(why, hint): (String, String)| (Exit::Failed, vec![why], Some(hint));
    let (exit, error, hint) = match end {
        Some(End::Unauthorized(why)) => ended(
            Exit::Failed,
            format!("Rhombus refuses the token: {why}"),
            Some(&format!("{}; no user was marked failed, and the next cycle continues", put_token("a valid token"))),
        ),
        Some(End::NobodyThere) => failed(of_nobody_there()),
        Some(End::OtherOrganisation { accounts_count }) => failed(of_other_organisation(*accounts_count)),
        Some(End::NotProven(why)) => ended(
            Exit::Failed,
            format!("could not verify that the token belongs to the organisation of the linked accounts: {why}"),
            Some("nothing was sent; the next cycle asks again"),
        ),
        Some(End::WrongEndpoint(why)) => ended(
            Exit::Failed,
            format!("this does not look like the endpoint this state belongs to: {why}"),
            Some("compare [rhombus] base_url with the Rhombus console"),
        ),
        Some(End::Unanswered(why)) => ended(
            if report.done.any() { Exit::Partial } else { Exit::Failed },
            format!("Rhombus does not answer: {why}"),
            Some("the rest was neither tried nor marked failed; the next cycle continues"),
        ),
        Some(End::NotRefreshed(why)) => ended(
            Exit::Failed,
            format!("could not read the accounts in Rhombus: {why}"),
            Some(
                "nothing was sent; a cycle without --refresh does not need it, unless the state was restored from a backup",
            ),
        ),
        Some(End::Throttled(until)) => {
            ended(Exit::Partial, format!("Rhombus asked us to retry after {}", date(*until)), None)
        }
        Some(End::Deactivated) => deactivated(),
        Some(End::NotLeading) => ended(
            if report.done.any() { Exit::Partial } else { Exit::Busy },
            "this host does not lead any more: no request is sent".to_owned(),
            Some("whoever leads looks up what is in doubt, then continues"),
        ),
        Some(End::State(error)) => ended(Exit::Failed, error.to_string(), None),
        Some(End::Stopped) if accounted_for(report) => all_done(report),
        Some(End::Stopped) => stopped(),
        None if endpoint == Endpoint::Silent => ended(
            Exit::Failed,
            "Rhombus does not answer".to_owned(),
            Some("check the network between here and Rhombus; no user was marked failed, and the next cycle continues"),
        ),
        None => all_done(report),
    };
    report.exit = exit;
    report.error = error;
    report.hint = hint;
    report.result = match exit {
        Exit::Done => CycleResult::Done,
        Exit::Partial => CycleResult::Partial,
        Exit::Held => CycleResult::Held,
        Exit::Failed | Exit::Usage | Exit::Busy | Exit::Inactive | Exit::Unexpected | Exit::Misconfigured => {
            CycleResult::Failed
        }
    };
}

type Verdict = (Exit, Vec<String>, Option<String>);

/// A cycle that came to its end.
fn all_done(report: &CycleReport) -> Verdict {
    let failed = report.count(OutstandingKind::Failed) + report.count(OutstandingKind::Parked) > 0;
    let may_show =
        report.outstanding.iter().any(|entry| entry.kind == OutstandingKind::Waiting && entry.until.is_some());
    let exit = match (failed || may_show, report.count(OutstandingKind::Held) > 0) {
        (true, _) => Exit::Partial,
        (false, true) => Exit::Held,
        (false, false) => Exit::Done,
    };
    let clock_doubt = report.outstanding.iter().find_map(|entry| entry.reason.clock_doubt());
    (exit, Vec::new(), clock_doubt.map(ClockDoubt::hint))
}

/// Whether a signal came when there was nothing left to do.
fn accounted_for(report: &CycleReport) -> bool {
    let left = [NotTried::Stopped.code(), NotTried::InDoubt.code(), AnswerDoubt::Interrupted.code()];
    !report.plan.is_empty() && !report.outstanding.iter().any(|entry| left.contains(&entry.reason.code()))
}

/// A signal ended it, and it was obeyed.
pub(super) fn stopped() -> Verdict {
    let hint = format!("run `{}` again: it continues where it stopped", command("--reconcile"));
    (Exit::Partial, vec!["stopped by a signal".to_owned()], Some(hint))
}

/// A cycle that found nobody in scope, when nobody was ever provisioned, is not done: one wrong word in `[scope] groups` does it.
pub(super) fn nobody_in_scope(report: &mut CycleReport, settings: &Settings) {
    let check = command("check");
    let users_count = report.export_users_count;
    let groups: Vec<_> = settings.scope.groups().map(|group| format!("{:?}", clean(group))).collect();
    (report.exit, report.result) = (Exit::Failed, CycleResult::Failed);
    report.error = vec![format!("none of the {users_count} users in the export is in {}", groups.join(" or "))];
    let hint = match &settings.source {
        SourceConfig::JumpCloud(from) if from.application_id.is_some() => {
            "bind users or groups to the application in JumpCloud, or compare [directory] application_id with it"
                .to_owned()
        }
        SourceConfig::File { .. } => {
            format!("compare [scope] groups with the groups that the export names: `{check}` shows them")
        }
        SourceConfig::Url(_) | SourceConfig::JumpCloud(_) => format!(
            "compare [scope] groups with the groups that the export names: `{}` shows them",
            command("check --online")
        ),
    };
    report.hint = Some(hint);
}

/// Somebody deactivated the integration while the cycle ran.
pub(super) fn deactivated() -> Verdict {
    let hint = format!("run `{}` to manage users again", command("activate"));
    (Exit::Inactive, vec!["deactivated while the cycle ran".to_owned()], Some(hint))
}

/// Whether the endpoint answered, by what this cycle saw of it.
pub(super) fn endpoint_of(seen: EndpointSeen, tally: &Tally) -> Endpoint {
    let failed = tally.outstanding.iter().any(|entry| entry.kind == OutstandingKind::Failed);
    if failed && !seen.answered { Endpoint::Silent } else { Endpoint::Heard }
}

/// What this cycle proved of the token.
pub(super) fn token_proof(seen: EndpointSeen, end: Option<&End>) -> TokenProof {
    match end {
        Some(End::Unauthorized(_)) => return TokenProof::Refused,
        Some(End::OtherOrganisation { .. }) => return TokenProof::Foreign,
        Some(End::NotProven(_)) => return TokenProof::Unknown,
        Some(
            End::WrongEndpoint(_)
            | End::NobodyThere
            | End::NotRefreshed(_)
            | End::Unanswered(_)
            | End::Throttled(_)
            | End::Stopped
            | End::Deactivated
            | End::NotLeading
            | End::State(_),
        )
        | None => {}
    }
    if seen.token_is_good { TokenProof::Proven } else { TokenProof::Unknown }
}
