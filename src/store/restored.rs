//! A state that was put back from a copy: it is behind its log, or nobody knows. Its sequences go on after the log's, the next
//! cycle is a refresh, and the removals of that one are held until they are approved.

use super::lock::Noted;
use super::{StateError, log};
use crate::event::{Draft, EventType, Source, chain_of};
use crate::model::Moment;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Sees whether the state is the one that was here last, and notes it where it is not. Every command that writes asks first:
/// an event of its own would hide it. `first` says what it means that nobody noted anything. The answer says so, in words.
///
/// # Errors
/// The state cannot be read or written.
pub fn continue_log(
    connection: &mut Connection,
    noted: Option<&Noted>,
    unnoted: Unnoted,
    now: Moment,
) -> Result<Option<String>, StateError> {
    let head = log::head_of(connection)?;
    let said = match noted {
        Some(noted) if noted.sequence > head.sequence => {
            format!("the state ends with event {}, its log with event {}", head.sequence, noted.sequence)
        }
        Some(noted) if was_another(connection, noted)? => {
            format!("event {} of the state is another one than its log's", noted.sequence)
        }
        None if head.sequence > 0 && unnoted == Unnoted::IsRestored => {
            format!("no lock file beside the state says how far its log is; it ends with event {}", head.sequence)
        }
        Some(_) | None => return Ok(None),
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    go_on_after(&transaction, noted)?;
    // What was released or first missed then was so in another history.
    transaction.execute_batch(
        "UPDATE installation SET restored = 1, quiet_digest = NULL; DELETE FROM approvals; DELETE FROM absences;",
    )?;
    let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, Source::Recovery);
    draft.response.details = format!("restored: {said}");
    log::append(&transaction, &[draft], now)?;
    transaction.commit()?;
    Ok(Some(said))
}

/// What it means that nobody noted how far the log is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unnoted {
    /// The state came from somewhere else.
    IsRestored,
    /// It is left to the next sender to say.
    IsUnknown,
}

/// Whether the state's event of that number has another chain than the one that was noted.
fn was_another(connection: &Connection, noted: &Noted) -> rusqlite::Result<bool> {
    let line = log::event_line(connection, noted.sequence)?;
    let chain = line.as_deref().and_then(chain_of);
    Ok(!noted.chain.is_empty() && chain.is_some_and(|chain| chain != noted.chain))
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
