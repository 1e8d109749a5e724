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
    /// Somebody's removal got no answer: the next cycle begins soon.
    pub(crate) removal_unanswered: bool,
}

impl Tally {
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
