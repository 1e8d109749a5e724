//! The instants in the state: the latest of them, and the correction of those that were written under a wrong clock. Which
//! those are is decided elsewhere.

use super::log;
use crate::clock::{APPROVAL, WAIT_MAX};
use crate::event::Draft;
use crate::model::Moment;
use rusqlite::{Connection, Transaction};

/// Columns that hold what was the present when it was written. One that lies ahead becomes the present.
const WRITTEN: [(&str, &[&str]); 9] = [
    ("head", &["timestamp"]),
    ("installation", &["created_at", "checkpoint_at", "last_good_cycle_at"]),
    (
        "health",
        &[
            "managed_since",
            "last_cycle_at",
            "failing_since",
            "token_first_proven_at",
            "token_proven_at",
            "token_refused_since",
            "replica_behind_since",
        ],
    ),
    ("intents", &["stored_at", "ended_at"]),
    ("outstanding_users", &["since", "until"]),
    ("holds", &["stored_at", "approved_at"]),
    ("sinks", &["since"]),
    ("unmanaged", &["since"]),
    ("scope_groups", &["named_at"]),
];

/// The latest instant that was the present when it was written; a wait counts from its earliest beginning. What is stored only
/// together with an event is not later than that.
///
/// # Errors
/// The state cannot be read.
pub fn latest(connection: &Connection) -> rusqlite::Result<Moment> {
    let sql =
        "SELECT max(h.timestamp, i.checkpoint_at, ifnull(i.last_good_cycle_at, 0), ifnull(i.export_written_at, 0),
         ifnull(i.memberships_written_at, 0), i.not_before - ?1, ifnull(w.last_cycle_at, 0), ifnull(w.managed_since, 0),
         ifnull(w.token_proven_at, 0),
         (SELECT ifnull(max(stored_at), 0) FROM intents WHERE ended_at IS NULL),
         (SELECT ifnull(max(expires_at), 0) - ?2 FROM approvals)) FROM head h, installation i, health w";
    connection
        .prepare_cached(sql)?
        .query_row((WAIT_MAX.milliseconds(), APPROVAL.milliseconds()), |row| row.get(0).map(Moment))
}

/// Ends what a wrong clock left: waits, next tries, `Retry-After` and approvals end, intents count as of now, and the time of
/// the export last read is forgotten. The log says so, and goes on with the present time.
///
/// # Errors
/// The state cannot be written.
pub fn correct_clock(
    transaction: &Transaction<'_>,
    wrong_beyond: Moment,
    said: &Draft,
    now: Moment,
) -> rusqlite::Result<()> {
    let (limit, now) = (wrong_beyond.0, now.0);
    // Events are in time order, and many.
    let right = "SELECT ifnull(max(sequence), 0) FROM
                 (SELECT sequence FROM events WHERE stored_at <= ?1 ORDER BY sequence DESC LIMIT 1)";
    transaction.execute(&format!("UPDATE events SET stored_at = ?2 WHERE sequence > ({right})"), (limit, now))?;
    for (table, columns) in WRITTEN {
        for column in columns {
            transaction.execute(&format!("UPDATE {table} SET {column} = ?2 WHERE {column} > ?1"), (limit, now))?;
        }
    }
    transaction.execute("UPDATE installation SET not_before = 0 WHERE not_before > ?1", [limit])?;
    for column in ["export_written_at", "memberships_written_at"] {
        transaction.execute(&format!("UPDATE installation SET {column} = NULL WHERE {column} > ?1"), [limit])?;
    }
    super::fingerprints::forget_fingerprints(transaction)?;
    // One that was given by the right clock meanwhile ends within its hour.
    transaction
        .execute("DELETE FROM approvals WHERE expires_at > ?1", [limit.saturating_add(APPROVAL.milliseconds())])?;
    log::append(transaction, std::slice::from_ref(said), Moment(now))
}
