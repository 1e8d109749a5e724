//! The state of another host, or of this one after another has led: whether it has everything that may have left, and the reign that
//! begins with it.

use super::lock::NotedHead;
use super::restored::{begin_reign, go_on_after, is_credible, skip};
use super::{StateError, log};
use crate::event::{Draft, EventType, Source};
use crate::model::Moment;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Whether a copy has what was committed before its head was noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied {
    /// Everything: nothing left before it was copied.
    Everything,
    /// The replica was behind when the head was noted.
    PerhapsNot,
    /// It is a lock file that noted it: another host may have led since.
    AsFarAsALockFileKnows,
}

/// A state that this host goes on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TakenOver {
    /// The reign that begins.
    pub reign: i64,
    /// The last event before it.
    pub after: i64,
    /// What it lacks, if it was not whole.
    pub restored: Option<String>,
}

/// Logs that this host hands the lead on: it writes nothing after that.
pub fn hand_on(transaction: &Transaction<'_>, host: &str, now: Moment) -> rusqlite::Result<()> {
    let (head, reign) = (log::head_of(transaction)?, log::reign(transaction)?);
    let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, Source::Lead);
    draft.response.details = format!("leads no more: {host}, reign {reign}, after sequence {}", head.sequence);
    log::append(transaction, &[draft], now)
}

/// Whether this state is the one whose head was noted, or goes on from there: it was written here, under that reign.
///
/// # Errors
/// The state cannot be read.
pub fn goes_on_from(connection: &Connection, noted: &NotedHead) -> rusqlite::Result<bool> {
    let head = log::head_of(connection)?;
    if noted.reign != Some(log::reign(connection)?) || head.sequence < noted.sequence {
        return Ok(false);
    }
    match is_credible(connection, noted) {
        Ok(()) => Ok(head.sequence > noted.sequence || head.chain == noted.chain),
        Err(StateError::Sqlite(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Begins another reign in this state, and logs it. A state that is behind what was noted is a restored one, as is one of which nothing
/// is noted.
///
/// # Errors
/// The note cannot be true, or the state cannot be written.
pub fn take_over(
    connection: &mut Connection,
    noted: Option<&NotedHead>,
    copied: Copied,
    host: &str,
    now: Moment,
) -> Result<TakenOver, StateError> {
    let head = log::head_of(connection)?;
    if let Some(noted) = noted {
        is_credible(connection, noted)?;
    }
    let lacks = match noted {
        Some(noted) if noted.sequence > head.sequence => {
            Some(format!("the state ends at event {}, but its log ends at event {}", head.sequence, noted.sequence))
        }
        Some(noted) if noted.reign != Some(log::reign(connection)?) => {
            Some(format!("the state was written elsewhere after event {}", head.sequence))
        }
        Some(_) if copied == Copied::PerhapsNot => {
            Some(format!("the replica was behind: the state may lack what came after event {}", head.sequence))
        }
        None if head.sequence > 0 => {
            Some(format!("the state ends at event {}, and nothing says where its log ends", head.sequence))
        }
        Some(_) | None => None,
    };
    let is_of_another_reign = match noted {
        Some(noted) => noted.reign != Some(log::reign(connection)?),
        None => true,
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if lacks.is_some() && is_of_another_reign && (noted.is_none() || copied == Copied::AsFarAsALockFileKnows) {
        // Nobody knows how far the lost log went.
        let reached = noted.map_or(head.sequence, |noted| noted.sequence.max(head.sequence));
        skip(&transaction, reached, &head.chain)?;
    } else {
        go_on_after(&transaction, noted)?;
    }
    begin_reign(&transaction, noted)?;
    super::fingerprints::forget_fingerprints(&transaction)?;
    let (after, reign) = (log::head_of(&transaction)?.sequence, log::reign(&transaction)?);
    let event = |source, details| {
        let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, source);
        draft.response.details = details;
        draft
    };
    let mut drafts = Vec::new();
    if let Some(what) = &lacks {
        // Approvals and first sightings belong to the lost history.
        transaction.execute_batch(
            "UPDATE installation SET restored = 1, quiet_digest = NULL; DELETE FROM approvals; DELETE FROM absences;
             DELETE FROM unlisted;",
        )?;
        drafts.push(event(Source::Recovery, format!("restored: {what}")));
    }
    drafts.push(event(Source::Lead, format!("leads: {host}, reign {reign}, after sequence {after}")));
    log::append(&transaction, &drafts, now)?;
    transaction.commit()?;
    Ok(TakenOver { reign, after, restored: lacks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch;
    use std::path::PathBuf;

    const NOW: Moment = Moment(1_000_000);

    /// A state whose log ends at event 3, and the note of it.
    fn led() -> (Connection, NotedHead) {
        let mut connection = scratch(NOW).expect("a state");
        take_over(&mut connection, None, Copied::Everything, "host-a", NOW).expect("the first lead");
        for _ in 0..2 {
            let transaction = connection.transaction().expect("a transaction");
            hand_on(&transaction, "host-a", NOW).expect("an event");
            transaction.commit().expect("committed");
        }
        let (head, reign) = (log::head_of(&connection).expect("a head"), log::reign(&connection).expect("a reign"));
        let (installation, path) = (Some(String::new()), PathBuf::from("note"));
        let noted = NotedHead { sequence: head.sequence, chain: head.chain, installation, reign: Some(reign), path };
        (connection, noted)
    }

    /// What it lacks, and the number of the event that says who leads.
    #[track_caller]
    fn check(change: fn(&mut NotedHead), copied: Copied, lacks: Option<&str>, expected: i64) {
        let (mut connection, mut noted) = led();
        change(&mut noted);
        let taken = take_over(&mut connection, Some(&noted), copied, "host-b", NOW).expect("taken over");
        match (&taken.restored, lacks) {
            (Some(found), Some(lacks)) => assert!(found.contains(lacks), "{found}"),
            (found, lacks) => assert_eq!(found.as_deref(), lacks),
        }
        assert!(taken.reign > noted.reign.unwrap_or(0), "another reign");
        let head = log::head_of(&connection).expect("a head");
        assert_eq!(head.sequence, expected);
        let restored: bool =
            connection.query_row("SELECT restored FROM installation", [], |row| row.get(0)).expect("a row");
        assert_eq!(restored, lacks.is_some());
        let line = log::event_line(&connection, head.sequence).expect("readable").expect("an event");
        let says = format!("leads: host-b, reign {}, after sequence {}", taken.reign, taken.after);
        assert!(line.contains(&says) && line.contains("\"source\":\"lead\""), "{line}");
    }

    #[test]
    fn a_copy_that_has_what_was_noted_holds_nothing() {
        check(|_| {}, Copied::Everything, None, 4);
        // It may have more: nothing left that was not noted.
        let before = |noted: &mut NotedHead| (noted.sequence, noted.chain) = (2, String::new());
        check(before, Copied::Everything, None, 4);
    }

    #[test]
    fn a_copy_that_may_lack_something_is_a_restored_state() {
        check(|_| {}, Copied::PerhapsNot, Some("the replica was behind"), 5);
        let ahead = |noted: &mut NotedHead| (noted.sequence, noted.chain) = (9, "c".to_owned());
        check(ahead, Copied::Everything, Some("ends at event 3, but its log ends at event 9"), 11);
        let elsewhere = |noted: &mut NotedHead| noted.reign = noted.reign.map(|reign| reign + 1);
        check(elsewhere, Copied::AsFarAsALockFileKnows, Some("written elsewhere"), 1_000_001);
        let (connection, mut noted) = led();
        assert!(goes_on_from(&connection, &noted).expect("readable"));
        ahead(&mut noted);
        assert!(!goes_on_from(&connection, &noted).expect("readable"));
    }

    #[test]
    fn another_log_is_not_gone_on_with() {
        let (mut connection, mut noted) = led();
        noted.chain = "another".to_owned();
        assert!(!goes_on_from(&connection, &noted).expect("readable"));
        assert!(take_over(&mut connection, Some(&noted), Copied::Everything, "host-b", NOW).is_err());
        noted.installation = Some("another".to_owned());
        assert!(take_over(&mut connection, Some(&noted), Copied::Everything, "host-b", NOW).is_err());
    }
}
