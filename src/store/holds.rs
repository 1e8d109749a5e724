//! Holds, by their digest, and the approvals that an administrator gave for them.

use crate::model::{ChangeKey, DirectoryId, Duration, HoldId, Moment, ScimId, UserName};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::collections::BTreeSet;

/// How many holds are kept, newest first; every change to what is held makes a new one.
const HOLDS_KEPT_MAX: u32 = 20;
/// How long an approval is valid.
const APPROVAL: Duration = Duration::from_seconds(3_600);

/// Stores a hold under its id. Older holds stay, so that what is still held of them can be approved.
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

/// The newest hold, if its changes are still held.
pub fn current_hold(connection: &Connection) -> rusqlite::Result<Option<HoldId>> {
    connection
        .query_row("SELECT hold FROM installation", [], |row| Ok(row.get_ref(0)?.as_str_or_null()?.map(HoldId::new)))
        .optional()
        .map(Option::flatten)
}

/// The changes of a hold that are still held; `None` if no cycle stored this hold.
pub fn held_of(connection: &Connection, hold: &HoldId) -> rusqlite::Result<Option<Vec<(ChangeKey, UserName)>>> {
    let known = connection.prepare("SELECT 1 FROM holds WHERE id = ?1")?.exists([hold.as_str()])?;
    if !known {
        return Ok(None);
    }
    connection
        .prepare(
            "SELECT c.action, c.directory_id, c.scim_id, c.username FROM hold_changes c JOIN outstanding_users s
             ON s.kind = 'held' AND s.action = c.action AND s.directory_id = c.directory_id
             AND ifnull(s.scim_id, '') = c.scim_id WHERE c.hold_id = ?1 ORDER BY c.action, c.directory_id",
        )?
        .query_map([hold.as_str()], |row| {
            Ok((super::intents::key(row, 0)?, UserName::of_account(row.get_ref(3)?.as_str()?)))
        })?
        .collect::<rusqlite::Result<_>>()
        .map(Some)
}

/// When the newest approval expires; 0 if there is none.
pub fn last_approval_ends(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT ifnull(max(expires_at), 0) FROM approvals WHERE NOT used", [], |row| row.get(0))
}

/// What is held after a cycle for some users only: the previous hold's changes of other users, and this cycle's.
pub fn held_beside(
    transaction: &Transaction<'_>,
    users: &BTreeSet<DirectoryId>,
    mut held: Vec<(ChangeKey, UserName)>,
) -> rusqlite::Result<Vec<(ChangeKey, UserName)>> {
    if let Some(before) = current_hold(transaction)? {
        let before = held_of(transaction, &before)?.unwrap_or_default();
        held.extend(before.into_iter().filter(|(key, _)| !users.contains(&key.directory_id)));
    }
    Ok(held)
}

/// Drops approvals of changes that are no longer planned: approvals lapse for users who become wanted again. A change
/// with an open intent keeps its approval. Also drops used and expired approvals, and holds with nothing left in them.
pub fn drop_approvals(
    transaction: &Transaction<'_>,
    planned: &[ChangeKey],
    planned_at: Moment,
    now: Moment,
) -> rusqlite::Result<()> {
    let planned: BTreeSet<_> = planned.iter().collect();
    let begun = "EXISTS (SELECT 1 FROM intents i WHERE i.approval = a.expires_at AND i.directory_id = a.directory_id
         AND i.action = a.action AND ifnull(i.scim_id, '') = a.scim_id AND i.accepted IS NOT 1)";
    transaction
        .execute(&format!("DELETE FROM approvals AS a WHERE used OR (expires_at <= ?1 AND NOT {begun})"), [now.0])?;
    let left: Vec<ChangeKey> = transaction
        .prepare(&format!(
            "SELECT action, directory_id, scim_id FROM approvals a WHERE expires_at <= ?1 AND NOT {begun}"
        ))?
        // An approval given during this cycle belongs to the next one.
        .query_map([planned_at.plus(APPROVAL).0], |row| super::intents::key(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    for key in left.into_iter().filter(|key| !planned.contains(key)) {
        let scim_id = key.scim_id.as_ref().map_or("", ScimId::as_str);
        transaction.execute(
            "DELETE FROM approvals WHERE action = ?1 AND directory_id = ?2 AND scim_id = ?3",
            (key.action.as_str(), key.directory_id.as_str(), scim_id),
        )?;
    }
    transaction.execute(
        "DELETE FROM holds WHERE id NOT IN (SELECT id FROM holds ORDER BY stored_at DESC LIMIT ?1) OR NOT EXISTS
         (SELECT 1 FROM hold_changes c JOIN outstanding_users s ON s.directory_id = c.directory_id AND s.kind = 'held'
          AND s.action = c.action WHERE c.hold_id = holds.id)",
        [HOLDS_KEPT_MAX],
    )?;
    Ok(())
}

/// Approves changes of a hold, each once, for one hour.
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
