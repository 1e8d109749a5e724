//! Users whose wanted change is not done: since when, and whether it has been logged.

use super::log;
use crate::event::{Draft, EventType, Resource, Source};
use crate::model::{
    Action, CycleId, DirectoryId, Moment, OutstandingKind, OutstandingUser, Reason, ScimId, StoredReason, UserName,
};
use rusqlite::{Connection, Row, Transaction};
use std::collections::{BTreeMap, BTreeSet};

const COLUMNS: &str = "kind, directory_id, username, scim_id, code, detail, action, wanted, since, until, attempts, \
    former_id";

/// All entries, in the order of reports.
pub fn outstanding(connection: &Connection) -> rusqlite::Result<Vec<OutstandingUser>> {
    connection
        .prepare(&format!("SELECT {COLUMNS} FROM outstanding_users ORDER BY kind, directory_id, code"))?
        .query_map([], read)?
        .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<OutstandingUser> {
    let kind = OutstandingKind::from_name(row.get_ref(0)?.as_str()?).ok_or(rusqlite::Error::InvalidQuery)?;
    let text = |column| -> rusqlite::Result<Option<&str>> { Ok(row.get_ref(column)?.as_str_or_null()?) };
    Ok(OutstandingUser {
        kind,
        directory_id: text(1)?.map(DirectoryId::new),
        username: text(2)?.map(UserName::of_account),
        scim_id: text(3)?.map(ScimId::new),
        reason: Reason::from_stored(row.get_ref(4)?.as_str()?, text(5)?),
        action: text(6)?.and_then(Action::from_name),
        wanted: row.get_ref(7)?.as_str()?.into(),
        since: Some(Moment(row.get(8)?)),
        until: row.get::<_, Option<i64>>(9)?.map(Moment),
        attempts: row.get(10)?,
        former_id: text(11)?.map(DirectoryId::new),
        fields: Vec::new(),
    })
}

pub(super) fn insert(transaction: &Transaction<'_>, entry: &OutstandingUser, now: Moment) -> rusqlite::Result<()> {
    let StoredReason { code, detail } = entry.reason.stored();
    transaction
        .prepare_cached(&format!(
            "INSERT INTO outstanding_users ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        ))?
        .execute((
            entry.kind.as_str(),
            entry.directory_id.as_ref().map(DirectoryId::as_str),
            entry.username.as_ref().map(UserName::as_str),
            entry.scim_id.as_ref().map(ScimId::as_str),
            code,
            detail,
            entry.action.map(Action::as_str),
            &*entry.wanted,
            entry.since.unwrap_or(now).0,
            entry.until.map(|until| until.0),
            entry.attempts,
            entry.former_id.as_ref().map(DirectoryId::as_str),
        ))?;
    Ok(())
}

/// Since when a user has had such an entry; `None` if it is new.
pub(super) fn since(connection: &Connection, entry: &OutstandingUser) -> rusqlite::Result<Option<Moment>> {
    connection
        .prepare_cached("SELECT min(since) FROM outstanding_users WHERE kind = ?1 AND directory_id IS ?2")?
        .query_row((entry.kind.as_str(), entry.directory_id.as_ref().map(DirectoryId::as_str)), |row| {
            row.get::<_, Option<i64>>(0)
        })
        .map(|since| since.map(Moment))
}

/// Replaces the last cycle's entries with this one's, for everybody or `only` some users. Logs each new refusal and
/// parking, and returns the entries with their `since`.
pub fn replace_outstanding(
    transaction: &Transaction<'_>,
    outstanding: Vec<OutstandingUser>,
    only: Option<&BTreeSet<DirectoryId>>,
    cycle: (&CycleId, Source),
    now: Moment,
) -> rusqlite::Result<Vec<OutstandingUser>> {
    let before = Before::read(transaction)?;
    let is_replaced = |(_, entry): &&(i64, OutstandingUser)| {
        only.is_none_or(|users| entry.directory_id.as_ref().is_some_and(|id| users.contains(id)))
    };
    let mut over: BTreeSet<i64> = before.rows().filter(is_replaced).map(|(row, _)| *row).collect();
    let mut drafts = Vec::new();
    let (mut stored, mut new) = (Vec::with_capacity(outstanding.len()), Vec::new());
    for mut entry in outstanding {
        let earlier = before.of(&entry);
        let same = earlier.iter().find(|(_, earlier)| earlier.goes_on_as(&entry));
        entry.since = Some(same.and_then(|(_, same)| same.since).unwrap_or(now));
        if let Some(draft) = draft_of(&entry, cycle)
            && say_once(transaction, &entry)?
        {
            drafts.push(draft);
        }
        // Of a long list little changes from cycle to cycle, and nobody else writes meanwhile.
        let stays = earlier.iter().find(|(row, earlier)| over.contains(row) && is_stored(earlier, &entry));
        match stays {
            Some((row, _)) => drop(over.remove(row)),
            None => new.push(stored.len()),
        }
        stored.push(entry);
    }
    if over.len() == before.rows().count() {
        transaction.execute("DELETE FROM outstanding_users", [])?;
    } else {
        let mut delete = transaction.prepare_cached("DELETE FROM outstanding_users WHERE rowid = ?1")?;
        for row in over {
            delete.execute([row])?;
        }
    }
    for place in new {
        insert(transaction, &stored[place], now)?;
    }
    transaction.execute(
        "DELETE FROM refusals_said AS said WHERE NOT EXISTS (SELECT 1 FROM outstanding_users s WHERE s.kind IN ('refused', 'parked')
         AND s.directory_id = said.directory_id AND s.code = said.code)",
        [],
    )?;
    log::append(transaction, &drafts, now)?;
    Ok(stored)
}

/// The last cycle's entries, by whom they are about.
struct Before(BTreeMap<Who, Vec<(i64, OutstandingUser)>>);

type Who = (OutstandingKind, Option<DirectoryId>);

impl Before {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut before: BTreeMap<Who, Vec<_>> = BTreeMap::new();
        let mut select = connection.prepare(&format!("SELECT {COLUMNS}, rowid FROM outstanding_users"))?;
        for entry in select.query_map([], |row| Ok((row.get(12)?, read(row)?)))? {
            let (row, entry) = entry?;
            before.entry((entry.kind, entry.directory_id.clone())).or_default().push((row, entry));
        }
        Ok(Self(before))
    }

    fn rows(&self) -> impl Iterator<Item = &(i64, OutstandingUser)> {
        self.0.values().flatten()
    }

    fn of(&self, entry: &OutstandingUser) -> &[(i64, OutstandingUser)] {
        self.0.get(&(entry.kind, entry.directory_id.clone())).map_or(&[], Vec::as_slice)
    }
}

/// Whether an entry is stored already, to the letter.
fn is_stored(earlier: &OutstandingUser, entry: &OutstandingUser) -> bool {
    let OutstandingUser {
        kind,
        directory_id,
        username,
        scim_id,
        reason,
        action,
        wanted,
        since,
        until,
        attempts,
        former_id,
        // These are not stored.
        fields: _,
    } = entry;
    let letters = |name: &Option<UserName>| name.as_ref().map(|name| name.as_str().to_owned());
    earlier.kind == *kind
        && earlier.directory_id == *directory_id
        && letters(&earlier.username) == letters(username)
        && earlier.scim_id == *scim_id
        && earlier.reason == *reason
        && earlier.action == *action
        && earlier.wanted == *wanted
        && earlier.since == *since
        && earlier.until == *until
        && earlier.attempts == *attempts
        && earlier.former_id == *former_id
}

/// Whether this entry is not yet in the log, or was resolved since.
fn say_once(transaction: &Transaction<'_>, entry: &OutstandingUser) -> rusqlite::Result<bool> {
    let id = entry.directory_id.as_ref().map(DirectoryId::as_str);
    transaction
        .prepare_cached(
            "INSERT INTO refusals_said (directory_id, code, wanted) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute((id, entry.reason.code(), &*entry.wanted))
        .map(|rows| rows > 0)
}

/// Refusals and parkings are logged once per id, reason and wanted value; a record without a known user never is.
fn draft_of(entry: &OutstandingUser, (cycle, source): (&CycleId, Source)) -> Option<Draft> {
    match entry.kind {
        OutstandingKind::Refused | OutstandingKind::Parked => {}
        OutstandingKind::Held
        | OutstandingKind::Waiting
        | OutstandingKind::Failed
        | OutstandingKind::Kept
        | OutstandingKind::Drift => return None,
    }
    let id = entry.directory_id.clone()?;
    let event_type =
        if entry.scim_id.is_some() { EventType::UserUpdateProvision } else { EventType::UserCreateProvision };
    let mut draft = Draft::new(event_type, false, source);
    draft.resource = Some(Resource { id, username: entry.username.clone(), target_id: entry.scim_id.clone() });
    draft.changes.clone_from(&entry.fields);
    draft.response.details = entry.kind.as_str().to_owned();
    draft.error_message = entry.reason.to_string();
    draft.cycle = Some(cycle.clone());
    Some(draft)
}

/// Users missing from the export, with the time the first export without them was written.
pub fn absences(connection: &Connection) -> rusqlite::Result<BTreeMap<DirectoryId, Moment>> {
    connection
        .prepare("SELECT directory_id, written_at FROM absences")?
        .query_map([], |row| Ok((DirectoryId::new(row.get_ref(0)?.as_str()?), Moment(row.get(1)?))))?
        .collect()
}

/// Stores who is missing now; a user who was present in between starts over.
pub fn replace_absences(
    transaction: &Transaction<'_>,
    missing: &[DirectoryId],
    written_at: Moment,
) -> rusqlite::Result<()> {
    let before = absences(transaction)?;
    transaction.execute("DELETE FROM absences", [])?;
    let mut insert = transaction.prepare_cached("INSERT INTO absences (directory_id, written_at) VALUES (?1, ?2)")?;
    for id in missing {
        insert.execute((id.as_str(), before.get(id).copied().unwrap_or(written_at).0))?;
    }
    Ok(())
}

/// When the members file was written that first left out each of these users.
///
/// # Errors
/// The state cannot be read.
pub fn unlisted(connection: &Connection) -> rusqlite::Result<BTreeMap<DirectoryId, Moment>> {
    connection
        .prepare("SELECT directory_id, written_at FROM unlisted")?
        .query_map([], |row| Ok((DirectoryId::new(row.get_ref(0)?.as_str()?), Moment(row.get(1)?))))?
        .collect()
}

/// Remembers whom a members file of this time leaves out; who is not among them starts anew when left out again.
///
/// # Errors
/// The state cannot be written.
pub fn replace_unlisted(
    transaction: &Transaction<'_>,
    left_out: &[DirectoryId],
    written_at: Moment,
) -> rusqlite::Result<()> {
    let before = unlisted(transaction)?;
    transaction.execute("DELETE FROM unlisted", [])?;
    let mut insert = transaction.prepare_cached("INSERT INTO unlisted (directory_id, written_at) VALUES (?1, ?2)")?;
    for id in left_out {
        insert.execute((id.as_str(), before.get(id).copied().unwrap_or(written_at).0))?;
    }
    Ok(())
}

/// Records a failed look-up; true if it has not been logged since the last one that succeeded.
pub fn lookup_failed(transaction: &Transaction<'_>, id: &DirectoryId, cause: &str) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("INSERT INTO lookups_failed (directory_id, cause) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((id.as_str(), cause))
        .map(|rows| rows > 0)
}

/// Records a successful look-up: the next failure is logged again.
pub fn lookup_succeeded(transaction: &Transaction<'_>, id: &DirectoryId) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM lookups_failed WHERE directory_id = ?1")?.execute([id.as_str()])?;
    Ok(())
}

/// Users whose last look-up failed.
pub fn lookups_failed(connection: &Connection) -> rusqlite::Result<BTreeSet<DirectoryId>> {
    connection
        .prepare("SELECT DISTINCT directory_id FROM lookups_failed")?
        .query_map([], |row| Ok(DirectoryId::new(row.get_ref(0)?.as_str()?)))?
        .collect()
}
