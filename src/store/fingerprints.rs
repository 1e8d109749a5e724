//! The table of fingerprints: its head, its segments, and the links that changed since it was written. What it means is decided
//! in `fingerprints`, when it may be used in `cycle`.

use super::database;
use crate::files;
use crate::fingerprints::{Edits, Head, Part, Shelf, Spool};
use crate::model::{DirectoryId, Moment};
use rusqlite::{Connection, OptionalExtension, Statement, Transaction};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Segments of edits are numbered from here on.
const EDITS_FROM: i64 = 1 << 32;
/// With more changed links the table is not worth it.
const CHANGED_MAX: usize = 4096;
/// So much of a table is held in memory until it is stored, in bytes: what a hundred thousand users need.
const HELD_BYTES_MAX: u64 = 5 << 20;

/// What the state has of fingerprints.
#[derive(Clone, PartialEq, Debug)]
pub struct Fingerprints {
    /// The head of the table, if there is one and it is intact.
    pub head: Option<Head>,
    /// How often commands ended the table.
    pub epoch: i64,
    /// How many tables in a row fitted no export, and when the last of them did not.
    pub wasted: (i64, Moment),
    /// The last change of a link.
    pub last_change: i64,
}

/// Reads it.
///
/// # Errors
/// The state cannot be read.
pub fn fingerprints(connection: &Connection) -> rusqlite::Result<Fingerprints> {
    let sql = "SELECT head, epoch, wasted, wasted_at, (SELECT ifnull(max(change), 0) FROM links_changed) FROM fingerprints_head";
    connection.query_row(sql, [], |row| {
        Ok(Fingerprints {
            head: row.get_ref(0)?.as_str_or_null()?.and_then(Head::parse),
            epoch: row.get(1)?,
            wasted: (row.get(2)?, Moment(row.get(3)?)),
            last_change: row.get(4)?,
        })
    })
}

/// The users whose links changed since the table was written; none: too many.
///
/// # Errors
/// The state cannot be read.
pub fn changed_links(connection: &Connection) -> rusqlite::Result<Option<Vec<DirectoryId>>> {
    let mut statement = connection.prepare("SELECT directory_id FROM links_changed LIMIT ?1")?;
    let ids = statement.query_map([CHANGED_MAX as i64 + 1], |row| Ok(DirectoryId::new(row.get_ref(0)?.as_str()?)))?;
    let ids = ids.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok((ids.len() <= CHANGED_MAX).then_some(ids))
}

/// The segments in the state.
pub struct Segments<'c>(Statement<'c>);

impl<'c> Segments<'c> {
    /// Those that a connection sees.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn of(connection: &'c Connection) -> rusqlite::Result<Self> {
        connection.prepare("SELECT entries FROM fingerprints WHERE segment = ?1").map(Self)
    }
}

impl Shelf for Segments<'_> {
    fn fetch(&mut self, part: Part, number: u32, into: &mut Vec<u8>) -> bool {
        let read = self.0.query_row([place(part, number)], |row| {
            into.clear();
            into.extend_from_slice(row.get_ref(0)?.as_blob()?);
            Ok(())
        });
        read.optional().is_ok_and(|found| found.is_some())
    }
}

fn place(part: Part, number: u32) -> i64 {
    i64::from(number)
        + match part {
            Part::Base => 0,
            Part::Edits => EDITS_FROM,
        }
}

/// The base of a table until it is stored: in memory, and from some size on in a file without a name beside the state.
pub struct BaseSpool {
    beside: Option<PathBuf>,
    held: Vec<u8>,
    file: Option<File>,
    lengths: Vec<usize>,
}

impl BaseSpool {
    /// An empty one for the state of a connection.
    #[must_use]
    pub fn beside(connection: &Connection) -> Self {
        let path = connection.path().filter(|path| !path.is_empty());
        let folder = path.and_then(|path| database::real(Path::new(path)).parent().map(Path::to_owned));
        Self { beside: folder, held: Vec::new(), file: None, lengths: Vec::new() }
    }

    fn move_to_a_file(&mut self) -> std::io::Result<()> {
        let folder = self.beside.as_deref().unwrap_or(Path::new("."));
        let mut file = files::create_unnamed(folder)?;
        file.write_all(&self.held)?;
        (self.file, self.held) = (Some(file), Vec::new());
        Ok(())
    }

    /// Hands on each segment.
    fn each(mut self, each: &mut dyn FnMut(u32, &[u8]) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        let unreadable = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        }
        let (mut buffer, mut at) = (Vec::new(), 0);
        for (number, length) in (0..).zip(self.lengths) {
            match &mut self.file {
                Some(file) => {
                    buffer.resize(length, 0);
                    file.read_exact(&mut buffer).map_err(unreadable)?;
                    each(number, &buffer)?;
                }
                None => each(number, self.held.get(at..at + length).unwrap_or_default())?,
            }
            at += length;
        }
        Ok(())
    }
}

impl Spool for BaseSpool {
    fn put(&mut self, segment: &[u8]) -> bool {
        self.lengths.push(segment.len());
        if self.file.is_none() && (self.held.len() + segment.len()) as u64 > HELD_BYTES_MAX {
            // Without a place for it there is no table, and the next reading is a whole one.
            if self.beside.is_none() || self.move_to_a_file().is_err() {
                return false;
            }
        }
        match &mut self.file {
            Some(file) => file.write_all(segment).is_ok(),
            None => {
                self.held.extend_from_slice(segment);
                true
            }
        }
    }
}

/// What a cycle leaves of the table.
pub enum Table {
    /// A new one.
    Base(Head, BaseSpool),
    /// The one that is there, with these edits.
    Edits(Head, Edits),
    /// None, because it fitted no export.
    Wasted,
    /// None.
    None,
}

/// What a cycle leaves of fingerprints.
pub struct Remembered {
    /// The table.
    pub table: Table,
    /// Whether a table was of use.
    pub was_of_use: bool,
    /// What the state said when the export was read.
    pub seen: (i64, i64),
}

impl Remembered {
    /// Nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self { table: Table::None, was_of_use: false, seen: (0, 0) }
    }
}

/// Ends the table: somebody changed what it rests on, or what the next cycle decides.
///
/// # Errors
/// The state cannot be written.
pub fn forget_fingerprints(transaction: &Connection) -> rusqlite::Result<()> {
    transaction.execute("UPDATE fingerprints_head SET head = NULL, epoch = epoch + 1", []).map(|_| ())
}

/// Stores what a cycle leaves.
///
/// # Errors
/// The state cannot be written.
pub fn remember(transaction: &Transaction<'_>, left: Remembered, now: Moment) -> rusqlite::Result<()> {
    let Remembered { table, was_of_use, seen: (epoch, last_change) } = left;
    let present: i64 = transaction.query_row("SELECT epoch FROM fingerprints_head", [], |row| row.get(0))?;
    if was_of_use {
        transaction.execute("UPDATE fingerprints_head SET wasted = 0", [])?;
    }
    let insert = "INSERT INTO fingerprints (segment, entries) VALUES (?1, ?2)";
    let head = match table {
        Table::Base(head, spool) if epoch == present => {
            transaction.execute("DELETE FROM fingerprints", [])?;
            let mut insert = transaction.prepare(insert)?;
            spool.each(&mut |number, segment| insert.execute((place(Part::Base, number), segment)).map(|_| ()))?;
            head
        }
        Table::Edits(head, edits) if epoch == present => {
            transaction.execute("DELETE FROM fingerprints WHERE segment >= ?1", [EDITS_FROM])?;
            let mut insert = transaction.prepare(insert)?;
            edits
                .segments(&head, |number, segment| insert.execute((place(Part::Edits, number), segment)).map(|_| ()))?;
            head
        }
        Table::Wasted => {
            transaction.execute("UPDATE fingerprints_head SET wasted = wasted + 1, wasted_at = ?1", [now.0])?;
            return clear(transaction);
        }
        Table::Base(..) | Table::Edits(..) | Table::None => return clear(transaction),
    };
    transaction.execute("UPDATE fingerprints_head SET head = ?1", [head.to_text()])?;
    transaction.execute("DELETE FROM links_changed WHERE change <= ?1", [last_change]).map(|_| ())
}

fn clear(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("UPDATE fingerprints_head SET head = NULL", [])?;
    transaction.execute("DELETE FROM fingerprints", [])?;
    transaction.execute("DELETE FROM links_changed", []).map(|_| ())
}
