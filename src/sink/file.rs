//! A file of whole lines, each batch in one write. A line torn by a crash is cut off and written again, even if it was stored as
//! delivered. A file that was renamed is made anew; one that was cut to nothing is written from its start.

use super::{Company, Owner, Receipt, Sink, SinkError};
use crate::config::FILE_MODE;
use crate::event::{EventFormat, FirstLine, Renderer, Sealed};
use crate::files::{self, Make, Role, Write};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// How many bytes are read at a time in the search for the last newline, backwards from the end.
const TAIL_BYTES: u64 = 64 * 1024;

/// A longer line is not an event.
const LINE_BYTES_MAX: usize = 1 << 20;
/// How many bytes of it are read at a time: most events are shorter.
const FIRST_PIECE_BYTES: usize = 4 * 1024;

/// Events appended to a file, one a line.
pub struct FileSink {
    name: String,
    path: PathBuf,
    renderer: Renderer,
    mode: u32,
    group: Option<String>,
    company: Company,
    /// None: whoever's event it begins with.
    owner: Option<Owner>,
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
            owner: None,
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

    /// The same for the log of this installation alone.
    #[must_use]
    pub fn of(self, owner: Owner) -> Self {
        Self { owner: Some(owner), ..self }
    }

    fn error(&self, cause: std::io::Error) -> SinkError {
        SinkError::new(&self.name, cause)
    }

    fn open(&mut self) -> std::io::Result<Option<i64>> {
        if let Some(folder) = self.path.parent() {
            crate::folder::create(folder)?;
        }
        let mut file = files::open_to_write(&self.path, Role::Sink, Write::AtItsEnd, Make::IfMissing(self.mode))?;
        // Before anything of it is touched.
        self.is_our_log(&file)?;
        self.hand_over(&file)?;
        let torn = match self.company {
            Company::Alone => mend(&mut file, self.renderer.format)?,
            Company::Beside => None,
        };
        self.file = Some(file);
        Ok(torn)
    }

    /// A file that is not empty is ours if it begins with an event of this log, or with what a crash left of one.
    fn is_our_log(&self, file: &File) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let whole = read_first_line(file, &mut bytes)?;
        let line = String::from_utf8_lossy(&bytes);
        if bytes.is_empty() && !whole {
            return Ok(());
        }
        let first = FirstLine::of(&line, whole);
        let what = match (&self.owner, &first) {
            (_, FirstLine::Foreign) => "its first line is not an event of ours",
            (Some(owner), _) if !owner.owns(&first) => "its first line is an event of another installation",
            (Some(_) | None, FirstLine::Event(_) | FirstLine::Torn(_)) => return Ok(()),
        };
        let path = self.path.display();
        let what = format!("{path} is left alone: {what}; name another file, or move this one away");
        Err(std::io::Error::new(ErrorKind::InvalidData, what))
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

/// Reads the first line, without its end; false: the file ends before it does, or it is too long to be an event.
fn read_first_line(file: &File, line: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut piece = vec![0; FIRST_PIECE_BYTES];
    while line.len() < LINE_BYTES_MAX {
        let count = file.read_at(&mut piece, line.len() as u64)?;
        if count == 0 {
            break;
        }
        if let Some(end) = piece[..count].iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&piece[..end]);
            return Ok(true);
        }
        line.extend_from_slice(&piece[..count]);
    }
    Ok(false)
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

/// The sequence of the last line of a file that ends with a newline; 0 if it is not an event.
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
        if window > LINE_BYTES_MAX as u64 {
            return Ok(0);
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
        let line = format!(
            "{{\"@version\":\"1\",\"id\":\"{sequence:024x}\",\"timestamp\":\"\",\"idm_client_id\":\"i\",\"sequence\":{sequence},\"chain\":\"\"}}"
        );
        Sealed { sequence, line }
    }

    #[test]
    fn a_torn_line_is_cut_off_and_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.ndjson");
        let (one, two) = (event(1).line, event(2).line);
        for (torn, whole) in [
            (format!("{one}\n{}", &two[..50]), 1),
            (one[..50].to_owned(), 0),
            (one[..3].to_owned(), 0),
            (format!("{one}\n"), 7),
            (String::new(), 7),
        ] {
            std::fs::write(&path, &torn).expect("written");
            let mut sink = FileSink::new("f".into(), path.clone());
            assert_eq!(sink.resume(7).expect("it opens"), whole, "{torn:?}");
            sink.deliver(&[event(2)]).expect("delivered");
            let lines = std::fs::read_to_string(&path).expect("read");
            assert!(lines.ends_with(&format!("{two}\n")) && lines.lines().all(|line| line.ends_with('}')), "{lines}");
        }
    }

    #[test]
    fn a_file_that_does_not_begin_with_an_event_of_ours_is_not_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.ndjson");
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let foreign = event(1).line.replace("\"i\"", "\"j\"");
        for text in
            ["token", "token\n", "\n", "{}\n", long.as_str(), &format!("{foreign}\n"), &foreign[..foreign.len() - 3]]
        {
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("a mode");
            let owner = Owner { installation: "i".into(), chain_of: Box::new(|_| None) };
            let mut sink = FileSink::new("f".into(), path.clone()).of(owner);
            assert!(sink.resume(0).is_err() && sink.deliver(&[event(1)]).is_err(), "{text:.40}");
            assert!(std::fs::read_to_string(&path).expect("read") == text, "{text:.40}");
            let mode = std::fs::metadata(&path).expect("there").mode();
            assert_eq!(mode & 0o777, 0o640, "its mode neither");
        }
    }
}
