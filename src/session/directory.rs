//! What is known of the endpoint's accounts in this cycle: what one listing showed, and what its filter proves.

use crate::model::UserName;
use crate::scim::Account;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

/// What is known of the endpoint's accounts in this cycle.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The wanted names that one listing looked up, if one was made.
    pub(super) listed: RefCell<Option<Listed>>,
    pub(super) filter_trust: Cell<Option<FilterTrust>>,
    /// Hashes of the names for which the filter failed: the list is asked at once the next time.
    pub(super) filter_fails: RefCell<HashSet<u64>>,
}

/// Names that are looked up, as hashes: a first load has a million.
#[derive(Debug)]
pub(super) struct WantedNames(Vec<u64>);

impl WantedNames {
    pub(super) fn of(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a folded name may be one of them.
    pub(super) fn may_have(&self, folded: &str) -> bool {
        self.0.binary_search(&hash_of(folded)).is_ok()
    }
}

/// What an empty filter result proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FilterTrust {
    /// No account has the name.
    AnyCase,
    /// No account has the name in exactly these letters.
    SameCase,
    /// Nothing.
    None,
}

/// What a listing showed.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Accounts by folded userName, for the names that were looked up.
    by_name: HashMap<String, Vec<Account>>,
    /// How complete it is.
    pub(super) end: ListEnd,
}

impl Listed {
    pub(super) fn keep(&mut self, folded: String, account: Account) {
        self.by_name.entry(folded).or_default().push(account);
    }

    /// The accounts that it showed with this name; `None` if it showed none.
    pub(super) fn found(&self, folded: &str) -> Option<&[Account]> {
        self.by_name.get(folded).map(Vec::as_slice)
    }
}

/// How complete a list is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum ListEnd {
    /// It showed as many accounts as it announced: an account that is not in it does not exist.
    #[default]
    Whole,
    /// It showed as many, but some of them twice; or it announced no total: look up what is not in it.
    Repeated,
    /// It showed fewer: an account that is not in it may exist all the same.
    Short,
}

/// How fresh a look-up must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Freshness {
    /// This cycle's listing is fresh enough.
    OfThisCycle,
    /// A request was sent since; ask again.
    Now,
}

/// An eight-byte hash that stands for an id or a folded name.
pub(crate) fn hash_of(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// The folded userName of an account; empty if it has none.
pub(super) fn folded_name(account: &Account) -> String {
    account.user_name.as_ref().map(UserName::folded).unwrap_or_default()
}
