//! The audit log in the state, and each sink's position in it.

use crate::event::{Draft, Head, Installation, SealKey, Sealed, chain_of, seal};
use crate::model::{Committed, DirectoryId, Duration, Moment, ScimId, folded};
use rusqlite::{Connection, OptionalExtension, Transaction};

/// A sink's position in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkPlace {
    /// The sink's name in the state: its kind and destination.
    pub name: String,
    /// Sequence of the last delivered event.
    pub delivered: i64,
    /// Number of events that it refused for good and that were not sent again since.
    pub dead_letters: i64,
    /// Number of events that it ever refused for good: it never falls.
    pub refused_ever: i64,
    /// Why it is stuck, if it is.
    pub error: Option<String>,
    /// Since when it is stuck.
    pub since: Option<Moment>,
}

impl SinkPlace {
    /// The position of a sink without deliveries.
    #[must_use]
    pub fn begin(name: &str) -> Self {
        Self { name: name.to_owned(), delivered: 0, dead_letters: 0, refused_ever: 0, error: None, since: None }
    }

    /// Why it is stuck, without its name.
    #[must_use]
    pub fn why_stuck(&self) -> Option<&str> {
        let error = self.error.as_deref()?;
        let prefix = format!("sink {}: ", self.name);
        Some(error.strip_prefix(&prefix).unwrap_or(error))
    }
}

/// The head of the log.
pub fn head_of(connection: &Connection) -> rusqlite::Result<Head> {
    connection
        .prepare_cached("SELECT sequence, chain, timestamp FROM head")?
        .query_row([], |row| Ok(Head { sequence: row.get(0)?, chain: row.get(1)?, timestamp: Moment(row.get(2)?) }))
}

/// The reign under which the log is written.
pub fn reign(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT reign FROM installation")?.query_row([], |row| row.get(0))
}

/// The end of the log, for whoever has to know it elsewhere.
pub fn committed(connection: &Connection) -> rusqlite::Result<Committed> {
    let Head { sequence, chain, .. } = head_of(connection)?;
    Ok(Committed { sequence, chain, reign: reign(connection)? })
}

/// The installation, as its events name it.
pub fn installation_id(connection: &Connection) -> rusqlite::Result<String> {
    connection.prepare_cached("SELECT installation_id FROM installation")?.query_row([], |row| row.get(0))
}

/// What seals the next events of a transaction: the head, read inside it because two processes may seal, and what all events
/// share.
pub(super) struct Tail {
    head: Head,
    installation: Installation,
    key: Option<SealKey>,
}

/// Reads it.
pub(super) fn tail(transaction: &Transaction<'_>) -> rusqlite::Result<Tail> {
    let (head, installation) = transaction
        .prepare_cached("SELECT sequence, chain, timestamp, installation_id, integration_id FROM head, installation")?
        .query_row([], |row| {
            let head = Head { sequence: row.get(0)?, chain: row.get(1)?, timestamp: Moment(row.get(2)?) };
            let (installation_id, integration_id) = (row.get(3)?, row.get(4)?);
            Ok((head, Installation { installation_id, integration_id, organization: String::new() }))
        })?;
    Ok(Tail { head, installation, key: seal_key(transaction)? })
}

/// Seals events behind it, and moves it on; [`write_tail`] stores where it is.
pub(super) fn append_behind(
    transaction: &Transaction<'_>,
    tail: &mut Tail,
    drafts: &[Draft],
    now: Moment,
) -> rusqlite::Result<()> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO events (sequence, stored_at, directory_id, line) VALUES (?1, ?2, ?3, ?4)")?;
    for draft in drafts {
        let sealed = seal(draft, &mut tail.head, &tail.installation, tail.key.as_ref(), (now, random()))
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(0, tail.head.sequence))?;
        let directory_id = draft.resource.as_ref().map(|resource| resource.id.as_str());
        insert.execute((sealed.sequence, now.0, directory_id, &sealed.line))?;
    }
    Ok(())
}

/// Stores the head.
pub(super) fn write_tail(transaction: &Transaction<'_>, Tail { head, .. }: &Tail) -> rusqlite::Result<()> {
    transaction.prepare_cached("UPDATE head SET sequence = ?1, chain = ?2, timestamp = ?3")?.execute((
        head.sequence,
        &head.chain,
        head.timestamp.0,
    ))?;
    Ok(())
}

/// Seals events behind the head, which it reads inside the transaction.
pub fn append(transaction: &Transaction<'_>, drafts: &[Draft], now: Moment) -> rusqlite::Result<()> {
    if drafts.is_empty() {
        return Ok(());
    }
    let mut tail = tail(transaction)?;
    append_behind(transaction, &mut tail, drafts, now)?;
    write_tail(transaction, &tail)
}

/// Gives this connection the key with which it seals, or believes what is sealed; it is kept in memory only.
///
/// # Errors
/// SQLite has no memory.
pub fn seal_with(connection: &Connection, key: &SealKey) -> rusqlite::Result<()> {
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let only_reads: bool = connection.pragma_query_value(None, "query_only", |row| row.get(0))?;
    connection.pragma_update(None, "query_only", false)?;
    connection.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS seal_key (key TEXT NOT NULL) STRICT; DELETE FROM temp.seal_key",
    )?;
    connection.execute("INSERT INTO temp.seal_key VALUES (?1)", [key.expose()])?;
    connection.pragma_update(None, "query_only", only_reads)
}

pub(super) fn seal_key(connection: &Connection) -> rusqlite::Result<Option<SealKey>> {
    let given = "SELECT 1 FROM temp.sqlite_master WHERE name = 'seal_key'";
    if !connection.prepare_cached(given)?.exists([])? {
        return Ok(None);
    }
    connection
        .query_row("SELECT key FROM temp.seal_key", [], |row| Ok(SealKey::new(row.get_ref(0)?.as_str()?)))
        .optional()
}

/// Eight bytes from the system's random source.
fn random() -> [u8; 8] {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        bytes = xxhash_rust::xxh3::xxh3_64(&std::process::id().to_be_bytes()).to_be_bytes();
    }
    bytes
}

/// A sink's next events, in order, at most `count`.
pub fn pending(connection: &Connection, after: i64, count: u32) -> rusqlite::Result<Vec<Sealed>> {
    connection
        .prepare_cached("SELECT sequence, line FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT ?2")?
        .query_map((after, count), |row| Ok(Sealed { sequence: row.get(0)?, line: row.get(1)? }))?
        .collect()
}

/// The same, and no more of them than make so many bytes; at least one.
///
/// # Errors
/// The state cannot be read.
pub fn pending_within(
    connection: &Connection,
    after: i64,
    count: u32,
    bytes_max: usize,
) -> rusqlite::Result<Vec<Sealed>> {
    let sql = "SELECT sequence, line FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((after, count))?;
    let (mut events, mut bytes_count) = (Vec::new(), 0);
    while bytes_count < bytes_max
        && let Some(row) = rows.next()?
    {
        let line: String = row.get(1)?;
        bytes_count += line.len();
        events.push(Sealed { sequence: row.get(0)?, line });
    }
    Ok(events)
}

/// The positions of all sinks that were ever configured.
pub fn sink_places(connection: &Connection) -> rusqlite::Result<Vec<SinkPlace>> {
    connection
        .prepare(
            "SELECT name, delivered, (SELECT count(*) FROM dead_letters WHERE sink = name), error, since,
             dead_letters FROM sinks ORDER BY name",
        )?
        .query_map([], |row| {
            let since = row.get::<_, Option<i64>>(4)?.map(Moment);
            Ok(SinkPlace {
                name: row.get(0)?,
                delivered: row.get(1)?,
                dead_letters: row.get(2)?,
                refused_ever: row.get(5)?,
                error: row.get(3)?,
                since,
            })
        })?
        .collect()
}

/// Stores a sink's position.
pub fn note_sink(transaction: &Transaction<'_>, place: &SinkPlace) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO sinks (name, delivered, error, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name)
             DO UPDATE SET delivered = excluded.delivered, error = excluded.error, since = excluded.since",
        )?
        .execute((&place.name, place.delivered, &place.error, place.since.map(|since| since.0)))?;
    Ok(())
}

/// Gives a sink's place another key, with what it refused. `replaces`: also where there is one of that key already.
///
/// # Errors
/// The state cannot be written.
pub fn move_place(transaction: &Transaction<'_>, from: &str, to: &str, replaces: bool) -> rusqlite::Result<()> {
    let exists = |name: &str| transaction.prepare_cached("SELECT 1 FROM sinks WHERE name = ?1")?.exists([name]);
    if !exists(from)? || (exists(to)? && !replaces) {
        return Ok(());
    }
    for (table, key) in [("sinks", "name"), ("dead_letters", "sink")] {
        transaction.execute(&format!("DELETE FROM {table} WHERE {key} = ?1"), [to])?;
        transaction.execute(&format!("UPDATE {table} SET {key} = ?2 WHERE {key} = ?1"), (from, to))?;
    }
    Ok(())
}

/// Deletes events that are older than `keep` and delivered to all of these sinks; the chain goes on.
pub fn prune(transaction: &Transaction<'_>, sinks: &[String], now: Moment, keep: Duration) -> rusqlite::Result<()> {
    let mut shipped = i64::MAX;
    for name in sinks {
        let delivered: Option<i64> = transaction
            .query_row("SELECT delivered FROM sinks WHERE name = ?1", [name], |row| row.get(0))
            .optional()?;
        shipped = shipped.min(delivered.unwrap_or(0));
    }
    // Events are in time order, so the first one that is young enough ends the search.
    let first_kept: Option<i64> = transaction
        .query_row(
            "SELECT sequence FROM events WHERE stored_at >= ?1 ORDER BY sequence LIMIT 1",
            [now.minus(keep).0],
            |row| row.get(0),
        )
        .optional()?;
    // An approval is believed for its event.
    let sql = "SELECT min(event) FROM approvals WHERE NOT used";
    let approved: Option<i64> = transaction.query_row(sql, [], |row| row.get(0))?;
    let last = [first_kept, approved].into_iter().flatten().map(|kept| kept - 1).fold(shipped, i64::min);
    let pruned: Option<(i64, String)> = transaction
        .query_row(
            "SELECT sequence, line FROM events WHERE sequence <= ?1 ORDER BY sequence DESC LIMIT 1",
            [last],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((sequence, line)) = pruned else { return Ok(()) };
    transaction.execute("DELETE FROM events WHERE sequence <= ?1", [sequence])?;
    let chain = chain_of(&line).unwrap_or_default();
    transaction.execute("UPDATE pruned SET sequence = ?1, chain = ?2", (sequence, chain)).map(|_| ())
}

/// Up to which event the log was pruned, and its chain (empty if it is not known); `None` if that is not noted.
///
/// # Errors
/// The state cannot be read.
pub fn pruned(connection: &Connection) -> rusqlite::Result<Option<(i64, String)>> {
    connection.query_row("SELECT sequence, chain FROM pruned", [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// When this installation was made: nothing in its log is older.
///
/// # Errors
/// The state cannot be read.
pub fn installed_at(connection: &Connection) -> rusqlite::Result<Moment> {
    connection.query_row("SELECT created_at FROM installation", [], |row| row.get(0).map(Moment))
}

/// One event's line, if it has not been pruned.
pub fn event_line(connection: &Connection, sequence: i64) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT line FROM events WHERE sequence = ?1")?
        .query_row([sequence], |row| row.get(0))
        .optional()
}

/// The account of this user that was made inactive last, as the log has it.
///
/// # Errors
/// The state cannot be read.
pub fn last_deactivated(connection: &Connection, id: &DirectoryId) -> rusqlite::Result<Option<ScimId>> {
    let last = "SELECT line ->> '$.resource.target_id' FROM events WHERE directory_id = ?1
                AND line ->> '$.event_type' = 'user_deprovision' AND line ->> '$.success' ORDER BY sequence DESC LIMIT 1";
    let target: Option<Option<String>> = connection.query_row(last, [id.as_str()], |row| row.get(0)).optional()?;
    Ok(target.flatten().map(ScimId::new))
}

/// Whether the log names this account of a user.
///
/// # Errors
/// The state cannot be read.
pub fn names_account(connection: &Connection, id: &DirectoryId, scim_id: &ScimId) -> rusqlite::Result<bool> {
    let named = "SELECT 1 FROM events WHERE directory_id = ?1 AND line ->> '$.resource.target_id' = ?2";
    connection.prepare_cached(named)?.exists((id.as_str(), scim_id.as_str()))
}

/// Whom the log knows by a username, also one that he had once; the latest, if several had it.
///
/// # Errors
/// The state cannot be read.
pub fn find_in_log(connection: &Connection, username: &str) -> rusqlite::Result<Option<DirectoryId>> {
    let wanted = folded(username);
    let mut statement = connection.prepare(
        "SELECT directory_id, json_extract(line, '$.resource.username') FROM events WHERE directory_id IS NOT NULL
         ORDER BY sequence DESC",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if row.get_ref(1)?.as_str_or_null()?.is_some_and(|name| folded(name) == wanted) {
            return Ok(Some(DirectoryId::new(row.get_ref(0)?.as_str()?)));
        }
    }
    Ok(None)
}

/// The lines of one user's events, oldest first.
pub fn history(connection: &Connection, id: &DirectoryId) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(
            "SELECT line FROM events WHERE directory_id = ?1 OR directory_id IN
             (SELECT former_id FROM former_ids WHERE directory_id = ?1) ORDER BY sequence",
        )?
        .query_map([id.as_str()], |row| row.get(0))?
        .collect()
}
