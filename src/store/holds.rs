//! What the guard holds, by digest, and what an administrator released of it.

use crate::model::{Action, ChangeKey, DirectoryId, Duration, HoldId, Moment, ScimId, UserName};
use rusqlite::{Connection, OptionalExtension, Transaction};

/// How long an approval holds.
const APPROVAL: Duration = Duration::from_seconds(3_600);

/// Stores what the guard holds, under its id. Older holds stay: what is still held of them can be approved.
///
/// # Errors
/// The state cannot be written.
pub fn store_hold(
    transaction: &Transaction<'_>,
    id: &HoldId,
    changes: &[(ChangeKey, UserName)],
    now: Moment,
) -> rusqlite::Result<()> {
    let new = transaction
        .execute("INSERT INTO holds (id, stored_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING", (id.as_str(), now.0))?;
    if new == 0 {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO hold_changes (hold_id, action, directory_id, scim_id, username) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (key, name) in changes {
        let scim_id = key.scim_id.as_ref().map_or("", ScimId::as_str);
        insert.execute((id.as_str(), key.action.as_str(), key.directory_id.as_str(), scim_id, name.as_str()))?;
    }
    Ok(())
}

/// The newest hold, where its changes are still held.
///
/// # Errors
/// The state cannot be read.
pub fn current_hold(connection: &Connection) -> rusqlite::Result<Option<HoldId>> {
    connection
        .query_row(
            "SELECT json_extract(last_cycle, '$.hold') FROM installation WHERE last_cycle IS NOT NULL",
            [],
            |row| Ok(row.get_ref(0)?.as_str_or_null()?.map(HoldId::new)),
        )
        .optional()
        .map(Option::flatten)
}

/// What is still held of a hold; none where no cycle stored such a hold.
///
/// # Errors
/// The state cannot be read.
pub fn held_of(connection: &Connection, hold: &HoldId) -> rusqlite::Result<Option<Vec<(ChangeKey, UserName)>>> {
    let known = connection.prepare("SELECT 1 FROM holds WHERE id = ?1")?.exists([hold.as_str()])?;
    if !known {
        return Ok(None);
    }
    connection
        .prepare(
            "SELECT c.action, c.directory_id, c.scim_id, c.username FROM hold_changes c JOIN standings s
             ON s.kind = 'held' AND s.action = c.action AND s.directory_id = c.directory_id
             AND ifnull(s.scim_id, '') = c.scim_id WHERE c.hold_id = ?1 ORDER BY c.action, c.directory_id",
        )?
        .query_map([hold.as_str()], |row| {
            let key = ChangeKey {
                action: Action::from_name(row.get_ref(0)?.as_str()?).ok_or(rusqlite::Error::InvalidQuery)?,
                directory_id: DirectoryId::new(row.get_ref(1)?.as_str()?),
                scim_id: Some(row.get_ref(2)?.as_str()?).filter(|id| !id.is_empty()).map(ScimId::new),
            };
            Ok((key, UserName::of_account(row.get_ref(3)?.as_str()?)))
        })?
        .collect::<rusqlite::Result<_>>()
        .map(Some)
}

/// Releases changes of a hold, each once, for one hour.
///
/// # Errors
/// The state cannot be written.
pub fn approve(
    transaction: &Transaction<'_>,
    hold: &HoldId,
    changes: &[(ChangeKey, UserName)],
    by: &str,
    now: Moment,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO approvals (action, directory_id, scim_id, hold_id, approved_by, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET hold_id = excluded.hold_id, approved_by = excluded.approved_by,
         expires_at = excluded.expires_at, used = 0",
    )?;
    for (key, _) in changes {
        let scim_id = key.scim_id.as_ref().map_or("", ScimId::as_str);
        let expires_at = now.plus(APPROVAL).0;
        insert.execute((key.action.as_str(), key.directory_id.as_str(), scim_id, hold.as_str(), by, expires_at))?;
    }
    Ok(())
}
