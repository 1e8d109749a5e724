//! A file of whole lines, each batch in one write. A line torn by a crash is cut off and written again, even if it was stored as
//! delivered. A file that was renamed is made anew; one that was cut to nothing is written from its start.

use super::{Company, Receipt, Sink, SinkError};
use crate::config::FILE_MODE;
use crate::event::{EventFormat, Renderer, Sealed};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How many bytes are read at a time in the search for the last newline, backwards from the end.
const TAIL_BYTES: u64 = 64 * 1024;

const WRITABLE_BY_OTHERS: u32 = 0o002;
/// Set on a folder like `/tmp`: only its owner may replace a file there.
const STICKY: u32 = 0o1000;

/// Events appended to a file, one a line.
pub struct FileSink {
    name: String,
    path: PathBuf,
    renderer: Renderer,
    mode: u32,
    group: Option<String>,
    company: Company,
    file: Option<File>,
}

impl FileSink {
    /// A sink with this name that appends to this file, which need not exist yet.
    #[must_use]
    pub fn new(name: String, path: PathBuf) -> Self {
        Self {
            name,
            path,
            renderer: Renderer::default(),
            mode: FILE_MODE,
            group: None,
            company: Company::Alone,
            file: None,
        }
    }

    /// The same in another format.
    #[must_use]
    pub fn with(self, renderer: Renderer) -> Self {
        Self { renderer, ..self }
    }

    /// The same with another mode, and a group.
    #[must_use]
    pub fn owned_by(self, mode: u32, group: Option<String>) -> Self {
        Self { mode, group, ..self }
    }

    /// The same beside another process that writes to it.
    #[must_use]
    pub fn in_company(self, company: Company) -> Self {
        Self { company, ..self }
    }

    fn error(&self, cause: std::io::Error) -> SinkError {
        SinkError::new(&self.name, cause)
    }

    fn open(&mut self) -> std::io::Result<Option<i64>> {
        if let Some(folder) = self.path.parent() {
            crate::folder::create(folder)?;
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mode = std::fs::metadata(folder)?.mode();
        if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
            // Anyone who can write there could replace the file with a link to another one.
            let what = format!("the folder {} is writable by others", folder.display());
            return Err(std::io::Error::new(ErrorKind::PermissionDenied, what));
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(self.mode).open(&self.path)?;
        self.hand_over(&file)?;
        let torn = match self.company {
            Company::Alone => mend(&mut file, self.renderer.format)?,
            Company::Beside => None,
        };
        self.file = Some(file);
        Ok(torn)
    }

    /// Gives a file of ours its mode and its group. The mode that it was made with passed the umask.
    fn hand_over(&self, file: &File) -> std::io::Result<()> {
        let there = file.metadata()?;
        if there.uid() != rustix::process::geteuid().as_raw() {
            return Ok(());
        }
        if let Some(name) = &self.group {
            let group = group_number(name)?;
            if there.gid() != group {
                rustix::fs::fchown(file.as_fd(), None, Some(rustix::process::Gid::from_raw(group))).map_err(
                    |error| {
                        let what = format!(
                            "cannot set the file's group to {name}: {error}; the service's user must be in that group"
                        );
                        std::io::Error::new(ErrorKind::PermissionDenied, what)
                    },
                )?;
            }
        }
        if there.mode() & 0o7777 != self.mode {
            file.set_permissions(PermissionsExt::from_mode(self.mode))?;
        }
        Ok(())
    }

    /// Whether the path leads to another file than the one that is open, or to none: the file was rotated.
    fn was_replaced(&self) -> bool {
        let Some(open) = self.file.as_ref().and_then(|file| file.metadata().ok()) else { return true };
        std::fs::metadata(&self.path).map_or(true, |there| (there.dev(), there.ino()) != (open.dev(), open.ino()))
    }
}

impl Sink for FileSink {
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        match self.open() {
            Ok(Some(last_whole)) => Ok(delivered.min(last_whole)),
            Ok(None) => Ok(delivered),
            Err(cause) => Err(self.error(cause)),
        }
    }

    fn deliver(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError> {
        if self.was_replaced() {
            self.open().map_err(|cause| self.error(cause))?;
        }
        let (text, receipt) = super::lines(&self.renderer, events);
        let written = match &mut self.file {
            Some(file) => append(file, text.as_bytes(), self.company),
            None => Err(std::io::Error::other("the file is not open")),
        };
        written.map(|()| receipt).map_err(|cause| self.error(cause))
    }
}

/// The number of a group of this system.
fn group_number(name: &str) -> std::io::Result<u32> {
    let groups = std::fs::read_to_string("/etc/group")?;
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    named.ok_or_else(|| std::io::Error::new(ErrorKind::NotFound, format!("there is no group {name} in /etc/group")))
}

/// Appends all of it or, on a full disk, nothing.
fn append(file: &mut File, text: &[u8], company: Company) -> std::io::Result<()> {
    let before = file.metadata()?.len();
    let written = file.write_all(text);
    if written.is_err() && company == Company::Alone {
        // If even that fails, the next start repairs it. A file that is shorter now was shortened on purpose.
        if file.metadata().is_ok_and(|now| now.len() > before) {
            let _ = file.set_len(before);
        }
    }
    written.and_then(|()| file.sync_data())
}

/// Cuts off a torn last line. If there was one, returns the sequence of the last whole line (0: none), to resume after it.
fn mend(file: &mut File, format: EventFormat) -> std::io::Result<Option<i64>> {
    let length = file.metadata()?.len();
    if length == 0 || tail(file, length, 1)? == b"\n" {
        return Ok(None);
    }
    let mut end = length;
    while end > 0 {
        let piece = tail(file, end, TAIL_BYTES)?;
        let start = end - piece.len() as u64;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    file.set_len(end)?;
    file.sync_data()?;
    Ok(Some(if end == 0 { 0 } else { last_sequence(file, end, format)? }))
}

/// The sequence of the last line of a file that ends with a newline.
fn last_sequence(file: &mut File, length: u64, format: EventFormat) -> std::io::Result<i64> {
    let mut window = TAIL_BYTES;
    loop {
        let piece = tail(file, length, window)?;
        let body = &piece[..piece.len() - 1];
        if let Some(at) =
            body.iter().rposition(|byte| *byte == b'\n').or((piece.len() as u64 == length).then_some(usize::MAX))
        {
            let line = &body[at.wrapping_add(1)..];
            let sequence = std::str::from_utf8(line).ok().and_then(|line| format.sequence_of(line));
            return Ok(sequence.unwrap_or(0));
        }
        window *= 4;
    }
}

fn tail(file: &mut File, end: u64, count: u64) -> std::io::Result<Vec<u8>> {
    let start = end.saturating_sub(count);
    file.seek(SeekFrom::Start(start))?;
    let mut piece = vec![0; usize::try_from(end - start).unwrap_or(0)];
    file.read_exact(&mut piece)?;
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: i64) -> Sealed {
        Sealed { sequence, line: format!("{{\"sequence\":{sequence}}}") }
    }

    #[test]
    fn a_torn_line_is_cut_off_and_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.ndjson");
        for (torn, whole) in [("{\"sequence\":1}\n{\"seq", 1), ("{\"seq", 0), ("{\"sequence\":1}\n", 7), ("", 7)] {
            std::fs::write(&path, torn).expect("written");
            let mut sink = FileSink::new("f".into(), path.clone());
            assert_eq!(sink.resume(7).expect("it opens"), whole, "{torn:?}");
            sink.deliver(&[event(2)]).expect("delivered");
            let lines = std::fs::read_to_string(&path).expect("read");
            assert!(lines.ends_with("{\"sequence\":2}\n") && lines.lines().all(|line| line.ends_with('}')), "{lines}");
        }
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        for (mode, good) in [(0o777, false), (0o1777, true), (0o755, true)] {
            std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).expect("set");
            let mut sink = FileSink::new("f".into(), folder.path().join("events.ndjson"));
            assert_eq!(sink.resume(0).is_ok(), good, "{mode:o}");
        }
    }
}
