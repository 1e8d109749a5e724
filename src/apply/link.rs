//! Links an account: one that we created, or one that existed.

use super::found::Linkable;
use super::intents::{StoredIntent, intent_of, user_of};
use super::tally::entry_for;
use super::window::Apply;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{
    AccountState, Action, Cause, Change, DesiredUser, LinkedExternalId, OutstandingKind, ScimId, ScopeVersionId,
    UsernameConflict,
};
use crate::outcome::Judged;
use crate::scim::{Update, carries};
use crate::session::hash_of;
use crate::settlement::{FailureEffect, IntentEnd, LinkEffect, MadeLink, Settlement};
use crate::store::{self, Intent, OpenIntent};

/// When the request that created an account was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SentWhen {
    /// Just now, and it was answered.
    Now,
    /// In this cycle, and its answer was lost.
    Unanswered,
    /// By an earlier run.
    Earlier {
        /// The scope version under which that run wanted it.
        scope_version: ScopeVersionId,
    },
}

impl SentWhen {
    fn source(self, of_cycle: Source) -> Source {
        match self {
            Self::Now => of_cycle,
            Self::Unanswered | Self::Earlier { .. } => Source::Recovery,
        }
    }
}

impl<T: Transport> Apply<'_, T> {
    /// Stores a created account: link, intent and event in one transaction.
    pub(super) fn created(
        &self,
        change: &Change,
        user: &DesiredUser,
        stored: StoredIntent,
        found: Linkable,
        judged: &Judged,
        made: SentWhen,
    ) {
        let source = made.source(self.record.source);
        let user_name = found.user_name(user);
        let Linkable { scim_id, account } = found;
        if self.was_linked_before(&scim_id) || !self.made.borrow_mut().insert(hash_of(scim_id.as_str())) {
            return self.record.refuse(change, Some(stored), UsernameConflict::AnsweredLinked);
        }
        self.forget_given_up(change, Some(stored));
        let mut settlement = Settlement::of(change.directory_id(), Action::Create);
        settlement.intent = Some(stored.ends(IntentEnd::Accepted(Some(scim_id.clone()))));
        settlement.link = LinkEffect::Made(MadeLink {
            scim_id: scim_id.clone(),
            user_name,
            names: account.names.clone(),
            active: account.active,
            // An answer that shows none leaves out what we sent.
            external_id: LinkedExternalId::Was(account.external_id.clone().unwrap_or_else(|| user.id.clone())),
        });
        settlement.failure = FailureEffect::Clear;
        if let SentWhen::Earlier { scope_version } = made {
            settlement.scope_version = Some(scope_version);
        }
        let mut event = self.record.succeeded(Action::Create, change, Some(&scim_id), judged, change.fields());
        event.source = source;
        if change.cause() == Cause::Vanished {
            event.response.details = "re-created: the account had disappeared".to_owned();
        }
        settlement.events.push(event);
        // What an earlier run created appears in this cycle's plan.
        let otherwise = match made {
            SentWhen::Earlier { .. } => None,
            SentWhen::Now | SentWhen::Unanswered if !account.active => Some(AccountState::CreatedInactive),
            SentWhen::Now | SentWhen::Unanswered => {
                user.names.differ_from(&account.names).then_some(AccountState::CreatedOtherwise)
            }
        };
        self.record.write(settlement);
        self.session.user_answered();
        self.record.tally.borrow_mut().done.created_count += 1;
        if let Some(state) = otherwise {
            self.record.list_user(entry_for(change, OutstandingKind::Failed, state));
        }
    }

    /// Whether the account was linked before the creates of this cycle began.
    fn was_linked_before(&self, scim_id: &ScimId) -> bool {
        let reader = self.session.context.reader;
        self.linked_before.borrow().may_have(scim_id)
            && self.session.state(store::link_by_scim_id(reader, scim_id)).flatten().is_some()
    }

    /// The create that was given up and made this account, by all that can be known: it is active, bears our `externalId`, and
    /// the log does not know it yet.
    fn made_by(&self, user: &DesiredUser, found: &Linkable) -> Option<OpenIntent> {
        let given_up = self.given_up.borrow().get(&user.id).cloned()?;
        let account = &found.account;
        let is_ours = account.active && account.external_id.as_ref() == Some(&user.id);
        if !is_ours || !carries(account, &given_up.user_name) {
            return None;
        }
        let is_known =
            self.session.state(store::names_account(self.session.context.reader, &user.id, &found.scim_id))?;
        (!is_known).then_some(given_up)
    }

    /// The user has an account now: a create that was given up made none beside it.
    fn forget_given_up(&self, change: &Change, made: Option<StoredIntent>) {
        let given_up = self.given_up.borrow_mut().remove(change.directory_id());
        if let Some(given_up) = given_up.filter(|given_up| made.is_none_or(|made| made.id != given_up.id)) {
            self.record.withdraw(change, Some(StoredIntent::of(&given_up)));
        }
    }

    /// Links an account that is there: one that existed, or one that a create made which was given up.
    pub(super) async fn link(
        &self,
        change: &Change,
        user: &DesiredUser,
        intent: Option<StoredIntent>,
        found: Linkable,
    ) {
        let Some(given_up) = self.made_by(user, &found) else {
            return self.link_existing(change, user, intent, found).await;
        };
        self.record.withdraw(change, intent);
        let sent = Change::Create { user: user_of(&given_up), after_removal_of: None, vanished: false };
        let stored = StoredIntent::of(&given_up);
        // Names that the directory changed since are listed, and the next plan sets them.
        self.created(&sent, user, stored, found, &Judged::accepted(), SentWhen::Unanswered);
    }

    /// Links an existing account; names that differ are set afterwards, by a separate update.
    async fn link_existing(&self, change: &Change, user: &DesiredUser, intent: Option<StoredIntent>, found: Linkable) {
        self.forget_given_up(change, None);
        let user_name = found.user_name(user);
        let Linkable { scim_id, account } = found;
        self.made.borrow_mut().insert(hash_of(scim_id.as_str()));
        let mut settlement = Settlement::of(change.directory_id(), Action::Link);
        settlement.intent = intent.map(|stored| stored.ends(IntentEnd::NotAccepted));
        settlement.link = LinkEffect::Made(MadeLink {
            scim_id: scim_id.clone(),
            user_name: user_name.clone(),
            names: account.names.clone(),
            active: account.active,
            external_id: LinkedExternalId::of(account.external_id.as_ref()),
        });
        settlement.failure = FailureEffect::Clear;
        let mut event = self.record.succeeded(Action::Link, change, Some(&scim_id), &Judged::accepted(), Vec::new());
        event.response.details = "linked".to_owned();
        settlement.events.push(event);
        self.record.write(settlement);
        self.session.user_answered();
        self.record.tally.borrow_mut().done.linked_count += 1;
        let (wanted, carried, reactivate) =
            (Box::new(user.names.clone()), Box::new(account.names.clone()), !account.active);
        if !reactivate && !wanted.differ_from(&carried) {
            return;
        }
        let directory_id = user.id.clone();
        let name = user_name.clone();
        let change = Change::Update { directory_id, scim_id: scim_id.clone(), user_name, carried, wanted, reactivate };
        if self.session.ended() {
            return self.record.leave(&change);
        }
        let update =
            Update { id: &scim_id, user_name: &name, wanted: &user.names, carried: &account.names, reactivate };
        // This update came with the link, so it spends no budget.
        let intent = Intent { kind: None, ..intent_of(&change, None, self.record.scope_version) };
        self.update(&change, update, intent).await;
    }
}
