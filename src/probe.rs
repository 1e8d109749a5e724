//! SHELL: verifies endpoint and token by reading.

use crate::failure::Failure;
use crate::hints::{of_other_organisation, of_unread_list};
use crate::http::Client;
use crate::model::{Exit, ProvisionedUser, ScimId, UserName};
use crate::outcome::Outcome;
use crate::scim::{ASKED_COUNT, Account, Listing, Next, Organisation, ScimTarget, is_the_linked, organisation};
use crate::store::{self, Carriers, Unmanaged};
use rusqlite::Connection;

/// How many accounts of an endpoint are remembered by name.
const FIRST_MAX: usize = 1_000;

/// Why a token is not proven.
pub(crate) enum NotProven {
    /// Rhombus refuses it, or it opens another organisation.
    Bad(Failure),
    /// There was no answer that tells; it may be good.
    Unknown(Failure),
}

impl From<NotProven> for Failure {
    fn from(why: NotProven) -> Self {
        match why {
            NotProven::Bad(failure) | NotProven::Unknown(failure) => failure,
        }
    }
}

impl From<Failure> for NotProven {
    fn from(failure: Failure) -> Self {
        Self::Unknown(failure)
    }
}

impl From<std::io::Error> for NotProven {
    fn from(error: std::io::Error) -> Self {
        Self::Unknown(error.into())
    }
}

/// Verifies endpoint and token by one read.
pub(crate) async fn prove(target: &ScimTarget<Client>) -> Result<(), NotProven> {
    let permit = target.permit().await;
    let page = target.probe(permit).await;
    if page.judged.outcome == Outcome::Accepted && page.value.is_some() {
        return Ok(());
    }
    let error = vec!["Rhombus cannot be read with this token".to_owned(), page.judged.bare()];
    let failure = Failure { exit: Exit::Failed, error, hint: Some(of_unread_list(&page.judged)) };
    let is_refused = matches!(page.judged.outcome, Outcome::Unauthorized | Outcome::Forbidden);
    Err(if is_refused { NotProven::Bad(failure) } else { NotProven::Unknown(failure) })
}

/// Whether the token opens the organisation of the linked accounts; nothing else is proven by it.
///
/// # Errors
/// It opens another one, or nothing could be proven.
pub(crate) async fn prove_organisation(target: &ScimTarget<Client>, state: &Connection) -> Result<(), NotProven> {
    let asked = store::some_links(state, ASKED_COUNT).map_err(Failure::from)?;
    let link_of = |account: &Account| link_of(state, account);
    let judged = match organisation(target, &asked, &link_of).await {
        Organisation::Same => return Ok(()),
        Organisation::Another { accounts_count } => {
            let (said, hint) = of_other_organisation(accounts_count);
            return Err(NotProven::Bad(Failure::new(Exit::Failed, said, Some(&hint))));
        }
        Organisation::Unproven(judged) => judged,
    };
    let hint = match judged.outcome {
        Outcome::Accepted => "nothing was changed; run it again: it then asks for other accounts".to_owned(),
        Outcome::NotFound
        | Outcome::Conflict
        | Outcome::Unauthorized
        | Outcome::Forbidden
        | Outcome::NotSupported
        | Outcome::Throttled(_)
        | Outcome::Rejected
        | Outcome::Redirected
        | Outcome::NotSent
        | Outcome::Unknown(_) => of_unread_list(&judged),
    };
    let said = "could not verify that the token belongs to the organisation of the linked accounts".to_owned();
    Err(NotProven::Unknown(Failure { exit: Exit::Failed, error: vec![said, judged.bare()], hint: Some(hint) }))
}

/// What we hold of an account by its id.
fn link_of(state: &Connection, account: &Account) -> Option<ProvisionedUser> {
    store::link_by_scim_id(state, account.id.as_ref()?).ok().flatten()
}

/// Whether an account is linked.
pub(crate) fn is_linked(state: &Connection, account: &Account) -> bool {
    link_of(state, account).is_some_and(|link| is_the_linked(account, &link))
}

/// What the endpoint holds.
#[derive(Default)]
pub(crate) struct Holdings {
    pub(crate) accounts_count: u64,
    /// Those that carry a directory id, and whether they are active.
    pub(crate) carriers: Carriers<bool>,
    /// Id and username of the first ones.
    pub(crate) first: Vec<(ScimId, Option<UserName>)>,
    /// How many are linked to a user of ours.
    pub(crate) linked_count: u64,
}

/// Lists every account at the endpoint, which also verifies endpoint and token.
pub(crate) async fn holdings(
    target: &ScimTarget<Client>,
    is_linked: &dyn Fn(&Account) -> bool,
) -> Result<Holdings, Failure> {
    let mut holdings = Holdings::default();
    holdings.accounts_count = each_account(target, &mut |account| {
        holdings.linked_count += u64::from(is_linked(&account));
        if let Some(id) = account.id.clone().filter(|_| holdings.first.len() < FIRST_MAX) {
            holdings.first.push((id, account.user_name.clone()));
        }
        if let Some(carrier) = Unmanaged::of(account.id, account.external_id, account.user_name) {
            holdings.carriers.note(carrier, account.active);
        }
    })
    .await?;
    Ok(holdings)
}

/// Hands on every account with an id, once. How many the endpoint says that it has.
pub(crate) async fn each_account(target: &ScimTarget<Client>, each: &mut dyn FnMut(Account)) -> Result<u64, Failure> {
    let listing = Listing::default();
    loop {
        let permit = target.permit().await;
        let mut note = |account: Account| {
            if account.id.is_some() {
                each(account);
            }
        };
        let page = target.list_page(&listing, &mut note, permit).await;
        let Some(page_read) = page.value else {
            // Where pages go by cursor alone, there is no next page to ask for by index.
            if matches!(page.judged.outcome, Outcome::NotSupported | Outcome::Rejected) && listing.is_complete() {
                return Ok(listing.accounts_count());
            }
            return Err(Failure {
                exit: Exit::Failed,
                error: vec!["could not verify the endpoint".to_owned(), page.judged.why().to_string()],
                hint: Some(of_unread_list(&page.judged)),
            });
        };
        if listing.is_endless(None) {
            let hint = "the server lists accounts without end; nothing was changed";
            return Err(Failure::new(Exit::Failed, "the list of accounts does not end", Some(hint)));
        }
        let accounts_count = listing.accounts_count();
        if listing.go_on(&page_read) == Next::End {
            return Ok(accounts_count);
        }
    }
}
