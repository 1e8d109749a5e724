//! A cycle that has nothing to read or must not call yet: the export is unchanged, or a `Retry-After` is still running.

use super::context::CycleContext;
use super::end::CycleEnd;
use crate::model::Moment;
use crate::plan::plan_digest;
use crate::retry;
use crate::source::{Export, FileDigest};
use crate::store::{self, InstallationRow, JournalError, Quiet};

/// The last export, if it is unchanged, left nothing to do, and nothing has been opened since.
pub(super) fn quiet<T>(
    context: &CycleContext<'_, T>,
    installation: &InstallationRow,
    export: &mut Export,
) -> rusqlite::Result<Option<Quiet>> {
    let Some(quiet) = &installation.quiet else { return Ok(None) };
    let settings = context.settings.number() ^ export.memberships_number();
    let same_shape = quiet.settings == settings && quiet.length == export.length_bytes().cast_signed();
    if !same_shape || !store::open_intents(&context.reader)?.is_empty() {
        return Ok(None);
    }
    // If the file changes while it is hashed, the normal path reads and then refuses it.
    let known = FileDigest { head: quiet.head.clone(), whole: quiet.digest.clone() };
    Ok(export.is_same_as(&known).is_ok_and(|same| same).then(|| quiet.clone()))
}

/// Ends a cycle whose export is unchanged: all entries stay as they were.
pub(super) fn end_quietly<T>(
    context: &CycleContext<'_, T>,
    mut end: CycleEnd,
    installation: &InstallationRow,
    quiet: Quiet,
    export: &Export,
) -> Result<CycleEnd, JournalError> {
    let outstanding = store::outstanding(&context.reader)?;
    let not_as_wanted = outstanding.iter().filter(|entry| entry.scim_id.is_some()).count() as u64;
    end.report.export_users_count = installation.export_users_count.max(0).cast_unsigned();
    end.report.export_digest.clone_from(&quiet.digest);
    end.report.unchanged_count = installation.provisioned_count.max(0).cast_unsigned().saturating_sub(not_as_wanted);
    end.report.plan = plan_digest(std::iter::empty(), std::iter::empty());
    end.outstanding = Some(outstanding);
    end.row.export_written_at = Some(export.written_at());
    end.row.memberships_written_at = export.memberships_written_at();
    end.row.quiet = Some(quiet);
    end.row.creates_left = false;
    Ok(end)
}

/// Waits for an earlier cycle's `Retry-After`; returns `None` once it is over.
pub(super) async fn wait_for_retry_after<T>(
    context: &CycleContext<'_, T>,
    installation: &InstallationRow,
) -> Option<Moment> {
    let wait_ms = installation.not_before.since_ms(context.clock.now());
    if wait_ms > retry::RETRY_AFTER_WAITED_FOR.milliseconds() {
        return Some(installation.not_before);
    }
    tokio::select! {
        () = tokio::time::sleep(std::time::Duration::from_millis(wait_ms.max(0).unsigned_abs())) => None,
        () = context.stop.cancelled() => None,
    }
}
