//! What an approved plan shows: to those who apply it, to commands, and of some users only. It lets nothing through that the
//! guard held.

use super::{ApprovedPlan, Cleared, wait_for_held_removals};
use crate::model::{
    Change, ChangeKey, Content, DirectoryId, ExactChange, HeldChange, HoldId, OutstandingKind, OutstandingUser,
    OverLimit, Reason, UsernameConflict,
};
use crate::plan::claims::not_created;
use crate::plan::digest;
use crate::plan::order::{merged, order};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

impl ApprovedPlan {
    /// What may be sent, removals first.
    pub fn changes(&self) -> impl Iterator<Item = Cow<'_, Change>> {
        merged(self.changes.iter().map(Cow::Borrowed), self.creates.iter().map(Cow::Owned))
    }

    /// How many changes may be sent.
    #[must_use]
    pub fn changes_count(&self) -> usize {
        self.changes.len() + self.creates.len()
    }

    /// What of it takes access away.
    pub fn removals(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.action().removes())
    }

    /// The same, to be sent, and on which terms.
    #[must_use]
    pub fn into_cleared(self) -> Cleared {
        let Self { changes, creates, approved, conditional, .. } = self;
        Cleared { changes, creates, approved, conditional }
    }

    /// The same for some users only. What the guard holds of everybody's plan, it holds of theirs.
    #[must_use]
    pub fn only(mut self, users: &BTreeSet<DirectoryId>) -> Self {
        let theirs = |change: &Change| users.contains(change.directory_id());
        let packed = std::mem::take(&mut self.creates).take_out(|create| users.contains(&DirectoryId::new(create.id)));
        self.changes.extend(packed);
        self.changes.sort_by(order);
        self.changes.retain(theirs);
        // A newcomer who takes over a username waits for whoever carries it and is not meant.
        let waits = |change: &mut Change| match change {
            Change::Create { after_removal_of: Some(holder), .. } => !users.contains(holder),
            Change::Create { .. } | Change::Update { .. } | Change::Remove { .. } | Change::Relink { .. } => false,
        };
        let waiting = self.changes.extract_if(.., waits);
        self.outstanding
            .extend(waiting.map(|change| not_created(&change, OutstandingKind::Waiting, UsernameConflict::NotFreed)));
        self.held.retain(theirs);
        self.outstanding.retain(|entry| entry.directory_id.as_ref().is_some_and(|id| users.contains(id)));
        let changed = self.changes.iter().chain(&self.held).map(Change::directory_id);
        let changed = changed.chain(self.held.iter().filter_map(Change::former_id));
        let entry = self.outstanding.iter().filter_map(|entry| entry.directory_id.as_ref());
        let spoken_of: BTreeSet<_> = changed.chain(entry).collect();
        self.unchanged_count = users.iter().filter(|id| !spoken_of.contains(id)).count() as u64;
        self.digest = digest::plan_digest(self.changes.iter(), self.held.iter());
        self.hold = self.hold_id();
        self
    }

    /// The plan as a command shows it, which asks Rhombus nothing: removals that the last cycle held for what the account
    /// showed are held still, unless exactly that was approved, and so are those that it held for Rhombus's clock. A cycle
    /// reads the account again. The digest is that of the plan before look-ups.
    #[must_use]
    pub fn held_as_stored(mut self, stored: &[OutstandingUser]) -> Self {
        let mut read = BTreeMap::new();
        for entry in stored.iter().filter(|entry| entry.kind == OutstandingKind::Held) {
            let (Some(id), Some(action)) = (&entry.directory_id, entry.action) else { continue };
            let shown = entry.reason.shown();
            if shown.is_none() && !matches!(entry.reason, Reason::Clock(_)) {
                continue;
            }
            let key = ChangeKey { action, directory_id: id.clone(), scim_id: entry.scim_id.clone() };
            let exact = ExactChange { key, content: Content::stored(&entry.wanted) };
            if shown.is_none() || !self.approved.contains_key(&exact) {
                read.insert(exact.key, (entry, shown));
            }
        }
        if !read.is_empty() {
            self.held.extend(self.changes.extract_if(.., |change| {
                let key = change.key();
                let Some((entry, shown)) = read.remove(&key) else { return false };
                self.outstanding.push(entry.clone());
                match shown {
                    Some(shown) => drop(self.shown.insert(key, shown)),
                    None => drop(self.off_clock.insert(key)),
                }
                true
            }));
            wait_for_held_removals(&mut self.changes, &self.held, &mut self.outstanding);
            self.hold = self.hold_id();
        }
        self.outstanding.sort_by(OutstandingUser::order);
        self
    }

    /// What an administrator released and the plan still has.
    #[must_use]
    pub fn approved(&self) -> Vec<ExactChange> {
        if self.approved.is_empty() {
            return Vec::new();
        }
        let planned: BTreeMap<_, _> = self
            .changes()
            .chain(self.held.iter().map(Cow::Borrowed))
            .map(|change| (change.key(), change.exact().content))
            .collect();
        // What the account of a removal shows is known once it is read.
        let is_planned = |exact: &&ExactChange| {
            let content = planned.get(&exact.key);
            content == Some(&exact.content) || (content.is_some() && exact.key.action.removes())
        };
        self.approved.keys().filter(is_planned).cloned().collect()
    }

    /// What the guard holds and an administrator can release: not what waits for the clock.
    pub fn approvable(&self) -> impl Iterator<Item = &Change> {
        let waits = |change: &Change| self.removals_wait_for_the_clock || self.off_clock.contains(&change.key());
        self.held.iter().filter(move |change| !(change.action().removes() && waits(change)))
    }

    /// What the guard holds.
    #[must_use]
    pub fn held(&self) -> &[Change] {
        &self.held
    }

    /// The same, as a hold stores it.
    #[must_use]
    pub fn held_changes(&self) -> Vec<HeldChange> {
        self.approvable().map(|change| self.as_stored(change)).collect()
    }

    /// What is held of one user, as a hold stores it.
    #[must_use]
    pub fn held_of(&self, id: &DirectoryId) -> Option<HeldChange> {
        self.approvable().find(|change| change.is_about(id)).map(|change| self.as_stored(change))
    }

    fn as_stored(&self, change: &Change) -> HeldChange {
        match self.shown.get(&change.key()) {
            Some(shown) => change.as_held_for(shown),
            None => change.as_held(),
        }
    }

    pub(super) fn hold_id(&self) -> Option<HoldId> {
        digest::hold_id(self.held_changes().into_iter().map(|held| held.exact))
    }

    /// Everybody whose wanted change is not sent, with the reason; what is held among them.
    #[must_use]
    pub fn outstanding(&self) -> &[OutstandingUser] {
        &self.outstanding
    }

    /// The id of what is held.
    #[must_use]
    pub fn hold(&self) -> Option<&HoldId> {
        self.hold.as_ref()
    }

    /// Which limits were passed.
    #[must_use]
    pub fn tripped(&self) -> &[OverLimit] {
        &self.tripped
    }

    /// The digest of the plan.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether removals are held because the state was restored from a backup.
    #[must_use]
    pub fn holds_restored(&self) -> bool {
        self.holds_restored
    }

    /// Whether creates spend no budget: no cycle has ended yet without any left.
    #[must_use]
    pub fn creates_are_free(&self) -> bool {
        self.creates_are_free
    }

    /// Users who are up to date.
    #[must_use]
    pub fn unchanged_count(&self) -> u64 {
        self.unchanged_count
    }
}
