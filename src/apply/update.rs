//! One update of names, which also reactivates an account that was found inactive. The snapshot remembers what the
//! endpoint shows afterwards, whatever it promised.

use super::intents::StoredIntent;
use super::tally::entry_for;
use super::window::Apply;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{AccountState, Action, AnswerDoubt, Change, Mismatch, Names, OutstandingKind};
use crate::outcome::Judged;
use crate::scim::{Account, Permit, Read, ScimTarget, Update, carries};
use crate::session::{Absence, Attempt, MaybeApplied, ReadError, Reply, Sent, Tries, is_lost};
use crate::settlement::{FailureEffect, IntentEnd, IntentId, LinkEffect, Settlement};
use crate::store::Intent;
use std::ops::ControlFlow;

/// What an account shows after an update.
pub(super) struct Carried {
    pub(super) names: Names,
    pub(super) active: bool,
}

impl Carried {
    pub(super) fn of(account: Account) -> Self {
        Self { names: account.names, active: account.active }
    }
}

/// An update in progress.
struct Updating<'a, T> {
    apply: &'a Apply<'a, T>,
    change: &'a Change,
    update: Update<'a>,
    stored: StoredIntent,
}

impl<T: Transport> Attempt<T> for Updating<'_, T> {
    type Value = Account;

    async fn on_turn(&mut self) -> Option<()> {
        self.apply.record.on_turn(&mut self.stored).await
    }

    async fn send(&mut self, target: &ScimTarget<T>, permit: &Permit<'_>) -> Read<Account> {
        target.update(&self.update, permit).await
    }

    async fn look(&mut self, judged: &Judged, tries: &mut Tries) -> ControlFlow<()> {
        if !is_lost(judged) {
            return ControlFlow::Continue(());
        }
        let (apply, change, stored) = (self.apply, self.change, self.stored);
        match apply.session.read(self.update.id).await {
            Ok((Some(account), _)) if !carries(&account, change.user_name()) => {
                apply.leave_alone(change, Some(stored.ends_refused(tries.sent)));
            }
            Ok((Some(account), judged)) if self.update.is_met_by(&account) => {
                apply.judge_update(change, stored, self.update, account, &judged, Source::Recovery);
            }
            Ok((Some(_), _)) => return ControlFlow::Continue(()),
            Ok((None, judged)) => apply.vanished(change, stored, tries.sent, &judged).await,
            Err(ReadError::Unanswered(judged) | ReadError::Rejected(judged)) => {
                apply.record.unanswered(change, Some(stored), tries.sent, &judged);
            }
            Err(ReadError::Doubtful(_) | ReadError::Ended) => {
                apply.record.unanswered(change, Some(stored), tries.sent, judged);
            }
        }
        ControlFlow::Break(())
    }
}

impl<T: Transport> Apply<'_, T> {
    pub(super) async fn update(&self, change: &Change, update: Update<'_>, intent: Intent) {
        let mut tries = Tries::after(self.sent_before(change));
        let Some(stored) = self.intend(change, intent).await else { return };
        let mut updating = Updating { apply: self, change, update, stored };
        let sent = self.session.send(&mut updating, &mut tries).await;
        let stored = updating.stored;
        match sent {
            Sent::Answered(Reply::Accepted, read) => {
                self.updated(change, stored, read.value, update, &read.judged).await;
            }
            Sent::Answered(Reply::NotFound, read) => {
                self.vanished(change, stored, tries.sent, &read.judged).await;
            }
            Sent::Answered(Reply::Conflict | Reply::NotSupported | Reply::Rejected, read) => {
                self.record.fail(change, stored.ends_or_stays(tries.sent), &read.judged);
            }
            Sent::NotOurs(_) => self.leave_alone(change, Some(stored.ends_refused(tries.sent))),
            Sent::Unanswered(judged) => self.record.unanswered(change, Some(stored), tries.sent, &judged),
            Sent::Ended => self.record.interrupted(change, stored, tries.sent),
            Sent::SeenInstead => {}
        }
    }

    /// The update was accepted; the answer, or a read, shows the account's present names.
    async fn updated(
        &self,
        change: &Change,
        stored: StoredIntent,
        shown: Option<Account>,
        update: Update<'_>,
        judged: &Judged,
    ) {
        let shown = shown.filter(|account| {
            account.id.as_ref() == Some(update.id) && carries(account, change.user_name()) && update.is_met_by(account)
        });
        let account = match shown {
            Some(account) => account,
            None => match self.session.read(update.id).await {
                Ok((Some(account), _)) => account,
                Ok((None, _)) => return self.gone_after(change, stored, update, judged).await,
                // Accepted, but the result cannot be read: it is looked up.
                Err(_) => {
                    let judged = judged.because(AnswerDoubt::NotRead);
                    return self.record.unanswered(change, Some(stored), MaybeApplied::MaybeDone, &judged);
                }
            },
        };
        self.judge_update(change, stored, update, account, judged, self.record.source);
    }

    /// What the account shows after an update decides, whether an answer or a read showed it.
    fn judge_update(
        &self,
        change: &Change,
        stored: StoredIntent,
        update: Update<'_>,
        account: Account,
        judged: &Judged,
        source: Source,
    ) {
        let (foreign, met) = (!carries(&account, change.user_name()), update.is_met_by(&account));
        if !foreign {
            self.note_external_id(change.directory_id(), &account);
        }
        let carried = Carried::of(account);
        let inactive = !carried.active;
        if met {
            self.note_update(change, stored, carried, judged, source);
        } else {
            self.note_not_kept(change, stored, carried, update.wanted.digest(update.reactivate), judged);
        }
        if foreign {
            return self.leave_alone(change, None);
        }
        let reason = match (met, inactive) {
            (false, _) => AccountState::NotApplied,
            (true, true) => AccountState::Reactivated,
            (true, false) => return,
        };
        self.record.list_user(entry_for(change, OutstandingKind::Failed, reason));
    }

    /// Accepted, not applied: no success. Three of the same in a row are parked, for which the `futile` digest counts.
    fn note_not_kept(&self, change: &Change, stored: StoredIntent, carried: Carried, futile: String, judged: &Judged) {
        let Carried { names, active } = carried;
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = Some(stored.ends(IntentEnd::Unknown));
        settlement.link = LinkEffect::Seen { names, active, futile: Some(futile) };
        settlement.failure = FailureEffect::Clear;
        let not_applied = judged.because(AccountState::NotApplied);
        settlement.events.push(self.record.failed(Action::Update, change, &not_applied, change.fields()));
        self.record.write(settlement);
        self.session.user_answered();
    }

    /// The account has been renamed since it was linked: we change nothing about it any more.
    pub(super) fn leave_alone(&self, change: &Change, intent: Option<(IntentId, IntentEnd)>) {
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = intent;
        settlement.link = LinkEffect::Foreign;
        self.record.write(settlement);
        self.record.list_user(entry_for(change, OutstandingKind::Drift, Mismatch::UserName));
    }

    pub(super) fn note_update(
        &self,
        change: &Change,
        stored: StoredIntent,
        carried: Carried,
        judged: &Judged,
        source: Source,
    ) {
        let Carried { names, active } = carried;
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = Some(stored.ends(IntentEnd::Accepted(change.scim_id().cloned())));
        settlement.link = LinkEffect::Seen { names, active, futile: None };
        settlement.failure = FailureEffect::Clear;
        let mut event = self.record.succeeded(Action::Update, change, change.scim_id(), judged, change.fields());
        event.source = source;
        settlement.events.push(event);
        self.record.write(settlement);
        self.session.user_answered();
        self.record.tally.borrow_mut().done.updated_count += 1;
    }

    /// The update was accepted, and then the account was gone.
    async fn gone_after(&self, change: &Change, stored: StoredIntent, update: Update<'_>, judged: &Judged) {
        // The link stays as it was: if there is no witness now, the next plan asks for the update again.
        let as_it_was = Carried { names: update.carried.clone(), active: !update.reactivate };
        self.note_update(change, stored, as_it_was, judged, self.record.source);
        if self.session.absence(update.id).await == Absence::Gone {
            let mut settlement = Settlement::of(change.directory_id(), Action::Update);
            settlement.link = LinkEffect::Ended;
            self.record.write(settlement);
            self.record.tally.borrow_mut().vanished = true;
        }
        self.record.list_user(entry_for(change, OutstandingKind::Failed, AccountState::CreatedAgain));
    }

    /// 404, confirmed by a read: the link ends, and the next plan creates the account again, so that the guard sees it. If the 404
    /// was not true, an earlier try may have been applied all the same, and recovery looks for it.
    async fn vanished(&self, change: &Change, stored: StoredIntent, sent: MaybeApplied, judged: &Judged) {
        let Some(scim_id) = change.scim_id() else { return };
        match self.session.read(scim_id).await {
            Ok((None, _)) => {}
            Ok((Some(_), _)) => return self.record.fail(change, stored.ends_or_stays(sent), judged),
            Err(_) => return self.record.unanswered(change, Some(stored), sent, judged),
        }
        match self.session.absence(scim_id).await {
            Absence::Gone => {}
            Absence::There(_) => return self.record.fail(change, stored.ends_or_stays(sent), judged),
            Absence::NoWitness | Absence::Unread(_) => {
                return self.record.unanswered(change, Some(stored), sent, judged);
            }
            Absence::Ended => return self.record.interrupted(change, stored, sent),
        }
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = Some(stored.ends_refused(sent));
        settlement.link = LinkEffect::Ended;
        settlement.failure = FailureEffect::Clear;
        let gone = judged.because(AccountState::Gone);
        settlement.events.push(self.record.failed(Action::Update, change, &gone, change.fields()));
        self.record.write(settlement);
        self.session.user_answered();
        self.record.tally.borrow_mut().vanished = true;
        self.record.list_user(entry_for(change, OutstandingKind::Failed, AccountState::CreatedAgain));
    }
}
