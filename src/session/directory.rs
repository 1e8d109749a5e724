//! What is known of the endpoint's accounts in this cycle: what one listing showed, and what its filter proves.

use crate::model::UserName;
use crate::scim::Account;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// What is known of the endpoint's accounts in this cycle.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// What the names that are wanted were answered with, if one listing answered for all.
    pub(super) listed: RefCell<Option<Listed>>,
    pub(super) filter_trust: Cell<Option<FilterTrust>>,
}

/// What a filter that brings nothing proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FilterTrust {
    /// That nobody carries the name.
    AnyCase,
    /// That nobody carries it in these letters.
    SameCase,
    /// Nothing.
    None,
}

/// What a listing showed.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Accounts by folded userName, of the names that were asked for.
    by_name: HashMap<String, Vec<Account>>,
    /// How it ended.
    pub(super) end: ListEnd,
}

impl Listed {
    pub(super) fn keep(&mut self, folded: String, account: Account) {
        self.by_name.entry(folded).or_default().push(account);
    }

    /// The accounts that it showed with this name; none if it showed none.
    pub(super) fn found(&self, folded: &str) -> Option<&[Account]> {
        self.by_name.get(folded).map(Vec::as_slice)
    }
}

/// How a list ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum ListEnd {
    /// It showed as many accounts as it said there are: whoever is not in it is not there.
    #[default]
    Whole,
    /// As many, but some of them twice; or it does not say how many there are: whoever is not in it is better asked for.
    Repeated,
    /// It showed fewer: whoever is not in it may be there all the same.
    Short,
}

/// How fresh a look-up must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Freshness {
    /// The listing of this cycle will do.
    OfThisCycle,
    /// A request left since; ask again.
    Now,
}

/// A hash of an id or a folded name: eight bytes that stand for it.
pub(crate) fn hash_of(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// The folded userName of an account; empty if it has none.
pub(super) fn folded_name(account: &Account) -> String {
    account.user_name.as_ref().map(UserName::folded).unwrap_or_default()
}
