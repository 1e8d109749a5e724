//! What the end of a cycle writes, in one transaction: who stands how, what is held, what the log says of it.

use crate::cycle::CycleContext;
use crate::event::{Draft, EventType, Source};
use crate::http::Transport;
use crate::model::{ChangeKey, DirectoryId, HoldId, Moment, OutstandingUser, UserName};
use crate::plan::hold_id;
use crate::report::{CycleReport, CycleResult, TokenProof, cycle_document};
use crate::store::{self, CycleEnd, JournalError, Quiet};
use std::collections::BTreeSet;

/// What the end of a cycle writes besides its report.
#[derive(Default)]
pub(super) struct Ending {
    /// Everybody whose change is not done; none: they stand as they stood.
    pub(super) outstanding: Option<Vec<OutstandingUser>>,
    /// The users that this cycle was about; none: everybody.
    pub(super) only: Option<BTreeSet<DirectoryId>>,
    pub(super) export_written_at: Option<Moment>,
    pub(super) sightings: Vec<DirectoryId>,
    pub(super) held: Vec<(ChangeKey, UserName)>,
    pub(super) quiet: Option<Quiet>,
    pub(super) creates_left: bool,
    pub(super) restored_over: bool,
    /// How often commands had written when it began.
    pub(super) generation: i64,
    /// What an administrator released and the plan still had, and when it was made; none: this cycle was not about everybody.
    pub(super) approved: Option<(Vec<ChangeKey>, Moment)>,
    /// Drift that this cycle repaired: reported, and stored no more.
    pub(super) repaired: Vec<OutstandingUser>,
    /// Where settings move on: who does not move with them.
    pub(super) left_behind: Option<Vec<DirectoryId>>,
}

/// Writes the end of a cycle in one transaction, with the refusals that are new and its own event.
pub(super) async fn write_end<T: Transport>(
    context: &CycleContext<'_, T>,
    mut report: CycleReport,
    ending: Ending,
) -> Result<CycleReport, JournalError> {
    let now = context.clock.now();
    let cycle = context.cycle.clone();
    let window = context.settings.window;
    let wanted_under = context.settings.wanted_under.clone();
    let (source, keys) = (context.source, context.settings.keys.clone());
    let proven = context.token_fingerprint.clone().filter(|_| report.token == TokenProof::Proven);
    let keep = (context.settings.sink_names.clone(), context.settings.keep_history);
    let stopped = report.exit == 0 && report.result == CycleResult::Partial;
    context
        .journal
        .write(move |transaction| {
            let Ending {
                outstanding,
                only,
                export_written_at,
                sightings,
                held,
                quiet,
                creates_left,
                restored_over,
                generation,
                repaired,
                approved,
                left_behind,
            } = ending;
            if let Some(left_behind) = left_behind {
                let settings = store::reserve_settings(transaction, &wanted_under)?;
                store::move_settings_on(transaction, settings, &left_behind)?;
            }
            if let Some(outstanding) = outstanding {
                report.outstanding =
                    store::replace_outstanding(transaction, outstanding, only.as_ref(), (&cycle, source), now)?;
                report.outstanding.extend(repaired);
                if let Some(written_at) = export_written_at {
                    store::replace_absences(transaction, &sightings, written_at)?;
                }
            }
            let held = match &only {
                Some(users) => store::held_beside(transaction, users, held)?,
                None => held,
            };
            if only.is_some() {
                report.hold = hold_id(held.iter().map(|(key, _)| key)).map(|hold| hold.as_str().to_owned());
            }
            if let Some(hold) = report.hold.as_ref().filter(|_| !held.is_empty()) {
                store::store_hold(transaction, &HoldId::new(hold.as_str()), &held, now)?;
            }
            if let Some((approved, planned_at)) = approved {
                store::drop_approvals(transaction, &approved, planned_at, now)?;
            }
            store::append(transaction, &[cycle_event(&report, source)], now)?;
            store::note_config(transaction, &keys, source, now)?;
            if let Some(fingerprint) = proven {
                store::note_token(transaction, &fingerprint, source, now)?;
            }
            let end = CycleEnd {
                report: cycle_document(&report).to_string(),
                hold: report.hold.as_deref().map(HoldId::new),
                export_users_count: export_written_at.map(|_| report.export_users_count.cast_signed()),
                // Good is what read the export and came to its end.
                good_at: (matches!(report.exit, 0 | 3 | 4) && !stopped && export_written_at.is_some()).then_some(now),
                // A file from the future must not make every later one look old.
                export_written_at: export_written_at.map(|written_at| written_at.min(now)),
                creates_left,
                restored_over,
                generation,
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

pub(super) fn cycle_event(report: &CycleReport, source: Source) -> Draft {
    let event_type = match report.result {
        CycleResult::Done | CycleResult::Partial => EventType::ReconcileCompleted,
        CycleResult::Held => EventType::ReconcileHeld,
        CycleResult::Failed => EventType::ReconcileFailed,
    };
    let mut draft = Draft::new(event_type, report.result != CycleResult::Failed, source);
    draft.response.details = report.counts();
    draft.error_message = report.error.join(": ");
    draft.cycle = Some(report.cycle.clone());
    draft
}
