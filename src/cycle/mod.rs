//! SHELL: one cycle, from the export to the log, on one screen: [`reconcile`].
//!
//! # Guarantees
//! Whenever it is interrupted, the next cycle looks up what is in doubt before it plans.

mod believe;
mod compare;
mod context;
mod end;
mod error;
mod join;
mod quiet;
mod recall;
mod refresh;
mod selection;
mod sightings;
mod survey;
mod trust;
mod verdict;
mod write;

pub use believe::believable;
pub use compare::{Compared, Known, Refreshed, compare, door, open_export};
pub use context::{CycleContext, CycleOptions};
pub use error::CompareError;
pub use recall::Recall;
pub use refresh::look;
pub use selection::{find_user, look_for};
pub use survey::{Survey, survey};

use crate::apply::{Apply, Previous};
use crate::event::Source;
use crate::fingerprints::SEED_BYTES;
use crate::http::Transport;
use crate::model::{Cause, Change};
use crate::plan::{ApprovedPlan, names_plan};
use crate::report::CycleReport;
use crate::source::{Asked, Door, Export, Keep, SourceError};
use crate::store::{self, InstallationRow, JournalError};
use compare::failed;
use end::{CycleEnd, NoPlan, unrepaired_drift};
use quiet::{end_quietly, quiet, wait_for_retry_after};
use refresh::{read_again, refresh, remember};
use sightings::Sightings;
use trust::{Unproven, correct_clock};
use write::write;

/// Runs one cycle.
///
/// # Errors
/// The state could not be written to the end: what was done is on record or in doubt, and the next cycle looks it up.
pub async fn reconcile<T: Transport>(context: &CycleContext<'_, T>) -> Result<CycleReport, JournalError> {
    let (settings, reader, journal) = (context.settings, &context.reader, &context.journal);
    correct_clock(context).await?;
    let installation = store::installation(reader)?;
    let mut end = begin(context, installation.generation)?;
    let mut export = match enter(context, &installation).await? {
        Ok(export) => export,
        Err(error) => return write(context, end.fail(context, NoPlan::of(context, &error.into()))?).await,
    };
    let unproven = Unproven::of(context, &installation)?;
    if context.options == CycleOptions::default()
        && !unproven.anything()
        && let Some(read) = quiet(context, &installation, &mut export)?
    {
        return write(context, end_quietly(context, end, &installation, read, &export)?).await;
    }
    if let Some(until) = wait_for_retry_after(context, &installation).await {
        return write(context, end.fail(context, NoPlan::throttled(until))?).await;
    }
    let wanted_under = settings.wanted_under.clone();
    let scope_version = journal.write(move |transaction| store::scope_version_id(transaction, &wanted_under)).await?;
    let mut outstanding = store::outstanding(reader)?;
    end.unrepaired = unrepaired_drift(&outstanding, settings.policy.on_drift);
    let previous = Previous { failed: failed(&outstanding), lookups_failed: store::lookups_failed(reader)? };
    let session = context.session();
    let apply = Apply::new(&session, settings, (&context.cycle, context.source), scope_version, previous);

    unproven.prove_organisation(&session).await;
    let in_doubt = apply.recover().await;
    journal.write(|_| Ok(())).await?;
    end.refreshed = context.options.refresh || installation.restored;
    let refreshed = match end.refreshed {
        true => refresh(&session).await,
        false => read_again(&session, &outstanding).await,
    };
    if session.ended() {
        return write(context, end.finish(context, &session, apply.into_tally()).await?).await;
    }
    outstanding.retain(|entry| !apply.record.has_cleared(entry));
    let (refreshed, only) = (refreshed.unwrap_or_default(), &context.options.only);
    let mut seen = refreshed.seen.clone();
    let known = Known { in_doubt, outstanding: &outstanding, refreshed, only, ..known(context, end.refreshed) };
    let mut compared = match compare(reader, settings, &mut export, known, context.clock.now()) {
        Ok(compared) => compared,
        Err(error) => {
            end.count(&apply.into_tally());
            if matches!(error, CompareError::UnknownUser(_)) {
                return end.mistyped(context, &error);
            }
            return write(context, end.fail(context, NoPlan::of(context, &error))?).await;
        }
    };
    if let Some(expected) =
        context.options.expect.as_ref().filter(|expected| !names_plan(expected, compared.plan.digest()))
    {
        // Nothing is sent, but users present in this export start over if they are missing again.
        let sightings = Sightings::of(&compared);
        journal.write(move |transaction| sightings.write(transaction)).await?;
        return Ok(end.unexpected(expected, &compared));
    }
    end.note_plan(&mut compared, &export, settings);
    seen.retain(|id, _| compared.only.as_ref().is_none_or(|only| only.contains(id)));
    remember(&apply, settings.policy.on_drift, seen, &compared.vanished, &compared.renamed_there);
    journal.write(|_| Ok(())).await?;
    check_state(context, &compared.plan).await?;
    apply.plan(compared.plan, context.progress).await;
    unproven.prove_token(&session).await;
    write(context, end.finish(context, &session, apply.into_tally()).await?).await
}

/// The end of a cycle that begins, with how many approvals the state has that release nothing: the log has no event that gave them.
fn begin<T>(context: &CycleContext<'_, T>, generation: i64) -> Result<CycleEnd, JournalError> {
    let mut end = CycleEnd::begin(context, generation);
    let count = store::void_approvals_count(&context.reader, context.clock.now())?;
    if count > 0 {
        tracing::warn!(count, "approvals in the state are void: the log has no approval that gave them");
    }
    end.report.void_approvals_count = count;
    Ok(end)
}

/// Opens the export; the first read binds the state to the directory's organisation.
async fn enter<T: Transport>(
    context: &CycleContext<'_, T>,
    installation: &InstallationRow,
) -> Result<Result<Export, SourceError>, JournalError> {
    let opened = {
        let known = door(&context.reader, installation, Keep::AsTheLast, &context.stop);
        let door = Door { asked: asked(context.source), ..known };
        open_export(context.settings, context.clock.now(), installation, &door)
    };
    if let (None, Ok(Some(found))) = (&installation.directory_organization, opened.as_ref().map(Export::organization)) {
        let found = found.to_owned();
        context.journal.write(move |transaction| store::bind_organization(transaction, &found)).await?;
    }
    Ok(opened)
}

/// What a cycle knows beside what it has read. `refreshed`: whether it began with a refresh.
fn known<'k, T: Transport>(context: &CycleContext<'_, T>, refreshed: bool) -> Known<'k> {
    let mut seed = [0; SEED_BYTES];
    for part in seed.chunks_exact_mut(8) {
        part.copy_from_slice(&(context.random)().to_le_bytes());
    }
    // A daemon that was started may be another release.
    let recall = Recall { seed, whole: refreshed || context.source == Source::Startup };
    let window_began = Some(context.clock.ago(context.settings.window));
    Known { window_began, date: context.target.date(), recall: Some(recall), ..Known::default() }
}

/// Whether somebody is there who wants this cycle.
fn asked(source: Source) -> Asked {
    match source {
        Source::Schedule | Source::Startup | Source::Watch | Source::Recovery => Asked::BySchedule,
        Source::Reconcile
        | Source::Signal
        | Source::Activate
        | Source::Deactivate
        | Source::Forget
        | Source::Approve
        | Source::Lead => Asked::BySomebody,
    }
}

/// Checks for damage: nothing is sent from a damaged state.
async fn check_state<T>(context: &CycleContext<'_, T>, plan: &ApprovedPlan) -> Result<(), JournalError> {
    if plan.changes_count() == 0 {
        return Ok(());
    }
    let now = context.clock.now();
    if store::check_before_changes(&context.reader, now)? {
        context.journal.write(move |transaction| store::note_check(transaction, Some(now))).await?;
    }
    // An account of a lost log has no link.
    let of_a_link = |change: &&Change| change.cause() != Cause::Lost;
    Ok(store::check_links(&context.reader, plan.removals().filter(of_a_link))?)
}
