//! Users whom `import --create` hands over to the directory. They are on record before the request, so that nobody is handed
//! over twice because an answer was lost.

use crate::model::Moment;
use rusqlite::{Connection, Transaction};
use std::collections::BTreeMap;

/// When each folded username was handed over whose end is not known.
pub fn handed_over(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Moment>> {
    connection
        .prepare("SELECT username, handed_over_at FROM handed_over")?
        .query_map([], |row| Ok((row.get(0)?, Moment(row.get(1)?))))?
        .collect()
}

/// Notes that these folded usernames are handed over now.
pub fn note_handed_over(transaction: &Transaction<'_>, usernames: &[String], now: Moment) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO handed_over VALUES (?1, ?2) ON CONFLICT DO UPDATE SET handed_over_at = excluded.handed_over_at",
    )?;
    usernames.iter().try_for_each(|username| insert.execute((username, now.0)).map(drop))
}

/// Notes that it is known what became of these.
pub fn no_longer_handed_over(transaction: &Transaction<'_>, usernames: &[String]) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare("DELETE FROM handed_over WHERE username = ?1")?;
    usernames.iter().try_for_each(|username| delete.execute([username]).map(drop))
}
