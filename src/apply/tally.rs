//! What a cycle did, and which changes are not done.

use crate::model::{Action, Change, OutstandingKind, OutstandingUser, Reason};
use crate::report::Counts;

/// What was done, and the users whose change was not.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done: Counts,
    pub(crate) outstanding: Vec<OutstandingUser>,
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
        let open = matches!(entry.kind, OutstandingKind::Held | OutstandingKind::Waiting);
        self.creates_left |= open && entry.action == Some(Action::Create);
        self.outstanding.push(entry);
    }
}

/// The entry for the user of a change.
pub(crate) fn entry_for(change: &Change, kind: OutstandingKind, reason: impl Into<Reason>) -> OutstandingUser {
    let mut entry = OutstandingUser::new(kind, Some(change.directory_id()), Some(change.user_name()), reason)
        .action(change.action())
        .wanted(change.wanted());
    entry.scim_id = change.scim_id().cloned();
    entry
}
