//! Intents: what is about to be sent, how it ended, and what the guard's window counts of it.

use super::rows::key;
use super::{Batch, approvals, holds, stranded};
use crate::model::{
    Approval, ChangeKey, Content, DirectoryId, Duration, GuardKind, HoldId, Moment, Names, OutstandingKind,
    OutstandingUser, Person, ScimId, ScopeVersionId, UserName,
};
use crate::plan::Ledger;
use crate::settlement::{FailureEffect, IntentEnd, IntentId, LinkEffect, MadeLink, Settlement};
use rusqlite::{Connection, Row, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// Ended intents are kept for at least this long, however short the guard's window is.
const KEPT_AT_LEAST: Duration = Duration::from_seconds(7 * 86_400);

/// A change that is about to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intent {
    /// Action, directory id and SCIM id.
    pub key: ChangeKey,
    /// The guard's limit that it counts against; `None` if it spends no budget.
    pub kind: Option<GuardKind>,
    /// The userName that the account has, or will get.
    pub user_name: UserName,
    /// The names that it should get.
    pub names: Names,
    /// Whether an update also reactivates the account.
    pub reactivate: bool,
    /// What an administrator approved, if the change is released by an approval.
    pub approved: Option<Content>,
    /// The `[directory]` and `[scope]` settings under which it is wanted.
    pub scope_version: ScopeVersionId,
}

/// An intent whose outcome is unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenIntent {
    /// Row number.
    pub id: IntentId,
    /// Action, directory id and SCIM id.
    pub key: ChangeKey,
    /// The guard's limit that it counts against; `None` if it spends no budget.
    pub kind: Option<GuardKind>,
    /// The userName that the account has, or will get.
    pub user_name: UserName,
    /// The names that it should get.
    pub names: Names,
    /// Whether it also reactivates the account.
    pub reactivate: bool,
    /// When it was stored, or last renewed.
    pub stored_at: Moment,
    /// The scope version under which it was wanted.
    pub scope_version: ScopeVersionId,
    /// By which approval it was released, if it was held before.
    pub approval: Option<Approval>,
}

/// Stores an intent. Returns `None` if the link was removed in the meantime, or if a create's user is linked by now.
pub fn store_intents(
    transaction: &Transaction<'_>,
    intent: &Intent,
    now: Moment,
) -> rusqlite::Result<Option<IntentId>> {
    let stored = transaction
        .prepare_cached(
            "INSERT INTO intents (action, kind, directory_id, scim_id, user_name, given_name, family_name, approved, stored_at, reactivate, settings, content, approval)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, CASE WHEN ?8 THEN (SELECT expires_at FROM approvals
             WHERE action = ?1 AND directory_id = ?3 AND scim_id = ifnull(?4, '') AND content = ?12) END
             WHERE (?4 IS NULL) <> EXISTS (SELECT 1 FROM links WHERE directory_id = ?3 AND scim_id = ifnull(?4, scim_id))
             OR (?1 IN ('deactivate', 'delete') AND EXISTS (SELECT 1 FROM unmanaged WHERE directory_id = ?3 AND scim_id = ?4 AND stranded))",
        )?
        .execute((
            intent.key.action.as_str(),
            intent.kind.map_or("", GuardKind::as_str),
            intent.key.directory_id.as_str(),
            intent.key.scim_id.as_ref().map(ScimId::as_str),
            intent.user_name.as_str(),
            intent.names.given.as_deref(),
            intent.names.family.as_deref(),
            intent.approved.is_some(),
            now.0,
            intent.reactivate,
            intent.scope_version.0,
            intent.approved.as_ref().map(Content::as_str),
        ))?;
    Ok((stored > 0).then(|| IntentId(transaction.last_insert_rowid())))
}

/// Reuses an earlier run's intent, because exactly the same is sent again. Returns `None` as [`store_intents`] does.
pub fn reuse_intent(
    transaction: &Transaction<'_>,
    id: IntentId,
    intent: &Intent,
    now: Moment,
) -> rusqlite::Result<Option<IntentId>> {
    if !is_linked(transaction, &intent.key)? {
        return Ok(None);
    }
    renew_intent(transaction, id, now)?;
    if let Some(content) = &intent.approved {
        transaction.execute(
            "UPDATE intents SET approved = 1, content = ?2, approval = (SELECT expires_at FROM approvals a WHERE a.action = intents.action
             AND a.directory_id = intents.directory_id AND a.scim_id = ifnull(intents.scim_id, '') AND a.content = ?2) WHERE id = ?1",
            (id.0, content.as_str()),
        )?;
    }
    Ok(Some(id))
}

/// Whether the link that a change refers to still exists; a create refers to none, and none may exist.
fn is_linked(connection: &Connection, key: &ChangeKey) -> rusqlite::Result<bool> {
    let Some(scim_id) = &key.scim_id else {
        // Unless the link of a former id has become this user's meanwhile.
        let linked = "SELECT 1 FROM links WHERE directory_id = ?1";
        return connection.prepare_cached(linked)?.exists([key.directory_id.as_str()]).map(|linked| !linked);
    };
    let linked = connection
        .prepare_cached("SELECT 1 FROM links WHERE directory_id = ?1 AND scim_id = ?2")?
        .exists((key.directory_id.as_str(), scim_id.as_str()))?;
    Ok(linked || (key.action.removes() && stranded::is_stranded(connection, key)?))
}

/// Gives an intent the present time, because its turn came late or its request is sent again.
pub fn renew_intent(transaction: &Transaction<'_>, id: IntentId, now: Moment) -> rusqlite::Result<()> {
    transaction.prepare_cached("UPDATE intents SET stored_at = ?2 WHERE id = ?1")?.execute((id.0, now.0))?;
    Ok(())
}

/// All open intents, oldest first.
pub fn open_intents(connection: &Connection) -> rusqlite::Result<Vec<OpenIntent>> {
    intents_where(connection, "ended_at IS NULL")
}

/// Creates that ended without anybody knowing whether they were accepted, oldest first.
pub fn creates_given_up(connection: &Connection) -> rusqlite::Result<Vec<OpenIntent>> {
    intents_where(connection, "ended_at IS NOT NULL AND accepted IS NULL AND i.action = 'create'")
}

fn intents_where(connection: &Connection, which: &str) -> rusqlite::Result<Vec<OpenIntent>> {
    connection
        .prepare(&format!(
            "SELECT i.id, i.action, i.directory_id, i.scim_id, kind, user_name, given_name, family_name, stored_at, reactivate,
             settings, a.hold_id, a.approved_by, a.account, a.claimed, a.reason
             FROM intents i LEFT JOIN approvals a ON a.action = i.action AND a.directory_id = i.directory_id
             AND a.scim_id = ifnull(i.scim_id, '') AND a.content = i.content
             WHERE {which} ORDER BY i.id",
        ))?
        .query_map([], |row| {
            Ok(OpenIntent {
                id: IntentId(row.get(0)?),
                key: key(row, 1)?,
                kind: GuardKind::from_name(row.get_ref(4)?.as_str()?),
                user_name: UserName::of_account(row.get_ref(5)?.as_str()?),
                names: Names {
                    given: row.get::<_, Option<String>>(6)?.map(Into::into),
                    family: row.get::<_, Option<String>>(7)?.map(Into::into),
                },
                stored_at: Moment(row.get(8)?),
                reactivate: row.get(9)?,
                scope_version: ScopeVersionId(row.get(10)?),
                approval: approval(row, 11)?,
            })
        })?
        .collect()
}

/// Reads an approval from five adjacent columns, the first of which is NULL if there is none.
fn approval(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Approval>> {
    let Some(hold) = row.get_ref(first)?.as_str_or_null()?.map(HoldId::new) else { return Ok(None) };
    let by = Person { username: row.get(first + 1)?, account: row.get(first + 2)?, claimed: row.get(first + 3)? };
    Ok(Some(Approval { hold, by, reason: row.get(first + 4)? }))
}

/// Stores an outcome: intent, snapshot, failure and events.
pub fn settle(
    batch: &mut Batch<'_>,
    settlement: &Settlement,
    scope_version: ScopeVersionId,
    now: Moment,
) -> rusqlite::Result<()> {
    let id = settlement.directory_id.as_str();
    let scope_version = settlement.scope_version.unwrap_or(scope_version);
    if let Some((intent, end)) = &settlement.intent {
        end_intent(batch, (*intent, id), end, now)?;
    }
    link_effect(batch, id, &settlement.link, scope_version, now)?;
    failure_effect(batch.transaction(), id, &settlement.failure, now)?;
    batch.append(&settlement.events, now)
}

fn link_effect(
    batch: &mut Batch<'_>,
    id: &str,
    effect: &LinkEffect,
    scope_version: ScopeVersionId,
    now: Moment,
) -> rusqlite::Result<()> {
    let transaction = batch.transaction();
    match effect {
        LinkEffect::None => {}
        LinkEffect::Made(link) => link_made(batch, id, link, scope_version, now)?,
        LinkEffect::Seen { names, active, futile } => {
            transaction
                .prepare_cached(
                    "UPDATE links SET given_name = ?2, family_name = ?3, futile_wanted = ?4, active = ?5,
                     futile_count = CASE WHEN ?4 IS NULL THEN 0 WHEN futile_wanted IS ?4 THEN futile_count + 1 ELSE 1 END
                     WHERE directory_id = ?1",
                )?
                .execute((id, names.given.as_deref(), names.family.as_deref(), futile, active))?;
        }
        LinkEffect::Foreign => {
            transaction.prepare_cached("UPDATE links SET active = 2 WHERE directory_id = ?1")?.execute([id])?;
        }
        LinkEffect::Renamed { user_name, names, active } => {
            transaction
                .prepare_cached(
                    "UPDATE links SET user_name = ?2, folded = ?3, given_name = ?4, family_name = ?5, active = ?6
                     WHERE directory_id = ?1",
                )?
                .execute((
                    id,
                    user_name.as_str(),
                    user_name.folded(),
                    names.given.as_deref(),
                    names.family.as_deref(),
                    active,
                ))?;
        }
        LinkEffect::Ended => {
            let ended = transaction.prepare_cached("DELETE FROM links WHERE directory_id = ?1")?.execute([id])?;
            batch.count_ended(ended)?;
            if ended == 0 {
                stranded::end(transaction, id)?;
            }
            if batch.any_approved()? {
                holds::use_up(transaction, id, &["update", "deactivate", "delete"])?;
            }
        }
    }
    Ok(())
}

fn link_made(
    batch: &mut Batch<'_>,
    id: &str,
    link: &MadeLink,
    scope_version: ScopeVersionId,
    now: Moment,
) -> rusqlite::Result<()> {
    let MadeLink { scim_id, user_name, names, active, external_id } = link;
    let (transaction, row) = (batch.transaction(), batch.count_link()?);
    let (given, family) = (names.given.as_deref(), names.family.as_deref());
    let (folded, external_id) = (user_name.folded(), external_id.stored());
    let (scim_id, name, scope_version) = (scim_id.as_str(), user_name.as_str(), scope_version.0);
    transaction
        .prepare_cached(
            "INSERT INTO links (directory_id, row, scim_id, user_name, folded, given_name, family_name, settings, linked_at, active, external_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute((id, row, scim_id, name, folded, given, family, scope_version, now.0, active, external_id))?;
    if batch.any_approved()? {
        // Also where the account was found and linked, and no create was sent.
        holds::use_up(transaction, id, &["create"])?;
    }
    Ok(())
}

fn failure_effect(
    transaction: &Transaction<'_>,
    id: &str,
    effect: &FailureEffect,
    now: Moment,
) -> rusqlite::Result<()> {
    let forget = "DELETE FROM outstanding_users WHERE kind = 'failed' AND directory_id = ?1";
    match effect {
        FailureEffect::Keep => {}
        FailureEffect::Clear => {
            transaction.prepare_cached(forget)?.execute([id])?;
        }
        FailureEffect::Record(entry) => {
            let since = super::outstanding::since(transaction, entry)?.unwrap_or(now);
            transaction.prepare_cached(forget)?.execute([id])?;
            let entry = OutstandingUser { since: Some(since), ..(**entry).clone() };
            debug_assert_eq!(entry.kind, OutstandingKind::Failed);
            super::outstanding::insert(transaction, &entry, now)?;
        }
    }
    Ok(())
}

/// Removes a link at an administrator's request: the account stays as it is, and its open complaints are resolved.
pub fn forget(transaction: &Transaction<'_>, id: &DirectoryId) -> rusqlite::Result<()> {
    let ended = transaction.execute("DELETE FROM links WHERE directory_id = ?1", [id.as_str()])?;
    transaction.execute("UPDATE counts SET provisioned = provisioned - ?1", [ended as i64])?;
    transaction.execute("DELETE FROM outstanding_users WHERE directory_id = ?1", [id.as_str()])?;
    transaction.execute("DELETE FROM absences WHERE directory_id = ?1", [id.as_str()])?;
    transaction.execute("DELETE FROM unlisted WHERE directory_id = ?1", [id.as_str()])?;
    transaction.execute("UPDATE installation SET quiet_digest = NULL, generation = generation + 1", [])?;
    super::fingerprints::forget_fingerprints(transaction)
}

/// Ends the intent of a user. Of a create that spends no budget nothing is left to remember once it is known what came of it:
/// its row is deleted, and only the same user's intent can be meant where its number was given again.
fn end_intent(
    batch: &mut Batch<'_>,
    (intent, user): (IntentId, &str),
    end: &IntentEnd,
    now: Moment,
) -> rusqlite::Result<()> {
    let (transaction, id) = (batch.transaction(), (intent.0, user));
    let (accepted, scim_id) = match end {
        IntentEnd::Accepted(scim_id) => (Some(true), scim_id.as_ref().map(ScimId::as_str)),
        IntentEnd::NotAccepted => (Some(false), None),
        IntentEnd::Unknown => (None, None),
    };
    if accepted == Some(true) && batch.any_approved()? {
        transaction
            .prepare_cached(
                "UPDATE approvals SET used = 1 WHERE (action, directory_id, scim_id, content) =
                 (SELECT action, directory_id, ifnull(scim_id, ''), content FROM intents WHERE id = ?1 AND directory_id = ?2 AND approved)",
            )?
            .execute(id)?;
    }
    let free =
        "DELETE FROM intents WHERE id = ?1 AND directory_id = ?2 AND kind = '' AND action = 'create' AND NOT approved";
    if accepted.is_some() && transaction.prepare_cached(free)?.execute(id)? > 0 {
        return Ok(());
    }
    let ended = "UPDATE intents SET ended_at = ?3, accepted = ?4, scim_id = ifnull(?5, scim_id) WHERE id = ?1 AND directory_id = ?2";
    transaction.prepare_cached(ended)?.execute((id.0, id.1, now.0, accepted, scim_id))?;
    Ok(())
}

/// What the guard's window has counted since it began; the caller adds the limits.
pub fn ledger(connection: &Connection, now: Moment, window_began: Moment) -> rusqlite::Result<Ledger> {
    let since = window_began.0;
    let (provisioned_count, first_load, restored) =
        connection.query_row("SELECT provisioned, first_load, restored FROM installation, counts", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?))
        })?;
    let mut spent: BTreeMap<GuardKind, BTreeSet<ChangeKey>> = BTreeMap::new();
    let mut statement = connection.prepare(
        "SELECT kind, action, directory_id, scim_id FROM intents
         WHERE stored_at >= ?1 AND NOT approved AND accepted IS NOT 0 AND kind <> ''",
    )?;
    let mut rows = statement.query([since])?;
    while let Some(row) = rows.next()? {
        let kind = GuardKind::from_name(row.get_ref(0)?.as_str()?).ok_or(rusqlite::Error::InvalidQuery)?;
        spent.entry(kind).or_default().insert(key(row, 1)?);
    }
    let removed_count: i64 = connection.query_row(
        "SELECT count(DISTINCT scim_id) FROM intents WHERE stored_at >= ?1 AND accepted AND action IN ('deactivate', 'delete')",
        [since],
        |row| row.get(0),
    )?;
    Ok(Ledger {
        provisioned_count: provisioned_count.max(0) as u64,
        removed_count: removed_count.max(0) as u64,
        spent,
        approved: approvals::approvals(connection, now)?,
        first_load,
        restored,
        ..Ledger::default()
    })
}

/// Deletes ended intents that no window can reach any more.
pub(super) fn prune(transaction: &Transaction<'_>, now: Moment, window_began: Moment) -> rusqlite::Result<()> {
    let before = now.minus(KEPT_AT_LEAST).min(window_began).0;
    transaction.execute("DELETE FROM intents WHERE ended_at IS NOT NULL AND stored_at < ?1", [before])?;
    Ok(())
}
