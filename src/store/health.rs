//! How the syncing itself is: since when it fails, what the token showed, which accounts nobody manages. What follows from it
//! is decided elsewhere.

use crate::model::{Behind, Moment};
use crate::report::TokenProof;
use rusqlite::{Connection, OptionalExtension, Transaction};

/// What earlier cycles and `activate` left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthRow {
    /// When managing last began.
    pub managed_since: Moment,
    /// When the last cycle ended, whomever it was about.
    pub last_cycle_at: Option<Moment>,
    /// What started it; empty before the first.
    pub last_source: String,
    /// The exit code of the last cycle for everybody.
    pub everybody_exit: Option<u8>,
    /// When the first cycle for everybody since the last good one ended.
    pub failing_since: Option<Moment>,
    /// How many there were.
    pub failing_count: u32,
    /// Why the latest of those was not good.
    pub failing_why: String,
    /// When Rhombus first answered to the token in use.
    pub token_first_proven_at: Option<Moment>,
    /// When it last did.
    pub token_proven_at: Option<Moment>,
    /// Since when it is not the right one: Rhombus refuses it, or it opens another organisation.
    pub token_refused_since: Option<Moment>,
    /// How many users of the last export that was read were in scope, and neither staged nor suspended.
    pub export_in_scope_count: Option<i64>,
    /// Since when nobody waits for the replica, if nobody does.
    pub replica_behind: Option<Behind>,
}

/// Reads the row.
///
/// # Errors
/// The state cannot be read.
pub fn health(connection: &Connection) -> rusqlite::Result<HealthRow> {
    connection.query_row(
        "SELECT ifnull(managed_since, created_at), last_cycle_at, last_source, everybody_exit, failing_since, failing_count,
         failing_why, token_first_proven_at, token_proven_at, token_refused_since, export_in_scope_count,
         replica_behind_since, replica_behind_why FROM health, installation",
        [],
        |row| {
            let moment = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Moment));
            Ok(HealthRow {
                managed_since: Moment(row.get(0)?),
                last_cycle_at: moment(1)?,
                last_source: row.get(2)?,
                everybody_exit: row.get(3)?,
                failing_since: moment(4)?,
                failing_count: row.get(5)?,
                failing_why: row.get(6)?,
                token_first_proven_at: moment(7)?,
                token_proven_at: moment(8)?,
                token_refused_since: moment(9)?,
                export_in_scope_count: row.get(10)?,
                replica_behind: match moment(11)? {
                    Some(since) => Some(Behind { since, why: row.get(12)? }),
                    None => None,
                },
            })
        },
    )
}

/// What a cycle's end says of the syncing itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CycleHealth {
    /// What started it.
    pub source: &'static str,
    /// Whether it was about everybody; the exit code then, and why it was not good, if it was not.
    pub everybody: Option<(u8, Option<String>)>,
    /// What it showed of the token.
    pub token: TokenProof,
    /// How many users of its export were in scope, and neither staged nor suspended, if it read one.
    pub in_scope_count: Option<i64>,
    /// Now.
    pub now: Moment,
}

/// Notes it. A cycle that was about some users says nothing of everybody.
///
/// # Errors
/// The state cannot be written.
pub fn note_health(transaction: &Transaction<'_>, cycle: &CycleHealth) -> rusqlite::Result<()> {
    let now = cycle.now.0;
    transaction.execute(
        "UPDATE health SET last_cycle_at = ?1, last_source = ?2, export_in_scope_count = ifnull(?3, export_in_scope_count)",
        (now, cycle.source, cycle.in_scope_count),
    )?;
    // Who is linked by now is managed, and is not named again when the link ends.
    transaction.execute(
        "DELETE FROM unmanaged WHERE EXISTS (SELECT 1 FROM links l WHERE l.scim_id = unmanaged.scim_id)",
        [],
    )?;
    match &cycle.everybody {
        None => {}
        Some((exit, None)) => {
            let sql =
                "UPDATE health SET everybody_exit = ?1, failing_since = NULL, failing_count = 0, failing_why = ''";
            transaction.execute(sql, [exit])?;
        }
        Some((exit, Some(why))) => {
            transaction.execute(
                "UPDATE health SET everybody_exit = ?1, failing_since = ifnull(failing_since, ?2),
                 failing_count = failing_count + 1, failing_why = ?3",
                (exit, now, why),
            )?;
        }
    }
    match cycle.token {
        TokenProof::Unknown => Ok(()),
        TokenProof::Proven => note_proof(transaction, cycle.now),
        TokenProof::Refused | TokenProof::Foreign => {
            let sql = "UPDATE health SET token_refused_since = ifnull(token_refused_since, ?1)";
            transaction.execute(sql, [now]).map(drop)
        }
    }
}

/// Notes that Rhombus answered to the token in use.
///
/// # Errors
/// The state cannot be written.
pub fn note_proof(transaction: &Transaction<'_>, now: Moment) -> rusqlite::Result<()> {
    let sql = "UPDATE health SET token_proven_at = ?1, token_first_proven_at = ifnull(token_first_proven_at, ?1),
               token_refused_since = NULL";
    transaction.execute(sql, [now.0]).map(drop)
}

/// Notes since when nobody waits for the replica, or that somebody does.
///
/// # Errors
/// The state cannot be written.
pub(super) fn note_behind(connection: &Connection, behind: Option<&Behind>) -> rusqlite::Result<()> {
    let (since, why) = behind.map(|behind| (behind.since.0, behind.why.as_str())).unzip();
    let sql = "UPDATE health SET replica_behind_since = ?1, replica_behind_why = ifnull(?2, '')";
    connection.execute(sql, (since, why)).map(drop)
}

/// What the last cycle's report says of the token, as long as that is not the right one: a cycle that asks nobody keeps it.
///
/// # Errors
/// The state cannot be read.
pub fn known_of_token(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT token FROM last_report, health WHERE token_refused_since IS NOT NULL";
    connection.query_row(sql, [], |row| row.get(0)).optional().map(Option::flatten)
}

/// Another token is in use from now on.
///
/// # Errors
/// The state cannot be written.
pub(super) fn forget_proof(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("UPDATE health SET token_first_proven_at = NULL", []).map(drop)
}

/// Managing begins: what failed before is over.
///
/// # Errors
/// The state cannot be written.
pub fn begin_health(transaction: &Transaction<'_>, now: Moment) -> rusqlite::Result<()> {
    let sql = "UPDATE health SET managed_since = ?1, failing_since = NULL, failing_count = 0, failing_why = '',
               everybody_exit = NULL, last_source = ''";
    transaction.execute(sql, [now.0])?;
    note_proof(transaction, now)
}

/// Whether anybody was ever provisioned.
///
/// # Errors
/// The state cannot be read.
pub fn was_ever_provisioned(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT links_made > 0 FROM counts", [], |row| row.get(0))
}
