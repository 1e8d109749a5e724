//! Which columns spoke for or against access in the last export that was read.

use crate::model::{Share, Spoken, SpokenBefore};
use rusqlite::{Connection, Transaction};

/// Reads the remembered columns.
pub fn spoken_before(connection: &Connection) -> rusqlite::Result<SpokenBefore> {
    connection.query_row("SELECT spoken_directory, spoken_most, spoken_few FROM installation", [], |row| {
        Ok(SpokenBefore::from_names(row.get(0)?, row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?))
    })
}

/// Stores the columns of an export that was read under this `[directory]`.
pub fn note_spoken(transaction: &Transaction<'_>, directory_number: i64, spoken: &Spoken) -> rusqlite::Result<()> {
    let before = spoken_before(transaction)?;
    let after = before.after(directory_number, spoken);
    if after == before {
        return Ok(());
    }
    transaction.execute(
        "UPDATE installation SET spoken_directory = ?1, spoken_most = ?2, spoken_few = ?3",
        (after.directory_number(), after.names(Share::Most), after.names(Share::Few)),
    )?;
    Ok(())
}
