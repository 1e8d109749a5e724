//! What the monitor shows of the state, read in a moment: counts and instants, and nobody's name.

use super::health::{HealthRow, health};
use super::log::{SinkPlace, head_of, sink_places};
use crate::model::Moment;
use rusqlite::Connection;

/// The state at a glance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Glance {
    /// Whether users are managed.
    pub is_active: bool,
    /// How many are provisioned.
    pub provisioned_count: i64,
    /// How many accounts carry a directory id and are linked to nobody.
    pub unmanaged_count: i64,
    /// When the last good cycle ended.
    pub last_good_at: Option<Moment>,
    /// When the last export that was read was written.
    pub export_written_at: Option<Moment>,
    /// How many users it held.
    pub export_users_count: i64,
    /// What can be approved now.
    pub hold: Option<String>,
    /// What the last cycle's report says of the token.
    pub token: Option<String>,
    /// How the syncing itself is.
    pub health: HealthRow,
    /// Number of the last event.
    pub head: i64,
    /// How far each sink is.
    pub sinks: Vec<SinkPlace>,
}

/// Looks at the state.
///
/// # Errors
/// It cannot be read.
pub fn glance(connection: &Connection) -> rusqlite::Result<Glance> {
    let (health, head, sinks) = (health(connection)?, head_of(connection)?.sequence, sink_places(connection)?);
    let unmanaged =
        "SELECT count(*) FROM unmanaged u WHERE NOT EXISTS (SELECT 1 FROM links l WHERE l.scim_id = u.scim_id)";
    let unmanaged_count = connection.query_row(unmanaged, [], |row| row.get(0))?;
    connection.query_row(
        "SELECT active, provisioned, last_good_cycle_at, export_written_at, export_users_count, hold,
         (SELECT token FROM last_report) FROM installation, counts",
        [],
        |row| {
            let moment = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Moment));
            Ok(Glance {
                is_active: row.get(0)?,
                provisioned_count: row.get(1)?,
                unmanaged_count,
                last_good_at: moment(2)?,
                export_written_at: moment(3)?,
                export_users_count: row.get(4)?,
                hold: row.get(5)?,
                token: row.get(6)?,
                health,
                head,
                sinks,
            })
        },
    )
}

/// How many events are looked through for cycles: a first load has one for each user.
const EVENTS_LOOKED_AT: u32 = 2_000;

/// The lines of the last cycles, and when they were stored, oldest first.
///
/// # Errors
/// The state cannot be read.
pub fn cycle_lines(connection: &Connection) -> rusqlite::Result<Vec<(Moment, String)>> {
    connection
        .prepare(
            "SELECT stored_at, line FROM (SELECT * FROM events ORDER BY sequence DESC LIMIT ?1)
             WHERE directory_id IS NULL AND line ->> '$.event_type' LIKE 'reconcile~_%' ESCAPE '~' ORDER BY sequence",
        )?
        .query_map([EVENTS_LOOKED_AT], |row| Ok((Moment(row.get(0)?), row.get(1)?)))?
        .collect()
}
