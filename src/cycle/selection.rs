//! Resolves the users named by `--only` and `explain`: by directory id, else linked username, else the directory's
//! username.

use super::error::CompareError;
use crate::config::Settings;
use crate::model::{DirectoryId, DirectoryUser, OutstandingUser, RawGroups, RawValue, RecordFault, folded};
use crate::plan::mapping::{MappedUser, map_record, username_of};
use crate::report::{ExportFacts, RecordFacts};
use crate::source::{Export, ExportRead};
use crate::store;
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Users asked for by name, before it is known who they are.
pub(super) struct Selection {
    wanted: Vec<Wanted>,
}

struct Wanted {
    text: String,
    folded: String,
    found: Option<(Rank, DirectoryId)>,
}

/// How good a match is; the first variant wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Id,
    LinkedName,
    DirectoryName,
}

impl Wanted {
    fn offer(&mut self, rank: Rank, id: &DirectoryId) {
        if self.found.as_ref().is_none_or(|(found, _)| rank < *found) {
            self.found = Some((rank, id.clone()));
        }
    }
}

impl Selection {
    /// Looks the names up in the snapshot.
    pub(super) fn begin(texts: &[String], reader: &Connection) -> rusqlite::Result<Self> {
        let mut wanted = Vec::new();
        for text in texts {
            let mut one = Wanted { text: text.clone(), folded: folded(text), found: None };
            let id = DirectoryId::new(text.as_str());
            match store::link_by_id(reader, &id)? {
                Some(link) => one.offer(Rank::Id, &link.directory_id),
                None => store::formerly(reader, &id)?.iter().for_each(|now| one.offer(Rank::Id, now)),
            }
            if let Some(link) = store::link_of(reader, &one.folded)? {
                one.offer(Rank::LinkedName, &link.directory_id);
            }
            wanted.push(one);
        }
        Ok(Self { wanted })
    }

    /// Matches one record of the export.
    pub(super) fn look(&mut self, user: &DirectoryUser<'_>) {
        let RawValue::Text(id) = &user.id else { return };
        for one in &mut self.wanted {
            if *one.text == **id {
                one.offer(Rank::Id, &DirectoryId::new(id.as_ref()));
            } else if let RawValue::Text(name) = &user.username
                && folded(name) == one.folded
            {
                one.offer(Rank::DirectoryName, &DirectoryId::new(id.as_ref()));
            }
        }
    }

    /// The users that were found.
    ///
    /// # Errors
    /// The first name that matches no user.
    pub(super) fn users(self) -> Result<BTreeSet<DirectoryId>, String> {
        self.wanted.into_iter().map(|one| one.found.map(|(_, id)| id).ok_or(one.text)).collect()
    }
}

/// Resolves a user: a directory id in the state or its log, else a linked username, else a user of the export, which is
/// opened only in that case, else a username in the log, for users who are gone, or of an account that nobody manages.
///
/// # Errors
/// The state cannot be read.
pub fn find_user(
    text: &str,
    reader: &Connection,
    settings: &Settings,
    open_export: impl FnOnce() -> Option<Export>,
) -> rusqlite::Result<Option<DirectoryId>> {
    let id = DirectoryId::new(text);
    let linked = store::link_by_id(reader, &id)?.is_some();
    if let (false, Some(now)) = (linked, store::formerly(reader, &id)?) {
        return Ok(Some(now));
    }
    if linked || !store::history(reader, &id)?.is_empty() {
        return Ok(Some(id));
    }
    if let Some(link) = store::link_of(reader, &folded(text))? {
        return Ok(Some(link.directory_id));
    }
    let found = open_export().and_then(|mut export| look_for(text, reader, settings, &mut export).ok());
    match found.and_then(|(id, _)| id) {
        Some(id) => Ok(Some(id)),
        None => match store::find_in_log(reader, text)? {
            Some(id) => Ok(Some(id)),
            None => unmanaged(text, reader),
        },
    }
}

/// The user whose id an account carries that nobody manages, by that id or by the account's username.
fn unmanaged(text: &str, reader: &Connection) -> rusqlite::Result<Option<DirectoryId>> {
    let name = folded(text);
    let is_meant = |entry: &OutstandingUser| {
        let is_named = entry.username.as_ref().is_some_and(|user| user.folded() == name);
        is_named || entry.directory_id.as_ref().is_some_and(|id| id.as_str() == text)
    };
    Ok(store::unmanaged(reader)?.into_iter().find(is_meant).and_then(|entry| entry.directory_id))
}

/// What the export says of the user with this name; `None` if there is no such user.
///
/// # Errors
/// The export or the state cannot be read.
pub fn look_for(
    text: &str,
    reader: &Connection,
    settings: &Settings,
    export: &mut Export,
) -> Result<(Option<DirectoryId>, ExportFacts), CompareError> {
    let mut selection = Selection::begin(&[text.to_owned()], reader)?;
    let read = export.read(&mut |user| selection.look(user))?;
    // As a cycle would read it.
    export.expects_states(&read.spoken);
    let id = selection.users().ok().and_then(|users| users.into_iter().next());
    let mut records = Vec::new();
    if let Some(id) = &id {
        export.read(&mut |user| {
            if matches!(&user.id, RawValue::Text(text) if **text == *id.as_str()) {
                records.push(record_facts(user, settings));
            }
        })?;
    }
    let mut record = records.pop();
    if let (Some(record), false) = (&mut record, records.is_empty()) {
        record.requested = Err(RecordFault::DuplicateId.into());
    }
    let ExportRead { users_count, proof, written_at, .. } = read;
    Ok((id, ExportFacts { written_at, users_count, proof, record }))
}

fn record_facts(user: &DirectoryUser<'_>, settings: &Settings) -> RecordFacts {
    let groups = match &user.groups {
        RawGroups::Listed(_) | RawGroups::Cell(_, _) | RawGroups::Joined(_, _) => {
            Some(user.groups.names().map(str::to_owned).collect())
        }
        RawGroups::Absent | RawGroups::Contradicted | RawGroups::Other => None,
    };
    let verdict = map_record(user, &settings.scope);
    let names = verdict.as_ref().map(MappedUser::names).unwrap_or_default();
    let requested = verdict.map(|mapped| mapped.requested).map_err(|reject| reject.unusable.reason());
    RecordFacts { username: username_of(user), groups, names, requested }
}
