//! How many calls one user may cost in a cycle: whatever an endpoint answers, it is not asked without end. A listing counts as
//! one call; what proves the endpoint itself (witnesses, whether its filter can be trusted) is nobody's.

use crate::model::{AnswerDoubt, DirectoryId};
use crate::outcome::{Judged, Outcome};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Calls about one user in one cycle.
pub(super) const CALLS_MAX: u32 = 12;

/// The calls of each user, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Calls {
    by_user: RefCell<BTreeMap<DirectoryId, Counted>>,
    current: RefCell<Option<Counted>>,
}

/// The calls of one user.
pub(super) type Counted = Rc<Cell<u32>>;

impl Calls {
    /// How many are left for the user whose turn it is; `None`: nobody is counted.
    pub(super) fn left(&self) -> Option<u32> {
        self.current.borrow().as_ref().map(|count| CALLS_MAX.saturating_sub(count.get()))
    }

    /// The calls of a user so far.
    pub(super) fn of(&self, user: &DirectoryId) -> Counted {
        Rc::clone(self.by_user.borrow_mut().entry(user.clone()).or_default())
    }

    /// Forgets a user whose calls are all made: a first load has a million.
    pub(super) fn forget(&self, user: &DirectoryId) {
        self.by_user.borrow_mut().remove(user);
    }

    /// From now on it is this user's turn; whose it was before.
    pub(super) fn turn_to(&self, count: Option<Counted>) -> Option<Counted> {
        self.current.replace(count)
    }

    /// The user whose turn it is.
    pub(super) fn whose_turn(&self) -> Option<DirectoryId> {
        let current = self.current.borrow();
        let current = current.as_ref()?;
        let by_user = self.by_user.borrow();
        by_user.iter().find(|(_, count)| Rc::ptr_eq(count, current)).map(|(user, _)| user.clone())
    }

    /// Counts calls for the user whose turn it is.
    pub(super) fn note(&self, calls_count: u32) {
        if let Some(count) = self.current.borrow().as_ref() {
            count.set(count.get() + calls_count);
        }
    }
}

/// What is said of a user who may not cost another call. Nothing was sent.
pub(super) fn used_up() -> Judged {
    Judged { outcome: Outcome::NotSent, ..Judged::unknown(AnswerDoubt::CallsUsedUp) }
}
