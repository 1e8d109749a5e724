//! Which organisation answers: the one that has our linked accounts, or another one. Decides nothing about users; what could
//! not be read proves nothing.

use super::{Account, Listing, Next, ScimTarget, carries};
use crate::http::Transport;
use crate::model::ProvisionedUser;
use crate::outcome::{Judged, Outcome};
use std::cell::Cell;

/// How many linked accounts are read by id, chosen at random.
pub const ASKED_COUNT: u32 = 3;
/// An id of this length is nobody else's; a short one may exist in any organisation.
const OWN_ID_LENGTH: usize = 20;

/// Which organisation a token opens.
#[derive(Clone, PartialEq, Debug)]
pub enum Organisation {
    /// The one that has our linked accounts; or none is linked that could tell.
    Same,
    /// None of the linked accounts is there; so many others are.
    Another {
        /// How many accounts its list shows.
        accounts_count: u64,
    },
    /// Nothing is proven, because of this answer.
    Unproven(Judged),
}

/// Asks for linked accounts by id; if all of them are said to be gone, for the list. `link_of` is what we hold of an account.
pub async fn organisation<T: Transport>(
    target: &ScimTarget<T>,
    asked: &[ProvisionedUser],
    link_of: &dyn Fn(&Account) -> Option<ProvisionedUser>,
) -> Organisation {
    let mut doubtful = None;
    for link in asked {
        let permit = target.permit().await;
        let read = target.read(&link.scim_id, permit).await;
        match (&read.judged.outcome, read.value) {
            (Outcome::Accepted, Some(account)) if is_the_linked(&account, link) => return Organisation::Same,
            (Outcome::NotFound, _) => {}
            (_, _) => doubtful = doubtful.or(Some(read.judged)),
        }
    }
    match doubtful {
        Some(judged) => Organisation::Unproven(judged),
        None if asked.is_empty() => Organisation::Same,
        None => of_list(target, link_of).await,
    }
}

/// One listing decides if none of those that were asked for is there.
async fn of_list<T: Transport>(
    target: &ScimTarget<T>,
    link_of: &dyn Fn(&Account) -> Option<ProvisionedUser>,
) -> Organisation {
    let (listing, is_ours) = (Listing::default(), Cell::new(false));
    loop {
        let permit = target.permit().await;
        let mut look = |account: Account| {
            let ours = || link_of(&account).is_some_and(|link| is_the_linked(&account, &link));
            is_ours.set(is_ours.get() || ours());
        };
        let page = target.list_page(&listing, &mut look, permit).await;
        if is_ours.get() {
            return Organisation::Same;
        }
        let Some(read) = page.value.filter(|_| !listing.is_endless(None)) else {
            return Organisation::Unproven(page.judged);
        };
        if listing.go_on(&read) == Next::End {
            return Organisation::Another { accounts_count: listing.accounts_count() };
        }
    }
}

/// Whether an account is the linked one, and not just one with the same short id.
#[must_use]
pub fn is_the_linked(account: &Account, link: &ProvisionedUser) -> bool {
    account.id.as_ref() == Some(&link.scim_id)
        && (link.scim_id.as_str().len() >= OWN_ID_LENGTH
            || carries(account, &link.user_name)
            || account.external_id.as_ref() == Some(&link.directory_id))
}
