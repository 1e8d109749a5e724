//! Stores the end of a cycle in one transaction: entries, hold, events.

use super::context::CycleContext;
use super::end::CycleEnd;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::http::Transport;
use crate::model::{ConfigKeys, CycleId, Duration, HoldId, Moment};
use crate::plan::{ScopeVersion, hold_id};
use crate::report::{CycleReport, CycleResult, TokenProof, cycle_document};
use crate::store::{self, CycleHealth, JournalError};
use rusqlite::Transaction;

/// What the transaction needs from the cycle's context, because it runs on the journal's thread.
struct Writer {
    cycle: CycleId,
    source: Source,
    /// The fingerprint of the proven token.
    proven: Option<String>,
    keys: ConfigKeys,
    wanted_under: ScopeVersion,
    directory_number: i64,
    sink_names: Vec<String>,
    keep_history: Duration,
}

/// Stores the end of a cycle in one transaction, with its new refusals and its own event.
pub(super) async fn write<T: Transport>(
    context: &CycleContext<'_, T>,
    mut end: CycleEnd,
) -> Result<CycleReport, JournalError> {
    end.row.now = context.clock.now();
    end.row.window_began = context.clock.ago(context.settings.window);
    end.report.took_ms = end.took_ms();
    end.report.export_written_at = end.row.export_written_at;
    let settings = context.settings;
    let writer = Writer {
        cycle: context.cycle.clone(),
        source: context.source,
        proven: context.token_fingerprint.clone().filter(|_| end.report.token == TokenProof::Proven),
        keys: settings.keys.clone(),
        wanted_under: settings.wanted_under.clone(),
        directory_number: settings.directory_number,
        sink_names: settings.sink_names.clone(),
        keep_history: settings.keep_history,
    };
    context.journal.write(move |transaction| writer.write(transaction, end)).await
}

impl Writer {
    fn write(self, transaction: &Transaction<'_>, mut end: CycleEnd) -> rusqlite::Result<CycleReport> {
        let now = end.row.now;
        self.write_users(transaction, &mut end)?;
        write_holds(transaction, &mut end)?;
        if let Some(remembered) = end.remembered.take() {
            store::remember(transaction, remembered, now)?;
        }
        store::append(transaction, &[cycle_event(&end.report, self.source)], now)?;
        store::note_config(transaction, &self.keys, self.source, now)?;
        if let Some(fingerprint) = &self.proven {
            store::note_token(transaction, fingerprint, (self.source, Initiator::System), now)?;
        }
        let health = health_of(&end, self.source, now);
        store::note_health(transaction, &health)?;
        let CycleEnd { report, mut row, .. } = end;
        let mut document = cycle_document(&report);
        if report.token == TokenProof::Unknown {
            document["token"] = store::known_of_token(transaction)?.into();
        }
        row.token = document["token"].as_str().map(str::to_owned);
        row.report = document.to_string();
        row.hold = report.hold.as_deref().map(HoldId::new);
        row.export_users_count = row.export_written_at.map(|_| report.export_users_count.cast_signed());
        row.good_at = matches!(health.everybody, Some((_, None))).then_some(now);
        // A file dated in the future must not make every later one look old.
        row.export_written_at = row.export_written_at.map(|written_at| written_at.min(now));
        row.memberships_written_at = row.memberships_written_at.map(|written_at| written_at.min(now));
        store::finish_cycle(transaction, &row)?;
        if row.clock_is_confirmed {
            store::prune(transaction, &self.sink_names, now, self.keep_history)?;
        }
        Ok(report)
    }

    /// Stores scope versions, entries and absences.
    fn write_users(&self, transaction: &Transaction<'_>, end: &mut CycleEnd) -> rusqlite::Result<()> {
        if let Some(left_behind) = &end.left_behind {
            let scope_version = store::scope_version_id(transaction, &self.wanted_under)?;
            store::advance_scope_version(transaction, scope_version, left_behind)?;
        }
        if let Some(spoken) = &end.spoken {
            store::note_spoken(transaction, self.directory_number, spoken)?;
        }
        if let Some(groups) = end.groups.take() {
            store::note_groups(
                transaction,
                &groups,
                end.only.is_none(),
                end.row.export_written_at.unwrap_or(end.row.now),
            )?;
        }
        end.report.groups_unnamed = store::unnamed_groups(transaction)?;
        store::forget_told_apart(transaction)?;
        let Some(outstanding) = end.outstanding.take() else { return Ok(()) };
        let cycle = (&self.cycle, self.source);
        end.report.outstanding =
            store::replace_outstanding(transaction, outstanding, end.only.as_ref(), cycle, end.row.now)?;
        end.report.outstanding.append(&mut end.repaired);
        if let Some(sightings) = &end.sightings {
            sightings.write(transaction)?;
        }
        Ok(())
    }
}

/// Stores the hold, and drops approvals that have lapsed.
fn write_holds(transaction: &Transaction<'_>, end: &mut CycleEnd) -> rusqlite::Result<()> {
    let (now, mut held) = (end.row.now, std::mem::take(&mut end.held));
    if let Some(users) = &end.only {
        held = store::held_beside(transaction, users, held)?;
        end.report.hold = hold_id(held.iter().map(|change| change.exact.clone())).map(|hold| hold.as_str().to_owned());
    }
    if let Some(hold) = end.report.hold.as_ref().filter(|_| !held.is_empty()) {
        store::store_hold(transaction, &HoldId::new(hold.as_str()), &held, now)?;
    }
    if let Some((approved, planned_at)) = &end.approved {
        store::drop_approvals(transaction, approved, *planned_at, now)?;
    }
    Ok(())
}

/// What it says of the syncing itself.
fn health_of(end: &CycleEnd, source: Source, now: Moment) -> CycleHealth {
    let report = &end.report;
    let why = report.why_not_good();
    CycleHealth {
        source: source.as_str(),
        everybody: end.is_about_everybody.then_some((report.exit.code(), why)),
        token: report.token,
        in_scope_count: end.wanted_count.map(u64::cast_signed),
        now,
    }
}

fn cycle_event(report: &CycleReport, source: Source) -> Draft {
    let event_type = match report.result {
        CycleResult::Done | CycleResult::Partial => EventType::ReconcileCompleted,
        CycleResult::Held => EventType::ReconcileHeld,
        CycleResult::Failed => EventType::ReconcileFailed,
    };
    let mut draft = Draft::new(event_type, report.result != CycleResult::Failed, source);
    draft.response.details = report.counts();
    draft.error_message = report.error.join(": ");
    if report.token == TokenProof::Refused {
        // One code to alert on, also where it was a 403 to the list call.
        (draft.response.status, draft.response.phrase) = (Some(401), "Unauthorized".to_owned());
    }
    draft.cycle = Some(report.cycle.clone());
    draft
}
