//! How a cycle ends: its counts, its exit code, and the one transaction that writes all of it down.

use super::CycleContext;
use super::compare::Compared;
use super::ending::{Ending, write_end};
use super::verdict::verdict;
use crate::apply::Tally;
use crate::http::Transport;
use crate::model::{
    Action, ChangeKey, DirectoryId, HoldId, Mismatch, Moment, OnDrift, OutstandingKind, OutstandingUser, Reason,
    UserName, chain,
};
use crate::report::{CycleReport, CycleResult, Resume, TokenProof};
use crate::session::{End, EndpointSeen};
use crate::source::{ExportRead, SourceError};
use crate::store::{self, JournalError, Quiet};
use std::collections::BTreeSet;
use std::time::Instant;

/// What is kept of a plan while it is applied.
pub(super) struct Planned {
    pub(super) outstanding: Vec<OutstandingUser>,
    pub(super) held: Vec<(ChangeKey, UserName)>,
    pub(super) hold: Option<HoldId>,
    pub(super) digest: String,
    pub(super) unchanged_count: u64,
    pub(super) sightings: Vec<DirectoryId>,
    pub(super) only: Option<BTreeSet<DirectoryId>>,
    pub(super) left_behind: Option<Vec<DirectoryId>>,
    pub(super) holds_restored: bool,
    pub(super) approved: Vec<ChangeKey>,
    pub(super) planned_at: Moment,
}

impl Planned {
    pub(super) fn of(compared: &Compared) -> Self {
        let plan = &compared.plan;
        Self {
            outstanding: plan.outstanding().to_vec(),
            held: plan.held().iter().map(|change| (change.key(), change.user_name().clone())).collect(),
            hold: plan.hold().cloned(),
            digest: plan.digest().to_owned(),
            unchanged_count: plan.unchanged_count(),
            sightings: compared.sightings.clone(),
            only: compared.only.clone(),
            left_behind: compared.left_behind.clone(),
            holds_restored: plan.holds_restored(),
            approved: plan.approved(),
            planned_at: compared.planned_at,
        }
    }
}

pub(super) struct Finished {
    pub(super) tally: Tally,
    pub(super) end: Option<End>,
    pub(super) heard: EndpointSeen,
    pub(super) plan: Option<Planned>,
    pub(super) export: Option<(ExportRead, u64)>,
    /// Whether it began with a refresh.
    pub(super) refreshed: bool,
    /// How often commands had written when it began.
    pub(super) generation: i64,
}

/// A chain of causes with a hint.
pub(super) struct Failure {
    pub(super) exit: u8,
    pub(super) error: Vec<String>,
    pub(super) hint: Option<String>,
}

pub(super) fn source_failure(error: &SourceError) -> Failure {
    Failure { exit: 1, error: chain(error), hint: error.hint() }
}

pub(super) fn throttled(until: Moment) -> Failure {
    Failure { exit: 3, error: vec![format!("Rhombus asked not to be called before {until}")], hint: None }
}

pub(super) fn blank<T>(context: &CycleContext<'_, T>, started: Instant) -> CycleReport {
    CycleReport {
        result: CycleResult::Done,
        exit: 0,
        cycle: context.cycle.clone(),
        export_users_count: 0,
        export_digest: String::new(),
        created_count: 0,
        updated_count: 0,
        linked_count: 0,
        deactivated_count: 0,
        deleted_count: 0,
        unchanged_count: 0,
        outstanding: Vec::new(),
        hold: None,
        plan: String::new(),
        token: TokenProof::Unknown,
        resume: Resume::WithTheNext,
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: Vec::new(),
        hint: None,
    }
}

pub(super) fn count(report: &mut CycleReport, tally: &Tally) {
    report.created_count = tally.created_count;
    report.updated_count = tally.updated_count;
    report.linked_count = tally.linked_count;
    report.deactivated_count = tally.deactivated_count;
    report.deleted_count = tally.deleted_count;
}

/// Ends a cycle that had no plan: what stood before still stands.
pub(super) async fn fail<T: Transport>(
    context: &CycleContext<'_, T>,
    started: Instant,
    recovered: Option<Tally>,
    failure: Failure,
) -> Result<CycleReport, JournalError> {
    let mut report = blank(context, started);
    if let Some(tally) = &recovered {
        count(&mut report, tally);
    }
    report.result = if failure.exit == 3 { CycleResult::Partial } else { CycleResult::Failed };
    report.exit = failure.exit;
    report.error = failure.error;
    report.hint = failure.hint;
    keep_what_stands(context, &mut report)?;
    write_end(context, report, Ending { creates_left: true, ..Ending::default() }).await
}

/// Without a plan, users stand as they stood, and what was held is held.
fn keep_what_stands<T>(context: &CycleContext<'_, T>, report: &mut CycleReport) -> Result<(), JournalError> {
    let unreadable = JournalError::from;
    report.outstanding = store::outstanding(&context.reader).map_err(unreadable)?;
    report.hold = store::current_hold(&context.reader).map_err(unreadable)?.map(|hold| hold.as_str().to_owned());
    Ok(())
}

pub(super) async fn finish<T: Transport>(
    context: &CycleContext<'_, T>,
    started: Instant,
    finished: Finished,
) -> Result<CycleReport, JournalError> {
    let Finished { mut tally, end, heard, plan, export, refreshed, generation } = finished;
    if let Some(End::State(error)) = &end {
        return Err(error.clone());
    }
    if let Some(End::Throttled(until)) = end {
        context.journal.write(move |transaction| store::set_not_before(transaction, until)).await?;
    }
    let not_supported = context.target.not_supported();
    if !not_supported.is_empty() {
        context.journal.write(move |transaction| store::note_not_supported(transaction, &not_supported)).await?;
    }
    let refused = matches!(end, Some(End::Unauthorized(_)));
    let vanished = tally.vanished;
    let accepted = tally.accepted_count() > 0;
    let called = !tally.outstanding.is_empty() || accepted;
    let silent =
        called && !heard.answered && tally.outstanding.iter().any(|entry| entry.kind == OutstandingKind::Failed);
    if silent {
        // Nothing was heard of the endpoint at all: no user is to blame.
        for entry in tally.outstanding.iter_mut().filter(|entry| entry.kind == OutstandingKind::Failed) {
            entry.kind = OutstandingKind::Waiting;
        }
    }
    let mut report = blank(context, started);
    count(&mut report, &tally);
    report.token = match (refused, heard.token_is_good) {
        (true, _) => TokenProof::Refused,
        (false, true) => TokenProof::Proven,
        (false, false) => TokenProof::Unknown,
    };
    let no_answer = silent || matches!(end, Some(End::Unanswered(_) | End::NotRefreshed(_)));
    report.resume = if no_answer {
        Resume::AfterPause
    } else if vanished {
        Resume::AtOnce
    } else {
        Resume::WithTheNext
    };
    let mut quiet = None;
    if let Some((read, length)) = &export {
        report.export_users_count = read.users_count;
        report.export_digest.clone_from(&read.digest.whole);
        quiet = Some(Quiet {
            digest: read.digest.whole.clone(),
            head: read.digest.head.clone(),
            length: length.cast_signed(),
            settings: context.settings.number(),
        });
    }
    let written_at = export.as_ref().map(|(read, _)| read.written_at);
    let Some(plan) = plan else {
        verdict(&mut report, end.as_ref(), accepted, false, silent);
        keep_what_stands(context, &mut report)?;
        let ending = Ending { export_written_at: written_at, creates_left: true, ..Ending::default() };
        return write_end(context, report, ending).await;
    };
    report.unchanged_count = plan.unchanged_count;
    report.plan = plan.digest;
    report.hold = plan.hold.as_ref().map(|hold| hold.as_str().to_owned());
    let mut outstanding = plan.outstanding;
    outstanding.append(&mut tally.outstanding);
    if !refreshed {
        outstanding.extend(unrepaired_drift(context, plan.only.as_ref())?);
    }
    outstanding.sort_by(OutstandingUser::order);
    report.outstanding = outstanding;
    let settling =
        report.outstanding.iter().any(|entry| entry.kind == OutstandingKind::Waiting && entry.until.is_some());
    verdict(&mut report, end.as_ref(), accepted, settling, silent);
    let open = [OutstandingKind::Waiting, OutstandingKind::Held, OutstandingKind::Failed, OutstandingKind::Parked];
    let left = open.iter().any(|kind| report.count(*kind) > 0) || !plan.sightings.is_empty();
    let quiet = quiet.filter(|_| !left && report.exit == 0 && end.is_none());
    let creates_left = tally.creates_left
        || report.outstanding.iter().any(|entry| {
            entry.action == Some(Action::Create)
                && matches!(entry.kind, OutstandingKind::Waiting | OutstandingKind::Held)
        });
    let mut outstanding = std::mem::take(&mut report.outstanding);
    let report_drift = context.settings.policy.on_drift == OnDrift::Report;
    let removals_left = outstanding.iter().any(|one| {
        one.action.is_some_and(Action::removes)
            && one.kind != OutstandingKind::Kept
            && one.kind != OutstandingKind::Drift
    });
    let repaired = |entry: &mut OutstandingUser| entry.kind == OutstandingKind::Drift && !stays(entry, report_drift);
    let ending = Ending {
        repaired: outstanding.extract_if(.., repaired).collect(),
        outstanding: Some(outstanding),
        export_written_at: written_at,
        sightings: plan.sightings,
        held: plan.held,
        quiet: quiet.filter(|_| plan.only.is_none()),
        generation,
        creates_left: creates_left || plan.only.is_some(),
        restored_over: refreshed && end.is_none() && plan.only.is_none() && !plan.holds_restored && !removals_left,
        approved: plan.only.is_none().then_some((plan.approved, plan.planned_at)),
        left_behind: plan.left_behind,
        only: plan.only,
    };
    write_end(context, report, ending).await
}

/// What the last refresh found and does not repair: it stands until the next one.
fn unrepaired_drift<T>(
    context: &CycleContext<'_, T>,
    only: Option<&BTreeSet<DirectoryId>>,
) -> Result<Vec<OutstandingUser>, JournalError> {
    let unreadable = JournalError::from;
    let report = context.settings.policy.on_drift == OnDrift::Report;
    let mut stay = Vec::new();
    for entry in store::outstanding(&context.reader).map_err(unreadable)? {
        let Some(id) = entry.directory_id.as_ref().filter(|_| entry.kind == OutstandingKind::Drift) else {
            continue;
        };
        let asked = only.is_none_or(|only| only.contains(id));
        // A foreign account is said by the plan itself.
        if asked
            && report
            && entry.reason != Reason::Mismatch(Mismatch::UserName)
            && store::link_by_id(&context.reader, id).map_err(unreadable)?.is_some()
        {
            stay.push(entry);
        }
    }
    Ok(stay)
}

/// Whether a drift is still there after the cycle that found it.
fn stays(drift: &OutstandingUser, report: bool) -> bool {
    report || drift.reason == Reason::Mismatch(Mismatch::UserName)
}

/// A plan that is not the one that was expected: nothing was sent, and nothing is written.
pub(super) fn unexpected<T>(
    context: &CycleContext<'_, T>,
    started: Instant,
    expected: &str,
    found: &str,
) -> CycleReport {
    let mut report = blank(context, started);
    report.result = CycleResult::Failed;
    report.exit = 7;
    report.plan = found.to_owned();
    report.error = vec![format!("the plan is {found}, expected was {}", crate::model::clean(expected))];
    report.hint = Some(
        "look at `rhombus-sync plan` again: export, settings, window or state have changed; nothing was sent"
            .to_owned(),
    );
    report
}
