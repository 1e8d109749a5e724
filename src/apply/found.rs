//! Interprets a look-up for a create: whose account has the wanted username.

use super::window::Apply;
use crate::http::Transport;
use crate::model::{
    Change, DesiredUser, DirectoryId, ExistingAccounts, LinkedExternalId, ScimId, UserName, UsernameConflict,
};
use crate::scim::{Account, carries};
use crate::session::{Absence, Freshness, MaybeApplied, ReadError, hash_of};
use crate::store;

/// An account with an id that can be linked.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Linkable {
    pub(super) scim_id: ScimId,
    pub(super) account: Account,
}

impl Linkable {
    pub(super) fn of(account: Account) -> Option<Self> {
        Some(Self { scim_id: account.id.clone()?, account })
    }

    /// The userName that the account has.
    pub(super) fn user_name(&self, wanted: &DesiredUser) -> UserName {
        self.account.user_name.clone().unwrap_or_else(|| wanted.user_name.clone())
    }
}

/// The result of a look-up for a create.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum LookupResult {
    /// No account has the username.
    Nothing,
    /// The account that our lost request created.
    Ours(Linkable),
    /// An account that may be linked.
    Adoptable(Linkable),
    /// An account that may not be linked.
    Forbidden(UsernameConflict),
}

impl<T: Transport> Apply<'_, T> {
    /// Looks a user up for a create; after a success, the next failure is logged again.
    pub(super) async fn look_up_for(
        &self,
        change: &Change,
        name: &UserName,
        freshness: Freshness,
    ) -> Result<Vec<Account>, ReadError> {
        let found = match self.session.look_up(name, freshness).await {
            Ok(found) => self.as_they_are(change.directory_id(), name, found).await,
            Err(error) => Err(error),
        };
        match &found {
            Ok(_) => self.record.lookup_went_well(change),
            Err(error) => {
                if let Some((judged, cause)) = error.judged() {
                    self.record.say_lookup_failed(change, &judged, cause);
                }
            }
        }
        found
    }

    /// A list may still show an account as it was before we removed it: one that the log knows is read by its id. A read that
    /// shows another userName than the list changes nothing.
    async fn as_they_are(
        &self,
        user: &DirectoryId,
        name: &UserName,
        found: Vec<Account>,
    ) -> Result<Vec<Account>, ReadError> {
        let mut present = Vec::with_capacity(found.len());
        for listed in found {
            let reader = self.session.context.reader;
            let known = match &listed.id {
                Some(id) if self.session.state(store::names_account(reader, user, id)).ok_or(ReadError::Ended)? => id,
                Some(_) | None => {
                    present.push(listed);
                    continue;
                }
            };
            let read = match self.session.read(known).await? {
                (Some(account), _) => account,
                (None, judged) => match self.session.absence(known).await {
                    Absence::Gone => continue,
                    Absence::There(account) => account,
                    Absence::NoWitness => return Err(ReadError::Unanswered(judged)),
                    Absence::Unread(error) => return Err(error),
                    Absence::Ended => return Err(ReadError::Ended),
                },
            };
            present.push(if carries(&read, name) { read } else { listed });
        }
        Ok(present)
    }

    /// Notes what an account shows whose link is older than that note.
    pub(super) fn note_external_id(&self, id: &DirectoryId, account: &Account) {
        let link = self.session.state(store::link_by_id(self.session.context.reader, id)).flatten();
        if let Some(link) = link.filter(|link| link.external_id == LinkedExternalId::Unknown) {
            let note = vec![(link.scim_id, LinkedExternalId::of(account.external_id.as_ref()))];
            self.session.queue(move |transaction| store::note_external_ids(transaction, &note));
        }
    }

    /// Interprets the accounts that have the wanted username.
    pub(super) fn judge_found(&self, user: &DesiredUser, mut found: Vec<Account>, sent: MaybeApplied) -> LookupResult {
        found.retain(|account| carries(account, &user.user_name));
        if sent == MaybeApplied::MaybeDone
            && let Some(place) = found.iter().position(|account| account.external_id.as_ref() == Some(&user.id))
        {
            // Our request created it, even if another account has the name by now.
            found = vec![found.swap_remove(place)];
        }
        let Some(account) = found.pop() else { return LookupResult::Nothing };
        if !found.is_empty() {
            return LookupResult::Forbidden(UsernameConflict::TwoAccounts);
        }
        let Some(account) = Linkable::of(account) else {
            return LookupResult::Forbidden(UsernameConflict::AccountWithoutId);
        };
        let made = self.made.borrow().contains(&hash_of(account.scim_id.as_str()));
        match self.session.state(store::link_by_scim_id(self.session.context.reader, &account.scim_id)) {
            Some(Some(other)) if other.directory_id != user.id => {
                return LookupResult::Forbidden(UsernameConflict::LinkedToAnother);
            }
            // The state cannot be read: the cycle has ended, and nothing is concluded.
            None => return LookupResult::Forbidden(UsernameConflict::LinkedToAnother),
            Some(_) if made => {
                return LookupResult::Forbidden(UsernameConflict::LinkedToAnother);
            }
            Some(_) => {}
        }
        let external_id_is_ours = account.account.external_id.as_ref().map(|external_id| *external_id == user.id);
        match (external_id_is_ours, sent) {
            (Some(true) | None, MaybeApplied::MaybeDone) => LookupResult::Ours(account),
            (Some(true), MaybeApplied::NotDone) => LookupResult::Adoptable(account),
            _ if self.settings.existing_accounts == ExistingAccounts::Adopt => LookupResult::Adoptable(account),
            _ => LookupResult::Forbidden(UsernameConflict::NotOurs),
        }
    }
}
