//! One create: look up, store the intent, send, see. Recovery enters the same path with an intent whose answer was lost.

use crate::apply::record::{MaybeApplied, entry_for};
use crate::apply::window::Apply;
use crate::event::{EventType, Source};
use crate::http::Transport;
use crate::model::{
    AccountState, Action, AnswerDoubt, Cause, Change, ChangeKey, DesiredUser, ExistingAccounts, Moment,
    OutstandingKind, UserName, UsernameConflict,
};
use crate::outcome::{Judged, Outcome};
use crate::retry;
use crate::scim::{Account, Update};
use crate::session::answers::{NextStep, ReadError};
use crate::session::lookup::{self, Freshness, hash_of, look_up, look_up_in_list};
use crate::settlement::{FailureEffect, IntentEnd, IntentId, LinkEffect, Settlement};
use crate::store::{self, Intent};

/// What a look-up says of a create.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum LookupResult {
    /// There is no such account.
    Nothing,
    /// The account that our lost request made.
    Ours(Account),
    /// An account that may be linked.
    Linkable(Account),
    /// An account that may not.
    Forbidden(UsernameConflict),
}

/// Whether an earlier request may have made the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doubt {
    /// No request left.
    None,
    /// One left, or may have, and its answer was lost; the look-up before it saw nothing.
    Lost,
}

/// When the request left that made an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SentWhen {
    /// Just now, and it was answered.
    Now,
    /// In this cycle, and its answer was lost.
    Unanswered,
    /// By an earlier run, which wanted it under these settings.
    Earlier {
        /// Their number.
        settings: i64,
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

impl Doubt {
    fn sent(self) -> MaybeApplied {
        match self {
            Self::None => MaybeApplied::NotDone,
            Self::Lost => MaybeApplied::MaybeDone,
        }
    }
}

impl<T: Transport> Apply<'_, T> {
    pub(crate) async fn create(&self, change: &Change, user: &DesiredUser, approved: bool) {
        let mut intent: Option<(IntentId, Moment)> = None;
        let (mut tries, mut doubt) = (0, Doubt::None);
        let mut last: Option<Judged> = None;
        loop {
            let freshness = if doubt == Doubt::None { Freshness::OfThisCycle } else { Freshness::Now };
            let found = match self.look_up_for(change, &user.user_name, freshness).await {
                Ok(found) => found,
                Err(trouble) => return self.lookup_trouble(change, intent.as_ref(), last.as_ref(), &trouble),
            };
            match self.judge_found(user, found, doubt) {
                LookupResult::Ours(account) => {
                    return self.created(change, intent, account, &Judged::accepted(), SentWhen::Unanswered);
                }
                LookupResult::Linkable(account) => return self.link(change, user, intent.as_ref(), account).await,
                LookupResult::Forbidden(reason) => return self.refuse(change, intent.as_ref(), reason),
                LookupResult::Nothing => {}
            }
            if doubt == Doubt::Lost {
                let Some(stored) = intent.as_mut() else { return };
                let until = stored.1.plus(self.context.settings.settle_time);
                if self.now() < until {
                    if tries >= retry::RETRIES_MAX || self.ended() {
                        let lost = last.unwrap_or_else(Judged::accepted);
                        return self.unanswered(change, intent.as_ref(), MaybeApplied::MaybeDone, &lost);
                    }
                    tokio::time::sleep(retry::pause(tries, (self.context.random)())).await;
                    tries += 1;
                    continue;
                }
                if self.renew(stored).await.is_none() {
                    return;
                }
            }
            if intent.is_none() {
                let mut new = intent_of(change, approved, self.settings);
                new.kind = new.kind.filter(|_| !self.creates_are_free.get());
                intent = self.intend(change, new).await;
            }
            let Some(stored) = intent.as_mut() else { return };
            let Some(permit) = self.permit(stored).await else { return self.interrupted(change, stored, doubt.sent()) };
            let mut read = self.target().create(user, &permit).await;
            drop(permit);
            if let Some(account) = &read.value
                && !crate::scim::carries(account, &user.user_name)
            {
                read.judged.outcome = Outcome::Unknown(None);
                read.judged.reason = Some(AnswerDoubt::OtherUser.into());
            }
            if matches!(read.judged.outcome, Outcome::Unknown(_)) {
                // It stays so: a later answer to another try says nothing about this one.
                doubt = Doubt::Lost;
                last = Some(read.judged.clone());
            }
            let stored = *stored;
            match (self.after(&read.judged, &mut tries).await, read.value) {
                (NextStep::Settled, Some(account)) => {
                    return self.created(change, intent, account, &read.judged, SentWhen::Now);
                }
                (NextStep::Settled, None) if read.judged.outcome == Outcome::Conflict => {
                    return self.exists(change, user, stored, doubt, &read.judged).await;
                }
                (NextStep::Settled, None) => {
                    return self.fail(change, Some((stored.0, doubt.sent().end())), &read.judged);
                }
                (NextStep::Again, _) => {}
                (NextStep::GiveUp, _) => return self.unanswered(change, Some(&stored), doubt.sent(), &read.judged),
                (NextStep::Ended, _) => return self.interrupted(change, &stored, doubt.sent()),
            }
        }
    }

    /// A look-up for a create; the next failure is said again once one went well.
    pub(crate) async fn look_up_for(
        &self,
        change: &Change,
        name: &UserName,
        freshness: Freshness,
    ) -> Result<Vec<Account>, ReadError> {
        let found = look_up(self, name, freshness).await;
        match &found {
            Ok(_) => self.lookup_went_well(change),
            Err(trouble) => {
                if let Some((judged, cause)) = lookup::words(trouble) {
                    self.say_lookup_failed(change, &judged, cause);
                }
            }
        }
        found
    }

    /// The next failure of this user's look-up is said again.
    pub(crate) fn lookup_went_well(&self, change: &Change) {
        let id = change.directory_id();
        if self.lookups_failed.borrow_mut().remove(id) {
            let id = id.clone();
            let queued = self.context.journal.queue(move |transaction| store::lookup_succeeded(transaction, &id));
            self.state(queued);
        }
    }

    /// What the accounts that carry the wanted username mean.
    pub(crate) fn judge_found(&self, user: &DesiredUser, mut found: Vec<Account>, doubt: Doubt) -> LookupResult {
        found.retain(|account| crate::scim::carries(account, &user.user_name));
        if doubt == Doubt::Lost
            && let Some(place) = found.iter().position(|account| account.external_id.as_ref() == Some(&user.id))
        {
            // Our request made it, whoever else carries the name by now.
            found = vec![found.swap_remove(place)];
        }
        let Some(account) = found.pop() else { return LookupResult::Nothing };
        if !found.is_empty() {
            return LookupResult::Forbidden(UsernameConflict::TwoAccounts);
        }
        let Some(scim_id) = &account.id else {
            return LookupResult::Forbidden(UsernameConflict::AccountWithoutId);
        };
        let made = self.made.borrow().contains(&hash_of(scim_id.as_str()));
        match self.state(store::link_by_scim_id(&self.context.reader, scim_id)) {
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
        let external_id_is_ours = account.external_id.as_ref().map(|external_id| *external_id == user.id);
        match (external_id_is_ours, doubt) {
            (Some(true) | None, Doubt::Lost) => LookupResult::Ours(account),
            (Some(true), Doubt::None) => LookupResult::Linkable(account),
            _ if self.context.settings.existing_accounts == ExistingAccounts::Adopt => LookupResult::Linkable(account),
            _ => LookupResult::Forbidden(UsernameConflict::NotOurs),
        }
    }

    /// The account is made: link, intent and event in one transaction.
    pub(crate) fn created(
        &self,
        change: &Change,
        intent: Option<(IntentId, Moment)>,
        account: Account,
        judged: &Judged,
        made: SentWhen,
    ) {
        let source = made.source(self.context.source);
        let (Some(scim_id), Change::Create { user, .. }) = (account.id.clone(), change) else { return };
        let linked = self.state(store::link_by_scim_id(&self.context.reader, &scim_id)).flatten();
        if linked.is_some() || !self.made.borrow_mut().insert(hash_of(scim_id.as_str())) {
            return self.refuse(change, intent.as_ref(), UsernameConflict::AnsweredLinked);
        }
        let mut settlement = Settlement::of(change.directory_id(), Action::Create);
        settlement.intent = intent.map(|(id, _)| (id, IntentEnd::Accepted(Some(scim_id.clone()))));
        settlement.link = LinkEffect::Made {
            scim_id: scim_id.clone(),
            user_name: account.user_name.clone().unwrap_or_else(|| user.user_name.clone()),
            names: if source == Source::Recovery { account.names } else { user.names.laid_over(&account.names) },
            active: account.active,
        };
        settlement.failure = FailureEffect::Clear;
        if let SentWhen::Earlier { settings } = made {
            settlement.settings = Some(settings);
        }
        let mut event = self.succeeded(Action::Create, change, Some(&scim_id), judged, change.fields());
        event.source = source;
        if change.cause() == Cause::Vanished {
            event.response.details = "re-created: the account had disappeared".to_owned();
        }
        settlement.events.push(event);
        // What an earlier run made is seen by the plan of this one.
        let inactive = !account.active && !matches!(made, SentWhen::Earlier { .. });
        self.settle(settlement);
        self.settled();
        self.tally.borrow_mut().created_count += 1;
        if inactive {
            self.list_user(entry_for(change, OutstandingKind::Failed, AccountState::CreatedInactive));
        }
    }

    /// An account that was there becomes ours; what differs about it is set afterwards, as an update of its own.
    async fn link(&self, change: &Change, user: &DesiredUser, intent: Option<&(IntentId, Moment)>, account: Account) {
        let Some(scim_id) = account.id.clone() else { return };
        self.made.borrow_mut().insert(hash_of(scim_id.as_str()));
        let user_name = account.user_name.clone().unwrap_or_else(|| user.user_name.clone());
        let mut settlement = Settlement::of(change.directory_id(), Action::Link);
        settlement.intent = intent.map(|(id, _)| (*id, IntentEnd::NotAccepted));
        settlement.link = LinkEffect::Made {
            scim_id: scim_id.clone(),
            user_name: user_name.clone(),
            names: account.names.clone(),
            active: account.active,
        };
        settlement.failure = FailureEffect::Clear;
        let mut event = self.succeeded(Action::Link, change, Some(&scim_id), &Judged::accepted(), Vec::new());
        event.response.details = "linked".to_owned();
        settlement.events.push(event);
        self.settle(settlement);
        self.settled();
        self.tally.borrow_mut().linked_count += 1;
        let (wanted, carried, reactivate) =
            (Box::new(user.names.clone()), Box::new(account.names.clone()), !account.active);
        if !reactivate && !wanted.differ_from(&carried) {
            return;
        }
        let directory_id = user.id.clone();
        let name = user_name.clone();
        let change = Change::Update { directory_id, scim_id: scim_id.clone(), user_name, carried, wanted, reactivate };
        if self.ended() {
            return self.leave(&change);
        }
        let update =
            Update { id: &scim_id, user_name: &name, wanted: &user.names, carried: &account.names, reactivate };
        self.update(&change, update, None, false).await;
    }

    /// 409: somebody carries this username. What the filter does not show, the whole list may.
    async fn exists(
        &self,
        change: &Change,
        user: &DesiredUser,
        stored: (IntentId, Moment),
        doubt: Doubt,
        judged: &Judged,
    ) {
        let mut found = self.look_up_for(change, &user.user_name, Freshness::Now).await;
        if found.as_ref().is_ok_and(Vec::is_empty) {
            found = look_up_in_list(self, &user.user_name.folded()).await;
        }
        let found = match found {
            Ok(found) => found,
            // It is there, since the create was refused for it; a list that is short now may show it next time.
            Err(ReadError::Doubtful(_)) if doubt == Doubt::None => {
                return self.fail(change, Some((stored.0, IntentEnd::NotAccepted)), judged);
            }
            Err(ReadError::Doubtful(_)) => Vec::new(),
            Err(trouble) => {
                let last = (doubt == Doubt::Lost).then_some(judged);
                return self.lookup_trouble(change, Some(&stored), last, &trouble);
            }
        };
        match self.judge_found(user, found, doubt) {
            LookupResult::Ours(account) => {
                self.created(change, Some(stored), account, &Judged::accepted(), SentWhen::Unanswered)
            }
            LookupResult::Linkable(account) => self.link(change, user, Some(&stored), account).await,
            LookupResult::Forbidden(reason) => self.refuse(change, Some(&stored), reason),
            // The account of a lost create may show later than the refusal of the next one.
            LookupResult::Nothing if doubt == Doubt::Lost => {
                self.unanswered(change, Some(&stored), MaybeApplied::MaybeDone, judged);
            }
            LookupResult::Nothing => {
                tracing::warn!(
                    status = judged.response.status,
                    "a username is taken at Rhombus by an account that it does not show"
                );
                self.refuse(change, Some(&stored), UsernameConflict::Hidden);
            }
        }
    }

    fn refuse(&self, change: &Change, intent: Option<&(IntentId, Moment)>, reason: UsernameConflict) {
        self.withdraw(change, intent);
        self.settled();
        self.list_user(entry_for(change, OutstandingKind::Refused, reason).fields(change.fields()));
    }

    /// A look-up went wrong: nothing is concluded. `lost` is the last answer to a create that may have been obeyed.
    fn lookup_trouble(
        &self,
        change: &Change,
        intent: Option<&(IntentId, Moment)>,
        lost: Option<&Judged>,
        trouble: &ReadError,
    ) {
        if let Some(lost) = lost {
            return self.unanswered(change, intent, MaybeApplied::MaybeDone, lost);
        }
        self.withdraw(change, intent);
        match trouble {
            ReadError::Unanswered(judged) => self.gave_up(&judged.bare()),
            ReadError::Rejected(_) | ReadError::Doubtful(_) => self.settled(),
            ReadError::Ended => {}
        }
        match lookup::words(trouble) {
            Some((judged, _)) => self.list_user(entry_for(change, OutstandingKind::Failed, judged.why())),
            None => self.leave(change),
        }
    }

    /// Said once per user and cause.
    pub(crate) fn say_lookup_failed(&self, change: &Change, judged: &Judged, cause: &'static str) {
        self.lookups_failed.borrow_mut().insert(change.directory_id().clone());
        let mut draft = self.failed(change.action(), change, judged, Vec::new());
        draft.event_type = EventType::UserLookupProvision;
        let (id, now) = (change.directory_id().clone(), self.now());
        let queued = self.context.journal.queue(move |transaction| {
            if store::lookup_failed(transaction, &id, cause)? {
                store::append(transaction, &[draft], now)?;
            }
            Ok(())
        });
        self.state(queued);
    }
}

/// What is stored before a change is sent.
pub(crate) fn intent_of(change: &Change, approved: bool, settings: i64) -> Intent {
    let (names, reactivate) = match change {
        Change::Create { user, .. } => (user.names.clone(), false),
        Change::Update { wanted, reactivate, .. } => (wanted.as_ref().clone(), *reactivate),
        Change::Remove { .. } => Default::default(),
    };
    let ChangeKey { action, directory_id, scim_id } = change.key();
    Intent {
        key: ChangeKey { action, directory_id, scim_id },
        kind: Some(change.guard_kind()),
        user_name: change.user_name().clone(),
        names,
        reactivate,
        approved,
        settings,
    }
}
