//! An export file: one open handle, proven not to have changed while it was read.

use super::blocks::{FileDigest, Hash, READ_BYTES, read_block};
use super::census::{Census, Parsed};
use super::checksum::{self, Checksum};
use super::members::Node;
use super::memberships::Memberships;
use super::spool::Spooled;
use super::{Doubt, Everything, ExportRead, Recipient, SourceError, TakeUser};
use crate::files::{self, Role, Why};
use crate::model::{Duration, Layout, Moment, Proof, Spoken, hex};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration as StdDuration, Instant};
use tokio_util::sync::CancellationToken;

/// How often a checksum that does not fit yet is read again.
const CHECKSUM_PAUSE: StdDuration = StdDuration::from_millis(250);
/// How often somebody who waits looks whether to stop.
const STOP_PAUSE: StdDuration = StdDuration::from_millis(20);

/// An export that is open. All readings use one handle, so that they see one file.
pub struct Export {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) opened: Metadata,
    written_at: Moment,
    pub(super) layout: Layout,
    pub(super) node: Node,
    states_expected: bool,
    first_digest: Option<FileDigest>,
    checked: bool,
    stop: CancellationToken,
    /// Whether anybody said when it was written.
    pub(super) age_is_known: bool,
    /// The organisation whose users it has, if its source says one.
    organization: Option<String>,
    /// The members file, read, and its handle.
    pub(super) memberships: Option<Memberships>,
    pub(super) members_file: Option<Box<Self>>,
}

impl Export {
    /// Opens the file and proves its checksum, if there is one. One that does not match yet is read again for
    /// `checksum_patience`: the export job writes one file after the other. Once `stop` is cancelled, nothing is waited for
    /// or read any more.
    ///
    /// # Errors
    /// It cannot be opened, or the checksum does not fit for so long.
    pub fn open(
        path: &Path,
        layout: &Layout,
        checksum_patience: Duration,
        stop: &CancellationToken,
    ) -> Result<Self, SourceError> {
        let started = Instant::now();
        loop {
            let mut export = Self::open_once(path, layout, stop)?;
            let beside = checksum::beside(path);
            let wanted = match checksum::read(&beside) {
                Ok(Some(wanted)) => wanted,
                Ok(None) => return Ok(export),
                Err(cause) => {
                    let name = beside.file_name().unwrap_or_default().display();
                    let mended = match files::refusal_of(&cause) {
                        Some(refusal) => refusal.hint(),
                        None => "let the service's user read it, or remove it".to_owned(),
                    };
                    return Err(export.refuse(
                        format!("its checksum {name} cannot be read: {cause}"),
                        &format!("{mended}; nothing was sent"),
                    ));
                }
            };
            let doubt = match wanted {
                Checksum::Sha256(wanted) if wanted.contains(&export.sha256()?) => {
                    export.checked = true;
                    return Ok(export);
                }
                Checksum::Sha256(_) => "is not the export's".to_owned(),
                Checksum::Odd(what) => format!("cannot be used: {what}"),
            };
            if started.elapsed() >= checksum_patience.std() {
                let name = beside.file_name().unwrap_or_default().display();
                return Err(export.refuse(
                    format!("its checksum {name} {doubt}"),
                    "write the .sha256 file after the export (`sha256sum directory.csv`, or `(Get-FileHash directory.csv).Hash`), or \
                     remove it; nothing was sent",
                ));
            }
            let pause = Instant::now();
            while pause.elapsed() < CHECKSUM_PAUSE {
                export.go_on()?;
                std::thread::sleep(STOP_PAUSE);
            }
        }
    }

    fn open_once(path: &Path, layout: &Layout, stop: &CancellationToken) -> Result<Self, SourceError> {
        let unreadable = |cause| SourceError::Unreadable { path: path.display().to_string(), cause };
        let file = files::open(path, Role::Export).map_err(|cause| match files::refusal_of(&cause) {
            Some(refusal) if refusal.why != Why::NotRegular => {
                let cause =
                    Doubt { what: refusal.to_string(), hint: Some(format!("{}; nothing was sent", refusal.hint())) };
                SourceError::Refused { path: path.display().to_string(), cause }
            }
            Some(_) | None => unreadable(cause),
        })?;
        let opened = file.metadata().map_err(unreadable)?;
        let written_at = written_at(opened.mtime(), opened.mtime_nsec());
        let export =
            Self { written_at: written_at.unwrap_or_default(), ..Self::of_handle(path, file, opened, layout, stop) };
        match written_at {
            Some(_) => Ok(export),
            None => Err(export.refuse(
                "its modification time is not a date".to_owned(),
                "`touch` it, or have the export job write it again; nothing was sent",
            )),
        }
    }

    fn of_handle(path: &Path, file: File, opened: Metadata, layout: &Layout, stop: &CancellationToken) -> Self {
        Self {
            path: path.to_owned(),
            file,
            opened,
            written_at: Moment::default(),
            layout: layout.clone(),
            node: Node::of_layout(layout),
            states_expected: false,
            first_digest: None,
            checked: false,
            stop: stop.clone(),
            age_is_known: true,
            organization: None,
            memberships: None,
            members_file: None,
        }
    }

    /// What was fetched from somewhere else; from here on it goes the way of a file.
    ///
    /// # Errors
    /// The handle cannot be asked.
    pub(super) fn of_spool(
        spooled: Spooled,
        described: &str,
        layout: &Layout,
        stop: &CancellationToken,
    ) -> std::io::Result<Self> {
        let opened = spooled.file.metadata()?;
        Ok(Self {
            written_at: spooled.written_at,
            age_is_known: spooled.age_is_known,
            checked: spooled.checked,
            organization: spooled.organization,
            ..Self::of_handle(Path::new(described), spooled.file, opened, layout, stop)
        })
    }

    /// The organisation whose users it has, if its source says one.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// Looked at with each block and each wait.
    pub(super) fn go_on(&self) -> Result<(), SourceError> {
        if self.stop.is_cancelled() {
            return Err(SourceError::Stopped { path: self.path.display().to_string() });
        }
        Ok(())
    }

    /// When the file was written.
    #[must_use]
    pub fn written_at(&self) -> Moment {
        self.written_at
    }

    /// When its members file was written, if there is one.
    #[must_use]
    pub fn memberships_written_at(&self) -> Option<Moment> {
        self.memberships.as_ref().map(|memberships| memberships.written_at)
    }

    /// A number of its members file: with another one, an export is not "the same as last time".
    #[must_use]
    pub fn memberships_number(&self) -> i64 {
        let digest = self.memberships.as_ref().map(|memberships| memberships.digest.whole.as_str());
        digest.map_or(0, |digest| xxhash_rust::xxh3::xxh3_64(digest.as_bytes()).cast_signed())
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.opened.len()
    }

    /// Whether the file is byte for byte the one of this digest; one that differs in its head is not read to its end.
    ///
    /// # Errors
    /// The file cannot be read, or changed meanwhile.
    pub fn is_same_as(&mut self, known: &FileDigest) -> Result<bool, SourceError> {
        let mut hash = Hash::default();
        let mut same = true;
        self.pass(&mut |bytes| {
            same = hash.take(bytes) == known.head;
            same
        })?;
        if !same {
            return Ok(false);
        }
        let digest = hash.finish();
        self.check_digest(&digest)?;
        Ok(digest == *known)
    }

    /// Hands on every record, then says whether the file was whole.
    ///
    /// # Errors
    /// Anything that leaves a doubt: nothing may be concluded from the records then.
    pub fn read(&mut self, take: &mut TakeUser<'_>) -> Result<ExportRead, SourceError> {
        self.read_for(&mut Everything(take))
    }

    /// The same for somebody who may know records by their bytes: those are counted, and not parsed.
    ///
    /// # Errors
    /// As [`Export::read`].
    pub fn read_for(&mut self, recipient: &mut dyn Recipient) -> Result<ExportRead, SourceError> {
        // Beside `self` while the file is read.
        let memberships = self.memberships.take();
        let mut census = Census::new(&self.layout, self.states_expected, memberships.as_ref(), recipient);
        let parsed = self.parse(&mut census);
        let Census { spoken, with_groups_count, known_states_count, memberships: joined, .. } = census;
        let joined = joined.map(|(memberships, matched)| memberships.read(&matched));
        self.memberships = memberships;
        let Parsed { closed, digest, status, lacking } = parsed?;
        self.check_digest(&digest)?;
        let proof = if closed || self.checked { Proof::Whole } else { Proof::Unproven };
        Ok(ExportRead {
            users_count: spoken.records_count,
            spoken,
            with_groups_count,
            known_states_count,
            status,
            lacking,
            digest,
            proof,
            written_at: self.written_at(),
            memberships: joined,
        })
    }

    /// Whether at least half of the records say a state and some do not: read again then, and those lack one.
    pub fn expects_states(&mut self, spoken: &Spoken) -> bool {
        let now = self.lacks_states(spoken);
        self.states_expected |= now;
        now
    }

    /// Whether [`Export::expects_states`] would say so.
    #[must_use]
    pub fn lacks_states(&self, spoken: &Spoken) -> bool {
        let most = spoken.state > 0 && spoken.state * 2 >= spoken.records_count && spoken.state < spoken.records_count;
        most && !self.states_expected && !self.layout.state_is_mapped()
    }

    /// Whether records without a state lack one, by what an earlier reading has shown.
    #[must_use]
    pub fn are_states_expected(&self) -> bool {
        self.states_expected
    }

    /// Whether there is a members file beside it.
    #[must_use]
    pub fn has_memberships(&self) -> bool {
        self.memberships.is_some()
    }

    fn sha256(&mut self) -> Result<String, SourceError> {
        let mut hash = Sha256::new();
        self.pass(&mut |bytes| {
            hash.update(bytes);
            true
        })?;
        Ok(hex(&hash.finalize()))
    }

    /// Reads the whole file, as long as `each` wants more.
    fn pass(&mut self, each: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), SourceError> {
        self.rewind()?;
        let mut buffer = vec![0; READ_BYTES];
        let mut read_bytes = 0;
        loop {
            self.go_on()?;
            let count = read_block(&self.file, &mut buffer).map_err(|cause| self.unreadable(cause))?;
            if count == 0 {
                return self.unchanged(read_bytes);
            }
            read_bytes += count as u64;
            if !each(&buffer[..count]) {
                return Ok(());
            }
        }
    }

    pub(super) fn rewind(&mut self) -> Result<(), SourceError> {
        self.file.seek(SeekFrom::Start(0)).map(|_| ()).map_err(|cause| self.unreadable(cause))
    }

    /// All readings of one export must see the same bytes.
    fn check_digest(&mut self, digest: &FileDigest) -> Result<(), SourceError> {
        match &self.first_digest {
            Some(first) if first != digest => Err(self.changed()),
            Some(_) => Ok(()),
            None => {
                self.first_digest = Some(digest.clone());
                Ok(())
            }
        }
    }

    pub(super) fn unchanged(&self, read_bytes: u64) -> Result<(), SourceError> {
        let identity =
            |m: &Metadata| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        let now = self.file.metadata().map_err(|cause| self.unreadable(cause))?;
        // A rename over it changes the old file's link count and so its ctime; the old file itself is still whole.
        let replaced =
            now.nlink() == 0 && now.mtime() == self.opened.mtime() && now.mtime_nsec() == self.opened.mtime_nsec();
        if (!replaced && identity(&now) != identity(&self.opened)) || read_bytes != self.opened.len() {
            return Err(self.changed());
        }
        Ok(())
    }

    pub(super) fn unreadable(&self, cause: std::io::Error) -> SourceError {
        SourceError::Unreadable { path: self.path.display().to_string(), cause }
    }
}

/// When a file was written, from its seconds and nanoseconds; `None` if that is not a date.
fn written_at(seconds: i64, nanoseconds: i64) -> Option<Moment> {
    let written_ms = seconds.checked_mul(1000)?.checked_add(nanoseconds / 1_000_000)?;
    Some(Moment(written_ms)).filter(|written| written.is_date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_time_that_is_not_a_date_is_seen() {
        assert_eq!(written_at(1_800_000_000, 7_000_000), Some(Moment(1_800_000_000_007)));
        assert_eq!(written_at(-1, 0), Some(Moment(-1_000)));
        for seconds in [9_300_000_000_000_000, i64::MAX, i64::MIN, 400_000_000_000] {
            assert_eq!(written_at(seconds, 0), None, "{seconds}");
        }
    }
}
