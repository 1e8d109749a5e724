//! Users whose answers carry a `Retry-After` for which no cycle waits: it may be about them alone.

use crate::model::DirectoryId;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Who was told so, in this cycle and before.
#[derive(Debug, Default)]
pub(crate) struct ToldToWait {
    before: RefCell<BTreeSet<DirectoryId>>,
    ended_by: RefCell<Option<DirectoryId>>,
    again: RefCell<BTreeSet<DirectoryId>>,
}

impl ToldToWait {
    /// Notes who ended an earlier cycle so.
    pub(crate) fn note_before(&self, users: impl Iterator<Item = DirectoryId>) {
        self.before.borrow_mut().extend(users);
    }

    pub(super) fn was_before(&self, user: &DirectoryId) -> bool {
        self.before.borrow().contains(user)
    }

    /// It ends the cycle; the first one counts.
    pub(super) fn end_by(&self, user: Option<DirectoryId>) {
        let mut ended_by = self.ended_by.borrow_mut();
        *ended_by = ended_by.take().or(user);
    }

    /// Again, while the list was answered: everybody else is served.
    pub(super) fn note_again(&self, user: &DirectoryId) {
        self.again.borrow_mut().insert(user.clone());
    }

    /// Whether this user's answer ended the cycle.
    pub(crate) fn has_ended(&self, user: &DirectoryId) -> bool {
        self.ended_by.borrow().as_ref() == Some(user)
    }

    /// Whether this user was told so again.
    pub(crate) fn is_again(&self, user: &DirectoryId) -> bool {
        self.again.borrow().contains(user)
    }
}
