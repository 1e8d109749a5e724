//! One removal. The account is read before, so that the right one goes, and after, so that it is gone.

use crate::apply::create::intent_of;
use crate::apply::record::{MaybeApplied, entry_for};
use crate::apply::window::Apply;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{
    AccountState, Action, AnswerDoubt, Change, ClockDoubt, DirectoryId, Mismatch, Moment, NotTried, OutstandingKind,
    Reason, Removal, ScimId, UserName,
};
use crate::outcome::{Judged, Outcome};
use crate::scim::{Account, carries};
use crate::session::answers::{NextStep, ReadError, Witness};
use crate::session::lookup::hash_of;
use crate::settlement::{FailureEffect, IntentEnd, IntentId, LinkEffect, Settlement};

/// A clock further from Rhombus's than this stops removals, in milliseconds.
const CLOCK_SKEW_MS_MAX: i64 = 3_600_000;
/// No removal is sent from a plan older than this, in milliseconds: the machine may have slept.
const PLAN_AGE_MS_MAX: i64 = 600_000;

impl<T: Transport> Apply<'_, T> {
    pub(crate) async fn remove(
        &self,
        change: &Change,
        directory_id: &DirectoryId,
        scim_id: &ScimId,
        user_name: &UserName,
        removal: Removal,
        approved: bool,
    ) {
        let before = match self.read(scim_id).await {
            Ok((Some(account), _)) => account,
            Ok((None, judged)) => return self.already_gone(change, scim_id, removal.action(), None, &judged).await,
            Err(trouble) => return self.remove_trouble(change, None, MaybeApplied::NotDone, trouble),
        };
        self.lookup_went_well(change);
        if self.now().since_ms(self.planned_at) > PLAN_AGE_MS_MAX {
            let entry = entry_for(change, OutstandingKind::Waiting, NotTried::OldPlan);
            return self.list_user(entry.until(self.now()));
        }
        if let Some(doubt) = self.doubt(&before, directory_id, user_name) {
            self.settled();
            return self.list_user(entry_for(change, OutstandingKind::Held, doubt));
        }
        if !before.active && removal == Removal::Deactivate {
            let judged = Judged::said("the account was inactive already");
            return self.settle_removal(change, scim_id, Action::Deactivate, None, &judged, self.context.source);
        }
        if !before.active {
            // For whoever looks at it after a crash: what is inactive already shows nothing of a DELETE.
            let mut settlement = Settlement::of(directory_id, Action::Update);
            settlement.link = LinkEffect::Seen { names: before.names.clone(), active: false, futile: None };
            self.settle(settlement);
        }
        let (mut tries, mut action, mut doubt) = (0, removal.action(), self.sent_before(change));
        let Some(mut stored) = self.intend(change, intent_of(change, approved, self.settings)).await else { return };
        loop {
            let Some(permit) = self.permit(&mut stored).await else { return self.interrupted(change, &stored, doubt) };
            let (judged, shown) = match action {
                Action::Delete => (self.target().delete(scim_id, &permit).await, None),
                Action::Deactivate | Action::Create | Action::Link | Action::Update => {
                    let read = self.target().deactivate(scim_id, user_name, &permit).await;
                    (read.judged, read.value)
                }
            };
            drop(permit);
            if judged.outcome == Outcome::NotSent && shown.is_some() {
                let mut settlement = Settlement::of(directory_id, action);
                settlement.intent = Some((stored.0, doubt.end()));
                self.settle(settlement);
                return self.list_user(entry_for(change, OutstandingKind::Held, Mismatch::UserName));
            }
            let lost = matches!(judged.outcome, Outcome::Unknown(_));
            if lost {
                doubt = MaybeApplied::MaybeDone;
            }
            match self.after(&judged, &mut tries).await {
                NextStep::Settled => match judged.outcome {
                    Outcome::Accepted => return self.verify_removal(change, scim_id, action, stored, &judged).await,
                    Outcome::NotFound => {
                        return self.already_gone(change, scim_id, action, Some(stored), &judged).await;
                    }
                    Outcome::NotSupported if action == Action::Delete => action = Action::Deactivate,
                    Outcome::Conflict
                    | Outcome::Rejected
                    | Outcome::NotSupported
                    | Outcome::Forbidden
                    | Outcome::Unauthorized
                    | Outcome::Throttled(_)
                    | Outcome::Redirected
                    | Outcome::NotSent
                    | Outcome::Unknown(_) => {
                        return self.fail_as(action, change, doubt.end_of(stored), &judged);
                    }
                },
                NextStep::Again if lost => match self.read(scim_id).await {
                    // One that was inactive before shows nothing of a DELETE.
                    Ok((Some(account), _)) if account.active || !before.active => {}
                    Ok((Some(_), judged)) => {
                        return self.settle_removal(change, scim_id, action, Some(stored), &judged, Source::Recovery);
                    }
                    Ok((None, judged)) => {
                        return self.already_gone(change, scim_id, action, Some(stored), &judged).await;
                    }
                    Err(trouble) => {
                        return self.remove_trouble(change, Some(&stored), MaybeApplied::MaybeDone, trouble);
                    }
                },
                NextStep::Again => {}
                NextStep::GiveUp => return self.unanswered(change, Some(&stored), doubt, &judged),
                NextStep::Ended => return self.interrupted(change, &stored, doubt),
            }
        }
    }

    /// Why this account must not be removed now, where that is so.
    fn doubt(&self, account: &Account, directory_id: &DirectoryId, user_name: &UserName) -> Option<Reason> {
        if !carries(account, user_name) {
            return Some(Mismatch::UserName.into());
        }
        if account.external_id.as_ref().is_some_and(|external_id| external_id != directory_id) {
            return Some(Mismatch::ExternalId.into());
        }
        let skew_ms = self.target().date().map_or(0, |date| self.now().since_ms(date));
        if skew_ms.abs() > CLOCK_SKEW_MS_MAX {
            return Some(ClockDoubt::OffRhombus(skew_ms / 60_000).into());
        }
        None
    }

    fn remove_trouble(
        &self,
        change: &Change,
        intent: Option<&(IntentId, Moment)>,
        sent: MaybeApplied,
        trouble: ReadError,
    ) {
        match trouble {
            ReadError::Unanswered(judged) => self.unanswered(change, intent, sent, &judged),
            ReadError::Rejected(judged) if intent.is_none() => self.fail_unread(change, &judged),
            ReadError::Rejected(judged) => self.unanswered(change, intent, sent, &judged),
            ReadError::Doubtful(doubt) => self.list_user(entry_for(change, OutstandingKind::Held, doubt)),
            ReadError::Ended => match intent {
                Some(intent) => self.interrupted(change, intent, sent),
                None => self.leave(change),
            },
        }
    }

    /// It was accepted: an account that is still there and active makes it a failure.
    async fn verify_removal(
        &self,
        change: &Change,
        scim_id: &ScimId,
        action: Action,
        stored: (IntentId, Moment),
        judged: &Judged,
    ) {
        match self.read(scim_id).await {
            Ok((Some(account), _)) if account.active => {
                let judged = judged.because(AccountState::StillThere);
                self.fail_as(action, change, Some((stored.0, IntentEnd::Unknown)), &judged);
            }
            Ok(_) => self.settle_removal(change, scim_id, action, Some(stored), judged, self.context.source),
            Err(trouble) => self.remove_trouble(change, Some(&stored), MaybeApplied::MaybeDone, trouble),
        }
    }

    /// 404 is success, where this is the right endpoint.
    pub(crate) async fn already_gone(
        &self,
        change: &Change,
        scim_id: &ScimId,
        action: Action,
        stored: Option<(IntentId, Moment)>,
        judged: &Judged,
    ) {
        match self.witness(scim_id).await {
            Witness::Seen => {}
            Witness::Unanswered => {
                let judged = judged.because(AnswerDoubt::NoWitness);
                return self.unanswered(change, stored.as_ref(), MaybeApplied::MaybeDone, &judged);
            }
            Witness::Ended => match &stored {
                Some(stored) => return self.interrupted(change, stored, MaybeApplied::MaybeDone),
                None => return self.leave(change),
            },
        }
        let source = if stored.is_some() { Source::Recovery } else { self.context.source };
        self.settle_removal(change, scim_id, action, stored, judged, source);
    }

    pub(crate) fn settle_removal(
        &self,
        change: &Change,
        scim_id: &ScimId,
        action: Action,
        stored: Option<(IntentId, Moment)>,
        judged: &Judged,
        source: Source,
    ) {
        let mut settlement = Settlement::of(change.directory_id(), action);
        // What an earlier run sent may have done it: then that intent is the one that was obeyed.
        let stored = stored.or_else(|| self.undecided.borrow_mut().remove(change.directory_id()));
        settlement.intent = stored.map(|(id, _)| (id, IntentEnd::Accepted(Some(scim_id.clone()))));
        settlement.link = LinkEffect::Ended;
        settlement.failure = FailureEffect::Clear;
        let mut event = self.succeeded(action, change, Some(scim_id), judged, Vec::new());
        event.source = source;
        settlement.events.push(event);
        self.settle(settlement);
        self.settled();
        self.made.borrow_mut().remove(&hash_of(scim_id.as_str()));
        self.removed.borrow_mut().insert(change.directory_id().clone());
        let mut tally = self.tally.borrow_mut();
        match action {
            Action::Delete => tally.deleted_count += 1,
            Action::Deactivate | Action::Create | Action::Link | Action::Update => tally.deactivated_count += 1,
        }
    }
}
