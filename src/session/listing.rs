//! The list of all accounts, page by page. An endpoint may shift, repeat, shorten or lengthen it without end.

use super::calls::used_up;
use super::directory::{ListEnd, Listed, WantedNames, folded_name};
use super::reading::ReadError;
use super::talk::Session;
use crate::http::Transport;
use crate::model::AnswerDoubt;
use crate::scim::{Account, Listing, Next};

impl<T: Transport> Session<'_, T> {
    /// Lists all accounts and keeps those whose folded name may be wanted, by its hash. `None`: it would take more than
    /// `calls_max` calls.
    pub(super) async fn list(
        &self,
        names: &WantedNames,
        calls_max: Option<usize>,
    ) -> Result<Option<Listed>, ReadError> {
        let mut listed = Listed::default();
        let mut keep = |account: Account| {
            let folded = folded_name(&account);
            if names.may_have(&folded) {
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
        if self.calls.left() == Some(0) {
            return Err(ReadError::Unanswered(used_up()));
        }
        self.calls.note(1);
        self.about_nobody(self.walk_pages(calls_max, each)).await
    }

    async fn walk_pages(
        &self,
        calls_max: Option<usize>,
        each: &mut dyn FnMut(Account),
    ) -> Result<Option<ListEnd>, ReadError> {
        let listing = Listing::default();
        loop {
            // The accounts of a page count even if the page is requested again: an endpoint may send without end.
            let read = self.until_answered(async |permit| self.target().list_page(&listing, each, permit).await).await;
            if listing.is_endless(None) {
                return Err(ReadError::Doubtful(AnswerDoubt::LongList));
            }
            let (_, read) = read?;
            let Some(page) = read.value else {
                // Where pages go by cursor alone, there is no next page to ask for by index.
                return if listing.is_complete() {
                    Ok(Some(end_of(&listing)))
                } else {
                    Err(ReadError::Rejected(read.judged))
                };
            };
            let is_first = listing.is_at_start();
            if listing.go_on(&page) == Next::End {
                return Ok(Some(end_of(&listing)));
            }
            let pages = page.total.unwrap_or(0) as usize / page.count.max(1);
            if is_first && calls_max.is_some_and(|calls_max| pages > calls_max) {
                return Ok(None);
            }
        }
    }
}

fn end_of(listing: &Listing) -> ListEnd {
    match listing.total() {
        Some(total) if total > listing.accounts_count() => ListEnd::Short,
        Some(_) if !listing.repeats() => ListEnd::Whole,
        Some(_) | None => ListEnd::Repeated,
    }
}
