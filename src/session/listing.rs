//! The list of all accounts, page by page. An endpoint may shift, repeat, shorten or lengthen it without end.

use super::directory::{ListEnd, Listed, folded_name, hash_of};
use super::reading::ReadError;
use super::talk::Session;
use crate::http::Transport;
use crate::model::AnswerDoubt;
use crate::scim::{Account, ScimTarget};
use std::collections::HashSet;

/// The longest list that is read, in accounts: 75 MiB of hashes.
const LIST_ACCOUNTS_MAX: usize = 5_000_000;

impl<T: Transport> Session<'_, T> {
    /// Lists all accounts and keeps those whose folded name may be wanted, by its hash. `None`: it would take more than
    /// `calls_max` calls.
    pub(super) async fn list(
        &self,
        names: &HashSet<u64>,
        calls_max: Option<usize>,
    ) -> Result<Option<Listed>, ReadError> {
        let mut listed = Listed::default();
        let mut keep = |account: Account| {
            let folded = folded_name(&account);
            if names.contains(&hash_of(&folded)) {
                listed.keep(folded, account);
            }
        };
        let Some(end) = self.walk(calls_max, &mut keep).await? else { return Ok(None) };
        listed.end = end;
        Ok(Some(listed))
    }

    /// Calls `each` once for every account, page by page, as long as pages bring new ones. `None`: it would take more
    /// than `calls_max` calls.
    pub(crate) async fn walk(
        &self,
        calls_max: Option<usize>,
        each: &mut dyn FnMut(Account),
    ) -> Result<Option<ListEnd>, ReadError> {
        let (mut seen, mut start) = (HashSet::new(), 1);
        let (mut total, mut repeats) = (None, false);
        loop {
            let mut new_count = 0;
            // Count the accounts of a page even if the page is requested again: an endpoint may send without end.
            let mut look_at = |account: Account| {
                if seen.len() >= LIST_ACCOUNTS_MAX {
                    return;
                }
                // An account without a usable id still has a name; only ids decide where the list ends.
                let is_new = account.id.as_ref().is_none_or(|id| seen.insert(hash_of(id.as_str())));
                new_count += usize::from(is_new && account.id.is_some());
                repeats |= !is_new;
                if is_new {
                    each(account);
                }
            };
            let read = self.ask(async |permit| self.target().list_page(start, &mut look_at, permit).await);
            let (_, read) = read.await?;
            let Some(page) = read.value else { return Err(ReadError::Rejected(read.judged)) };
            if seen.len() >= LIST_ACCOUNTS_MAX {
                return Err(ReadError::Doubtful(AnswerDoubt::LongList));
            }
            // If the total changes, the list shifts while it is read: the highest total is what it must show.
            total = total.max(page.total);
            let Some(next) = ScimTarget::<T>::next_start(start, &page, new_count) else {
                return Ok(Some(match total {
                    Some(total) if total > seen.len() as u64 => ListEnd::Short,
                    Some(_) if !repeats => ListEnd::Whole,
                    Some(_) | None => ListEnd::Repeated,
                }));
            };
            let pages = page.total.unwrap_or(0) as usize / page.count.max(1);
            if start == 1 && calls_max.is_some_and(|calls_max| pages > calls_max) {
                return Ok(None);
            }
            start = next;
        }
    }
}
