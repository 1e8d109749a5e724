//! Whether an account with a username exists: by filter, or by one listing for many. A failed look-up is not an
//! absence.

use super::directory::{FilterTrust, Freshness, ListEnd, WantedNames, hash_of};
use super::reading::ReadError;
use super::talk::Session;
use crate::http::Transport;
use crate::model::{AnswerDoubt, UserName};
use crate::scim::{Account, carries};
use crate::store;
use std::collections::HashSet;

/// From this many names on, the first page of the list is worth a request: it may answer all of them.
const NAMES_WORTH_A_LISTING: usize = 3;

impl<T: Transport> Session<'_, T> {
    /// Decides how names are looked up in this cycle, and lists the accounts if that takes fewer calls. `names` are hashes of
    /// the folded names.
    pub(crate) async fn prepare_look_ups(&self, names: Vec<u64>) {
        let names = WantedNames::of(names);
        if names.is_empty() || self.ended() {
            return;
        }
        let calls_max = if names.len() >= NAMES_WORTH_A_LISTING { Some(names.len()) } else { None };
        if calls_max.is_some() || self.filter_trust().await != FilterTrust::AnyCase {
            // If the list cannot be read either, each user is looked up, and each failure is reported by name.
            if let Ok(Some(listed)) = self.list(&names, calls_max).await {
                *self.directory.listed.borrow_mut() = Some(listed);
            }
        }
    }

    /// The accounts with a username.
    pub(crate) async fn look_up(&self, name: &UserName, freshness: Freshness) -> Result<Vec<Account>, ReadError> {
        let folded = name.folded();
        let mut listed_short = false;
        if freshness == Freshness::OfThisCycle
            && let Some(listed) = self.directory.listed.borrow().as_ref()
        {
            match (listed.found(&folded), listed.end) {
                (Some(found), _) => return Ok(found.to_vec()),
                (None, ListEnd::Whole) => return Ok(Vec::new()),
                (None, ListEnd::Repeated) => {}
                (None, ListEnd::Short) => listed_short = true,
            }
        }
        let trust = self.filter_trust().await;
        let filter_fails = self.directory.filter_fails.borrow().contains(&hash_of(&folded));
        if trust == FilterTrust::AnyCase && !filter_fails {
            match self.filter(name.as_str()).await {
                Ok(found) if found.iter().all(|account| carries(account, name)) => return Ok(found),
                Ok(_) | Err(ReadError::Rejected(_) | ReadError::Doubtful(_)) => {}
                // Some endpoints answer 500 to a filter that they cannot parse.
                Err(ReadError::Unanswered(judged)) if judged.response.is_server_error() => {
                    self.directory.filter_fails.borrow_mut().insert(hash_of(&folded));
                }
                Err(error) => return Err(error),
            }
        }
        let in_list = if listed_short { Err(too_short()) } else { self.look_up_in_list(&folded).await };
        match in_list {
            Err(ReadError::Doubtful(_)) if trust == FilterTrust::SameCase => self.by_letters(name, &folded).await,
            in_list => in_list,
        }
    }

    /// The accounts with a username, found by reading the whole list.
    pub(crate) async fn look_up_in_list(&self, folded: &str) -> Result<Vec<Account>, ReadError> {
        let listed = self.list(&WantedNames::of(vec![hash_of(folded)]), None).await?.unwrap_or_default();
        match (listed.found(folded), listed.end) {
            (Some(found), _) => Ok(found.to_vec()),
            (None, ListEnd::Short) => Err(too_short()),
            (None, ListEnd::Whole | ListEnd::Repeated) => Ok(Vec::new()),
        }
    }

    /// The accounts with a username as it is wanted, or all in lower case: that is all there is to find if the filter
    /// is case-sensitive and the list incomplete. The answer to the create reveals an account in another spelling.
    async fn by_letters(&self, name: &UserName, folded: &str) -> Result<Vec<Account>, ReadError> {
        let mut found: Vec<Account> = Vec::new();
        let as_wanted = Some(name.as_str()).filter(|name| *name != folded);
        for letters in as_wanted.into_iter().chain([folded]) {
            for account in self.filter(letters).await? {
                if !carries(&account, name) {
                    return Err(too_short());
                }
                if !found.contains(&account) {
                    found.push(account);
                }
            }
        }
        Ok(found)
    }

    /// Whether the filter finds a linked account, asked for in swapped letter case, or at least as it is spelled.
    async fn filter_trust(&self) -> FilterTrust {
        if let Some(trust) = self.directory.filter_trust.get() {
            return trust;
        }
        self.about_nobody(self.try_filter()).await
    }

    async fn try_filter(&self) -> FilterTrust {
        let witness = self.state(store::witnesses(self.context.reader, 1)).and_then(|mut found| found.pop());
        let Some(witness) = witness else {
            self.directory.filter_trust.set(Some(FilterTrust::AnyCase));
            return FilterTrust::AnyCase;
        };
        let same_case = witness.user_name.as_str();
        let other_case: String = same_case.chars().map(swap_case).collect();
        let mut trust = FilterTrust::None;
        for (name, proves) in [(&*other_case, FilterTrust::AnyCase), (same_case, FilterTrust::SameCase)] {
            let found = self.filter(name).await.unwrap_or_default();
            if found.iter().any(|account| account.id.as_ref() == Some(&witness.scim_id)) {
                trust = proves;
                break;
            }
        }
        self.directory.filter_trust.set(Some(trust));
        trust
    }

    async fn filter(&self, name: &str) -> Result<Vec<Account>, ReadError> {
        let (_, read) = self.until_answered(async |permit| self.target().filter(name, permit).await).await?;
        match read.value {
            // One id is one account, however often it is shown.
            Some((mut found, true)) => {
                let mut ids = HashSet::new();
                found.retain(|account| account.id.as_ref().is_none_or(|id| ids.insert(id.clone())));
                Ok(found)
            }
            Some((_, false)) => Err(ReadError::Doubtful(AnswerDoubt::PartialFilter)),
            None => Err(ReadError::Rejected(read.judged)),
        }
    }
}

fn too_short() -> ReadError {
    ReadError::Doubtful(AnswerDoubt::ShortList)
}

fn swap_case(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}
