//! Users in a row who got no answer, counted.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// A row of users without an answer, by its number in this cycle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct RowNumber(u64);

/// The present row, and what is known of the earlier ones.
#[derive(Debug, Default)]
pub(super) struct Row {
    number: Cell<RowNumber>,
    length: Cell<u32>,
    /// Why a user got no answer, from when the row becomes long until the list call.
    doubt: RefCell<Option<String>>,
    /// Rows during which the list was answered: the fault is with their users.
    of_users: RefCell<BTreeSet<RowNumber>>,
}

impl Row {
    pub(super) fn number(&self) -> RowNumber {
        self.number.get()
    }

    /// Ends the row.
    pub(super) fn end(&self) {
        if self.length.replace(0) > 0 {
            self.number.set(RowNumber(self.number.get().0 + 1));
            self.doubt.take();
        }
    }

    /// One more; how many there are now.
    pub(super) fn lengthen(&self) -> u32 {
        self.length.set(self.length.get() + 1);
        self.length.get()
    }

    pub(super) fn length(&self) -> u32 {
        self.length.get()
    }

    pub(super) fn doubt(&self, reason: &str) {
        *self.doubt.borrow_mut() = Some(reason.to_owned());
    }

    /// The doubt, for the one who settles it.
    pub(super) fn take_doubt(&self) -> Option<String> {
        self.doubt.take()
    }

    pub(super) fn blame_users(&self, number: RowNumber) {
        self.of_users.borrow_mut().insert(number);
    }

    pub(super) fn is_of_users(&self, number: RowNumber) -> bool {
        self.of_users.borrow().contains(&number)
    }
}
