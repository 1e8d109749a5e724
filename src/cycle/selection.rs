//! `--only`: which users are meant. A text is a directory id, else the linked username, else the directory's username.

use crate::model::{Change, DirectoryId, DirectoryUser, Loose, folded};
use crate::plan::Plan;
use crate::store;
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Users asked for by name, while it is not known yet who they are.
pub(super) struct Selection {
    wanted: Vec<Wanted>,
}

struct Wanted {
    text: String,
    folded: String,
    found: Option<(Rank, DirectoryId)>,
}

/// How good a match is; the first one wins.
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
    /// Looks the texts up in the snapshot.
    pub(super) fn begin(texts: &[String], reader: &Connection) -> rusqlite::Result<Self> {
        let mut wanted = Vec::new();
        for text in texts {
            let mut one = Wanted { text: text.clone(), folded: folded(text), found: None };
            if let Some(link) = store::link_by_id(reader, &DirectoryId::new(text.as_str()))? {
                one.offer(Rank::Id, &link.directory_id);
            }
            if let Some(link) = store::link_of(reader, &one.folded)? {
                one.offer(Rank::LinkedName, &link.directory_id);
            }
            wanted.push(one);
        }
        Ok(Self { wanted })
    }

    /// Looks at one record of the export.
    pub(super) fn look(&mut self, user: &DirectoryUser<'_>) {
        let Loose::Text(id) = &user.id else { return };
        for one in &mut self.wanted {
            if *one.text == **id {
                one.offer(Rank::Id, &DirectoryId::new(id.as_ref()));
            } else if let Loose::Text(name) = &user.username
                && folded(name) == one.folded
            {
                one.offer(Rank::DirectoryName, &DirectoryId::new(id.as_ref()));
            }
        }
    }

    /// Who is meant.
    ///
    /// # Errors
    /// The first text that means nobody.
    pub(super) fn users(self) -> Result<BTreeSet<DirectoryId>, String> {
        self.wanted.into_iter().map(|one| one.found.map(|(_, id)| id).ok_or(one.text)).collect()
    }
}

/// Leaves only these users in a plan.
pub(super) fn narrow(plan: &mut Plan, users: &BTreeSet<DirectoryId>) {
    plan.changes.retain(|change| users.contains(change.directory_id()));
    plan.standings.retain(|standing| standing.directory_id.as_ref().is_some_and(|id| users.contains(id)));
    plan.sightings.clear();
    let changed: BTreeSet<_> = plan.changes.iter().map(Change::directory_id).collect();
    let standing: BTreeSet<_> = plan.standings.iter().filter_map(|standing| standing.directory_id.as_ref()).collect();
    plan.unchanged_count = users.iter().filter(|id| !changed.contains(id) && !standing.contains(id)).count() as u64;
}
