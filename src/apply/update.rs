//! One update of names, which also brings an account back that was found inactive. What the endpoint shows afterwards is
//! what the snapshot remembers, whatever it promised.

use crate::apply::create::intent_of;
use crate::apply::record::{MaybeApplied, entry_for};
use crate::apply::window::Apply;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{AccountState, Action, AnswerDoubt, Change, GuardKind, Mismatch, Moment, Names, OutstandingKind};
use crate::outcome::{Judged, Outcome};
use crate::scim::{Account, Update, carries};
use crate::session::answers::{NextStep, ReadError, Witness};
use crate::settlement::{FailureEffect, IntentEnd, IntentId, LinkEffect, Settlement};

/// What an account carries after an update.
pub(crate) struct Carried {
    pub(crate) names: Names,
    pub(crate) active: bool,
}

impl Carried {
    fn of(account: Account) -> Self {
        Self { names: account.names, active: account.active }
    }
}

impl<T: Transport> Apply<'_, T> {
    pub(crate) async fn update(&self, change: &Change, update: Update<'_>, kind: Option<GuardKind>, approved: bool) {
        let mut intent = intent_of(change, approved, self.settings);
        intent.kind = kind;
        let (mut tries, mut doubt) = (0, self.sent_before(change));
        let Some(mut stored) = self.intend(change, intent).await else { return };
        loop {
            let Some(permit) = self.permit(&mut stored).await else { return self.interrupted(change, &stored, doubt) };
            let read = self.target().update(&update, &permit).await;
            drop(permit);
            if read
                .value
                .as_ref()
                .is_some_and(|account| read.judged.outcome == Outcome::NotSent && !carries(account, change.user_name()))
            {
                return self.leave_alone(change, Some((stored.0, doubt.end())));
            }
            let lost = matches!(read.judged.outcome, Outcome::Unknown(_));
            if lost {
                doubt = MaybeApplied::MaybeDone;
            }
            match self.after(&read.judged, &mut tries).await {
                NextStep::Settled => {
                    return match read.judged.outcome {
                        Outcome::Accepted => self.updated(change, stored, read.value, update, &read.judged).await,
                        Outcome::NotFound => self.vanished(change, stored, &read.judged).await,
                        Outcome::Conflict
                        | Outcome::Rejected
                        | Outcome::NotSupported
                        | Outcome::Forbidden
                        | Outcome::Unauthorized
                        | Outcome::Throttled(_)
                        | Outcome::Redirected
                        | Outcome::NotSent
                        | Outcome::Unknown(_) => self.fail(change, doubt.end_of(stored), &read.judged),
                    };
                }
                NextStep::Again if lost => match self.read(update.id).await {
                    Ok((Some(account), _)) if !carries(&account, change.user_name()) => {
                        return self.leave_alone(change, Some((stored.0, doubt.end())));
                    }
                    Ok((Some(account), judged)) if update.is_met_by(&account) => {
                        return self.settle_update(
                            change,
                            stored,
                            Carried::of(account),
                            None,
                            &judged,
                            Source::Recovery,
                        );
                    }
                    Ok((Some(_), _)) => {}
                    Ok((None, judged)) => return self.vanished(change, stored, &judged).await,
                    Err(ReadError::Unanswered(judged) | ReadError::Rejected(judged)) => {
                        return self.unanswered(change, Some(&stored), doubt, &judged);
                    }
                    Err(ReadError::Doubtful(_) | ReadError::Ended) => {
                        return self.unanswered(change, Some(&stored), doubt, &read.judged);
                    }
                },
                NextStep::Again => {}
                NextStep::GiveUp => return self.unanswered(change, Some(&stored), doubt, &read.judged),
                NextStep::Ended => return self.interrupted(change, &stored, doubt),
            }
        }
    }

    /// It was accepted: the answer, or a read, says what the account carries now.
    async fn updated(
        &self,
        change: &Change,
        stored: (IntentId, Moment),
        shown: Option<Account>,
        update: Update<'_>,
        judged: &Judged,
    ) {
        let shown = shown.filter(|account| {
            account.id.as_ref() == Some(update.id) && carries(account, change.user_name()) && update.is_met_by(account)
        });
        let account = match shown {
            Some(account) => account,
            None => match self.read(update.id).await {
                Ok((Some(account), _)) => account,
                Ok((None, _)) => return self.gone_after(change, stored, update, judged).await,
                // Accepted, and nobody shows what became of it: it is looked up.
                Err(_) => {
                    let judged = judged.because(AnswerDoubt::NotRead);
                    return self.unanswered(change, Some(&stored), MaybeApplied::MaybeDone, &judged);
                }
            },
        };
        let (foreign, met) = (!carries(&account, change.user_name()), update.is_met_by(&account));
        let carried = Carried::of(account);
        let inactive = !carried.active;
        let futile = (!met).then(|| update.wanted.digest(update.reactivate));
        self.settle_update(change, stored, carried, futile, judged, self.context.source);
        if foreign {
            return self.leave_alone(change, None);
        }
        let reason = match (met, inactive) {
            (false, _) => AccountState::NotApplied,
            (true, true) => AccountState::Reactivated,
            (true, false) => return,
        };
        self.list_user(entry_for(change, OutstandingKind::Failed, reason));
    }

    /// The account carries another userName than the linked one: nothing of ours goes there any more.
    pub(crate) fn leave_alone(&self, change: &Change, intent: Option<(IntentId, IntentEnd)>) {
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = intent;
        settlement.link = LinkEffect::Foreign;
        self.settle(settlement);
        self.list_user(entry_for(change, OutstandingKind::Drift, Mismatch::UserName));
    }

    pub(crate) fn settle_update(
        &self,
        change: &Change,
        stored: (IntentId, Moment),
        carried: Carried,
        futile: Option<String>,
        judged: &Judged,
        source: Source,
    ) {
        let Carried { names, active } = carried;
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = Some((stored.0, IntentEnd::Accepted(change.scim_id().cloned())));
        settlement.link = LinkEffect::Seen { names, active, futile };
        settlement.failure = FailureEffect::Clear;
        let mut event = self.succeeded(Action::Update, change, change.scim_id(), judged, change.fields());
        event.source = source;
        settlement.events.push(event);
        self.settle(settlement);
        self.settled();
        self.tally.borrow_mut().updated_count += 1;
    }

    /// It was accepted, and then the account was gone.
    async fn gone_after(&self, change: &Change, stored: (IntentId, Moment), update: Update<'_>, judged: &Judged) {
        // As it was: where nobody bears witness now, the next plan asks for it again.
        let as_it_was = Carried { names: update.carried.clone(), active: !update.reactivate };
        self.settle_update(change, stored, as_it_was, None, judged, self.context.source);
        if self.witness(update.id).await == Witness::Seen {
            let mut settlement = Settlement::of(change.directory_id(), Action::Update);
            settlement.link = LinkEffect::Ended;
            self.settle(settlement);
            self.tally.borrow_mut().vanished = true;
        }
        self.list_user(entry_for(change, OutstandingKind::Failed, AccountState::CreatedAgain));
    }

    /// 404: confirmed by a read, the link ends, and the next plan makes the account again, so that the guard sees it.
    async fn vanished(&self, change: &Change, stored: (IntentId, Moment), judged: &Judged) {
        let not_accepted = Some((stored.0, IntentEnd::NotAccepted));
        let Some(scim_id) = change.scim_id() else { return };
        match self.read(scim_id).await {
            Ok((None, _)) => {}
            Ok((Some(_), _)) => return self.fail(change, not_accepted, judged),
            Err(_) => return self.unanswered(change, Some(&stored), MaybeApplied::NotDone, judged),
        }
        match self.witness(scim_id).await {
            Witness::Seen => {}
            Witness::Unanswered => return self.unanswered(change, Some(&stored), MaybeApplied::NotDone, judged),
            Witness::Ended => return self.interrupted(change, &stored, MaybeApplied::NotDone),
        }
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = not_accepted;
        settlement.link = LinkEffect::Ended;
        settlement.failure = FailureEffect::Clear;
        let gone = judged.because(AccountState::Gone);
        settlement.events.push(self.failed(Action::Update, change, &gone, change.fields()));
        self.settle(settlement);
        self.settled();
        self.tally.borrow_mut().vanished = true;
        self.list_user(entry_for(change, OutstandingKind::Failed, AccountState::CreatedAgain));
    }
}
