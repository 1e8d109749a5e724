//! Events that a sink refused for good: kept until somebody sends them again.

use crate::model::Moment;
use rusqlite::{Connection, Transaction};

/// An event that a sink refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetterRow {
    /// The sink's place.
    pub sink: String,
    /// Its sequence.
    pub sequence: i64,
    /// Its line as the log had it.
    pub line: String,
    /// Why it was refused.
    pub why: String,
    /// When.
    pub at: Moment,
}

/// Puts events aside that a sink refused, with what it says about each, and counts those that it had not refused before.
///
/// # Errors
/// The state cannot be written.
pub fn put_aside(
    transaction: &Transaction<'_>,
    sink: &str,
    letters: &[(i64, String)],
    now: Moment,
) -> rusqlite::Result<()> {
    let mut known = transaction.prepare_cached("UPDATE dead_letters SET why = ?3 WHERE sink = ?1 AND sequence = ?2")?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO dead_letters (sink, sequence, line, why, at) SELECT ?1, sequence, line, ?3, ?4 FROM events WHERE sequence = ?2",
    )?;
    let mut new_count: i64 = 0;
    for (sequence, why) in letters {
        if known.execute((sink, sequence, why))? == 0 {
            new_count += i64::from(insert.execute((sink, sequence, why, now.0))? > 0);
        }
    }
    transaction
        .prepare_cached(
            "INSERT INTO sinks (name, delivered, dead_letters) VALUES (?1, 0, ?2) ON CONFLICT (name)
             DO UPDATE SET dead_letters = dead_letters + excluded.dead_letters",
        )?
        .execute((sink, new_count))?;
    Ok(())
}

/// All of them, by sink and sequence.
///
/// # Errors
/// The state cannot be read.
pub fn dead_letters(connection: &Connection) -> rusqlite::Result<Vec<DeadLetterRow>> {
    connection
        .prepare("SELECT sink, sequence, line, why, at FROM dead_letters ORDER BY sink, sequence")?
        .query_map([], |row| {
            Ok(DeadLetterRow {
                sink: row.get(0)?,
                sequence: row.get(1)?,
                line: row.get(2)?,
                why: row.get(3)?,
                at: Moment(row.get(4)?),
            })
        })?
        .collect()
}

/// The sink has these events now.
///
/// # Errors
/// The state cannot be written.
pub fn forget_dead_letters(transaction: &Transaction<'_>, sink: &str, sequences: &[i64]) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM dead_letters WHERE sink = ?1 AND sequence = ?2")?;
    for sequence in sequences {
        delete.execute((sink, sequence))?;
    }
    Ok(())
}
