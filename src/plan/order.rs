//! The order of a plan: removals first, so that a cycle cut short has taken access away before it gives any; each part by
//! directory id.

use crate::model::Change;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::iter::Peekable;

/// Which of two changes comes first.
pub(crate) fn order(a: &Change, b: &Change) -> Ordering {
    rank(a).cmp(&rank(b)).then_with(|| a.directory_id().cmp(b.directory_id()))
}

fn rank(change: &Change) -> u8 {
    match change {
        Change::Relink { .. } | Change::Remove { .. } => 0,
        Change::Update { .. } => 1,
        Change::Create { .. } => 2,
    }
}

/// Changes in the order of a plan, and creates by directory id, as one: [`merged`].
pub(crate) struct Merged<A: Iterator, B: Iterator> {
    changes: Peekable<A>,
    creates: Peekable<B>,
}

/// Puts creates where they belong among changes.
pub(crate) fn merged<C: Borrow<Change>, A, B>(changes: A, creates: B) -> Merged<A, B>
where
    A: Iterator<Item = C>,
    B: Iterator<Item = C>,
{
    Merged { changes: changes.peekable(), creates: creates.peekable() }
}

impl<C: Borrow<Change>, A: Iterator<Item = C>, B: Iterator<Item = C>> Iterator for Merged<A, B> {
    type Item = C;

    fn next(&mut self) -> Option<C> {
        match (self.changes.peek(), self.creates.peek()) {
            (Some(change), Some(create)) if order(change.borrow(), create.borrow()).is_gt() => self.creates.next(),
            (Some(_), _) => self.changes.next(),
            (None, _) => self.creates.next(),
        }
    }
}
