//! SHELL: verifies endpoint and token by reading.

use crate::failure::Failure;
use crate::http::Client;
use crate::model::Exit;
use crate::outcome::Outcome;
use crate::scim::ScimTarget;
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
    pub(crate) directory_ids: HashSet<String>,
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
                    let is_new = account.id.is_some_and(|id| seen.insert(id));
                    new_count += usize::from(is_new);
                    if is_new && let Some(id) = account.external_id {
                        holdings.directory_ids.insert(id.as_str().to_owned());
                    }
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
