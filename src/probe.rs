//! SHELL: verifies endpoint and token by reading.

use crate::failure::Failure;
use crate::http::Client;
use crate::model::Exit;
use crate::outcome::Outcome;
use crate::scim::{Account, ScimTarget};
use crate::store::Unmanaged;
use std::collections::HashSet;

/// Verifies endpoint and token by one read.
pub(crate) async fn prove(target: &ScimTarget<Client>) -> Result<(), Failure> {
    let permit = target.permit().await;
    let page = target.list_page(1, &mut |_| {}, permit).await;
    if page.judged.outcome == Outcome::Accepted && page.value.is_some() {
        return Ok(());
    }
    let hint = "put a valid token into the token file, or check the network; nothing was changed";
    let error = vec!["Rhombus cannot be read with this token".to_owned(), page.judged.bare()];
    Err(Failure { exit: Exit::Failed, error, hint: Some(hint.to_owned()) })
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
    let (mut seen, mut start) = (HashSet::new(), 1);
    loop {
        let mut new_count = 0;
        let permit = target.permit().await;
        let page = target
            .list_page(
                start,
                &mut |account| {
                    let is_new = account.id.as_ref().is_some_and(|id| seen.insert(id.clone()));
                    new_count += usize::from(is_new);
                    holdings.carriers.extend(carrier(account).filter(|_| is_new));
                },
                permit,
            )
            .await;
        let Some(page_read) = page.value else {
            let refused = matches!(page.judged.outcome, Outcome::Unauthorized | Outcome::Forbidden);
            let hint = if refused {
                "put the token that the Rhombus console shows into the token file"
            } else {
                "compare [rhombus] base_url with the Rhombus console; nothing was changed"
            };
            return Err(Failure {
                exit: Exit::Failed,
                error: vec!["could not verify the endpoint".to_owned(), page.judged.why().to_string()],
                hint: Some(hint.to_owned()),
            });
        };
        holdings.accounts_count += new_count as u64;
        match ScimTarget::<Client>::next_start(start, &page_read, new_count) {
            Some(next) => start = next,
            None => return Ok(holdings),
        }
    }
}
