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
    let mut carriers = Vec::new();
    let accounts_count = each_account(target, &mut |account| carriers.extend(carrier(account))).await?;
    Ok(Holdings { accounts_count, carriers })
}

/// Hands on every account with an id, once. How many the endpoint says that it has.
pub(crate) async fn each_account(target: &ScimTarget<Client>, each: &mut dyn FnMut(Account)) -> Result<u64, Failure> {
    let (listing, mut seen) = (Listing::default(), HashSet::new());
    loop {
        let permit = target.permit().await;
        let mut note = |account: Account| {
            let is_new = account.id.as_ref().is_some_and(|id| seen.insert(id.clone()));
            if is_new {
                each(account);
            }
        };
        let page = target.list_page(&listing, &mut note, permit).await;
        let Some(page_read) = page.value else {
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
        let accounts_count = listing.accounts_count();
        if listing.go_on(&page_read) == Next::End {
            return Ok(accounts_count);
        }
    }
}
