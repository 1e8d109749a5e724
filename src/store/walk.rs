//! The snapshot's rows in id order, read in batches. If there are many, a separate thread reads ahead while the export
//! is parsed.
//!
//! # Guarantees
//! The thread's connection sees exactly the commit that the caller's read transaction sees, or is not used: it begins
//! first, and `PRAGMA data_version` tells the caller whether anybody committed in between.

use super::{Access, open};
use crate::model::RowView;
use rusqlite::{Connection, Rows, Statement, ffi};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Fewer rows than this are read in less time than a thread needs to open the state.
const WORTH_A_THREAD_ROWS: i64 = 10_000;
/// Rows per batch.
const BATCH_ROWS: usize = 512;
/// Text per batch; the row that exceeds it is the last one. Most rows have 80 bytes, the longest about 4 KiB.
const BATCH_BYTES: usize = 1 << 16;
/// Batches in flight beside the one being read.
const BATCHES_AHEAD: usize = 4;

/// The compared columns.
const SQL: &str = "SELECT directory_id, row, user_name, given_name, family_name, active, settings, wanted_by FROM links \
     ORDER BY directory_id";

/// A row as it is compared.
pub(super) struct SnapshotRow<'w> {
    pub(super) directory_id: &'w str,
    pub(super) row: i64,
    pub(super) row_view: RowView<'w>,
}

/// Rows whose texts are stored end to end.
#[derive(Default)]
struct Batch {
    text: String,
    rows: Vec<PackedRow>,
}

struct PackedRow {
    row: i64,
    settings: i64,
    wanted_by: i64,
    active: bool,
    start: usize,
    /// Ends of directory id, username, given name and family name.
    ends: [usize; 4],
}

impl Batch {
    /// Reads the next rows into the batch; it stays empty at the end.
    fn fill(&mut self, rows: &mut Rows<'_>) -> rusqlite::Result<()> {
        self.text.clear();
        self.rows.clear();
        while self.rows.len() < BATCH_ROWS
            && self.text.len() < BATCH_BYTES
            && let Some(row) = rows.next()?
        {
            let start = self.text.len();
            let mut ends = [0; 4];
            for (end, column) in ends.iter_mut().zip([0, 2, 3, 4]) {
                self.text.push_str(row.get_ref(column)?.as_str_or_null()?.unwrap_or_default());
                *end = self.text.len();
            }
            let active = row.get::<_, i64>(5)? == 1;
            let (number, settings, wanted_by) = (row.get(1)?, row.get(6)?, row.get(7)?);
            self.rows.push(PackedRow { row: number, settings, wanted_by, active, start, ends });
        }
        Ok(())
    }

    fn get(&self, at: usize) -> Option<SnapshotRow<'_>> {
        let PackedRow { row, settings, wanted_by, active, start, ends: [id, name, given, family] } =
            *self.rows.get(at)?;
        Some(SnapshotRow {
            directory_id: &self.text[start..id],
            row,
            row_view: RowView {
                user_name: &self.text[id..name],
                given: &self.text[name..given],
                family: &self.text[given..family],
                active,
                settings,
                wanted_by,
            },
        })
    }
}

/// A cursor over the snapshot.
pub(super) struct Walk<'w> {
    rows: RowSource<'w>,
    batch: Batch,
    at: usize,
    passed_count: u64,
}

enum RowSource<'w> {
    /// The caller reads on demand.
    Called(Rows<'w>),
    /// A thread reads ahead.
    Ahead(Ahead<'w>),
}

impl<'w> Walk<'w> {
    /// Starts a cursor. The caller is in a read transaction that `ordered` ([`Walk::statement`]) belongs to, and that
    /// sees the same commit as the thread.
    pub(super) fn begin(ahead: Option<Ahead<'w>>, ordered: &'w mut Statement<'_>) -> rusqlite::Result<Self> {
        let rows = match ahead {
            Some(ahead) => RowSource::Ahead(ahead),
            None => RowSource::Called(ordered.query([])?),
        };
        let mut walk = Self { rows, batch: Batch::default(), at: 0, passed_count: 0 };
        walk.refill()?;
        Ok(walk)
    }

    /// The statement that reads the snapshot in id order.
    pub(super) fn statement(connection: &Connection) -> rusqlite::Result<Statement<'_>> {
        connection.prepare(SQL)
    }

    /// The current row; `None` at the end.
    pub(super) fn here(&self) -> Option<SnapshotRow<'_>> {
        self.batch.get(self.at)
    }

    /// Moves to the next row.
    ///
    /// # Errors
    /// The state cannot be read. The position is then meaningless.
    pub(super) fn advance(&mut self) -> rusqlite::Result<()> {
        self.at += 1;
        self.passed_count += 1;
        if self.at == self.batch.rows.len() { self.refill() } else { Ok(()) }
    }

    /// Number of rows before the current one.
    pub(super) fn passed_count(&self) -> u64 {
        self.passed_count
    }

    fn refill(&mut self) -> rusqlite::Result<()> {
        self.at = 0;
        match &mut self.rows {
            RowSource::Called(rows) => self.batch.fill(rows),
            RowSource::Ahead(ahead) => ahead.exchange(&mut self.batch),
        }
    }
}

/// A thread that reads ahead.
pub(super) struct Ahead<'scope> {
    filled: Receiver<rusqlite::Result<Batch>>,
    empty: Sender<Batch>,
    thread: Option<ScopedJoinHandle<'scope, ()>>,
    /// The caller's value from before the thread began.
    data_version: i64,
}

impl<'scope> Ahead<'scope> {
    /// Starts a thread that reads what a connection outside a transaction sees now. Returns `None` if there are too few
    /// rows, if the state is in memory, or if the thread cannot read; in that case the caller meets the error itself.
    pub(super) fn begin(connection: &Connection, scope: &'scope Scope<'scope, '_>) -> rusqlite::Result<Option<Self>> {
        let Some(path) = connection.path().filter(|path| !path.is_empty()) else { return Ok(None) };
        let rows_count: i64 = connection.query_row("SELECT provisioned FROM counts", [], |row| row.get(0))?;
        if rows_count < WORTH_A_THREAD_ROWS {
            return Ok(None);
        }
        let (path, data_version) = (Path::new(path).to_owned(), data_version(connection)?);
        let (give_back, empty) = channel();
        let (fill, filled) = sync_channel(BATCHES_AHEAD);
        let (began, begun) = channel();
        for _ in 0..BATCHES_AHEAD {
            let _ = give_back.send(Batch::default());
        }
        let thread = std::thread::Builder::new().name("snapshot".to_owned());
        let Ok(thread) = thread.spawn_scoped(scope, move || read(&path, began, &empty, &fill)) else { return Ok(None) };
        Ok(begun.recv().ok().map(|()| Self { filled, empty: give_back, thread: Some(thread), data_version }))
    }

    /// Whether it sees the same commit as the caller's transaction, which began later.
    pub(super) fn sees_what(&self, connection: &Connection) -> rusqlite::Result<bool> {
        Ok(data_version(connection)? == self.data_version)
    }

    fn exchange(&mut self, batch: &mut Batch) -> rusqlite::Result<()> {
        let next = self.filled.recv().unwrap_or_else(|_| {
            // The thread panicked; otherwise it ends with an empty batch or an error.
            let _ = self.thread.take().map(ScopedJoinHandle::join);
            let what = "the thread that reads the snapshot crashed".to_owned();
            Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERNAL), Some(what)))
        })?;
        // After the last row the thread no longer waits for empty batches.
        let _ = self.empty.send(std::mem::replace(batch, next));
        Ok(())
    }
}

fn read(path: &Path, began: Sender<()>, empty: &Receiver<Batch>, fill: &SyncSender<rusqlite::Result<Batch>>) {
    let Ok(connection) = open(path, Access::Read) else { return };
    let walk = || -> rusqlite::Result<()> {
        let _one_commit = connection.unchecked_transaction()?;
        let mut statement = Walk::statement(&connection)?;
        let mut rows = statement.query([])?;
        let mut began = Some(began);
        while let Ok(mut batch) = empty.recv() {
            // The first row begins the transaction.
            batch.fill(&mut rows)?;
            began.take().map(|began| began.send(()));
            let ended = batch.rows.is_empty();
            if fill.send(Ok(batch)).is_err() || ended {
                break;
            }
        }
        Ok(())
    };
    if let Err(error) = walk() {
        let _ = fill.send(Err(error));
    }
}

/// Changes whenever another connection has committed.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Moment;

    fn state(folder: &tempfile::TempDir, links_count: i64) -> (std::path::PathBuf, Connection) {
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
        (path, connection)
    }

    /// Walks to the end, or to an error: whether a thread read, and how many rows.
    fn walk(path: &Path, before_the_caller_begins: impl FnOnce()) -> rusqlite::Result<(bool, u64)> {
        let connection = open(path, Access::Read).expect("a state");
        std::thread::scope(|scope| {
            let ahead = Ahead::begin(&connection, scope)?;
            before_the_caller_begins();
            let _one_commit = connection.unchecked_transaction()?;
            let ahead = match ahead {
                Some(ahead) if ahead.sees_what(&connection)? => Some(ahead),
                Some(_) | None => None,
            };
            let mut ordered = Walk::statement(&connection)?;
            let mut walk = Walk::begin(ahead, &mut ordered)?;
            let mut last = String::new();
            while let Some(here) = walk.here() {
                assert!(*here.directory_id > *last && here.row_view.user_name.parse() == Ok(here.row));
                last = here.directory_id.to_owned();
                walk.advance()?;
            }
            Ok((matches!(walk.rows, RowSource::Ahead(_)), walk.passed_count()))
        })
    }

    #[test]
    fn many_rows_are_read_by_a_thread_where_it_sees_the_same_commit() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, connection) = state(&folder, WORTH_A_THREAD_ROWS);
        assert_eq!(walk(&path, || {}), Ok((true, 10_000)));
        let written = || connection.execute_batch("DELETE FROM links WHERE row = 7").expect("written");
        assert_eq!(walk(&path, written), Ok((false, 9_999)));
        assert_eq!(walk(&path, || {}), Ok((true, 9_999)));
        connection.execute_batch("UPDATE counts SET provisioned = 9999").expect("written");
        assert_eq!(walk(&path, || {}), Ok((false, 9_999)));
    }

    #[test]
    fn a_row_that_cannot_be_read_is_an_error_and_never_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, connection) = state(&folder, WORTH_A_THREAD_ROWS);
        let damage = "UPDATE links SET user_name = CAST(x'80' AS TEXT) WHERE row = 8000";
        connection.execute_batch(damage).expect("no UTF-8 in it any more");
        assert!(walk(&path, || {}).is_err());
    }
}
