//! A state that was restored from a backup is behind its own log. Its sequences continue after the log's head, the next
//! cycle is a refresh, and that cycle's removals are held until approved.

use super::lock::NotedHead;
use super::{StateError, log};
use crate::event::{Draft, EventType, Source, chain_of};
use crate::model::Moment;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Detects a restored state and marks it. Every command that writes calls this first, because its own event would hide
/// the gap. `first` says what a missing note means. Returns a sentence about the restoration, if there was one.
pub fn continue_log(
    connection: &mut Connection,
    noted: Option<&NotedHead>,
    unnoted: Unnoted,
    now: Moment,
) -> Result<Option<String>, StateError> {
    let head = log::head_of(connection)?;
    let said = match noted {
        Some(noted) if noted.sequence > head.sequence => {
            format!("the state ends at event {}, but its log ends at event {}", head.sequence, noted.sequence)
        }
        Some(noted) if was_another(connection, noted)? => {
            format!("event {} in the state differs from the one in its log", noted.sequence)
        }
        None if head.sequence > 0 && unnoted == Unnoted::IsRestored => {
            format!("the state ends at event {}, but no lock file beside it says where its log ends", head.sequence)
        }
        Some(_) | None => return Ok(None),
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    go_on_after(&transaction, noted)?;
    // Approvals and first sightings belong to the lost history.
    transaction.execute_batch(
        "UPDATE installation SET restored = 1, quiet_digest = NULL; DELETE FROM approvals; DELETE FROM absences; DELETE FROM unlisted;",
    )?;
    let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, Source::Recovery);
    draft.response.details = format!("restored: {said}");
    log::append(&transaction, &[draft], now)?;
    transaction.commit()?;
    Ok(Some(said))
}

/// Whether a sender would find that this state was restored, and has not yet. It only looks.
///
/// # Errors
/// The state cannot be read.
pub fn looks_restored(connection: &Connection, noted: Option<&NotedHead>) -> rusqlite::Result<bool> {
    let Some(noted) = noted else { return Ok(false) };
    Ok(noted.sequence > log::head_of(connection)?.sequence || was_another(connection, noted)?)
}

/// What a lock file without a noted head means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unnoted {
    /// The state was brought here from elsewhere.
    IsRestored,
    /// The next sender decides.
    IsUnknown,
}

/// Whether the state's event of that number has another chain than the noted one.
fn was_another(connection: &Connection, noted: &NotedHead) -> rusqlite::Result<bool> {
    let line = log::event_line(connection, noted.sequence)?;
    let chain = line.as_deref().and_then(chain_of);
    Ok(!noted.chain.is_empty() && chain.is_some_and(|chain| chain != noted.chain))
}

/// Continues the log after the noted head, if that is further on.
pub fn go_on_after(transaction: &Transaction<'_>, noted: Option<&NotedHead>) -> rusqlite::Result<()> {
    let head = log::head_of(transaction)?;
    let Some(NotedHead { sequence, chain }) = noted.filter(|noted| noted.sequence > head.sequence) else {
        return Ok(());
    };
    transaction.execute("UPDATE head SET sequence = ?1, chain = ?2", (sequence, chain))?;
    transaction.execute(
        "INSERT INTO restorations (first, chain_before) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (sequence + 1, chain),
    )?;
    Ok(())
}

/// The chain before an event that follows a gap, if the state was restored there.
pub fn chain_before(connection: &Connection, first: i64) -> rusqlite::Result<Option<String>> {
    use rusqlite::OptionalExtension;
    connection
        .prepare_cached("SELECT chain_before FROM restorations WHERE first = ?1")?
        .query_row([first], |row| row.get(0))
        .optional()
}
