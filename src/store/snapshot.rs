//! The snapshot joined with a stream of records: each id's row, and at the end the rows that no record named.

use super::walk::{Ahead, Walk};
use crate::model::{
    DirectoryId, LinkedExternalId, Names, ProvisionedUser, RowView, ScimId, ScopeVersionId, UserName, folded, is_near,
};
use rusqlite::{Connection, OptionalExtension, Row, Statement, Transaction};

const COLUMNS: &str = "directory_id, row, user_name, given_name, family_name, active, settings, scim_id, futile_count, futile_wanted, \
     wanted_by, external_id";
/// Value of the column `active`: the account was seen with another userName.
const FOREIGN: i64 = 2;

/// Looks rows up by id, fast if the ids ascend, and remembers which rows were found (one bit each).
///
/// An export in id order is a merge of two sorted streams; each id out of order costs one SELECT.
pub struct Snapshot<'w> {
    walk: Walk<'w>,
    by_id: Statement<'w>,
    connection: &'w Connection,
    looked_up: Option<ProvisionedUser>,
    is_empty: bool,
    /// Whether each row is looked up by its id, and the others are not read.
    is_sparse: bool,
    /// The row that was found last.
    last: i64,
    found_count: u64,
    found: Vec<u64>,
}

impl Snapshot<'_> {
    /// Opens the snapshot as of now, for the duration of `join`.
    ///
    /// # Errors
    /// The state cannot be read, or `join` failed.
    pub fn open<V, E: From<rusqlite::Error>>(
        connection: &Connection,
        join: impl FnOnce(Snapshot<'_>) -> Result<V, E>,
    ) -> Result<V, E> {
        std::thread::scope(|scope| {
            let ahead = Ahead::begin(connection, scope)?;
            let _one_commit = connection.unchecked_transaction()?;
            let ahead = match ahead {
                Some(ahead) if ahead.sees_what(connection)? => Some(ahead),
                Some(_) | None => None,
            };
            let mut ordered = Walk::statement(connection)?;
            let by_id = connection.prepare(&format!("SELECT {COLUMNS} FROM links WHERE directory_id = ?1"))?;
            let walk = Walk::begin(ahead, &mut ordered)?;
            let is_empty = walk.here().is_none();
            let snapshot = Snapshot {
                walk,
                by_id,
                connection,
                looked_up: None,
                is_empty,
                is_sparse: false,
                last: 0,
                found_count: 0,
                found: Vec::new(),
            };
            join(snapshot)
        })
    }

    /// Whether it had no row when it was opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// From here on rows are looked up one by one: few are asked for.
    pub fn look_up_each(&mut self) {
        self.is_sparse = true;
    }

    /// From here on rows are read in id order again: many are asked for.
    pub fn read_in_order(&mut self) {
        self.is_sparse = false;
    }

    /// The number of the row that was found last.
    #[must_use]
    pub fn last_row(&self) -> i64 {
        self.last
    }

    /// Notes a row that is known without being read.
    pub fn found(&mut self, row: u32) {
        self.mark(i64::from(row));
    }

    /// The compared columns of an id's row.
    pub fn row_view(&mut self, id: &str) -> rusqlite::Result<Option<RowView<'_>>> {
        self.looked_up = None;
        if self.is_sparse {
            let row = self.whole(id)?.map(|user| user.row);
            row.into_iter().for_each(|row| self.mark(row));
            return Ok(self.looked_up.as_ref().map(ProvisionedUser::row_view));
        }
        while self.walk.here().is_some_and(|here| here.directory_id < id) {
            self.walk.advance()?;
        }
        let here = self.walk.here().filter(|here| here.directory_id == id).map(|here| here.row);
        let row = match here {
            Some(row) => Some(row),
            None => self.whole(id)?.map(|user| user.row),
        };
        row.into_iter().for_each(|row| self.mark(row));
        Ok(match here {
            Some(_) => self.walk.here().map(|here| here.row_view),
            None => self.looked_up.as_ref().map(ProvisionedUser::row_view),
        })
    }

    /// The full row of the id last passed to [`Snapshot::row_view`].
    pub fn whole(&mut self, id: &str) -> rusqlite::Result<Option<&ProvisionedUser>> {
        if self.looked_up.is_none() && !self.is_empty {
            self.looked_up = self.by_id.query_row([id], read).optional()?;
        }
        Ok(self.looked_up.as_ref())
    }

    /// Calls `each` for every row that was not found.
    pub fn missing(mut self, each: &mut dyn FnMut(&ProvisionedUser)) -> rusqlite::Result<()> {
        if self.found_count == self.count()? {
            return Ok(());
        }
        let mut statement = self.connection.prepare(&format!("SELECT {COLUMNS} FROM links ORDER BY directory_id"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(1)?;
            if !self.was_found(number) {
                each(&read(row)?);
            }
        }
        Ok(())
    }

    /// How many rows there are.
    fn count(&mut self) -> rusqlite::Result<u64> {
        if self.is_sparse {
            // Counts an index's cells, a page at a time.
            let count: i64 = self.connection.query_row("SELECT count(*) FROM links", [], |row| row.get(0))?;
            return Ok(count.unsigned_abs());
        }
        while self.walk.here().is_some() {
            self.walk.advance()?;
        }
        Ok(self.walk.passed_count())
    }

    fn mark(&mut self, row: i64) {
        self.last = row;
        let (word, bit) = place(row);
        if self.found.len() <= word {
            self.found.resize(word + 1, 0);
        }
        self.found_count += u64::from(self.found[word] & bit == 0);
        self.found[word] |= bit;
    }

    fn was_found(&self, row: i64) -> bool {
        let (word, bit) = place(row);
        self.found.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

fn place(row: i64) -> (usize, u64) {
    let row = usize::try_from(row).unwrap_or(0);
    (row / 64, 1 << (row % 64))
}

/// The link with a folded username; if there are several, the one with the smallest directory id.
pub fn link_of(connection: &Connection, folded: &str) -> rusqlite::Result<Option<ProvisionedUser>> {
    // No ORDER BY: with it SQLite prepares the statement again for each value, at 20 times the cost of the look-up.
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM links WHERE folded = ?1"))?;
    let mut rows = statement.query([folded])?;
    let mut first: Option<ProvisionedUser> = None;
    while let Some(row) = rows.next()? {
        let user = read(row)?;
        if first.as_ref().is_none_or(|first| user.directory_id < first.directory_id) {
            first = Some(user);
        }
    }
    Ok(first)
}

/// Linked accounts that tell the right endpoint from a wrong one: `count` from either end of the directory ids,
/// alternating, because accounts that were deleted by hand tend to be neighbours.
pub fn witnesses(connection: &Connection, count: u32) -> rusqlite::Result<Vec<ProvisionedUser>> {
    let mut found: Vec<ProvisionedUser> = Vec::new();
    let mut ends = ["ASC", "DESC"].map(|order| (order, Vec::new()));
    for (order, users) in &mut ends {
        let mut statement =
            connection.prepare(&format!("SELECT {COLUMNS} FROM links ORDER BY directory_id {order} LIMIT ?1"))?;
        *users = statement.query_map([count], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    }
    let [(_, first), (_, last)] = ends;
    for user in last.iter().zip(&first).flat_map(|(last, first)| [last, first]) {
        if !found.iter().any(|known| known.row == user.row) {
            found.push(user.clone());
        }
    }
    Ok(found)
}

/// Linked accounts at random, those that were renamed by hand last: whether these are there shows which organisation answers.
pub fn some_links(connection: &Connection, count: u32) -> rusqlite::Result<Vec<ProvisionedUser>> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM links ORDER BY active = 2, random() LIMIT ?1"))?;
    statement.query_map([count], read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<ProvisionedUser> {
    let name = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?.map(Into::into));
    let active: i64 = row.get(5)?;
    Ok(ProvisionedUser {
        row: row.get(1)?,
        directory_id: DirectoryId::new(row.get_ref(0)?.as_str()?),
        scim_id: ScimId::new(row.get_ref(7)?.as_str()?),
        user_name: UserName::of_account(row.get_ref(2)?.as_str()?),
        names: Names { given: name(3)?, family: name(4)? },
        active: active != 0,
        foreign: active == FOREIGN,
        scope_version: ScopeVersionId(row.get(6)?),
        futile_count: row.get(8)?,
        futile_wanted: name(9)?,
        wanted_by: row.get(10)?,
        external_id: LinkedExternalId::from_stored(row.get_ref(11)?.as_str_or_null()?),
    })
}

/// The link of an account.
pub fn link_by_scim_id(connection: &Connection, scim_id: &ScimId) -> rusqlite::Result<Option<ProvisionedUser>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM links WHERE scim_id = ?1"))?
        .query_row([scim_id.as_str()], read)
        .optional()
}

/// Calls `each` for every link, in id order.
pub fn each_link(connection: &Connection, each: &mut dyn FnMut(ProvisionedUser)) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM links ORDER BY directory_id"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(read(row)?);
    }
    Ok(())
}

/// How many links there are.
///
/// # Errors
/// The state cannot be read.
pub fn links_count(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row("SELECT provisioned FROM counts", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Calls `each` with the account of every link, in no order.
///
/// # Errors
/// The state cannot be read.
pub fn each_linked_account(connection: &Connection, each: &mut dyn FnMut(&str)) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT scim_id FROM links")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(row.get_ref(0)?.as_str()?);
    }
    Ok(())
}

/// Linked usernames that a word may stand for: they, or given and family name, contain it; else they are the same up to the `@`;
/// else they are near it up to there. From A to Z, and at most so many.
///
/// # Errors
/// The state cannot be read.
pub fn linked_alike(connection: &Connection, word: &str, count_max: usize) -> rusqlite::Result<Vec<UserName>> {
    let wanted = folded(word.trim());
    if wanted.chars().count() < 2 {
        return Ok(Vec::new());
    }
    let before_at = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let mut statement = connection.prepare(
        "SELECT user_name, folded, ifnull(given_name, '') || ' ' || ifnull(family_name, '') FROM links ORDER BY folded",
    )?;
    let (mut rows, mut alike) = (statement.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_str()?;
        let how_far = if name.contains(&wanted) || folded(row.get_ref(2)?.as_str()?).contains(&wanted) {
            0
        } else if before_at(&wanted) == before_at(name) {
            1
        } else if is_near(&before_at(&wanted), &before_at(name)) {
            2
        } else {
            continue;
        };
        if name != wanted {
            alike.push((how_far, UserName::of_account(row.get_ref(0)?.as_str()?)));
        }
    }
    let nearest = alike.iter().map(|(how_far, _)| *how_far).min();
    alike.retain(|(how_far, _)| Some(*how_far) == nearest);
    Ok(alike.into_iter().map(|(_, name)| name).take(count_max).collect())
}

/// The directory ids of all links.
pub fn linked_ids(connection: &Connection) -> rusqlite::Result<Vec<DirectoryId>> {
    connection
        .prepare("SELECT directory_id FROM links ORDER BY directory_id")?
        .query_map([], |row| Ok(DirectoryId::new(row.get_ref(0)?.as_str()?)))?
        .collect()
}

/// The link of a directory id.
pub fn link_by_id(connection: &Connection, id: &DirectoryId) -> rusqlite::Result<Option<ProvisionedUser>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM links WHERE directory_id = ?1"))?
        .query_row([id.as_str()], read)
        .optional()
}

/// Notes the `externalId` of accounts whose links are older than that note.
///
/// # Errors
/// The state cannot be written.
pub fn note_external_ids(transaction: &Transaction<'_>, shown: &[(ScimId, LinkedExternalId)]) -> rusqlite::Result<()> {
    let note = "UPDATE links SET external_id = ?2 WHERE scim_id = ?1 AND external_id IS NULL";
    let mut note = transaction.prepare_cached(note)?;
    for (scim_id, external_id) in shown {
        note.execute((scim_id.as_str(), external_id.stored()))?;
    }
    Ok(())
}
