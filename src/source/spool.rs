//! Where an export that was fetched lies: a private file beside the state, and what is known of it. Whoever only looks gets
//! a file without a name. From here on an export goes the way of a file.
//!
//! The note about a spool names its digest: a spool and a note that do not belong together are never used as one.

use super::blocks::Hash;
use crate::files::{self, Role};
use crate::folder;
use crate::model::Moment;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A longer export is refused: a million users of 2 KiB.
pub(super) const SPOOL_BYTES_MAX: u64 = 2 << 30;
/// So many bytes are hashed at a time.
const HASHED_BYTES: usize = 64 << 10;
/// The longest note that is read, in bytes.
const NOTE_BYTES_MAX: u64 = 64 << 10;

/// What was fetched, and what was learnt about it on the way.
pub(super) struct Spooled {
    pub(super) file: File,
    pub(super) written_at: Moment,
    pub(super) age_is_known: bool,
    /// Whether a checksum proved it.
    pub(super) checked: bool,
    pub(super) organization: Option<String>,
}

/// What is known of the spool that lies beside the state.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Note {
    /// Where it came from.
    pub(super) url: String,
    pub(super) etag: Option<String>,
    /// In milliseconds since 1970.
    pub(super) last_modified: Option<i64>,
    /// In milliseconds since 1970.
    pub(super) written_at: i64,
    pub(super) checked: bool,
    /// xxh3-128, as hex.
    pub(super) digest: String,
    pub(super) length: u64,
}

/// A spool that is being written.
pub(super) struct Spool {
    file: File,
    length: u64,
    /// None: it has no name.
    part: Part,
}

impl Spool {
    /// One that takes the place of the spool at `path` once it is kept.
    pub(super) fn to_keep(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            folder::create(folder)?;
        }
        let part = beside(path, ".part");
        // What a killed process left. Only one process sends, and only that one keeps a spool.
        if let Err(error) = std::fs::remove_file(&part)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        Ok(Self { file: files::create_new(&part)?, length: 0, part: Part(Some(part)) })
    }

    /// One that is gone with its handle.
    pub(super) fn to_look(path: &Path) -> std::io::Result<Self> {
        let suffix = format!(".look-{}", std::process::id());
        let name = beside(path, &suffix);
        let made = match files::create_new(&name) {
            Ok(file) => Ok((file, name)),
            // Whoever may not write beside the state may still look.
            Err(_) => {
                let name = std::env::temp_dir().join(format!("rhombus-sync{suffix}-{}", chance()?));
                files::create_new(&name).map(|file| (file, name))
            }
        };
        let (file, name) = made?;
        std::fs::remove_file(name)?;
        Ok(Self { file, length: 0, part: Part(None) })
    }

    /// Empties it, to begin again.
    pub(super) fn clear(&mut self) -> std::io::Result<()> {
        self.length = 0;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.length += bytes.len() as u64;
        if self.length > SPOOL_BYTES_MAX {
            return Err("it is longer than 2 GiB".to_owned());
        }
        self.file.write_all(bytes).map_err(|error| format!("it cannot be spooled: {error}"))
    }

    /// The digest and length of what was written.
    pub(super) fn digest(&mut self) -> std::io::Result<(String, u64)> {
        digest(&mut self.file)
    }

    /// The handle, to read what was written.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The handle, at the beginning of the file; nothing is kept of it.
    pub(super) fn into_file(self) -> File {
        self.file
    }

    /// Puts it in the place of the last one, with a note; one without a name is handed on as it is. After a kill in between, spool
    /// and note do not belong together, and the next fetch asks for all of it.
    pub(super) fn keep(mut self, path: &Path, note: &Note) -> std::io::Result<File> {
        let Some(part) = &self.part.0 else { return Ok(self.file) };
        self.file.sync_all()?;
        std::fs::rename(part, path)?;
        self.part.0 = None;
        write_note(path, note)?;
        Ok(self.file)
    }
}

/// Where a spool lies until it is kept; it is gone with it.
struct Part(Option<PathBuf>);

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(part) = &self.0 {
            // One that stays is taken away by the next fetch.
            let _ = std::fs::remove_file(part);
        }
    }
}

/// Writes the note about the spool at `path`.
pub(super) fn write_note(path: &Path, note: &Note) -> std::io::Result<()> {
    write_small(&beside(path, ".json"), &serde_json::to_vec(note).map_err(std::io::Error::other)?)
}

/// Puts a small private file in the place of the one at `name`: all of it or nothing.
pub(super) fn write_small(name: &Path, text: &[u8]) -> std::io::Result<()> {
    let part = beside(name, ".part");
    if let Err(error) = std::fs::remove_file(&part)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = files::create_new(&part)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(part, name)
}

/// A small file, up to its limit.
pub(super) fn read_small(name: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    files::open(name, Role::State)?.take(NOTE_BYTES_MAX).read_to_end(&mut text).map(|_| text)
}

/// What was noted of the spool at `path`, if it came from this address. The spool itself may be lost, or another one.
pub(super) fn noted(path: &Path, url: &str) -> Option<Note> {
    let note: Note = serde_json::from_slice(&read_small(&beside(path, ".json")).ok()?).ok()?;
    (note.url == url).then_some(note)
}

/// The spool at `path`, if it is the one of this note.
pub(super) fn of(path: &Path, note: Note) -> Option<(File, Note)> {
    let mut file = files::open(path, Role::State).ok()?;
    let (digest, length) = digest(&mut file).ok()?;
    (note.digest == digest && note.length == length).then_some((file, note))
}

fn digest(file: &mut File) -> std::io::Result<(String, u64)> {
    let (mut hash, mut length) = (Hash::default(), 0);
    each_block(file, &mut |bytes| {
        hash.take(bytes);
        length += bytes.len() as u64;
    })?;
    Ok((hash.finish().whole, length))
}

/// Reads a file from its beginning, and goes back there.
pub(super) fn each_block(file: &mut File, each: &mut dyn FnMut(&[u8])) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; HASHED_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return file.seek(SeekFrom::Start(0)).map(drop),
            Ok(count) => each(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A name that nobody could have laid a file at.
fn chance() -> std::io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(crate::model::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_and_a_note_of_another_one_are_never_used_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db.spool");
        let keep = |text: &str, noted: &str| {
            let mut spool = Spool::to_keep(&path).expect("a spool");
            spool.write(noted.as_bytes()).expect("written");
            let (digest, length) = spool.digest().expect("a digest");
            spool.clear().expect("empty");
            spool.write(text.as_bytes()).expect("written");
            let note = Note { url: "u".to_owned(), digest, length, ..Note::default() };
            drop(spool.keep(&path, &note).expect("kept"));
        };
        let last = |url| noted(&path, url).and_then(|note| of(&path, note));
        assert!(last("u").is_none(), "nothing is there");
        keep("[1]", "[1]");
        assert!(last("u").is_some() && last("other").is_none());
        keep("[2]", "[1]");
        assert!(last("u").is_none(), "killed between spool and note");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing else stays");
    }

    #[test]
    fn who_only_looks_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::to_look(&folder.path().join("state.db.spool")).expect("a spool");
        spool.write(b"[]").expect("written");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let mut elsewhere = Spool::to_look(&folder.path().join("not/there/state.db.spool")).expect("a spool");
        elsewhere.write(b"[]").expect("written");
    }
}
