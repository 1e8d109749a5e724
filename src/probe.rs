//! SHELL: verifies endpoint and token by reading.

use crate::failure::Failure;
use crate::hints::of_unread_list;
use crate::http::Client;
use crate::model::Exit;
use crate::outcome::Outcome;
use crate::scim::{Account, Listing, Next, ScimTarget};
use crate::store::Unmanaged;
use std::collections::HashSet;

/// Verifies endpoint and token by one read.
pub(crate) async fn prove(target: &ScimTarget<Client>) -> Result<(), Failure> {
    let permit = target.permit().await;
    let page = target.probe(permit).await;
    if page.judged.outcome == Outcome::Accepted && page.value.is_some() {
        return Ok(());
    }
    let error = vec!["Rhombus cannot be read with this token".to_owned(), page.judged.bare()];
    Err(Failure { exit: Exit::Failed, error, hint: Some(of_unread_list(&page.judged)) })
}

/// What the endpoint holds.
#[derive(Default)]
pub(crate) struct Holdings {
    pub(crate) accounts_count: u64,
    /// Those that carry a directory id, and whether they are active.
    pub(crate) carriers: Vec<(Unmanaged, bool)>,
}

fn carrier(account: Account) -> Option<(Unmanaged, bool)> {
    let (scim_id, directory_id) = account.id.zip(account.external_id)?;
    Some((Unmanaged { scim_id, directory_id, username: account.user_name }, account.active))
}

/// Lists every account at the endpoint, which also verifies endpoint and token.
pub(crate) async fn holdings(target: &ScimTarget<Client>) -> Result<Holdings, Failure> {
    let mut holdings = Holdings::default();
    let (listing, mut seen) = (Listing::default(), HashSet::new());
    loop {
        let permit = target.permit().await;
        let mut note = |account: Account| {
            let is_new = account.id.as_ref().is_some_and(|id| seen.insert(id.clone()));
            holdings.carriers.extend(carrier(account).filter(|_| is_new));
        };
        let page = target.list_page(&listing, &mut note, permit).await;
        let Some(page_read) = page.value else {
            // Where pages go by cursor alone, there is no next page to ask for by index.
            if matches!(page.judged.outcome, Outcome::NotSupported | Outcome::Rejected) && listing.is_complete() {
                return Ok(holdings);
            }
            return Err(Failure {
                exit: Exit::Failed,
                error: vec!["could not verify the endpoint".to_owned(), page.judged.why().to_string()],
                hint: Some(of_unread_list(&page.judged)),
            });
        };
        if listing.is_endless(None) {
            let hint = "what answers there shows accounts without end; nothing was changed";
            return Err(Failure::new(Exit::Failed, "the list of accounts does not end", Some(hint)));
        }
        holdings.accounts_count = listing.accounts_count();
        if listing.go_on(&page_read) == Next::End {
            return Ok(holdings);
        }
    }
}
