//! A state that was put back from a copy: it is behind its log, or nobody knows. Its sequences go on after the log's, the next
//! cycle is a refresh, and the removals of that one are held until they are approved.

use super::lock::{Lock, Noted};
use super::{StateError, log};
use crate::event::{Draft, EventType, Source};
use crate::model::Moment;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Sees whether the state is the one that was here last, and notes it where it is not. The answer says so, in words.
///
/// # Errors
/// The state cannot be read or written.
pub fn continue_log(connection: &mut Connection, lock: &mut Lock, now: Moment) -> Result<Option<String>, StateError> {
    let head = log::head_of(connection)?;
    let noted = lock.noted().cloned();
    let said = match &noted {
        Some(noted) if noted.sequence > head.sequence => {
            format!("the state ends with event {}, its log with event {}", head.sequence, noted.sequence)
        }
        Some(_) => return Ok(None),
        None if head.sequence == 0 => return Ok(None),
        None => format!("no lock file beside the state says how far its log is; it ends with event {}", head.sequence),
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    go_on_after(&transaction, noted.as_ref())?;
    transaction.execute("UPDATE installation SET restored = 1, quiet_digest = NULL", [])?;
    let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, Source::Recovery);
    draft.response.details = format!("restored: {said}");
    log::append(&transaction, &[draft], now)?;
    transaction.commit()?;
    Ok(Some(said))
}

/// Lets the log of this state go on after what was noted, where that is further.
///
/// # Errors
/// The state cannot be written.
pub fn go_on_after(transaction: &Transaction<'_>, noted: Option<&Noted>) -> rusqlite::Result<()> {
    let head = log::head_of(transaction)?;
    let Some(Noted { sequence, chain }) = noted.filter(|noted| noted.sequence > head.sequence) else { return Ok(()) };
    transaction.execute("UPDATE head SET sequence = ?1, chain = ?2", (sequence, chain))?;
    transaction.execute(
        "INSERT INTO restorations (first, chain_before) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (sequence + 1, chain),
    )?;
    Ok(())
}

/// The chain before an event that follows a gap, where the state was put back there.
///
/// # Errors
/// The state cannot be read.
pub fn chain_before(connection: &Connection, first: i64) -> rusqlite::Result<Option<String>> {
    use rusqlite::OptionalExtension;
    connection
        .prepare_cached("SELECT chain_before FROM restorations WHERE first = ?1")?
        .query_row([first], |row| row.get(0))
        .optional()
}
