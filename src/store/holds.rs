//! Holds, by their digest, and the approvals that an administrator gave for them.

use crate::model::{ChangeKey, DirectoryId, Duration, HoldId, Moment, ScimId, UserName};
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
    changes: &[(ChangeKey, UserName)],
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
    changes: &[(ChangeKey, UserName)],
    by: &str,
    now: Moment,
) -> rusqlite::Result<()> {
    transaction
        .execute("UPDATE holds SET approved_by = ?2, approved_at = ?3 WHERE id = ?1", (hold.as_str(), by, now.0))?;
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

/// An approval that a coming cycle may still use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandingApproval {
    /// What was approved.
    pub key: ChangeKey,
    /// Of whom; none if nothing knows the username any more.
    pub user_name: Option<UserName>,
    /// Who approved it.
    pub by: String,
    /// Until when.
    pub until: Moment,
}

/// The approvals that stand: not used up, and not over.
///
/// # Errors
/// The state cannot be read.
pub fn standing_approvals(connection: &Connection, now: Moment) -> rusqlite::Result<Vec<StandingApproval>> {
    connection
        .prepare(
            "SELECT a.action, a.directory_id, a.scim_id, a.approved_by, a.expires_at, (SELECT c.username FROM hold_changes c
             WHERE c.hold_id = a.hold_id AND c.action = a.action AND c.directory_id = a.directory_id
             AND c.scim_id = a.scim_id) FROM approvals a WHERE NOT a.used AND a.expires_at > ?1
             ORDER BY a.action, a.directory_id",
        )?
        .query_map([now.0], |row| {
            let user_name = row.get_ref(5)?.as_str_or_null()?.map(UserName::of_account);
            let (by, until) = (row.get(3)?, Moment(row.get(4)?));
            Ok(StandingApproval { key: super::intents::key(row, 0)?, user_name, by, until })
        })?
        .collect()
}
