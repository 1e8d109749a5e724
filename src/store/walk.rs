//! The snapshot's rows in id order, handed on in batches; where they are many, a thread of its own reads them while the
//! export is parsed.
//!
//! # Guarantees
//! The thread's connection sees the very commit that the caller's read transaction sees, or is not used.

use super::{Access, open};
use crate::model::Glance;
use rusqlite::{Connection, Rows, Statement};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;

/// Fewer rows than this are read before a thread has opened the state.
const WORTH_A_THREAD_ROWS: i64 = 10_000;
/// How many rows are handed on at once: about 32 KiB of text.
const BATCH_ROWS: usize = 512;
/// How many batches are under way beside the one that is looked at.
const BATCHES_AHEAD: usize = 4;

/// What an export is compared with, in the order of a row.
const SQL: &str =
    "SELECT directory_id, row, user_name, given_name, family_name, active, settings FROM links ORDER BY directory_id";

/// Which commit a connection sees: whatever changes a link moves one of the two on.
type Version = (i64, i64);

/// A row as it is compared.
pub(super) struct Here<'w> {
    pub(super) directory_id: &'w str,
    pub(super) row: i64,
    pub(super) glance: Glance<'w>,
}

/// Rows one after another: their texts laid end to end, and where each ends.
#[derive(Default)]
struct Batch {
    text: String,
    rows: Vec<Packed>,
}

struct Packed {
    row: i64,
    settings: i64,
    active: bool,
    start: usize,
    /// Of directory id, username, given name and family name.
    ends: [usize; 4],
}

impl Batch {
    /// Fills it with the next rows; none are left where it stays empty.
    fn fill(&mut self, rows: &mut Rows<'_>) -> rusqlite::Result<()> {
        self.text.clear();
        self.rows.clear();
        while self.rows.len() < BATCH_ROWS
            && let Some(row) = rows.next()?
        {
            let start = self.text.len();
            let mut ends = [0; 4];
            for (end, column) in ends.iter_mut().zip([0, 2, 3, 4]) {
                self.text.push_str(row.get_ref(column)?.as_str_or_null()?.unwrap_or_default());
                *end = self.text.len();
            }
            let active = row.get::<_, i64>(5)? == 1;
            self.rows.push(Packed { row: row.get(1)?, settings: row.get(6)?, active, start, ends });
        }
        Ok(())
    }

    fn get(&self, at: usize) -> Option<Here<'_>> {
        let Packed { row, settings, active, start, ends: [id, name, given, family] } = *self.rows.get(at)?;
        Some(Here {
            directory_id: &self.text[start..id],
            row,
            glance: Glance {
                user_name: &self.text[id..name],
                given: &self.text[name..given],
                family: &self.text[given..family],
                active,
                settings,
            },
        })
    }
}

/// A walk through the snapshot.
pub(super) struct Walk<'w> {
    rows: Source<'w>,
    batch: Batch,
    at: usize,
    passed_count: u64,
}

enum Source<'w> {
    /// Read by the caller, when it needs more.
    Called(Rows<'w>),
    /// Read ahead by a thread.
    Ahead { filled: Receiver<rusqlite::Result<Batch>>, empty: Sender<Batch> },
}

impl<'w> Walk<'w> {
    /// Begins one. The caller is inside a read transaction on `connection`; `ordered` is [`Walk::statement`] of it.
    ///
    /// # Errors
    /// The state cannot be read.
    pub(super) fn begin<'scope>(
        connection: &Connection,
        ordered: &'w mut Statement<'_>,
        scope: &'scope Scope<'scope, '_>,
    ) -> rusqlite::Result<Self> {
        let ahead = match connection.path() {
            Some(path) if !path.is_empty() && rows_count(connection)? >= WORTH_A_THREAD_ROWS => {
                ahead(Path::new(path).to_owned(), version(connection)?, scope)
            }
            Some(_) | None => None,
        };
        let rows = match ahead {
            Some(ahead) => ahead,
            None => Source::Called(ordered.query([])?),
        };
        let mut walk = Self { rows, batch: Batch::default(), at: 0, passed_count: 0 };
        walk.refill()?;
        Ok(walk)
    }

    /// The statement that walks through the snapshot in id order.
    ///
    /// # Errors
    /// The state cannot be read.
    pub(super) fn statement(connection: &Connection) -> rusqlite::Result<Statement<'_>> {
        connection.prepare(SQL)
    }

    /// The row that it stands at; none at the end.
    pub(super) fn here(&self) -> Option<Here<'_>> {
        self.batch.get(self.at)
    }

    /// Goes on to the next row.
    ///
    /// # Errors
    /// The state cannot be read.
    pub(super) fn advance(&mut self) -> rusqlite::Result<()> {
        self.at += 1;
        self.passed_count += 1;
        if self.at == self.batch.rows.len() { self.refill() } else { Ok(()) }
    }

    /// How many rows lie behind it.
    pub(super) fn passed_count(&self) -> u64 {
        self.passed_count
    }

    fn refill(&mut self) -> rusqlite::Result<()> {
        self.at = 0;
        match &mut self.rows {
            Source::Called(rows) => self.batch.fill(rows),
            Source::Ahead { filled, empty } => {
                // A thread that ended without an empty batch has not read everything.
                let next = filled.recv().unwrap_or(Err(rusqlite::Error::InvalidQuery))?;
                // Once it has read everything, nobody waits for an empty one.
                let _ = empty.send(std::mem::replace(&mut self.batch, next));
                Ok(())
            }
        }
    }
}

/// Has a thread read ahead; none where it cannot see what the caller sees.
fn ahead<'w, 'scope>(
    path: std::path::PathBuf,
    wanted: Version,
    scope: &'scope Scope<'scope, '_>,
) -> Option<Source<'w>> {
    let (give_back, empty) = channel();
    let (fill, filled) = sync_channel(BATCHES_AHEAD);
    let (say, same) = channel();
    for _ in 0..BATCHES_AHEAD {
        let _ = give_back.send(Batch::default());
    }
    let thread = std::thread::Builder::new().name("snapshot".to_owned());
    thread.spawn_scoped(scope, move || read(&path, wanted, &say, &empty, &fill)).ok()?;
    same.recv().is_ok_and(|same: bool| same).then_some(Source::Ahead { filled, empty: give_back })
}

fn read(
    path: &Path,
    wanted: Version,
    same: &Sender<bool>,
    empty: &Receiver<Batch>,
    fill: &SyncSender<rusqlite::Result<Batch>>,
) {
    let walk = |connection: &Connection| -> rusqlite::Result<()> {
        let _snapshot = connection.unchecked_transaction()?;
        let is_same = version(connection)? == wanted;
        let _ = same.send(is_same);
        let mut statement = Walk::statement(connection)?;
        let mut rows = statement.query([])?;
        while is_same && let Ok(mut batch) = empty.recv() {
            batch.fill(&mut rows)?;
            let ended = batch.rows.is_empty();
            if fill.send(Ok(batch)).is_err() || ended {
                break;
            }
        }
        Ok(())
    };
    // Where it cannot be opened nothing is said: the caller reads by itself, and meets the same error or none.
    if let Ok(connection) = open(path, Access::Read)
        && let Err(error) = walk(&connection)
    {
        let _ = fill.send(Err(error));
    }
}

fn rows_count(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT provisioned FROM counts", [], |row| row.get(0))
}

fn version(connection: &Connection) -> rusqlite::Result<Version> {
    connection
        .query_row("SELECT sequence, generation FROM head, installation", [], |row| Ok((row.get(0)?, row.get(1)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Moment;

    /// A state of so many links, and how a walk through it reads: by a thread or not, and how many rows.
    fn walk(links_count: i64, write_meanwhile: &str) -> (bool, u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        let connection = crate::store::create(&path, "https://x.example", Moment(0), [7; 16]).expect("a state");
        let fill = format!(
            "INSERT INTO settings VALUES (1, '{{}}');
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {links_count})
             INSERT INTO links (directory_id, row, user_name, settings, scim_id, folded, linked_at)
             SELECT printf('%06d', n), n, n, 1, n, n, 0 FROM n;
             UPDATE counts SET provisioned = {links_count}"
        );
        connection.execute_batch(&fill).expect("links");
        let reading = open(&path, Access::Read).expect("a state");
        let _one_commit = reading.unchecked_transaction().expect("a transaction");
        assert_eq!(rows_count(&reading), Ok(links_count));
        connection.execute_batch(write_meanwhile).expect("written");
        let mut ordered = Walk::statement(&reading).expect("a statement");
        std::thread::scope(|scope| {
            let mut walk = Walk::begin(&reading, &mut ordered, scope).expect("a walk");
            let mut last = String::new();
            while let Some(here) = walk.here() {
                assert!(*here.directory_id > *last && here.glance.user_name.parse() == Ok(here.row));
                last = here.directory_id.to_owned();
                walk.advance().expect("a row");
            }
            (matches!(walk.rows, Source::Ahead { .. }), walk.passed_count())
        })
    }

    #[test]
    fn many_rows_are_read_by_a_thread_where_it_sees_the_same_commit() {
        assert_eq!(walk(WORTH_A_THREAD_ROWS, ""), (true, 10_000));
        assert_eq!(walk(WORTH_A_THREAD_ROWS - 1, ""), (false, 9_999));
        let forgotten = "DELETE FROM links WHERE row = 7; UPDATE installation SET generation = generation + 1";
        assert_eq!(walk(WORTH_A_THREAD_ROWS, forgotten), (false, 10_000));
    }
}
