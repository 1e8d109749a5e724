//! One update of names. What the endpoint shows afterwards is what the snapshot remembers, whatever it promised.

use super::answers::{After, Trouble};
use super::apply::Apply;
use super::create::intent_of;
use super::record::{Sent, standing_of};
use crate::event::Source;
use crate::http::Transport;
use crate::model::{Action, Change, Field, FieldName, GuardKind, Moment, Names, ScimId, StandingKind};
use crate::outcome::{Judged, Outcome};
use crate::settlement::{FailureEffect, IntentEnd, IntentId, LinkEffect, Settlement};
use crate::target::{Account, carries};

impl<T: Transport> Apply<'_, T> {
    pub(super) async fn update(
        &self,
        change: &Change,
        scim_id: &ScimId,
        wanted: &Names,
        carried: &Names,
        kind: Option<GuardKind>,
        approved: bool,
    ) {
        let mut intent = intent_of(change, approved);
        intent.kind = kind;
        let Some(mut stored) = self.intend(intent).await else { return };
        let mut tries = 0;
        loop {
            let Some(turn) = self.turn(&mut stored).await else {
                self.withdraw(change, Some(&stored));
                return self.leave(change);
            };
            let read = self.target().update(scim_id, wanted, carried, &turn).await;
            drop(turn);
            let lost = matches!(read.judged.outcome, Outcome::Unknown(_));
            match self.after(&read.judged, &mut tries).await {
                After::Settled => {
                    return match read.judged.outcome {
                        Outcome::Accepted => {
                            self.updated(change, stored, read.value, wanted, carried, &read.judged).await
                        }
                        Outcome::NotFound => self.vanished(change, scim_id, stored, &read.judged).await,
                        Outcome::Conflict
                        | Outcome::Rejected
                        | Outcome::NotSupported
                        | Outcome::Forbidden
                        | Outcome::Unauthorized
                        | Outcome::Throttled(_)
                        | Outcome::Redirected
                        | Outcome::NotSent
                        | Outcome::Unknown(_) => {
                            self.fail(change, Some((stored.0, IntentEnd::NotAccepted)), &read.judged)
                        }
                    };
                }
                After::Again if lost => match self.read(scim_id).await {
                    Ok((Some(account), judged)) if !wanted.differ_from(&account.names) => {
                        return self.settle_update(change, stored, account.names, None, &judged, Source::Recovery);
                    }
                    Ok((Some(_), _)) => {}
                    Ok((None, judged)) => return self.vanished(change, scim_id, stored, &judged).await,
                    Err(Trouble::Ended) => {
                        return self.unanswered(change, Some(&stored), Sent::MaybeDone, &read.judged);
                    }
                    Err(Trouble::Unanswered(judged) | Trouble::Rejected(judged)) => {
                        return self.unanswered(change, Some(&stored), Sent::MaybeDone, &judged);
                    }
                    Err(Trouble::Doubtful(_)) => {
                        return self.unanswered(change, Some(&stored), Sent::MaybeDone, &read.judged);
                    }
                },
                After::Again => {}
                After::GiveUp | After::Ended if lost => {
                    return self.unanswered(change, Some(&stored), Sent::MaybeDone, &read.judged);
                }
                After::GiveUp => return self.unanswered(change, Some(&stored), Sent::NotDone, &read.judged),
                After::Ended => {
                    self.withdraw(change, Some(&stored));
                    return self.leave(change);
                }
            }
        }
    }

    /// It was accepted: the answer, or a read, says what the account carries now.
    async fn updated(
        &self,
        change: &Change,
        stored: (IntentId, Moment),
        shown: Option<Account>,
        wanted: &Names,
        carried: &Names,
        judged: &Judged,
    ) {
        let is_meant =
            |account: &Account| account.id.as_ref() == change.scim_id() && carries(account, change.user_name());
        let mut account = shown.filter(is_meant).filter(|account| !wanted.differ_from(&account.names));
        if account.is_none()
            && let Some(scim_id) = change.scim_id()
            && let Ok((Some(read), _)) = self.read(scim_id).await
        {
            account = Some(read).filter(is_meant);
        }
        let inactive = account.as_ref().is_some_and(|account| !account.active);
        let names = account.map_or_else(|| wanted.laid_over(carried), |account| account.names);
        let futile = wanted.differ_from(&names).then(|| wanted.digest());
        self.settle_update(change, stored, names, futile, judged, Source::Reconcile);
        if inactive && let Some(scim_id) = change.scim_id() {
            self.reactivate(change, scim_id).await;
        }
    }

    pub(super) fn settle_update(
        &self,
        change: &Change,
        stored: (IntentId, Moment),
        names: Names,
        futile: Option<String>,
        judged: &Judged,
        source: Source,
    ) {
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = Some((stored.0, IntentEnd::Accepted(change.scim_id().cloned())));
        settlement.link = LinkEffect::Seen { names, futile };
        settlement.failure = FailureEffect::Clear;
        let mut event = self.draft(Action::Update, change, change.scim_id(), judged, change.fields());
        event.source = source;
        settlement.events.push(event);
        self.settle(settlement);
        self.tally.borrow_mut().updated_count += 1;
    }

    /// 404: confirmed by a read, the link ends, and the next plan makes the account again, so that the guard sees it.
    async fn vanished(&self, change: &Change, scim_id: &ScimId, stored: (IntentId, Moment), judged: &Judged) {
        let not_accepted = Some((stored.0, IntentEnd::NotAccepted));
        match self.read(scim_id).await {
            Ok((None, _)) => {}
            Ok((Some(_), _)) => return self.fail(change, not_accepted, judged),
            Err(_) => return self.unanswered(change, Some(&stored), Sent::NotDone, judged),
        }
        if !self.witness(scim_id).await {
            self.withdraw(change, Some(&stored));
            return self.leave(change);
        }
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = not_accepted;
        settlement.link = LinkEffect::Ended;
        settlement.failure = FailureEffect::Clear;
        let gone = Judged { reason: "the account is gone at Rhombus".to_owned(), ..judged.clone() };
        settlement.events.push(self.draft(Action::Update, change, Some(scim_id), &gone, change.fields()));
        self.settle(settlement);
        let reason = "the account is gone at Rhombus; the next cycle makes it again";
        self.stand(standing_of(change, StandingKind::Failed, reason));
    }

    /// Brings an account back that was found inactive: an update of `active`, with an event of its own.
    pub(super) async fn reactivate(&self, change: &Change, scim_id: &ScimId) {
        let mut intent = intent_of(change, false);
        intent.kind = None;
        let Some(mut stored) = self.intend(intent).await else { return };
        let Some(turn) = self.turn(&mut stored).await else { return self.withdraw(change, Some(&stored)) };
        let read = self.target().reactivate(scim_id, &turn).await;
        drop(turn);
        let mut tries = crate::retry::RETRIES_MAX;
        if self.after(&read.judged, &mut tries).await != After::Settled {
            return self.unanswered(change, Some(&stored), Sent::MaybeDone, &read.judged);
        }
        if read.judged.outcome != Outcome::Accepted {
            return self.fail(change, Some((stored.0, IntentEnd::NotAccepted)), &read.judged);
        }
        let field = Field { name: FieldName::Active, from: Some("false".into()), to: Some("true".into()) };
        let mut settlement = Settlement::of(change.directory_id(), Action::Update);
        settlement.intent = Some((stored.0, IntentEnd::Accepted(Some(scim_id.clone()))));
        settlement.events.push(self.draft(Action::Update, change, Some(scim_id), &read.judged, vec![field]));
        self.settle(settlement);
        self.tally.borrow_mut().updated_count += 1;
    }
}
