//! A state that was restored from a backup is behind its own log. Its sequences continue after the log's head, the next
//! cycle is a refresh, and that cycle's removals are held until approved.

use super::fingerprints::forget_fingerprints;
use super::lock::{NotedHead, UNREADABLE};
use super::{StateError, log};
use crate::event::{Draft, EventType, SEQUENCE_END, Source, chain_of};
use crate::model::Moment;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// A log that went on for longer than this since the backup was made is not believed: that is years of changes.
const BEYOND_HEAD_MAX: i64 = 10_000_000;
/// Where nobody knows how far the lost log went, the next event gets the next multiple of this: no number is given twice.
const SKIP: i64 = 1_000_000;
/// A greater number in a lock file counts as this one.
const REIGN_MAX: i64 = 1 << 31;
/// How many hex digits an installation's id has.
const ID_DIGITS: usize = 24;

/// Detects a restored state and marks it. Every command that writes calls this first, because its own event would hide
/// the gap. `first` says what a missing note means. Returns a sentence about the restoration, if there was one.
pub fn continue_log(
    connection: &mut Connection,
    noted: Option<&NotedHead>,
    without_note: WithoutNote,
    now: Moment,
) -> Result<Option<String>, StateError> {
    let head = log::head_of(connection)?;
    if let Some(noted) = noted {
        is_credible(connection, noted)?;
    }
    // A note of another reign knows no more of the lost log than none does.
    let is_behind = |noted: &&NotedHead| noted.sequence > head.sequence;
    let known_end = match noted.filter(is_behind) {
        Some(noted) if !is_of_another_reign(connection, noted)? => Some(noted),
        Some(_) | None => None,
    };
    let reached = noted.map_or(head.sequence, |noted| noted.sequence.max(head.sequence));
    let mut what = match noted {
        Some(noted) if noted.sequence > head.sequence => {
            format!("the state ends at event {}, but its log ends at event {}", head.sequence, noted.sequence)
        }
        Some(noted) if is_of_another_reign(connection, noted)? => {
            format!(
                "the state was written elsewhere after event {}, the last one that was written here",
                noted.sequence
            )
        }
        None if head.sequence > 0 && without_note == WithoutNote::IsRestored => {
            format!("the state ends at event {}, but no lock file beside it says where its log ends", head.sequence)
        }
        Some(_) | None => return Ok(None),
    };
    if known_end.is_none() {
        what.push_str(&format!("; events go on at {}", after_skip(reached)));
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match known_end {
        Some(_) => go_on_after(&transaction, known_end)?,
        None => skip(&transaction, reached, &head.chain)?,
    }
    // Approvals and first sightings belong to the lost history.
    begin_reign(&transaction, noted)?;
    transaction.execute_batch(
        "UPDATE installation SET restored = 1, quiet_digest = NULL; DELETE FROM approvals; DELETE FROM absences; DELETE FROM unlisted;",
    )?;
    forget_fingerprints(&transaction)?;
    let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, Source::Recovery);
    draft.response.details = format!("restored: {what}");
    log::append(&transaction, &[draft], now)?;
    transaction.commit()?;
    Ok(Some(what))
}

/// The number of the first event after a gap whose length nobody knows.
const fn after_skip(reached: i64) -> i64 {
    (reached / SKIP + 1) * SKIP
}

/// Leaves out every number that the lost log may have given.
pub(super) fn skip(transaction: &Transaction<'_>, reached: i64, chain: &str) -> rusqlite::Result<()> {
    let first = after_skip(reached);
    transaction.execute("UPDATE head SET sequence = ?1", [first - 1])?;
    let sql = "INSERT INTO restorations (first, chain_before, skipped) VALUES (?1, ?2, 1) ON CONFLICT DO NOTHING";
    transaction.execute(sql, (first, chain)).map(drop)
}

/// Whether a sender would find that this state was restored, and has not yet. It only looks; a note that cannot be true shows
/// nothing.
///
/// # Errors
/// The state cannot be read.
pub fn looks_restored(connection: &Connection, noted: Option<&NotedHead>) -> rusqlite::Result<bool> {
    let Some(noted) = noted else { return Ok(false) };
    match is_credible(connection, noted) {
        Ok(()) => Ok(noted.sequence > log::head_of(connection)?.sequence || is_of_another_reign(connection, noted)?),
        Err(StateError::Sqlite(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Whether the log was written elsewhere since the lock file was: a copy may lack what happened after it was made, and nothing here
/// can tell.
fn is_of_another_reign(connection: &Connection, noted: &NotedHead) -> rusqlite::Result<bool> {
    let Some(named) = noted.reign.filter(|_| noted.installation.is_some()) else { return Ok(false) };
    Ok(named != log::reign(connection)?)
}

/// Begins another reign: a greater number, and not the one that a second host would take that has the same copy.
pub(super) fn begin_reign(connection: &Connection, noted: Option<&NotedHead>) -> rusqlite::Result<()> {
    let sql = "UPDATE installation SET reign = max(reign, ?1) + 1 + abs(random() % 10000)";
    connection.execute(sql, [noted.and_then(|noted| noted.reign).unwrap_or(0).clamp(0, REIGN_MAX)]).map(drop)
}

/// What a lock file without a noted head means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WithoutNote {
    /// The state was brought here from elsewhere.
    IsRestored,
    /// The next sender decides.
    IsUnknown,
}

/// Whether a note can be believed: it names this installation, no log grows so far in so short a time, and the state's event of that
/// number, if there is one, has its chain. A note that a release of before wrote names nobody.
pub(super) fn is_credible(connection: &Connection, noted: &NotedHead) -> Result<(), StateError> {
    let no = |why: String| Err(StateError::LockNote { path: noted.path.clone(), why });
    let installation: String =
        connection.query_row("SELECT installation_id FROM installation", [], |row| row.get(0))?;
    if noted.sequence == UNREADABLE {
        return no(no_number());
    }
    if noted.installation.as_ref().is_some_and(|named| *named != installation) {
        return no("it belongs to another installation".to_owned());
    }
    let head = log::head_of(connection)?;
    if !is_within_reach(noted, head.sequence) {
        return no(format!(
            "it says that the log ends at event {}, the state ends at event {}",
            noted.sequence, head.sequence
        ));
    }
    let line = log::event_line(connection, noted.sequence)?;
    let chain = line.as_deref().and_then(chain_of);
    if !noted.chain.is_empty() && chain.is_some_and(|chain| chain != noted.chain) {
        return no(format!("event {} in the state differs from the one in its log", noted.sequence));
    }
    Ok(())
}

fn no_number() -> String {
    "it does not say where the log ends".to_owned()
}

fn is_within_reach(noted: &NotedHead, head: i64) -> bool {
    (0..SEQUENCE_END).contains(&noted.sequence) && noted.sequence <= head.saturating_add(BEYOND_HEAD_MAX)
}

/// A new state in the place of one that is lost goes on with its log, and so with its name: events, sinks and the lock file know
/// the installation by it.
pub fn take_name(connection: &Connection, noted: Option<&NotedHead>) -> rusqlite::Result<()> {
    let is_id = |name: &&String| name.len() == ID_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some(name) = noted.and_then(|noted| noted.installation.as_ref()).filter(is_id) else { return Ok(()) };
    connection.execute("UPDATE installation SET installation_id = ?1", [name])?;
    begin_reign(connection, noted)
}

/// Continues the log after the noted head, if that is further on. A new state takes over the log of whichever was here before.
///
/// # Errors
/// The note cannot be true, or the state cannot be written.
pub fn go_on_after(transaction: &Transaction<'_>, noted: Option<&NotedHead>) -> Result<(), StateError> {
    let head = log::head_of(transaction)?;
    if let Some(noted) = noted.filter(|noted| !is_within_reach(noted, head.sequence)) {
        let why = match noted.sequence {
            UNREADABLE => no_number(),
            sequence => format!("it says that the log ends at event {sequence}"),
        };
        return Err(StateError::LockNote { path: noted.path.clone(), why });
    }
    let Some(NotedHead { sequence, chain, .. }) = noted.filter(|noted| noted.sequence > head.sequence) else {
        return Ok(());
    };
    transaction.execute("UPDATE head SET sequence = ?1, chain = ?2", (sequence, chain))?;
    transaction.execute(
        "INSERT INTO restorations (first, chain_before) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (sequence + 1, chain),
    )?;
    Ok(())
}

/// Whether the numbers before this event were skipped, so that none was given twice.
///
/// # Errors
/// The state cannot be read.
pub fn was_skipped(connection: &Connection, first: i64) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM restorations WHERE first = ?1 AND skipped")?.exists([first])
}

/// The chain before an event that follows a gap, if the state was restored there.
pub fn chain_before(connection: &Connection, first: i64) -> rusqlite::Result<Option<String>> {
    use rusqlite::OptionalExtension;
    connection
        .prepare_cached("SELECT chain_before FROM restorations WHERE first = ?1")?
        .query_row([first], |row| row.get(0))
        .optional()
}
