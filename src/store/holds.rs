//! Holds, by their digest, and the approvals that an administrator gave for them.

use crate::model::{ChangeKey, DirectoryId, Duration, HeldChange, HoldId, Moment, Reason, ScimId, UserName};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::collections::BTreeSet;

/// Of how many holds it is kept what they held, the newest ones; each change of what is held makes another.
const HOLDS_KEPT_MAX: u32 = 20;
/// How long the id of a hold is kept: who types it late is told what became of it.
const HOLDS_NAMED: Duration = Duration::from_seconds(30 * 86_400);
/// So many digits name a hold.
const HOLD_DIGITS_MIN: usize = 8;
/// How long an approval holds.
pub const APPROVAL: Duration = Duration::from_seconds(3_600);

/// Stores a hold under its id. Older holds stay, so that what is still held of them can be approved.
pub fn store_hold(
    transaction: &Transaction<'_>,
    id: &HoldId,
    changes: &[HeldChange],
    now: Moment,
) -> rusqlite::Result<()> {
    let new = transaction
        .execute("INSERT INTO holds (id, stored_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING", (id.as_str(), now.0))?;
    // One that ended and is held again, of which only the id was kept, is stored anew.
    let known = transaction.prepare_cached("SELECT 1 FROM hold_changes WHERE hold_id = ?1")?.exists([id.as_str()])?;
    if new == 0 && known {
        return Ok(());
    }
    transaction.execute("UPDATE holds SET stored_at = ?2 WHERE id = ?1", (id.as_str(), now.0))?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO hold_changes (hold_id, action, directory_id, scim_id, username, shown) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for HeldChange { key, user_name, shown } in changes {
        let (scim_id, name) = (key.scim_id.as_ref().map_or("", ScimId::as_str), user_name.as_str());
        insert.execute((id.as_str(), key.action.as_str(), key.directory_id.as_str(), scim_id, name, shown))?;
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

/// The changes of a hold that are still held, for what they were held for; `None` if no cycle stored this hold.
pub fn held_of(connection: &Connection, hold: &HoldId) -> rusqlite::Result<Option<Vec<HeldChange>>> {
    let known = connection.prepare("SELECT 1 FROM holds WHERE id = ?1")?.exists([hold.as_str()])?;
    if !known {
        return Ok(None);
    }
    let mut statement = connection.prepare(
        "SELECT c.action, c.directory_id, c.scim_id, c.username, c.shown, s.code, s.detail FROM hold_changes c
         JOIN outstanding_users s ON s.kind = 'held' AND s.action = c.action AND s.directory_id = c.directory_id
         AND ifnull(s.scim_id, '') = c.scim_id WHERE c.hold_id = ?1 ORDER BY c.action, c.directory_id",
    )?;
    let mut rows = statement.query([hold.as_str()])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, user_name) = (super::intents::key(row, 0)?, UserName::of_account(row.get_ref(3)?.as_str()?));
        let shown: String = row.get(4)?;
        let now = Reason::from_stored(row.get_ref(5)?.as_str()?, row.get_ref(6)?.as_str_or_null()?).shown();
        if now.unwrap_or_default() == shown {
            held.push(HeldChange { key, user_name, shown });
        }
    }
    Ok(Some(held))
}

/// When the newest approval expires; 0 if there is none.
pub fn last_approval_ends(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT ifnull(max(expires_at), 0) FROM approvals WHERE NOT used", [], |row| row.get(0))
}

/// What is held after a cycle for some users only: the previous hold's changes of other users, and this cycle's.
pub fn held_beside(
    transaction: &Transaction<'_>,
    users: &BTreeSet<DirectoryId>,
    mut held: Vec<HeldChange>,
) -> rusqlite::Result<Vec<HeldChange>> {
    if let Some(before) = current_hold(transaction)? {
        let before = held_of(transaction, &before)?.unwrap_or_default();
        held.extend(before.into_iter().filter(|held| !users.contains(&held.key.directory_id)));
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
        "DELETE FROM hold_changes WHERE hold_id NOT IN (SELECT id FROM holds ORDER BY stored_at DESC LIMIT ?1) OR hold_id NOT IN
         (SELECT c.hold_id FROM hold_changes c JOIN outstanding_users s ON s.directory_id = c.directory_id AND s.kind = 'held'
          AND s.action = c.action)",
        [HOLDS_KEPT_MAX],
    )?;
    transaction.execute(
        "DELETE FROM holds WHERE stored_at < ?1 AND id NOT IN (SELECT hold_id FROM hold_changes)",
        [now.minus(HOLDS_NAMED).0],
    )?;
    Ok(())
}

/// What a text means that should name a hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NamedHold {
    /// One.
    One(HoldId),
    /// It is the beginning of these.
    Several(Vec<HoldId>),
    /// No hold of the last 30 days begins so.
    Unknown,
    /// It is not the beginning of an id, or too short a one.
    NotAnId,
}

/// The hold of the last 30 days that a text names: its id, or the first digits of it, eight at the least.
///
/// # Errors
/// The state cannot be read.
pub fn named_hold(connection: &Connection, text: &str) -> rusqlite::Result<NamedHold> {
    if text.len() < HOLD_DIGITS_MIN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(NamedHold::NotAnId);
    }
    let text = text.to_ascii_lowercase();
    let mut found: Vec<HoldId> = connection
        .prepare("SELECT id FROM holds WHERE substr(id, 1, length(?1)) = ?1 ORDER BY stored_at DESC")?
        .query_map([&text], |row| Ok(HoldId::new(row.get_ref(0)?.as_str()?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(match (found.pop(), found.is_empty()) {
        (None, _) => NamedHold::Unknown,
        (Some(one), true) => NamedHold::One(one),
        (Some(last), false) => {
            found.push(last);
            NamedHold::Several(found)
        }
    })
}

/// Who released a hold last, and when; none if nobody did.
///
/// # Errors
/// The state cannot be read.
pub fn approved_by(connection: &Connection, hold: &HoldId) -> rusqlite::Result<Option<(String, Moment)>> {
    connection
        .query_row(
            "SELECT approved_by, approved_at FROM holds WHERE id = ?1 AND approved_by IS NOT NULL",
            [hold.as_str()],
            |row| Ok((row.get(0)?, Moment(row.get(1)?))),
        )
        .optional()
}

/// Releases changes of a hold, each once, for one hour.
///
/// # Errors
/// The state cannot be written.
pub fn approve(
    transaction: &Transaction<'_>,
    hold: &HoldId,
    changes: &[HeldChange],
    by: &str,
    now: Moment,
) -> rusqlite::Result<()> {
    transaction
        .execute("UPDATE holds SET approved_by = ?2, approved_at = ?3 WHERE id = ?1", (hold.as_str(), by, now.0))?;
    let mut insert = transaction.prepare(
        "INSERT INTO approvals (action, directory_id, scim_id, hold_id, approved_by, expires_at, shown) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET hold_id = excluded.hold_id, approved_by = excluded.approved_by,
         expires_at = excluded.expires_at, shown = excluded.shown, used = 0",
    )?;
    for HeldChange { key, user_name: _, shown } in changes {
        let scim_id = key.scim_id.as_ref().map_or("", ScimId::as_str);
        let expires_at = now.plus(APPROVAL).0;
        let (action, id) = (key.action.as_str(), key.directory_id.as_str());
        insert.execute((action, id, scim_id, hold.as_str(), by, expires_at, shown))?;
    }
    Ok(())
}

/// What the account showed when its removal was approved, if that was held for a mismatch.
///
/// # Errors
/// The state cannot be read.
pub fn approved_shown(connection: &Connection, key: &ChangeKey) -> rusqlite::Result<Option<String>> {
    let scim_id = key.scim_id.as_ref().map_or("", ScimId::as_str);
    connection
        .prepare_cached(
            "SELECT shown FROM approvals WHERE action = ?1 AND directory_id = ?2 AND scim_id = ?3 AND shown <> ''",
        )?
        .query_row((key.action.as_str(), key.directory_id.as_str(), scim_id), |row| row.get(0))
        .optional()
}
