//! Holds, by their digest, and when the approvals that an administrator gave for them end. Both go by what a change would send: the
//! same change with other values is another one.

use super::rows::exact;
use crate::clock::{AHEAD_MS_MAX, APPROVAL};
use crate::model::{
    DirectoryId, Duration, ExactChange, Field, FieldName, HeldChange, HoldId, Moment, ScimId, UserName,
};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::collections::BTreeSet;

/// How many changes of holds are kept in all, the newest holds first: a hold of a thousand users may be stored anew with every
/// export. Of the holds beyond only the ids are kept.
const CHANGES_KEPT_MAX: u32 = 100_000;
/// How long the id of a hold is kept: who types it late is told what became of it.
const HOLDS_NAMED: Duration = Duration::from_seconds(30 * 86_400);
/// So many digits name a hold.
const HOLD_DIGITS_MIN: usize = 8;

/// Whether an approval `a` was begun: an intent that it released is open, or failed, and may need it past its hour.
pub(super) const BEGUN: &str =
    "EXISTS (SELECT 1 FROM intents i WHERE i.approval = a.expires_at AND i.directory_id = a.directory_id
     AND i.action = a.action AND ifnull(i.scim_id, '') = a.scim_id AND i.content = a.content AND i.accepted IS NOT 1)";

/// Stores a hold under its id. Older holds stay, so that what is still held of them can be approved.
pub fn store_hold(
    transaction: &Transaction<'_>,
    id: &HoldId,
    changes: &[HeldChange],
    now: Moment,
) -> rusqlite::Result<()> {
    let new = transaction.execute(
        "INSERT INTO holds (id, stored_at, is_exact) VALUES (?1, ?2, 1) ON CONFLICT DO NOTHING",
        (id.as_str(), now.0),
    )?;
    // One that ended and is held again, of which only the id was kept, is stored anew.
    let known = transaction.prepare_cached("SELECT 1 FROM hold_changes WHERE hold_id = ?1")?.exists([id.as_str()])?;
    if new == 0 && known {
        return Ok(());
    }
    transaction.execute("UPDATE holds SET stored_at = ?2 WHERE id = ?1", (id.as_str(), now.0))?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO hold_changes (hold_id, action, directory_id, scim_id, content, username, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for HeldChange { exact: ExactChange { key, content }, user_name, fields } in changes {
        let scim_id = key.scim_id.as_ref().map_or("", ScimId::as_str);
        let (action, directory_id) = (key.action.as_str(), key.directory_id.as_str());
        let name = user_name.as_str();
        insert.execute((id.as_str(), action, directory_id, scim_id, content.as_str(), name, stored_fields(fields)))?;
    }
    transaction.execute(
        "DELETE FROM hold_changes WHERE hold_id <> ?1 AND hold_id IN
         (SELECT hold_id FROM (SELECT hold_id, sum(count(*)) OVER (ORDER BY max(stored_at) DESC, hold_id) AS total
          FROM hold_changes c JOIN holds h ON h.id = c.hold_id GROUP BY hold_id) WHERE total > ?2)",
        (id.as_str(), CHANGES_KEPT_MAX),
    )?;
    Ok(())
}

fn stored_fields(fields: &[Field]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| (field.name.as_str(), &field.from, &field.to)).collect();
    serde_json::json!(fields).to_string()
}

pub(super) fn read_fields(text: &str) -> Vec<Field> {
    type Stored = (String, Option<Box<str>>, Option<Box<str>>);
    let stored: Vec<Stored> = serde_json::from_str(text).unwrap_or_default();
    let field = |(name, from, to): Stored| FieldName::from_name(&name).map(|name| Field { name, from, to });
    stored.into_iter().filter_map(field).collect()
}

/// The newest hold, if its changes are still held.
pub fn current_hold(connection: &Connection) -> rusqlite::Result<Option<HoldId>> {
    connection
        .query_row("SELECT hold FROM installation", [], |row| Ok(row.get_ref(0)?.as_str_or_null()?.map(HoldId::new)))
        .optional()
        .map(Option::flatten)
}

/// The changes of a hold that are still held, with the same values; `None` if no cycle stored this hold.
pub fn held_of(connection: &Connection, hold: &HoldId) -> rusqlite::Result<Option<Vec<HeldChange>>> {
    let known = connection.prepare("SELECT 1 FROM holds WHERE id = ?1")?.exists([hold.as_str()])?;
    if !known {
        return Ok(None);
    }
    connection
        .prepare(
            "SELECT c.action, c.directory_id, c.scim_id, c.content, c.username, c.fields FROM hold_changes c
             JOIN outstanding_users s ON s.kind = 'held' AND s.action = c.action AND s.directory_id = c.directory_id
             AND ifnull(s.scim_id, '') = c.scim_id AND s.wanted = c.content
             WHERE c.hold_id = ?1 ORDER BY c.action, c.directory_id",
        )?
        .query_map([hold.as_str()], |row| {
            let user_name = UserName::of_account(row.get_ref(4)?.as_str()?);
            Ok(HeldChange { exact: exact(row, 0)?, user_name, fields: read_fields(row.get_ref(5)?.as_str()?) })
        })?
        .collect::<rusqlite::Result<_>>()
        .map(Some)
}

/// Whose changes a hold was about, whether they are held still or not.
///
/// # Errors
/// The state cannot be read.
pub fn hold_users(connection: &Connection, hold: &HoldId) -> rusqlite::Result<Vec<(DirectoryId, UserName)>> {
    connection
        .prepare("SELECT directory_id, username FROM hold_changes WHERE hold_id = ?1")?
        .query_map([hold.as_str()], |row| {
            let id = DirectoryId::new(row.get_ref(0)?.as_str()?);
            Ok((id, UserName::of_account(row.get_ref(1)?.as_str()?)))
        })?
        .collect()
}

/// What is held after a cycle for some users only: the previous hold's changes of other users, and this cycle's.
pub fn held_beside(
    transaction: &Transaction<'_>,
    users: &BTreeSet<DirectoryId>,
    mut held: Vec<HeldChange>,
) -> rusqlite::Result<Vec<HeldChange>> {
    if let Some(before) = current_hold(transaction)? {
        let before = held_of(transaction, &before)?.unwrap_or_default();
        held.extend(before.into_iter().filter(|change| !users.contains(&change.exact.key.directory_id)));
    }
    Ok(held)
}

/// Drops approvals of changes that are no longer planned: approvals lapse for users who become wanted again, and where something
/// else would be sent. A change with an open intent keeps its approval. Also drops used and expired approvals, and holds with
/// nothing left in them.
pub fn drop_approvals(
    transaction: &Transaction<'_>,
    planned: &[ExactChange],
    planned_at: Moment,
    now: Moment,
) -> rusqlite::Result<()> {
    let planned: BTreeSet<_> = planned.iter().collect();
    transaction.execute(
        &format!("DELETE FROM approvals AS a WHERE used OR (expires_at NOT BETWEEN ?1 + 1 AND ?2 AND NOT {BEGUN})"),
        (now.0, now.plus(APPROVAL).0 + AHEAD_MS_MAX),
    )?;
    let left: Vec<ExactChange> = transaction
        .prepare(&format!(
            "SELECT action, directory_id, scim_id, content FROM approvals a WHERE expires_at <= ?1 AND NOT {BEGUN}"
        ))?
        // An approval given during this cycle belongs to the next one.
        .query_map([planned_at.plus(APPROVAL).0], |row| exact(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    for ExactChange { key, content } in left.into_iter().filter(|exact| !planned.contains(exact)) {
        let scim_id = key.scim_id.as_ref().map_or("", ScimId::as_str);
        transaction.execute(
            "DELETE FROM approvals WHERE action = ?1 AND directory_id = ?2 AND scim_id = ?3 AND content = ?4",
            (key.action.as_str(), key.directory_id.as_str(), scim_id, content.as_str()),
        )?;
    }
    transaction.execute(
        "DELETE FROM hold_changes WHERE hold_id IN (SELECT id FROM holds h WHERE NOT EXISTS
         (SELECT 1 FROM hold_changes c JOIN outstanding_users s ON s.directory_id = c.directory_id AND s.kind = 'held'
          AND s.action = c.action AND s.wanted = c.content WHERE c.hold_id = h.id))",
        [],
    )?;
    transaction.execute(
        "DELETE FROM holds WHERE stored_at < ?1 AND id NOT IN (SELECT hold FROM installation WHERE hold IS NOT NULL)",
        [now.minus(HOLDS_NAMED).0],
    )?;
    Ok(())
}

/// Marks the approvals of this user's change as used: it was accepted, or there is nothing left to do.
pub(super) fn use_up(transaction: &Transaction<'_>, id: &str, actions: &[&str]) -> rusqlite::Result<()> {
    for action in actions {
        transaction
            .prepare_cached("UPDATE approvals SET used = 1 WHERE directory_id = ?1 AND action = ?2")?
            .execute((id, action))?;
    }
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
pub fn named_hold(connection: &Connection, text: &str, now: Moment) -> rusqlite::Result<NamedHold> {
    if text.len() < HOLD_DIGITS_MIN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(NamedHold::NotAnId);
    }
    let text = text.to_ascii_lowercase();
    let mut found: Vec<HoldId> = connection
        .prepare(
            "SELECT id FROM holds WHERE substr(id, 1, length(?1)) = ?1 AND (stored_at >= ?2 OR id IN (SELECT hold FROM installation))
             ORDER BY stored_at DESC",
        )?
        .query_map((&text, now.minus(HOLDS_NAMED).0), |row| Ok(HoldId::new(row.get_ref(0)?.as_str()?)))?
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

/// Whether a hold is of this release, and not one that ended with an upgrade.
///
/// # Errors
/// The state cannot be read.
pub fn is_exact(connection: &Connection, hold: &HoldId) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM holds WHERE id = ?1 AND is_exact")?.exists([hold.as_str()])
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
