//! What a cycle did, and which changes are not done.

use crate::model::{Action, Change, HeldChange, OutstandingKind, OutstandingUser, Reason};
use crate::report::Counts;

/// What was done, and the users whose change was not.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done: Counts,
    pub(crate) outstanding: Vec<OutstandingUser>,
    /// Removals that are held for what their accounts show.
    pub(crate) held: Vec<HeldChange>,
    pub(crate) creates_left: bool,
    /// An account was gone: the next plan creates it again.
    pub(crate) vanished: bool,
}

impl Tally {
    /// Whether a removal got no answer and is not put off: the next cycle must begin soon.
    pub(crate) fn has_unanswered_removal(&self) -> bool {
        let unanswered = |entry: &&OutstandingUser| entry.kind == OutstandingKind::Failed && entry.until.is_none();
        self.outstanding.iter().filter(unanswered).any(|entry| entry.action.is_some_and(Action::removes))
    }

    pub(crate) fn list_user(&mut self, entry: OutstandingUser) {
        self.creates_left |= is_open_create(&entry);
        self.outstanding.push(entry);
    }

    /// Who was put off since does not count any more.
    pub(super) fn note_creates_left(&mut self) {
        self.creates_left = self.outstanding.iter().any(is_open_create);
    }
}

fn is_open_create(entry: &OutstandingUser) -> bool {
    matches!(entry.kind, OutstandingKind::Held | OutstandingKind::Waiting) && entry.action == Some(Action::Create)
}

/// The entry for the user of a change.
pub(crate) fn entry_for(change: &Change, kind: OutstandingKind, reason: impl Into<Reason>) -> OutstandingUser {
    let mut entry = OutstandingUser::new(kind, Some(change.directory_id()), Some(change.user_name()), reason)
        .action(change.action())
        .wanted(change.wanted());
    entry.scim_id = change.scim_id().cloned();
    entry
}
