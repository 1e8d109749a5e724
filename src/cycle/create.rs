//! One create: look up, store the intent, send, see. Recovery enters the same path with an intent whose answer was lost.

use super::answers::{After, Trouble};
use super::apply::Apply;
use super::lookup::{self, Freshness, look_up, look_up_in_list};
use super::record::{Sent, standing_of};
use crate::event::{EventType, Source};
use crate::http::Transport;
use crate::model::{Action, Change, ChangeKey, DesiredUser, DirectoryId, ExistingAccounts, Moment, StandingKind};
use crate::outcome::{Judged, Outcome};
use crate::retry;
use crate::settlement::{FailureEffect, IntentEnd, IntentId, LinkEffect, Settlement};
use crate::store::{self, Intent};
use crate::target::Account;

/// What a look-up says of a create.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Found {
    /// There is no such account.
    Nothing,
    /// The account that our lost request made.
    Ours(Account),
    /// An account that may be linked.
    Linkable(Account),
    /// An account that may not.
    Forbidden(&'static str),
}

/// Whether an earlier request may have made the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doubt {
    /// No request left.
    None,
    /// One left, or may have, and its answer was lost; the look-up before it saw nothing.
    Lost,
}

impl<T: Transport> Apply<'_, T> {
    pub(super) async fn create(&self, change: &Change, user: &DesiredUser, approved: bool) {
        let mut intent: Option<(IntentId, Moment)> = None;
        let mut doubt = Doubt::None;
        let mut tries = 0;
        loop {
            let freshness = if doubt == Doubt::None { Freshness::OfThisCycle } else { Freshness::Now };
            let found = match look_up(self, &user.user_name, freshness).await {
                Ok(found) => found,
                Err(trouble) => return self.lookup_trouble(change, intent.as_ref(), doubt, &trouble),
            };
            match self.judge_found(user, found, doubt) {
                Found::Ours(account) => {
                    return self.created(change, intent, account, &Judged::accepted(), Source::Recovery);
                }
                Found::Linkable(account) => return self.link(change, user, intent.as_ref(), account).await,
                Found::Forbidden(reason) => return self.refuse(change, intent.as_ref(), reason),
                Found::Nothing => {}
            }
            if doubt == Doubt::Lost {
                let until = intent.map_or(self.now(), |(_, stored_at)| stored_at.plus(self.world.settings.settle_time));
                if self.now() < until {
                    if tries >= retry::RETRIES_MAX {
                        return self.await_settling(change, until);
                    }
                    tokio::time::sleep(retry::pause(tries, (self.world.random)())).await;
                    tries += 1;
                    continue;
                }
                let Some(stored) = intent.as_mut() else { return };
                if self.renew(stored).await.is_none() {
                    return;
                }
            }
            if intent.is_none() {
                let mut new = intent_of(change, approved);
                new.kind = new.kind.filter(|_| !self.creates_are_free.get());
                intent = self.intend(new).await;
            }
            let Some(stored) = intent.as_mut() else { return };
            let Some(turn) = self.turn(stored).await else {
                self.withdraw(change, intent.as_ref());
                return self.leave(change);
            };
            let mut read = self.target().create(user, &turn).await;
            drop(turn);
            if let Some(account) = &read.value
                && !crate::target::carries(account, &user.user_name)
            {
                read.judged.outcome = Outcome::Unknown(None);
                read.judged.reason = "Rhombus answered with another user's account".to_owned();
            }
            let lost = matches!(read.judged.outcome, Outcome::Unknown(_));
            match (self.after(&read.judged, &mut tries).await, read.value) {
                (After::Settled, Some(account)) => {
                    return self.created(change, intent, account, &read.judged, Source::Reconcile);
                }
                (After::Settled, None) if read.judged.outcome == Outcome::Conflict => {
                    return self.exists(change, user, intent.as_ref(), &read.judged).await;
                }
                (After::Settled, None) => {
                    return self.fail(change, intent.map(|(id, _)| (id, IntentEnd::NotAccepted)), &read.judged);
                }
                (After::Again, _) => doubt = if lost { Doubt::Lost } else { Doubt::None },
                (After::GiveUp | After::Ended, _) if lost => {
                    return self.unanswered(change, intent.as_ref(), Sent::MaybeDone, &read.judged);
                }
                (After::GiveUp, _) => return self.unanswered(change, intent.as_ref(), Sent::NotDone, &read.judged),
                (After::Ended, _) => {
                    self.withdraw(change, intent.as_ref());
                    return self.leave(change);
                }
            }
        }
    }

    /// What the accounts that carry the wanted username mean.
    pub(super) fn judge_found(&self, user: &DesiredUser, mut found: Vec<Account>, doubt: Doubt) -> Found {
        found.retain(|account| crate::target::carries(account, &user.user_name));
        let Some(account) = found.pop() else { return Found::Nothing };
        if !found.is_empty() {
            return Found::Forbidden("two accounts at Rhombus carry this username");
        }
        let Some(scim_id) = &account.id else {
            return Found::Forbidden("the account at Rhombus with this username has no usable id");
        };
        let made = self.made.borrow().contains(scim_id);
        match self.state(store::link_by_scim_id(&self.world.reader, scim_id)) {
            Some(Some(other)) if other != user.id => {
                return Found::Forbidden("the account at Rhombus with this username is linked to another user");
            }
            None => return Found::Forbidden("the state cannot be read"),
            Some(_) if made => {
                return Found::Forbidden("the account at Rhombus with this username is linked to another user");
            }
            Some(_) => {}
        }
        let external_id_is_ours = account.external_id.as_ref().map(|external_id| *external_id == user.id);
        match (external_id_is_ours, doubt) {
            (Some(true) | None, Doubt::Lost) => Found::Ours(account),
            (Some(true), Doubt::None) => Found::Linkable(account),
            _ if self.world.settings.existing_accounts == ExistingAccounts::Adopt => Found::Linkable(account),
            _ => Found::Forbidden("an account at Rhombus that we did not make carries this username"),
        }
    }

    /// The account is made: link, intent and event in one transaction.
    pub(super) fn created(
        &self,
        change: &Change,
        intent: Option<(IntentId, Moment)>,
        account: Account,
        judged: &Judged,
        source: Source,
    ) {
        let (Some(scim_id), Change::Create { user, .. }) = (account.id.clone(), change) else { return };
        let linked = self.state(store::link_by_scim_id(&self.world.reader, &scim_id)).flatten();
        if linked.is_some() || !self.made.borrow_mut().insert(scim_id.clone()) {
            return self.refuse(
                change,
                intent.as_ref(),
                "Rhombus answered with an account that is linked to another user",
            );
        }
        let mut settlement = Settlement::of(change.directory_id(), Action::Create);
        settlement.intent = intent.map(|(id, _)| (id, IntentEnd::Accepted(Some(scim_id.clone()))));
        settlement.link = LinkEffect::Made {
            scim_id: scim_id.clone(),
            user_name: account.user_name.clone().unwrap_or_else(|| user.user_name.clone()),
            names: if source == Source::Recovery { account.names } else { user.names.laid_over(&account.names) },
        };
        settlement.failure = FailureEffect::Clear;
        let mut event = self.draft(Action::Create, change, Some(&scim_id), judged, change.fields());
        event.source = source;
        settlement.events.push(event);
        self.settle(settlement);
        self.tally.borrow_mut().created_count += 1;
    }

    /// An account that was there becomes ours; what differs about it is set afterwards, as an update of its own.
    async fn link(&self, change: &Change, user: &DesiredUser, intent: Option<&(IntentId, Moment)>, account: Account) {
        let Some(scim_id) = account.id.clone() else { return };
        self.made.borrow_mut().insert(scim_id.clone());
        let user_name = account.user_name.clone().unwrap_or_else(|| user.user_name.clone());
        let mut settlement = Settlement::of(change.directory_id(), Action::Link);
        settlement.intent = intent.map(|(id, _)| (*id, IntentEnd::NotAccepted));
        settlement.link =
            LinkEffect::Made { scim_id: scim_id.clone(), user_name: user_name.clone(), names: account.names.clone() };
        settlement.failure = FailureEffect::Clear;
        let mut event = self.draft(Action::Link, change, Some(&scim_id), &Judged::accepted(), Vec::new());
        event.response.details = "linked".to_owned();
        settlement.events.push(event);
        self.settle(settlement);
        self.tally.borrow_mut().linked_count += 1;
        let update = Change::Update {
            directory_id: user.id.clone(),
            scim_id: scim_id.clone(),
            user_name,
            carried: account.names.clone(),
            wanted: user.names.clone(),
        };
        if !account.active {
            self.reactivate(&update, &scim_id).await;
        }
        if user.names.differ_from(&account.names) && !self.ended() {
            self.update(&update, &scim_id, &user.names, &account.names, None, false).await;
        }
    }

    /// 409: somebody carries this username. What the filter does not show, the whole list may.
    async fn exists(&self, change: &Change, user: &DesiredUser, intent: Option<&(IntentId, Moment)>, judged: &Judged) {
        let mut found = look_up(self, &user.user_name, Freshness::Now).await;
        if found.as_ref().is_ok_and(Vec::is_empty) {
            found = look_up_in_list(self, &user.user_name.folded()).await;
        }
        let found = match found {
            Ok(found) => found,
            Err(trouble) => return self.lookup_trouble(change, intent, Doubt::None, &trouble),
        };
        match self.judge_found(user, found, Doubt::None) {
            Found::Linkable(account) | Found::Ours(account) => self.link(change, user, intent, account).await,
            Found::Forbidden(reason) => self.refuse(change, intent, reason),
            Found::Nothing => {
                tracing::warn!(status = %judged.response.code, "a username is taken at Rhombus by an account that it does not show");
                self.refuse(change, intent, "Rhombus says that the username is taken, and shows no account with it");
            }
        }
    }

    fn refuse(&self, change: &Change, intent: Option<&(IntentId, Moment)>, reason: &str) {
        self.withdraw(change, intent);
        self.stand(standing_of(change, StandingKind::Refused, reason).fields(change.fields()));
    }

    pub(super) fn await_settling(&self, change: &Change, until: Moment) {
        let reason = "the answer to the create was lost; it is looked up, and sent again when it stays unseen";
        self.stand(standing_of(change, StandingKind::Waiting, reason).until(until));
    }

    /// A look-up went wrong: said once per user and cause; nothing is concluded.
    fn lookup_trouble(&self, change: &Change, intent: Option<&(IntentId, Moment)>, doubt: Doubt, trouble: &Trouble) {
        if doubt == Doubt::None {
            self.withdraw(change, intent);
        }
        let Some((judged, cause)) = lookup::words(trouble) else { return self.leave(change) };
        self.say_lookup_failed(change.directory_id(), change, &judged, cause);
        match (doubt, intent) {
            (Doubt::Lost, Some((_, stored_at))) => {
                self.await_settling(change, stored_at.plus(self.world.settings.settle_time));
            }
            _ => self.stand(standing_of(change, StandingKind::Failed, &judged.reason)),
        }
    }

    fn say_lookup_failed(&self, id: &DirectoryId, change: &Change, judged: &Judged, cause: &'static str) {
        let mut draft = self.draft(Action::Create, change, None, judged, Vec::new());
        draft.event_type = EventType::UserLookupProvision;
        draft.success = false;
        let (id, now) = (id.clone(), self.now());
        let queued = self.world.journal.queue(move |transaction| {
            if store::lookup_failed(transaction, &id, cause)? {
                store::append(transaction, &[draft], now)?;
            }
            Ok(())
        });
        self.state(queued);
    }
}

/// What is stored before a change is sent.
pub(super) fn intent_of(change: &Change, approved: bool) -> Intent {
    let names = match change {
        Change::Create { user, .. } => user.names.clone(),
        Change::Update { wanted, .. } => wanted.clone(),
        Change::Remove { .. } => Default::default(),
    };
    let ChangeKey { action, directory_id, scim_id } = change.key();
    Intent {
        key: ChangeKey { action, directory_id, scim_id },
        kind: Some(change.guard_kind()),
        user_name: change.user_name().clone(),
        names,
        cause: change.cause().as_str(),
        approved,
    }
}
