//! An export and its members file, opened together. A job writes one after the other: a pair that is not yet in step is
//! read again for a while.

use super::memberships::Memberships;
use super::{Export, SourceError};
use crate::config::Settings;
use crate::model::{Layout, clean};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// How often a pair that is not in step is opened again.
const PAUSE: Duration = Duration::from_millis(250);
/// How often somebody who waits looks whether to stop.
const STOP_PAUSE: Duration = Duration::from_millis(20);

/// Opens both.
///
/// # Errors
/// One of them cannot be read, or is refused.
pub(super) fn open(
    settings: &Settings,
    path: &Path,
    members_path: &Path,
    stop: &CancellationToken,
) -> Result<Export, SourceError> {
    let (started, patience) = (Instant::now(), settings.checksum_patience);
    loop {
        let mut export = Export::open(path, &settings.layout, patience, stop)?;
        let (memberships, file) = read_members(settings, members_path, stop)?;
        let fresh = is_fresh(&export, patience.std()) || is_fresh(&file, patience.std());
        (export.memberships, export.members_file) = (Some(memberships), Some(Box::new(file)));
        let waits = fresh && started.elapsed() < patience.std();
        if !waits || in_step(&mut export)? {
            return Ok(export);
        }
        let pause = Instant::now();
        while pause.elapsed() < PAUSE {
            export.go_on()?;
            std::thread::sleep(STOP_PAUSE);
        }
    }
}

/// Reads the members file for the groups of `[scope]`.
fn read_members(
    settings: &Settings,
    path: &Path,
    stop: &CancellationToken,
) -> Result<(Memberships, Export), SourceError> {
    let mut file = Export::open(path, &Layout::of_memberships(), settings.checksum_patience, stop)?;
    let mut found = Memberships::new(&mut settings.scope.groups(), file.written_at());
    let read = file.read(&mut |row| found.row(row))?;
    if let Some(group) = found.misspelled() {
        return Err(file.refuse(
            format!("it has the group `{}` only in different letter case", clean(group)),
            "write the name in [scope] groups as the file has it; nothing was sent",
        ));
    }
    (found.proof, found.digest) = (read.proof, read.digest);
    Ok((found, file))
}

/// Whether a file came so lately that the other one may still be on its way.
fn is_fresh(file: &Export, patience: Duration) -> bool {
    let changed = Duration::new(
        file.opened.ctime().max(0).unsigned_abs(),
        u32::try_from(file.opened.ctime_nsec()).unwrap_or_default(),
    );
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(changed) < patience
}

/// Whether the export has nearly all whom the members file lists. What cannot be read is said by who reads it next.
fn in_step(export: &mut Export) -> Result<bool, SourceError> {
    match export.read(&mut |_| {}) {
        Ok(read) => Ok(read.memberships.is_none_or(|read| read.too_many_of_nobody().is_none())),
        Err(stopped @ SourceError::Stopped { .. }) => Err(stopped),
        Err(
            SourceError::Unreadable { .. }
            | SourceError::NotFetched { .. }
            | SourceError::OtherOrganization { .. }
            | SourceError::Secret(_)
            | SourceError::Client(_)
            | SourceError::Refused { .. },
        ) => Ok(true),
    }
}
