//! A user whose directory id changed: the link moves to the new one with what it remembers, or a person says that they are two.

use super::fingerprints::forget_fingerprints;
use super::{intents, log, snapshot};
use crate::event::{Draft, EventType, Initiator, Resource, Source};
use crate::model::{Approval, DirectoryId, Field, FieldName, Moment, ScimId};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::collections::BTreeSet;

/// What came of moving a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relink {
    /// It has moved.
    Moved,
    /// The account is not linked under that id any more, or the new one has an account already.
    NotHeld,
    /// A request of this user is under way, or its answer was lost.
    UnderWay,
}

/// Moves the link of an account to another directory id, with settings, failures and what was spent, and says so in the log.
/// Who is there again is absent no more, and what was approved for the former id is not approved for this one.
///
/// # Errors
/// The state cannot be written.
pub fn relink(
    transaction: &Transaction<'_>,
    id: &DirectoryId,
    scim_id: &ScimId,
    approval: &Approval,
    now: Moment,
) -> rusqlite::Result<Relink> {
    let Some(link) = snapshot::link_by_scim_id(transaction, scim_id)? else { return Ok(Relink::NotHeld) };
    if link.directory_id == *id || snapshot::link_by_id(transaction, id)?.is_some() {
        return Ok(Relink::NotHeld);
    }
    let is_theirs = |open: &DirectoryId| *open == link.directory_id || open == id;
    if intents::open_intents(transaction)?.iter().any(|intent| is_theirs(&intent.key.directory_id)) {
        return Ok(Relink::UnderWay);
    }
    move_rows(transaction, link.directory_id.as_str(), id.as_str())?;
    let mut draft = Draft::new(EventType::UserUpdateProvision, true, Source::Approve);
    draft.initiator = Initiator::Admin(approval.by.clone());
    draft.approval = Some(approval.clone());
    draft.resource =
        Some(Resource { id: id.clone(), username: Some(link.user_name.clone()), target_id: Some(scim_id.clone()) });
    let (from, to) = (Some(link.directory_id.as_str().into()), Some(id.as_str().into()));
    draft.changes = vec![Field { name: FieldName::DirectoryId, from, to }];
    draft.response.details = "relinked".to_owned();
    log::append(transaction, &[draft], now)?;
    Ok(Relink::Moved)
}

fn move_rows(transaction: &Transaction<'_>, former: &str, id: &str) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM outstanding_users WHERE directory_id = ?1", [id])?;
    for table in ["links", "outstanding_users", "intents"] {
        transaction.execute(&format!("UPDATE {table} SET directory_id = ?2 WHERE directory_id = ?1"), (former, id))?;
    }
    for table in ["refusals_said", "lookups_failed", "former_ids"] {
        transaction.execute(
            &format!("UPDATE OR REPLACE {table} SET directory_id = ?2 WHERE directory_id = ?1"),
            (former, id),
        )?;
    }
    transaction.execute("DELETE FROM absences WHERE directory_id IN (?1, ?2)", (former, id))?;
    // The approval that moves it tells a running sender that a cycle is wanted.
    let others = "DELETE FROM approvals WHERE directory_id IN (?1, ?2) AND action <> 'relink'";
    transaction.execute(others, (former, id))?;
    transaction.execute("DELETE FROM former_ids WHERE former_id = ?1", [id])?;
    transaction.execute(
        "INSERT INTO former_ids (former_id, directory_id) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET directory_id = excluded.directory_id",
        (former, id),
    )?;
    forget_fingerprints(transaction)?;
    transaction.execute("UPDATE installation SET quiet_digest = NULL, generation = generation + 1", []).map(|_| ())
}

/// Remembers that the user of a link and a newcomer are two; false if the account is not linked any more.
///
/// # Errors
/// The state cannot be written.
pub fn tell_apart(transaction: &Transaction<'_>, id: &DirectoryId, scim_id: &ScimId) -> rusqlite::Result<bool> {
    let Some(link) = snapshot::link_by_scim_id(transaction, scim_id)? else { return Ok(false) };
    transaction.execute(
        "INSERT INTO told_apart (former_id, directory_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (link.directory_id.as_str(), id.as_str()),
    )?;
    let held = "DELETE FROM outstanding_users WHERE kind = 'held' AND action = 'relink' AND directory_id = ?1";
    transaction.execute(held, [id.as_str()])?;
    transaction.execute("UPDATE installation SET quiet_digest = NULL, generation = generation + 1", [])?;
    forget_fingerprints(transaction)?;
    Ok(true)
}

/// Pairs of a link's id and a newcomer's of which a person said that they are two.
///
/// # Errors
/// The state cannot be read.
pub fn told_apart(connection: &Connection) -> rusqlite::Result<BTreeSet<(DirectoryId, DirectoryId)>> {
    connection
        .prepare("SELECT former_id, directory_id FROM told_apart")?
        .query_map([], |row| {
            Ok((DirectoryId::new(row.get_ref(0)?.as_str()?), DirectoryId::new(row.get_ref(1)?.as_str()?)))
        })?
        .collect()
}

/// Forgets the pairs whose link has ended.
///
/// # Errors
/// The state cannot be written.
pub fn forget_told_apart(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let gone =
        "DELETE FROM told_apart WHERE NOT EXISTS (SELECT 1 FROM links l WHERE l.directory_id = told_apart.former_id)";
    transaction.execute(gone, []).map(|_| ())
}

/// The id under which the user is linked now who had this one before.
///
/// # Errors
/// The state cannot be read.
pub fn formerly(connection: &Connection, id: &DirectoryId) -> rusqlite::Result<Option<DirectoryId>> {
    connection
        .prepare_cached("SELECT directory_id FROM former_ids WHERE former_id = ?1")?
        .query_row([id.as_str()], |row| Ok(DirectoryId::new(row.get_ref(0)?.as_str()?)))
        .optional()
}
