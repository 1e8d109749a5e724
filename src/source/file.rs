//! An export file: one open handle, proven not to have changed while it was read.

use super::blocks::{FileDigest, Hash, READ_BYTES, blocks, read_block};
use super::{Doubt, ExportRead, SourceError, TakeUser, csv, json};
use crate::model::{DirectoryUser, Duration, Format, Moment, Proof, RawGroups, hex};
use crate::records::{self, Documents, DocumentsRead, JUMPCLOUD_PAGE, RecordsError, Window};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration as StdDuration, Instant};
use tokio_util::sync::CancellationToken;

/// A modification time further ahead than this is a fault, in milliseconds: clocks differ by hours, not by days.
const AHEAD_MS_MAX: i64 = 86_400_000;
/// How often a checksum that does not fit yet is read again.
const CHECKSUM_PAUSE: StdDuration = StdDuration::from_millis(250);
/// How often somebody who waits looks whether to stop.
const STOP_PAUSE: StdDuration = StdDuration::from_millis(20);
/// The longest checksum file that is looked at, in bytes.
const CHECKSUM_BYTES_MAX: u64 = 4096;

/// An export that is open. All readings use one handle, so that they see one file.
pub struct Export {
    path: PathBuf,
    file: File,
    opened: Metadata,
    written_at: Moment,
    format: Format,
    id_attribute: String,
    first_digest: Option<FileDigest>,
    checked: bool,
    stop: CancellationToken,
}

impl Export {
    /// Opens the file and proves its checksum, where one lies beside it. One that does not fit yet is read again for
    /// `checksum_patience`: the export job writes one file after the other. Once `stop` is cancelled, nothing is waited for
    /// or read any more.
    ///
    /// # Errors
    /// It cannot be opened, or the checksum does not fit for so long.
    pub fn open(
        path: &Path,
        format: Format,
        id_attribute: &str,
        checksum_patience: Duration,
        stop: &CancellationToken,
    ) -> Result<Self, SourceError> {
        let started = Instant::now();
        loop {
            let mut export = Self::open_once(path, format, id_attribute, stop)?;
            let beside = export.checksum_beside()?;
            let Some(wanted) = beside else { return Ok(export) };
            if export.sha256()? == wanted {
                export.checked = true;
                return Ok(export);
            }
            if started.elapsed() >= checksum_patience.std() {
                return Err(export.refuse(
                    "its checksum does not fit",
                    "write the .sha256 file after the export, or remove it; nothing was sent",
                ));
            }
            let pause = Instant::now();
            while pause.elapsed() < CHECKSUM_PAUSE {
                export.go_on()?;
                std::thread::sleep(STOP_PAUSE);
            }
        }
    }

    fn open_once(
        path: &Path,
        format: Format,
        id_attribute: &str,
        stop: &CancellationToken,
    ) -> Result<Self, SourceError> {
        let unreadable = |cause| SourceError::Unreadable { path: path.display().to_string(), cause };
        // Asked before it is opened: opening a pipe would wait for a writer.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(std::io::Error::new(ErrorKind::InvalidInput, "it is no regular file")));
        }
        let file = File::open(path).map_err(unreadable)?;
        let opened = file.metadata().map_err(unreadable)?;
        let written_at = written_at(opened.mtime(), opened.mtime_nsec());
        let (path, id_attribute) = (path.to_owned(), id_attribute.to_owned());
        let export = Self {
            path,
            file,
            opened,
            written_at: written_at.unwrap_or_default(),
            format,
            id_attribute,
            first_digest: None,
            checked: false,
            stop: stop.clone(),
        };
        match written_at {
            Some(_) => Ok(export),
            None => Err(export.refuse(
                "its modification time is not a date".to_owned(),
                "`touch` it, or let the export job write it anew; nothing was sent",
            )),
        }
    }

    /// Looked at with each block and each wait.
    fn go_on(&self) -> Result<(), SourceError> {
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

    /// How many bytes it has.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.opened.len()
    }

    /// Refuses an export that is older than `max_age`, or than the last one that was read.
    ///
    /// # Errors
    /// It is too old.
    pub fn check_age(
        &self,
        now: Moment,
        max_age: Option<Duration>,
        last_read: Option<Moment>,
    ) -> Result<(), SourceError> {
        let written = self.written_at();
        if written.since_ms(now) > AHEAD_MS_MAX {
            return Err(self.refuse(
                format!("its modification time, {written}, is more than a day ahead"),
                "`touch` it, or set the clock of the machine that writes it; nothing was sent",
            ));
        }
        if let Some(max_age) = max_age
            && now.since_ms(written) > max_age.milliseconds()
        {
            return Err(self.refuse(
                format!("it was written at {written}, longer than {max_age} ago"),
                "the job that writes it seems to have stopped; nothing was sent",
            ));
        }
        if let Some(last) = last_read
            && written < last
        {
            return Err(self.refuse(
                format!("it was written at {written}, before the last one that was read, of {last}"),
                "an old file has been put back; write a new export, or touch this one if it is right; nothing was sent",
            ));
        }
        Ok(())
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
        self.settle_digest(&digest)?;
        Ok(digest == *known)
    }

    /// Hands on every record, then says whether the file was whole.
    ///
    /// # Errors
    /// Anything that leaves a doubt: nothing may be concluded from the records then.
    pub fn read(&mut self, take: &mut TakeUser<'_>) -> Result<ExportRead, SourceError> {
        let mut reading = Reading { users_count: 0, with_groups_count: 0 };
        let (closed, digest) = self.parse(&mut |user: &DirectoryUser<'_>| {
            reading.users_count += 1;
            reading.with_groups_count += u64::from(user.groups != RawGroups::Absent);
            take(user);
        })?;
        self.settle_digest(&digest)?;
        let proof = if closed || self.checked { Proof::Whole } else { Proof::Unproven };
        let Reading { users_count, with_groups_count } = reading;
        Ok(ExportRead { users_count, with_groups_count, digest, proof, written_at: self.written_at() })
    }

    /// Refuses this export for a reason that only its whole content showed.
    #[must_use]
    pub fn refuse(&self, what: impl Into<String>, hint: &str) -> SourceError {
        let cause = Doubt { what: what.into(), hint: Some(hint.to_owned()) };
        SourceError::Refused { path: self.path.display().to_string(), cause }
    }

    /// Parses the whole file; true where it closed by itself.
    fn parse(&mut self, take: &mut TakeUser<'_>) -> Result<(bool, FileDigest), SourceError> {
        self.rewind()?;
        let mut window = Window::of_blocks();
        let mut walk = None;
        let mut line_count = 0;
        let mut read_bytes = 0;
        let id_attribute = &self.id_attribute;
        let digest = blocks(&self.file, self.opened.len(), |block, count| {
            self.go_on()?;
            let emptied = window.exchange(block, count).map_err(|error| self.malformed(&error))?;
            if walk.is_none() {
                window.skip_byte_order_mark();
            }
            read_bytes += count as u64;
            let walk = match &mut walk {
                Some(walk) => walk,
                none => none.insert(self.begin(&window, read_bytes == 0)?),
            };
            let mut parse_record = |text: &str| {
                let (user, count) = json::parse(text, id_attribute)?;
                take(&user);
                Ok(count)
            };
            let progress = match walk {
                Walk::Documents(documents) => documents.advance(&mut window, &mut parse_record),
                Walk::Lines => records::lines(&mut window, &mut line_count, &mut parse_record),
                Walk::Rows(reader) => records::rows(&mut window, &mut |text, ended| reader.rows(text, ended, take)),
            };
            progress.map_err(|error| self.malformed(&error))?;
            Ok::<_, Stop>(emptied)
        });
        let digest = digest.map_err(|stop| match stop {
            Stop::Unreadable(cause) => self.unreadable(cause),
            Stop::Refused(error) => error,
        })?;
        self.unchanged(read_bytes)?;
        let closed = match walk {
            Some(Walk::Documents(documents)) => self.totals(&documents.finish())?,
            Some(Walk::Lines | Walk::Rows(_)) | None => false,
        };
        Ok((closed, digest))
    }

    fn begin(&self, window: &Window, empty: bool) -> Result<Walk, SourceError> {
        if empty {
            return Err(
                self.refuse("it is empty", "an empty file is never taken for \"everybody left\"; nothing was sent")
            );
        }
        Ok(match self.format {
            Format::Json => Walk::Documents(Documents::new(JUMPCLOUD_PAGE)),
            Format::Ndjson => Walk::Lines,
            Format::Csv => Walk::Rows(csv::Reader::new(&self.id_attribute)),
            Format::Auto => match window.first_byte() {
                Some(b'[') => Walk::Documents(Documents::new(JUMPCLOUD_PAGE)),
                Some(b'{') if window.begins_with_a_page(JUMPCLOUD_PAGE) => {
                    Walk::Documents(Documents::new(JUMPCLOUD_PAGE))
                }
                Some(b'{') => Walk::Lines,
                Some(_) => Walk::Rows(csv::Reader::new(&self.id_attribute)),
                None => return Err(self.refuse("nothing is in it but white space", "nothing was sent")),
            },
        })
    }

    fn totals(&self, read: &DocumentsRead) -> Result<bool, SourceError> {
        if let Some(total) = read.totals.iter().find(|total| **total != read.records_count) {
            return Err(self.refuse(
                format!("it announces {total} users and holds {}", read.records_count),
                "the export job was cut short; nothing was sent",
            ));
        }
        Ok(read.closed || !read.totals.is_empty())
    }

    fn checksum_beside(&self) -> Result<Option<String>, SourceError> {
        let mut path = self.path.clone().into_os_string();
        path.push(".sha256");
        let mut text = String::new();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(self.unreadable(cause)),
        };
        file.take(CHECKSUM_BYTES_MAX).read_to_string(&mut text).map_err(|cause| self.unreadable(cause))?;
        Ok(Some(text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase()))
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

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.file.seek(SeekFrom::Start(0)).map(|_| ()).map_err(|cause| self.unreadable(cause))
    }

    /// All readings of one export must see the same bytes.
    fn settle_digest(&mut self, digest: &FileDigest) -> Result<(), SourceError> {
        match &self.first_digest {
            Some(first) if first != digest => Err(self.changed()),
            Some(_) => Ok(()),
            None => {
                self.first_digest = Some(digest.clone());
                Ok(())
            }
        }
    }

    fn unchanged(&self, read_bytes: u64) -> Result<(), SourceError> {
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

    fn changed(&self) -> SourceError {
        self.refuse("it changed while it was read", "write it beside and rename it over; the next cycle reads it again")
    }

    fn malformed(&self, error: &RecordsError) -> SourceError {
        self.refuse(error.to_string(), "the export job was cut short or writes another format; nothing was sent")
    }

    fn unreadable(&self, cause: std::io::Error) -> SourceError {
        SourceError::Unreadable { path: self.path.display().to_string(), cause }
    }
}

struct Reading {
    users_count: u64,
    with_groups_count: u64,
}

enum Walk {
    Documents(Documents),
    Lines,
    Rows(csv::Reader),
}

/// Why a parse ended early.
enum Stop {
    Unreadable(std::io::Error),
    Refused(SourceError),
}

impl From<std::io::Error> for Stop {
    fn from(cause: std::io::Error) -> Self {
        Self::Unreadable(cause)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Refused(error)
    }
}

/// When a file was written, from its seconds and nanoseconds; none where that is not a date.
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
