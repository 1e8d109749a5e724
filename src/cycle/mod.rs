//! SHELL: one cycle, from the export to the log, on one screen: [`reconcile`].
//!
//! # Guarantees
//! No request that changes anything leaves before its intent is on the disk. Result, link and event are one transaction.
//! Whatever instant it is stopped at, the next cycle looks up what is in doubt before it plans.

mod compare;
mod end;
mod ending;
mod refresh;
mod selection;
mod verdict;

pub use crate::model::Clock;
pub use compare::{CompareError, Compared, Known, believable, compare, open_export, open_file};
pub use refresh::look;
use refresh::{refresh, remember};
pub use selection::look_for;

use crate::apply::{Apply, Previous, window};
use crate::config::Settings;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{CycleId, Moment, chain};
use crate::plan::plan_digest;
use crate::report::CycleReport;
use crate::retry;
use crate::scim::ScimTarget;
use crate::session::{Session, SessionContext};
use crate::source::FileDigest;
use crate::store::{self, InstallationRow, Journal, JournalError, Quiet};
use end::{Failure, Finished, Planned, blank, fail, finish, source_failure, throttled, unexpected};
use ending::{Ending, write_end};
use rusqlite::Connection;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Everything that a cycle touches.
pub struct CycleContext<'w, T> {
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
    /// Chance, for backoff.
    pub random: fn() -> u64,
    /// No request is sent after this is cancelled.
    pub stop: CancellationToken,
    /// Set before `stop`, where an administrator deactivated the integration.
    pub deactivated: Rc<Cell<bool>>,
    /// The id of this cycle.
    pub cycle: CycleId,
    /// What started it.
    pub source: Source,
    /// The fingerprint of the token in use, to notice a new one; none in a rehearsal.
    pub token_fingerprint: Option<String>,
    /// What was asked of it.
    pub options: CycleOptions,
    /// Told how many users of how many are done.
    pub progress: &'w dyn Fn(u64, u64),
}

/// What is asked of one cycle, beyond the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CycleOptions {
    /// Only these users; empty: everybody.
    pub only: Vec<String>,
    /// Only if the plan has this digest.
    pub expect: Option<String>,
    /// First compare the snapshot with what Rhombus really holds.
    pub refresh: bool,
}

impl<T: Transport> CycleContext<'_, T> {
    fn session(&self) -> Session<'_, T> {
        Session::new(SessionContext {
            target: &self.target,
            journal: &self.journal,
            reader: &self.reader,
            clock: self.clock,
            random: self.random,
            stop: &self.stop,
            deactivated: &self.deactivated,
            window: window(self.settings),
        })
    }
}

/// Runs one cycle.
///
/// # Errors
/// The state could not be written to the end: what was done is on record or in doubt, and the next cycle looks it up.
pub async fn reconcile<T: Transport>(context: &CycleContext<'_, T>) -> Result<CycleReport, JournalError> {
    let started = Instant::now();
    let unreadable = JournalError::from;
    let installation = store::installation(&context.reader).map_err(unreadable)?;
    let mut export = match open_export(context.settings, context.clock.now(), &installation) {
        Ok(export) => export,
        Err(error) => return fail(context, started, None, source_failure(&error)).await,
    };
    if context.options == CycleOptions::default()
        && let Some(read) = quiet(context, &installation, &mut export).map_err(unreadable)?
    {
        return end_quietly(context, started, &installation, read, export.written_at()).await;
    }
    if let Some(until) = wait_for_retry_after(context, &installation).await {
        return fail(context, started, None, throttled(until)).await;
    }
    let json = context.settings.wanted_under.clone();
    let settings = context.journal.write(move |transaction| store::reserve_settings(transaction, &json)).await?;
    let failed = compare::failed(&context.reader).map_err(unreadable)?;
    let lookups_failed = store::lookups_failed(&context.reader).map_err(unreadable)?;
    let session = context.session();
    let cycle = (&context.cycle, context.source);
    let apply = Apply::new(&session, context.settings, cycle, settings, Previous { failed, lookups_failed });

    let in_doubt = apply.recover().await;
    context.journal.write(|_| Ok(())).await?;
    let generation = installation.generation;
    let refreshed = context.options.refresh || installation.restored;
    let seen = if refreshed && !session.ended() { refresh(&session).await } else { None };
    if session.ended() {
        let (tally, end, heard) = (apply.into_tally(), session.end(), session.seen());
        return finish(
            context,
            started,
            Finished { tally, end, heard, plan: None, export: None, refreshed, generation },
        )
        .await;
    }
    let now = context.clock.now();
    let mut seen = seen.unwrap_or_default();
    let known = Known { in_doubt, seen: seen.clone(), only: &context.options.only };
    let compared = match compare(&context.reader, context.settings, &mut export, known, now) {
        Ok(compared) => compared,
        Err(error) => {
            let tally = apply.into_tally();
            let failure = Failure { exit: 1, error: chain(&error), hint: error.hint() };
            return fail(context, started, Some(tally), failure).await;
        }
    };
    if let Some(expected) = context.options.expect.as_ref().filter(|expected| *expected != compared.plan.digest()) {
        // Nothing is sent; but who was seen in this export starts anew when missing again.
        let (sightings, written_at) = (compared.sightings.clone(), compared.export.written_at);
        context.journal.write(move |transaction| store::replace_absences(transaction, &sightings, written_at)).await?;
        return Ok(unexpected(context, started, expected, compared.plan.digest()));
    }
    let planned = Planned::of(&compared);
    if let Some(only) = &compared.only {
        seen.retain(|id, _| only.contains(id));
    }
    remember(&apply, context.settings.policy.on_drift, seen, &compared.vanished, &compared.renamed_there);
    context.journal.write(|_| Ok(())).await?;
    if compared.plan.changes().next().is_some() {
        store::quick_check(&context.reader)?;
        let removals = compared.plan.changes().filter(|change| change.action().removes());
        store::check_links(&context.reader, removals)?;
    }
    apply.plan(compared.plan, context.progress).await;
    let (tally, end, heard) = (apply.into_tally(), session.end(), session.seen());
    finish(
        context,
        started,
        Finished {
            tally,
            end,
            heard,
            plan: Some(planned),
            export: Some((compared.export, export.length_bytes())),
            refreshed,
            generation,
        },
    )
    .await
}

/// The export of last time, after which nothing was left to do, and nothing open since.
fn quiet<T>(
    context: &CycleContext<'_, T>,
    installation: &InstallationRow,
    export: &mut crate::source::Export,
) -> rusqlite::Result<Option<Quiet>> {
    let Some(quiet) = &installation.quiet else { return Ok(None) };
    let same_shape = quiet.settings == context.settings.number() && quiet.length == export.length_bytes().cast_signed();
    if !same_shape || !store::open_intents(&context.reader)?.is_empty() {
        return Ok(None);
    }
    // A file that changes while its digest is taken is read, and then refused, by the long way.
    let known = FileDigest { head: quiet.head.clone(), whole: quiet.digest.clone() };
    Ok(export.is_same_as(&known).is_ok_and(|same| same).then(|| quiet.clone()))
}

async fn end_quietly<T: Transport>(
    context: &CycleContext<'_, T>,
    started: Instant,
    installation: &InstallationRow,
    quiet: Quiet,
    written_at: Moment,
) -> Result<CycleReport, JournalError> {
    let outstanding = store::outstanding(&context.reader)?;
    let not_as_wanted = outstanding.iter().filter(|entry| entry.scim_id.is_some()).count() as u64;
    let mut report = blank(context, started);
    report.export_users_count = installation.export_users_count.max(0).cast_unsigned();
    report.export_digest.clone_from(&quiet.digest);
    report.unchanged_count = installation.provisioned_count.max(0).cast_unsigned().saturating_sub(not_as_wanted);
    report.plan = plan_digest(std::iter::empty(), std::iter::empty());
    let ending = Ending {
        outstanding: Some(outstanding),
        export_written_at: Some(written_at),
        quiet: Some(quiet),
        generation: installation.generation,
        ..Ending::default()
    };
    write_end(context, report, ending).await
}

/// Waits for a `Retry-NextStep` that an earlier cycle was given; none where that is over.
async fn wait_for_retry_after<T>(context: &CycleContext<'_, T>, installation: &InstallationRow) -> Option<Moment> {
    let wait_ms = installation.not_before.since_ms(context.clock.now());
    if wait_ms > retry::RETRY_AFTER_WAITED_FOR.milliseconds() {
        return Some(installation.not_before);
    }
    tokio::select! {
        () = tokio::time::sleep(std::time::Duration::from_millis(wait_ms.max(0).unsigned_abs())) => None,
        () = context.stop.cancelled() => None,
    }
}
