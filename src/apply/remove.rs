//! One removal. The account is read before, so that the right one is removed, and after, to verify that it is gone.

use super::intents::StoredIntent;
use super::tally::entry_for;
use super::window::Apply;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{
    AccountState, Action, AnswerDoubt, Change, ClockDoubt, DirectoryId, Mismatch, NotTried, OutstandingKind,
    OutstandingUser, Reason, Removal, ScimId,
};
use crate::outcome::Judged;
use crate::scim::{Account, Permit, Read, ScimTarget, carries};
use crate::session::{Attempt, MaybeApplied, ReadError, Reply, Sent, Tries, Witness, hash_of, is_lost};
use crate::settlement::{FailureEffect, IntentEnd, LinkEffect, Settlement};
use crate::store::{self, Intent};
use std::ops::ControlFlow;

/// If our clock differs from Rhombus's by more than this, nothing is removed, in milliseconds.
const CLOCK_SKEW_MS_MAX: i64 = 3_600_000;
/// No removal is sent from a plan older than this, in milliseconds: the machine may have slept.
const PLAN_AGE_MS_MAX: i64 = 600_000;

/// A removal in progress.
struct Removing<'a, T> {
    apply: &'a Apply<'a, T>,
    change: &'a Change,
    scim_id: &'a ScimId,
    /// The method tried: a DELETE that is not supported becomes a deactivation.
    action: Action,
    /// Whether the account was active before: an inactive one does not show whether a DELETE was applied.
    was_active: bool,
    stored: StoredIntent,
}

impl<T: Transport> Attempt<T> for Removing<'_, T> {
    type Shown = Account;

    async fn on_turn(&mut self) -> Option<()> {
        self.apply.record.on_turn(&mut self.stored).await
    }

    async fn send(&mut self, target: &ScimTarget<T>, permit: &Permit<'_>) -> Read<Account> {
        match self.action {
            Action::Delete => Read { value: None, judged: target.delete(self.scim_id, permit).await },
            Action::Deactivate | Action::Create | Action::Link | Action::Update | Action::Relink => {
                target.deactivate(self.scim_id, self.change.user_name(), permit).await
            }
        }
    }

    async fn look(&mut self, judged: &Judged, _tries: &mut Tries) -> ControlFlow<()> {
        if !is_lost(judged) {
            return ControlFlow::Continue(());
        }
        let Self { apply, change, scim_id, action, was_active, stored } = *self;
        match apply.session.read(scim_id).await {
            Ok((Some(account), _)) if account.active || !was_active => return ControlFlow::Continue(()),
            Ok((Some(_), judged)) => {
                apply.note_removal(change, scim_id, action, Some(stored), &judged, Source::Recovery);
            }
            Ok((None, judged)) => apply.already_gone(change, scim_id, action, Some(stored), &judged).await,
            Err(error) => apply.removal_unread(change, Some(stored), MaybeApplied::MaybeDone, error),
        }
        ControlFlow::Break(())
    }
}

impl<T: Transport> Apply<'_, T> {
    pub(super) async fn remove(&self, change: &Change, scim_id: &ScimId, removal: Removal, intent: Intent) {
        let before = match self.session.read(scim_id).await {
            Ok((Some(account), _)) => account,
            Ok((None, judged)) => return self.already_gone(change, scim_id, removal.action(), None, &judged).await,
            Err(error) => return self.removal_unread(change, None, MaybeApplied::NotDone, error),
        };
        self.record.lookup_went_well(change);
        if let Some(entry) = self.blocked_removal(change, &before) {
            return self.record.list_user(entry);
        }
        if !before.active && removal == Removal::Deactivate {
            let judged = Judged::said("the account was inactive already");
            return self.note_removal(change, scim_id, Action::Deactivate, None, &judged, self.record.source);
        }
        if !before.active {
            // For recovery after a crash: an inactive account does not show whether a DELETE was applied.
            let mut settlement = Settlement::of(change.directory_id(), Action::Update);
            settlement.link = LinkEffect::Seen { names: before.names.clone(), active: false, futile: None };
            self.record.write(settlement);
        }
        let mut tries = Tries::after(self.sent_before(change));
        let Some(stored) = self.intend(change, intent).await else { return };
        let (action, was_active) = (removal.action(), before.active);
        let mut removing = Removing { apply: self, change, scim_id, action, was_active, stored };
        let mut sent = self.session.send(&mut removing, &mut tries).await;
        if removing.action == Action::Delete && matches!(sent, Sent::Answered(Reply::NotSupported, _)) {
            removing.action = Action::Deactivate;
            sent = self.session.send(&mut removing, &mut tries).await;
        }
        self.removal_sent(&removing, sent, tries.sent).await;
    }

    async fn removal_sent(&self, removing: &Removing<'_, T>, sent: Sent<Account>, maybe: MaybeApplied) {
        let Removing { change, scim_id, action, stored, .. } = *removing;
        match sent {
            Sent::Answered(Reply::Accepted, read) => {
                self.verify_removal(change, scim_id, action, stored, &read.judged).await;
            }
            Sent::Answered(Reply::NotFound, read) => {
                self.already_gone(change, scim_id, action, Some(stored), &read.judged).await;
            }
            Sent::Answered(Reply::Conflict | Reply::NotSupported | Reply::Rejected, read) => {
                self.record.fail_as(action, change, stored.ends_or_stays(maybe), &read.judged);
            }
            Sent::NotOurs => {
                let mut settlement = Settlement::of(change.directory_id(), action);
                settlement.intent = Some(stored.ends_refused(maybe));
                self.record.write(settlement);
                self.record.list_user(entry_for(change, OutstandingKind::Held, Mismatch::UserName));
            }
            Sent::Unanswered(judged) => self.record.unanswered(change, Some(stored), maybe, &judged),
            Sent::Ended => self.record.interrupted(change, stored, maybe),
            Sent::SeenInstead => {}
        }
    }

    /// The user whose account must not be removed now, with the reason.
    fn blocked_removal(&self, change: &Change, account: &Account) -> Option<OutstandingUser> {
        if self.session.now().since_ms(self.planned_at) > PLAN_AGE_MS_MAX {
            return Some(entry_for(change, OutstandingKind::Waiting, NotTried::OldPlan).until(self.session.now()));
        }
        let reason = self.removal_blocker(change, account)?;
        self.session.user_answered();
        Some(entry_for(change, OutstandingKind::Held, reason))
    }

    /// Whether an externalId is the directory id of a user, or one that the user had before.
    fn is_id_of(&self, external_id: &DirectoryId, id: &DirectoryId) -> bool {
        let formerly = || self.session.state(store::formerly(self.session.context.reader, external_id)).flatten();
        external_id == id || formerly().as_ref() == Some(id)
    }

    /// Why this account must not be removed now, if there is a reason.
    fn removal_blocker(&self, change: &Change, account: &Account) -> Option<Reason> {
        if !carries(account, change.user_name()) {
            return Some(Mismatch::UserName.into());
        }
        if account.external_id.as_ref().is_some_and(|external_id| !self.is_id_of(external_id, change.directory_id())) {
            return Some(Mismatch::ExternalId.into());
        }
        let skew_ms = self.session.target().date().map_or(0, |date| self.session.now().since_ms(date));
        if skew_ms.abs() > CLOCK_SKEW_MS_MAX {
            return Some(ClockDoubt::OffRhombus(skew_ms / 60_000).into());
        }
        None
    }

    fn removal_unread(&self, change: &Change, intent: Option<StoredIntent>, sent: MaybeApplied, error: ReadError) {
        match error {
            ReadError::Unanswered(judged) => self.record.unanswered(change, intent, sent, &judged),
            ReadError::Rejected(judged) if intent.is_none() => self.record.fail_unread(change, &judged),
            ReadError::Rejected(judged) => self.record.unanswered(change, intent, sent, &judged),
            ReadError::Doubtful(doubt) => self.record.list_user(entry_for(change, OutstandingKind::Held, doubt)),
            ReadError::Ended => match intent {
                Some(intent) => self.record.interrupted(change, intent, sent),
                None => self.record.leave(change),
            },
        }
    }

    /// The removal was accepted; if the account still exists and is active, it failed.
    async fn verify_removal(
        &self,
        change: &Change,
        scim_id: &ScimId,
        action: Action,
        stored: StoredIntent,
        judged: &Judged,
    ) {
        match self.session.read(scim_id).await {
            Ok((Some(account), _)) if account.active => {
                let judged = judged.because(AccountState::StillThere);
                self.record.fail_as(action, change, Some(stored.ends(IntentEnd::Unknown)), &judged);
            }
            Ok(_) => self.note_removal(change, scim_id, action, Some(stored), judged, self.record.source),
            Err(error) => self.removal_unread(change, Some(stored), MaybeApplied::MaybeDone, error),
        }
    }

    /// 404 is success if this is the right endpoint.
    pub(super) async fn already_gone(
        &self,
        change: &Change,
        scim_id: &ScimId,
        action: Action,
        stored: Option<StoredIntent>,
        judged: &Judged,
    ) {
        match self.session.witness(scim_id).await {
            Witness::Seen => {}
            Witness::Unanswered => {
                let judged = judged.because(AnswerDoubt::NoWitness);
                return self.record.unanswered(change, stored, MaybeApplied::MaybeDone, &judged);
            }
            Witness::Ended => match stored {
                Some(stored) => return self.record.interrupted(change, stored, MaybeApplied::MaybeDone),
                None => return self.record.leave(change),
            },
        }
        let source = if stored.is_some() { Source::Recovery } else { self.record.source };
        self.note_removal(change, scim_id, action, stored, judged, source);
    }

    pub(super) fn note_removal(
        &self,
        change: &Change,
        scim_id: &ScimId,
        action: Action,
        stored: Option<StoredIntent>,
        judged: &Judged,
        source: Source,
    ) {
        let mut settlement = Settlement::of(change.directory_id(), action);
        // An earlier run's request may have done it; then that intent is the one that was applied.
        let stored = stored.or_else(|| self.undecided.borrow_mut().remove(change.directory_id()));
        settlement.intent = stored.map(|stored| stored.ends(IntentEnd::Accepted(Some(scim_id.clone()))));
        settlement.link = LinkEffect::Ended;
        settlement.failure = FailureEffect::Clear;
        let mut event = self.record.succeeded(action, change, Some(scim_id), judged, Vec::new());
        event.source = source;
        settlement.events.push(event);
        self.record.write(settlement);
        self.session.user_answered();
        self.made.borrow_mut().remove(&hash_of(scim_id.as_str()));
        self.removed.borrow_mut().insert(change.directory_id().clone());
        let mut tally = self.record.tally.borrow_mut();
        match action {
            Action::Delete => tally.done.deleted_count += 1,
            Action::Deactivate | Action::Create | Action::Link | Action::Update | Action::Relink => {
                tally.done.deactivated_count += 1;
            }
        }
    }
}
