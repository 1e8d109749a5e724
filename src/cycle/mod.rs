//! SHELL: one cycle, from the export to the log, on one screen: [`reconcile`].
//!
//! # Guarantees
//! No request that changes anything leaves before its intent is on the disk. Result, link and event are one transaction.
//! Whatever instant it is stopped at, the next cycle looks up what is in doubt before it plans.

mod apply;
mod compare;
mod create;
mod lookup;
mod recover;
mod remove;
mod update;

pub use compare::{Compared, Settings, compare};
pub use create::ExistingAccounts;

use crate::event::{Draft, EventType, Source};
use crate::http::Transport;
use crate::model::{CycleId, DirectoryId, Moment, Standing, StandingKind};
use crate::plan::plan_digest;
use crate::report::{CycleReport, CycleResult, cycle_document};
use crate::retry;
use crate::source::{ExportRead, SourceError};
use crate::store::{self, CycleEnd, InstallationRow, Journal, JournalError, Quiet};
use crate::target::ScimTarget;
use apply::{Apply, Tally};
use rusqlite::Connection;
use std::cell::Cell;
use std::error::Error;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What time it is. A trait, because tests must replace it.
pub trait Clock {
    /// Now.
    fn now(&self) -> Moment;
}

/// Everything that a cycle touches.
pub struct World<'w, T> {
    /// What the configuration says.
    pub settings: &'w Settings,
    /// Rhombus.
    pub target: ScimTarget<T>,
    /// The state, for writing.
    pub journal: Journal,
    /// The state, for reading.
    pub reader: Connection,
    /// The wall clock.
    pub clock: &'w dyn Clock,
    /// Chance, for pauses.
    pub random: fn() -> u64,
    /// No request is sent after this is cancelled.
    pub stop: CancellationToken,
    /// Set before `stop`, where an administrator deactivated the integration.
    pub deactivated: Cell<bool>,
    /// The id of this cycle.
    pub cycle: CycleId,
}

/// Why a cycle ended before all was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
enum End {
    /// 401, or a 403 to a list.
    Unauthorized(String),
    /// None of our accounts is there, or it redirects.
    WrongEndpoint(String),
    /// Ten users in a row got no answer.
    Unanswered(String),
    /// It asked to be left alone for longer than we wait.
    Throttled(Moment),
    /// A signal.
    Stopped,
    /// `deactivate`.
    Deactivated,
    /// The state cannot be written: no request leaves any more.
    State(String),
}

/// Runs one cycle.
///
/// # Errors
/// The state could not be written to the end: what was done is on record or in doubt, and the next cycle looks it up.
pub async fn reconcile<T: Transport>(world: &World<'_, T>) -> Result<CycleReport, JournalError> {
    let started = Instant::now();
    let unreadable = |error: rusqlite::Error| JournalError(error.to_string());
    let installation = store::installation(&world.reader).map_err(unreadable)?;
    let mut export = match world.settings.open_export(world.clock.now(), &installation) {
        Ok(export) => export,
        Err(error) => return fail(world, started, None, source_failure(&error)).await,
    };
    if let Some(read) = quiet(world, &installation, &mut export).map_err(unreadable)? {
        return end_quietly(world, started, &installation, read).await;
    }
    if let Some(until) = wait_for_retry_after(world, &installation).await {
        return fail(world, started, None, throttled(until)).await;
    }
    let json = world.settings.wanted_under.clone();
    let settings = world.journal.write(move |transaction| store::reserve_settings(transaction, &json)).await?;
    let failed = compare::failed(&world.reader).map_err(unreadable)?;
    let apply = Apply::new(world, settings, failed);

    let in_doubt = apply.recover().await;
    world.journal.write(|_| Ok(())).await?;
    if apply.ended() {
        let (tally, end, answered) = apply.into_end();
        return finish(world, started, Finished { tally, end, answered, plan: None, export: None }).await;
    }
    let compared = match compare(&world.reader, world.settings, &mut export, in_doubt, world.clock.now()) {
        Ok(compared) => compared,
        Err(error) => {
            let (tally, _, _) = apply.into_end();
            return fail(world, started, Some(tally), source_failure(&error)).await;
        }
    };
    let planned = Planned::of(&compared);
    apply.plan(compared.plan).await;
    let (tally, end, answered) = apply.into_end();
    finish(
        world,
        started,
        Finished { tally, end, answered, plan: Some(planned), export: Some((compared.export, export.length_bytes())) },
    )
    .await
}

/// What is kept of a plan while it is applied.
struct Planned {
    standings: Vec<Standing>,
    held: Vec<(crate::model::ChangeKey, crate::model::UserName)>,
    hold: Option<crate::model::HoldId>,
    digest: String,
    unchanged_count: u64,
    sightings: Vec<DirectoryId>,
}

impl Planned {
    fn of(compared: &Compared) -> Self {
        let plan = &compared.plan;
        Self {
            standings: plan.standings().to_vec(),
            held: plan.held().iter().map(|change| (change.key(), change.user_name().clone())).collect(),
            hold: plan.hold().cloned(),
            digest: plan.digest().to_owned(),
            unchanged_count: plan.unchanged_count(),
            sightings: compared.sightings.clone(),
        }
    }
}

struct Finished {
    tally: Tally,
    end: Option<End>,
    answered: bool,
    plan: Option<Planned>,
    export: Option<(ExportRead, u64)>,
}

/// A chain of causes with a hint.
struct Failure {
    exit: u8,
    error: Vec<String>,
    hint: Option<String>,
}

fn source_failure(error: &SourceError) -> Failure {
    Failure { exit: 1, error: chain(error), hint: error.hint() }
}

fn throttled(until: Moment) -> Failure {
    Failure { exit: 3, error: vec![format!("Rhombus asked not to be called before {until}")], hint: None }
}

/// An error and its causes, one text each.
#[must_use]
pub fn chain(error: &dyn Error) -> Vec<String> {
    let mut said = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(next) = cause {
        said.push(next.to_string());
        cause = next.source();
    }
    said
}

/// The export of last time, after which nothing was left to do, and nothing open since.
fn quiet<T>(
    world: &World<'_, T>,
    installation: &InstallationRow,
    export: &mut crate::source::Export,
) -> rusqlite::Result<Option<Quiet>> {
    let Some(quiet) = &installation.quiet else { return Ok(None) };
    let same_shape = quiet.settings == world.settings.number() && quiet.length == export.length_bytes().cast_signed();
    if !same_shape || !store::open_intents(&world.reader)?.is_empty() {
        return Ok(None);
    }
    // A file that changes while its digest is taken is read, and then refused, by the long way.
    Ok(export.digest().is_ok_and(|digest| digest == quiet.digest).then(|| quiet.clone()))
}

async fn end_quietly<T: Transport>(
    world: &World<'_, T>,
    started: Instant,
    installation: &InstallationRow,
    quiet: Quiet,
) -> Result<CycleReport, JournalError> {
    let last: serde_json::Value =
        installation.last_cycle.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let standings = store::standings(&world.reader).map_err(|error| JournalError(error.to_string()))?;
    let not_as_wanted = standings.iter().filter(|standing| standing.scim_id.is_some()).count() as u64;
    let mut report = blank(world, started);
    report.export_users_count = last["export"]["users"].as_u64().unwrap_or(0);
    report.export_digest.clone_from(&quiet.digest);
    report.unchanged_count = installation.provisioned_count.max(0).cast_unsigned().saturating_sub(not_as_wanted);
    report.plan = plan_digest(std::iter::empty(), std::iter::empty());
    write_end(world, report, Some(standings), None, Vec::new(), Vec::new(), Some(quiet), false).await
}

/// Waits for a `Retry-After` that an earlier cycle was given; none where that is over.
async fn wait_for_retry_after<T>(world: &World<'_, T>, installation: &InstallationRow) -> Option<Moment> {
    let wait_ms = installation.not_before.since_ms(world.clock.now());
    if wait_ms > retry::RETRY_AFTER_WAITED_FOR.milliseconds() {
        return Some(installation.not_before);
    }
    tokio::time::sleep(std::time::Duration::from_millis(wait_ms.max(0).unsigned_abs())).await;
    None
}

fn blank<T>(world: &World<'_, T>, started: Instant) -> CycleReport {
    CycleReport {
        result: CycleResult::Done,
        exit: 0,
        cycle: world.cycle.clone(),
        export_users_count: 0,
        export_digest: String::new(),
        created_count: 0,
        updated_count: 0,
        linked_count: 0,
        deactivated_count: 0,
        deleted_count: 0,
        unchanged_count: 0,
        standings: Vec::new(),
        hold: None,
        plan: String::new(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: Vec::new(),
        hint: None,
    }
}

fn count(report: &mut CycleReport, tally: &Tally) {
    report.created_count = tally.created_count;
    report.updated_count = tally.updated_count;
    report.linked_count = tally.linked_count;
    report.deactivated_count = tally.deactivated_count;
    report.deleted_count = tally.deleted_count;
}

/// Ends a cycle that had no plan: what stood before still stands.
async fn fail<T: Transport>(
    world: &World<'_, T>,
    started: Instant,
    recovered: Option<Tally>,
    failure: Failure,
) -> Result<CycleReport, JournalError> {
    let mut report = blank(world, started);
    if let Some(tally) = &recovered {
        count(&mut report, tally);
    }
    report.result = if failure.exit == 3 { CycleResult::Partial } else { CycleResult::Failed };
    report.exit = failure.exit;
    report.error = failure.error;
    report.hint = failure.hint;
    report.standings = store::standings(&world.reader).map_err(|error| JournalError(error.to_string()))?;
    write_end(world, report, None, None, Vec::new(), Vec::new(), None, true).await
}

async fn finish<T: Transport>(
    world: &World<'_, T>,
    started: Instant,
    finished: Finished,
) -> Result<CycleReport, JournalError> {
    let Finished { mut tally, end, answered, plan, export } = finished;
    if let Some(End::State(error)) = &end {
        return Err(JournalError(error.clone()));
    }
    if let Some(End::Throttled(until)) = end {
        world.journal.write(move |transaction| store::set_not_before(transaction, until)).await?;
    }
    let accepted = tally.accepted_count() > 0;
    let called = !tally.standings.is_empty() || accepted;
    let silent = called && !answered && tally.standings.iter().any(|standing| standing.kind == StandingKind::Failed);
    if silent {
        // Nothing was heard of the endpoint at all: no user is to blame.
        for standing in tally.standings.iter_mut().filter(|standing| standing.kind == StandingKind::Failed) {
            standing.kind = StandingKind::Waiting;
        }
    }
    let mut report = blank(world, started);
    count(&mut report, &tally);
    let mut quiet = None;
    if let Some((read, length)) = &export {
        report.export_users_count = read.users_count;
        report.export_digest.clone_from(&read.digest);
        quiet = Some(Quiet {
            digest: read.digest.clone(),
            length: length.cast_signed(),
            settings: world.settings.number(),
        });
    }
    let written_at = export.as_ref().map(|(read, _)| read.written_at);
    let Some(plan) = plan else {
        verdict(&mut report, end.as_ref(), accepted, false, silent);
        return write_end(world, report, None, written_at, Vec::new(), Vec::new(), None, true).await;
    };
    report.unchanged_count = plan.unchanged_count;
    report.plan = plan.digest;
    report.hold = plan.hold.as_ref().map(|hold| hold.as_str().to_owned());
    let mut standings = plan.standings;
    standings.append(&mut tally.standings);
    standings.sort_by(|a, b| (a.kind, &a.directory_id, &a.reason).cmp(&(b.kind, &b.directory_id, &b.reason)));
    report.standings = standings;
    let settling =
        report.standings.iter().any(|standing| standing.kind == StandingKind::Waiting && standing.until.is_some());
    verdict(&mut report, end.as_ref(), accepted, settling, silent);
    let open = [StandingKind::Waiting, StandingKind::Held, StandingKind::Failed, StandingKind::Parked];
    let left = open.iter().any(|kind| report.count(*kind) > 0) || !plan.sightings.is_empty();
    let quiet = quiet.filter(|_| !left && report.exit == 0);
    let creates_left = tally.creates_left
        || report.standings.iter().any(|standing| {
            standing.action == Some(crate::model::Action::Create)
                && matches!(standing.kind, StandingKind::Waiting | StandingKind::Held)
        });
    let standings = std::mem::take(&mut report.standings);
    write_end(world, report, Some(standings), written_at, plan.sightings, plan.held, quiet, creates_left).await
}

/// The exit code: 1 before 3 before 4 (CONTRACT section 1).
fn verdict(report: &mut CycleReport, end: Option<&End>, accepted: bool, settling: bool, silent: bool) {
    let ended = |exit, error: String, hint: Option<&str>| (exit, vec![error], hint.map(str::to_owned));
    let (exit, error, hint) = match end {
        Some(End::Unauthorized(said)) => ended(
            1,
            format!("Rhombus refuses the token: {said}"),
            Some("put a valid token into the token file; nobody was marked failed, and the next cycle goes on"),
        ),
        Some(End::WrongEndpoint(said)) => ended(
            1,
            format!("this is not the endpoint of this state: {said}"),
            Some("compare [rhombus] base_url with the Rhombus console"),
        ),
        Some(End::Unanswered(said)) => ended(
            if accepted { 3 } else { 1 },
            format!("Rhombus does not answer: {said}"),
            Some("the rest was neither tried nor marked failed; the next cycle goes on"),
        ),
        Some(End::Throttled(until)) => ended(3, format!("Rhombus asked not to be called before {until}"), None),
        Some(End::Deactivated) => ended(
            6,
            "deactivated while the cycle ran".to_owned(),
            Some("run `rhombus-sync activate` to manage users again"),
        ),
        Some(End::State(said)) => ended(1, said.clone(), None),
        Some(End::Stopped) => (0, Vec::new(), None),
        None if silent => ended(
            1,
            "Rhombus does not answer".to_owned(),
            Some("look at the network and at [rhombus] base_url; nobody was marked failed"),
        ),
        None if report.count(StandingKind::Failed) + report.count(StandingKind::Parked) > 0 || settling => {
            (3, Vec::new(), None)
        }
        None if report.count(StandingKind::Held) > 0 => (4, Vec::new(), None),
        None => (0, Vec::new(), None),
    };
    report.exit = exit;
    report.error = error;
    report.hint = hint;
    report.result = match exit {
        0 => CycleResult::Done,
        3 => CycleResult::Partial,
        4 => CycleResult::Held,
        _ => CycleResult::Failed,
    };
}

/// Writes the end of a cycle in one transaction, with the refusals that are new and its own event.
#[expect(
    clippy::too_many_arguments,
    reason = "each is one fact of the end of a cycle, and all go into one transaction"
)]
async fn write_end<T: Transport>(
    world: &World<'_, T>,
    mut report: CycleReport,
    standings: Option<Vec<Standing>>,
    export_written_at: Option<Moment>,
    sightings: Vec<DirectoryId>,
    held: Vec<(crate::model::ChangeKey, crate::model::UserName)>,
    quiet: Option<Quiet>,
    creates_left: bool,
) -> Result<CycleReport, JournalError> {
    let now = world.clock.now();
    let cycle = world.cycle.clone();
    let window = world.settings.window;
    let keep = (world.settings.sink_names.clone(), world.settings.keep_history);
    world
        .journal
        .write(move |transaction| {
            if let Some(standings) = standings {
                report.standings = store::replace_standings(transaction, standings, &cycle, now)?;
                if let Some(written_at) = export_written_at {
                    store::replace_absences(transaction, &sightings, written_at)?;
                }
            }
            if let Some(hold) = &report.hold {
                store::store_hold(transaction, &crate::model::HoldId::new(hold.as_str()), &held, now)?;
            }
            store::append(transaction, &[cycle_event(&report)], now)?;
            let end = CycleEnd {
                report: cycle_document(&report).to_string(),
                good_at: matches!(report.exit, 0 | 3 | 4).then_some(now),
                export_written_at,
                creates_left,
                quiet,
                now,
                window,
            };
            store::finish_cycle(transaction, &end)?;
            store::prune(transaction, &keep.0, now, keep.1)?;
            Ok(report)
        })
        .await
}

fn cycle_event(report: &CycleReport) -> Draft {
    let event_type = match report.result {
        CycleResult::Done | CycleResult::Partial => EventType::ReconcileCompleted,
        CycleResult::Held => EventType::ReconcileHeld,
        CycleResult::Failed => EventType::ReconcileFailed,
    };
    let mut draft = Draft::new(event_type, report.result != CycleResult::Failed, Source::Reconcile);
    draft.response.details = report.counts();
    draft.error_message = report.error.join(": ");
    draft.cycle = Some(report.cycle.clone());
    draft
}
