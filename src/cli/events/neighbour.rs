//! The file that rotation left beside a sink's: `FILE.1`, or `FILE-…` with a date.

use crate::event::Verifier;
use crate::files::{self, Role};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// So much of a file's end is read to find its last line, in bytes.
const END_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// More files than this beside a log are not looked at.
const NEIGHBOURS_MAX: usize = 1_000;

/// A rotated file.
pub(super) struct Neighbour {
    pub(super) path: PathBuf,
}

/// The rotated file whose last line is this event; `expected` is that line, if it is known.
pub(super) fn neighbour_that_ends_at(file: &Path, sequence: i64, expected: Option<&str>) -> Option<Neighbour> {
    let name = file.file_name()?.to_str()?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).ok()?.take(NEIGHBOURS_MAX).flatten();
    let is_rotated = |path: &PathBuf| {
        let other = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let rest = other.strip_prefix(name).unwrap_or_default();
        (rest == ".1" || rest.starts_with('-')) && path.is_file()
    };
    let ends_there = |path: &PathBuf| {
        last_line(path).is_some_and(|line| match expected {
            Some(expected) => line == expected,
            None => Verifier::sequence_of(&line) == Some(sequence),
        })
    };
    let path = entries.map(|entry| entry.path()).filter(is_rotated).find(ends_there)?;
    Some(Neighbour { path })
}

fn last_line(path: &Path) -> Option<String> {
    let mut file = files::open(path, Role::Named).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES_MAX))).ok()?;
    let mut end = Vec::new();
    file.take(END_BYTES_MAX).read_to_end(&mut end).ok()?;
    let end = end.strip_suffix(b"\n")?;
    let line = end.rsplit(|byte| *byte == b'\n').next()?;
    String::from_utf8(line.to_vec()).ok()
}
