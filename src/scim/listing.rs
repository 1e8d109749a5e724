//! One walk over the list of all accounts: which page is next, which accounts were shown before, and when it must end. Pages
//! go by index, or by cursor if the endpoint shows one (RFC 9865).

use super::account::Account;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// A list may show twice as many accounts as it said at first, and so many more: accounts are made while it is read.
const ACCOUNTS_BEYOND_TOTAL_MAX: u64 = 1_000;
/// A list that does not say how many accounts there are may show so many.
const ACCOUNTS_WITHOUT_TOTAL_MAX: u64 = 1_000_000;
/// No list has more: a hash is kept of each of them, and so many are 57 MiB.
const ACCOUNTS_MAX: u64 = 3_000_000;
/// A list that shows no new account for so long does not end on its own.
const WITHOUT_NEW_MAX: Duration = Duration::from_secs(60);

/// What one page of a list held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// How many accounts.
    pub count: usize,
    /// How many the endpoint says there are.
    pub total: Option<u64>,
    /// The cursor of the next page; `None` if there is no other, or pages go by index.
    pub next_cursor: Option<String>,
}

/// Where a page begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum At {
    /// At the beginning; without `startIndex`, which a server whose pages go by cursor alone rejects.
    First,
    /// At an account, counted from 1.
    Index(usize),
    /// Where the last page said.
    Cursor(String),
}

/// What follows a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Another one.
    Page,
    /// Nothing: the list has ended.
    End,
}

/// One walk over the list. Totals are not believed, accounts that were not shown before are: a hash of each id is kept.
#[derive(Debug)]
pub struct Listing {
    at: RefCell<At>,
    seen: RefCell<HashSet<u64>>,
    first_total: Cell<Option<u64>>,
    total: Cell<Option<u64>>,
    shown_count: Cell<u64>,
    new_on_page: Cell<usize>,
    repeats: Cell<bool>,
    /// None until an account was shown, or a page without one: a first answer may be slow.
    last_new: Cell<Option<Instant>>,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            at: RefCell::new(At::First),
            seen: RefCell::default(),
            first_total: Cell::default(),
            total: Cell::default(),
            shown_count: Cell::default(),
            new_on_page: Cell::default(),
            repeats: Cell::default(),
            last_new: Cell::default(),
        }
    }
}

impl Listing {
    /// Whether an account was not shown before. One without a usable id still carries its name; the ids alone say where the
    /// list ends.
    pub(super) fn is_new(&self, account: &Account) -> bool {
        self.shown_count.set(self.shown_count.get() + 1);
        if self.last_new.get().is_none() {
            self.last_new.set(Some(Instant::now()));
        }
        let Some(id) = &account.id else { return true };
        let is_new = self.seen.borrow_mut().insert(xxh3_64(id.as_str().as_bytes()));
        if is_new {
            self.new_on_page.set(self.new_on_page.get() + 1);
            self.last_new.set(Some(Instant::now()));
        } else {
            self.repeats.set(true);
        }
        is_new
    }

    /// Whether it went on for longer than any list does, and so proves nothing. The total is that of the page under way.
    #[must_use]
    pub fn is_endless(&self, total: Option<u64>) -> bool {
        let most = match self.first_total.get().or(total) {
            Some(total) => total.saturating_mul(2).saturating_add(ACCOUNTS_BEYOND_TOTAL_MAX),
            None => ACCOUNTS_WITHOUT_TOTAL_MAX,
        };
        self.shown_count.get() > most.min(ACCOUNTS_MAX)
            || self.last_new.get().is_some_and(|at| at.elapsed() > WITHOUT_NEW_MAX)
    }

    /// How many accounts were shown, each counted once.
    #[must_use]
    pub fn accounts_count(&self) -> u64 {
        self.seen.borrow().len() as u64
    }

    /// How many there are, as the list says: the highest of totals that change, which it would have to show.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total.get()
    }

    /// Whether an account was shown twice.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.repeats.get()
    }

    /// Whether at least one page was read, and as many accounts were shown as the list announced.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.is_at_start() && self.total.get().is_some_and(|total| self.accounts_count() >= total)
    }

    /// Whether the list announced more accounts than it has shown.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.total.get().is_some_and(|total| self.accounts_count() < total)
    }

    /// Whether no page was read yet.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        *self.at.borrow() == At::First
    }

    pub(super) fn at(&self) -> At {
        self.at.borrow().clone()
    }

    /// Goes on after a page. A list by index ends with a page without a new account (RFC 7644, section 3.4.2.4); one by cursor
    /// with a page that names no other, or itself.
    pub fn go_on(&self, page: &Page) -> Next {
        let first_total = self.first_total.get().or(page.total);
        self.first_total.set(first_total);
        self.total.set(self.total.get().max(page.total));
        let new_count = self.new_on_page.replace(0);
        self.last_new.set(self.last_new.get().or_else(|| Some(Instant::now())));
        let start = match self.at() {
            At::First => 1,
            At::Index(start) => start,
            At::Cursor(_) => 0,
        };
        let next = match &page.next_cursor {
            Some(cursor) => At::Cursor(cursor.clone()),
            None if start == 0 || new_count == 0 => return Next::End,
            None => At::Index(start + page.count),
        };
        if *self.at.borrow() == next {
            return Next::End;
        }
        self.at.replace(next);
        Next::Page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn show(listing: &Listing, ids: std::ops::Range<u32>) {
        for id in ids {
            let members = serde_json::from_str(&json!({"id": id}).to_string()).expect("an object");
            listing.is_new(&Account::from_members(&members));
        }
    }

    fn page(count: usize, cursor: &str) -> Page {
        let next_cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
        Page { count, total: Some(3), next_cursor }
    }

    #[test]
    fn pages_go_by_index_until_one_shows_nobody_new() {
        let listing = Listing::default();
        show(&listing, 0..2);
        assert_eq!((listing.go_on(&page(2, "")), listing.at()), (Next::Page, At::Index(3)));
        show(&listing, 1..3);
        assert_eq!((listing.go_on(&page(2, "")), listing.at()), (Next::Page, At::Index(5)));
        assert_eq!(listing.go_on(&page(0, "")), Next::End);
        assert_eq!((listing.accounts_count(), listing.total(), listing.repeats()), (3, Some(3), true));
    }

    #[test]
    fn pages_go_by_cursor_where_one_is_shown_until_none_is() {
        let listing = Listing::default();
        assert_eq!((listing.go_on(&page(0, "a")), listing.at()), (Next::Page, At::Cursor("a".to_owned())));
        show(&listing, 0..3);
        assert_eq!((listing.go_on(&page(3, "b")), listing.at()), (Next::Page, At::Cursor("b".to_owned())));
        assert_eq!(listing.go_on(&page(3, "b")), Next::End, "it names itself");
        let listing = Listing::default();
        listing.go_on(&page(0, "a"));
        show(&listing, 0..3);
        assert_eq!(listing.go_on(&page(3, "")), Next::End);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_goes_on_for_ever_proves_nothing() {
        let listing = Listing::default();
        show(&listing, 0..2_006);
        assert!(!listing.is_endless(None) && !listing.is_endless(Some(503)) && listing.is_endless(Some(502)));
        listing.go_on(&page(2_006, ""));
        assert!(listing.is_endless(Some(9_000)), "the first total counts");
        let listing = Listing::default();
        tokio::time::advance(Duration::from_secs(59)).await;
        show(&listing, 0..1);
        tokio::time::advance(WITHOUT_NEW_MAX).await;
        assert!(!listing.is_endless(None));
        show(&listing, 0..1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(listing.is_endless(None));
    }
}
