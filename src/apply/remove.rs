//! One removal. The account is read before, so that the right one is removed, and after, to verify that it is gone; a DELETE
//! that is rejected becomes a deactivation.

use super::intents::StoredIntent;
use super::tally::entry_for;
use super::window::Apply;
use crate::clock;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{
    AccountState, Action, AnswerDoubt, Change, ClockDoubt, DirectoryId, LinkedExternalId, Mismatch, NotTried,
    OutstandingKind, OutstandingUser, Reason, Removal, ScimId, Shown,
};
use crate::outcome::Judged;
use crate::scim::{Account, Permit, Read, ScimTarget, carries};
use crate::session::{Absence, Attempt, MaybeApplied, ReadError, Reply, Sent, Tries, hash_of, is_lost};
use crate::settlement::{FailureEffect, IntentEnd, LinkEffect, Settlement};
use crate::store::{self, Intent};
use std::ops::ControlFlow;

/// No removal is sent from a plan older than this, in milliseconds: the machine may have slept.
const PLAN_AGE_MS_MAX: i64 = 600_000;

/// A removal in progress.
struct Removing<'a, T> {
    apply: &'a Apply<'a, T>,
    change: &'a Change,
    scim_id: &'a ScimId,
    /// The method tried: a DELETE that is rejected becomes a deactivation.
    action: Action,
    /// Whether the account was active before: an inactive one does not show whether a DELETE was applied.
    was_active: bool,
    /// What the account shows that is not what was linked, if its removal is approved all the same.
    approved: Option<&'a Shown>,
    stored: StoredIntent,
}

impl<T: Transport> Attempt<T> for Removing<'_, T> {
    type Value = Account;

    async fn on_turn(&mut self) -> Option<()> {
        self.apply.record.on_turn(&mut self.stored).await
    }

    async fn send(&mut self, target: &ScimTarget<T>, permit: &Permit<'_>) -> Read<Account> {
        match self.action {
            Action::Delete => Read { value: None, judged: target.delete(self.scim_id, permit).await },
            Action::Deactivate | Action::Create | Action::Link | Action::Update | Action::Relink => {
                target.deactivate(self.scim_id, &|account| self.is_meant(account), permit).await
            }
        }
    }

    async fn look(&mut self, judged: &Judged, _tries: &mut Tries) -> ControlFlow<()> {
        if !is_lost(judged) {
            return ControlFlow::Continue(());
        }
        let Self { apply, change, scim_id, action, was_active, stored, .. } = *self;
        let (account, judged) = match apply.session.read(scim_id).await {
            Ok((Some(account), judged)) => (account, judged),
            Ok((None, judged)) => match apply.already_gone(change, scim_id, action, Some(stored), &judged).await {
                Some(account) => (account, judged),
                None => return ControlFlow::Break(()),
            },
            Err(error) => {
                apply.removal_unread(change, Some(stored), MaybeApplied::MaybeDone, error);
                return ControlFlow::Break(());
            }
        };
        if account.active || !was_active {
            return ControlFlow::Continue(());
        }
        apply.note_removal(change, scim_id, action, Some(stored), &judged, Source::Recovery);
        ControlFlow::Break(())
    }
}

impl<T> Removing<'_, T> {
    /// Whether an account is still the one that is to be removed.
    fn is_meant(&self, account: &Account) -> bool {
        match self.approved {
            Some(shown) => *shown == shown_by(account),
            None => carries(account, self.change.user_name()),
        }
    }
}

/// Whether an account may be removed.
enum Admitted {
    /// It may; with what it shows that is not what was linked, if exactly that is approved.
    Yes(Option<Shown>),
    /// Not now.
    Not(OutstandingUser),
}

/// Whether an account that one 404 says is gone is.
enum Gone {
    Yes,
    /// It is there.
    No(Account),
    /// Nobody can tell now.
    Unknown,
}

impl<T: Transport> Apply<'_, T> {
    pub(super) async fn remove(&self, change: &Change, scim_id: &ScimId, removal: Removal, mut intent: Intent) {
        let before = match self.session.read(scim_id).await {
            Ok((Some(account), _)) => account,
            Ok((None, judged)) => match self.already_gone(change, scim_id, removal.action(), None, &judged).await {
                Some(account) => account,
                None => return,
            },
            Err(error) => return self.removal_unread(change, None, MaybeApplied::NotDone, error),
        };
        self.record.lookup_went_well(change);
        if self.mismatch(change, &before).is_none() {
            self.session.note_met(scim_id);
        }
        let approved = match self.admit(change, &before, &mut intent) {
            Admitted::Yes(approved) => approved,
            Admitted::Not(entry) => return self.record.hold(change, entry),
        };
        if !before.active && removal == Removal::Deactivate {
            let judged = Judged::accepted_with("the account was inactive already");
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
        let approved = approved.as_ref();
        let mut removing = Removing { apply: self, change, scim_id, action, was_active, approved, stored };
        let sent = self.session.send(&mut removing, &mut tries).await;
        self.removal_sent(&mut removing, sent, &mut tries).await;
    }

    async fn removal_sent(&self, removing: &mut Removing<'_, T>, sent: Sent<Account>, tries: &mut Tries) {
        let Removing { change, scim_id, action, stored, .. } = *removing;
        match sent {
            Sent::Answered(Reply::Accepted, read) => self.verify_removal(removing, &read.judged).await,
            Sent::Answered(Reply::NotFound, read) => {
                // Gone, or an endpoint that does not know the method.
                let again = match self.session.read(scim_id).await {
                    Ok((None, _)) => {
                        self.already_gone(change, scim_id, action, Some(stored), &read.judged).await.map(Ok)
                    }
                    Ok((Some(account), _)) => Some(Ok(account)),
                    Err(error) => Some(Err(error)),
                };
                match again {
                    None => {}
                    Some(Ok(account)) => self.not_removed(removing, tries, &read.judged, Some(account)).await,
                    Some(Err(error)) => self.removal_unread(change, Some(stored), MaybeApplied::MaybeDone, error),
                }
            }
            Sent::Answered(Reply::Conflict | Reply::NotSupported | Reply::Rejected, read) => {
                self.not_removed(removing, tries, &read.judged, None).await;
            }
            Sent::NotOurs(account) => {
                let mut settlement = Settlement::of(change.directory_id(), action);
                settlement.intent = Some(stored.ends_refused(tries.sent));
                self.record.write(settlement);
                let Some(what) = self.mismatch(change, &account) else {
                    // What was approved of it is over: the next cycle reads it anew.
                    return self.record.leave(change);
                };
                let reason = Reason::Mismatch { what, shown: Some(shown_by(&account)) };
                self.record.hold(change, entry_for(change, OutstandingKind::Held, reason));
            }
            Sent::Unanswered(judged) => self.record.unanswered(change, Some(stored), tries.sent, &judged),
            Sent::Ended => self.record.interrupted(change, stored, tries.sent),
            Sent::SeenInstead => {}
        }
    }

    /// The endpoint rejects this removal: a deletion is followed by `active=false`, which takes the access away all the same.
    /// `shown` is the account, if it was read since.
    async fn not_removed(
        &self,
        removing: &mut Removing<'_, T>,
        tries: &mut Tries,
        judged: &Judged,
        shown: Option<Account>,
    ) {
        let Removing { change, scim_id, action, was_active, stored, .. } = *removing;
        if shown.as_ref().is_some_and(|account| was_active && !account.active) {
            return self.note_removal(change, scim_id, Action::Deactivate, Some(stored), judged, Source::Recovery);
        }
        if action == Action::Delete && shown.as_ref().is_none_or(|account| removing.is_meant(account)) {
            removing.action = Action::Deactivate;
            let sent = self.session.send(removing, tries).await;
            return Box::pin(self.removal_sent(removing, sent, tries)).await;
        }
        self.record.fail_as(action, change, stored.ends_or_stays(tries.sent), judged);
    }

    /// Whether this account may be removed now.
    fn admit(&self, change: &Change, account: &Account, intent: &mut Intent) -> Admitted {
        if self.session.now().since_ms(self.planned_at) > PLAN_AGE_MS_MAX {
            let entry = entry_for(change, OutstandingKind::Waiting, NotTried::OldPlan);
            return Admitted::Not(entry.until(self.session.now()));
        }
        let hold = |reason: Reason| {
            self.session.user_answered();
            Admitted::Not(entry_for(change, OutstandingKind::Held, reason))
        };
        let shown = match self.mismatch(change, account) {
            Some(what) => {
                let shown = shown_by(account);
                if !self.is_released(change, &shown, intent) {
                    return hold(Reason::Mismatch { what, shown: Some(shown) });
                }
                Some(shown)
            }
            None if self.conditional.borrow().contains(&change.key()) => {
                let entry = entry_for(change, OutstandingKind::Waiting, NotTried::NotAsApproved);
                return Admitted::Not(entry.until(self.session.now()));
            }
            None => None,
        };
        let now = self.session.now();
        if let Some(date) = self.session.target().date().filter(|date| !clock::agree(now, *date)) {
            return hold(ClockDoubt::OffRhombus(now.since_ms(date) / 60_000).into());
        }
        Admitted::Yes(shown)
    }

    /// Whether this removal was approved for an account that shows this; the intent then says so.
    fn is_released(&self, change: &Change, shown: &Shown, intent: &mut Intent) -> bool {
        let exact = change.exact_for(&shown.to_string());
        let approvals = self.session.state(store::approvals(self.session.context.reader, self.session.now()));
        let Some(approval) = approvals.as_ref().and_then(|approvals| approvals.get(&exact)) else { return false };
        self.record.note_approval(&exact.key, Some(approval));
        intent.approved = Some(exact.content);
        true
    }

    /// What this account shows that is not what it showed when it was linked.
    fn mismatch(&self, change: &Change, account: &Account) -> Option<Mismatch> {
        if !carries(account, change.user_name()) {
            return Some(Mismatch::UserName);
        }
        let link = self.session.state(store::link_by_id(self.session.context.reader, change.directory_id())).flatten();
        let linked = link.map_or(LinkedExternalId::Unknown, |link| link.external_id);
        let is_ours = |shown: &DirectoryId| {
            let formerly = || self.session.state(store::formerly(self.session.context.reader, shown)).flatten();
            shown == change.directory_id() || formerly().as_ref() == Some(change.directory_id())
        };
        if !linked.fits(account.external_id.as_ref(), is_ours) {
            return Some(Mismatch::ExternalId);
        }
        self.note_external_id(change.directory_id(), account);
        None
    }

    fn removal_unread(&self, change: &Change, intent: Option<StoredIntent>, sent: MaybeApplied, error: ReadError) {
        match error {
            ReadError::Unanswered(judged) => self.record.unanswered(change, intent, sent, &judged),
            ReadError::Rejected(judged) if intent.is_none() => self.record.fail_unread(change, &judged),
            ReadError::Rejected(judged) => self.record.unanswered(change, intent, sent, &judged),
            ReadError::Doubtful(doubt) if intent.is_none() => {
                self.record.fail_unread(change, &Judged::unknown(doubt));
            }
            ReadError::Doubtful(doubt) => self.record.unanswered(change, intent, sent, &Judged::unknown(doubt)),
            ReadError::Ended => match intent {
                Some(intent) => self.record.interrupted(change, intent, sent),
                None => self.record.leave(change),
            },
        }
    }

    /// It was accepted: an account that is still there and active makes it a failure, and a 404 is judged like any other.
    async fn verify_removal(&self, removing: &Removing<'_, T>, judged: &Judged) {
        let Removing { change, scim_id, action, stored, .. } = *removing;
        let read = match self.session.read(scim_id).await {
            Ok((Some(account), _)) => Ok(account),
            Ok((None, _)) => match self.gone(change, scim_id, Some(stored), judged).await {
                Gone::Yes => {
                    return self.note_removal(change, scim_id, action, Some(stored), judged, self.record.source);
                }
                Gone::No(account) => Ok(account),
                Gone::Unknown => return,
            },
            Err(error) => Err(error),
        };
        match read {
            Ok(account) if account.active => {
                let judged = judged.because(AccountState::StillThere);
                self.record.fail_as(action, change, Some(stored.ends(IntentEnd::Unknown)), &judged);
            }
            Ok(_) => self.note_removal(change, scim_id, action, Some(stored), judged, self.record.source),
            Err(error) => self.removal_unread(change, Some(stored), MaybeApplied::MaybeDone, error),
        }
    }

    /// A 404 is success if this is the right endpoint and the account is gone for good. Hands it back if it is there.
    pub(super) async fn already_gone(
        &self,
        change: &Change,
        scim_id: &ScimId,
        action: Action,
        stored: Option<StoredIntent>,
        judged: &Judged,
    ) -> Option<Account> {
        match self.gone(change, scim_id, stored, judged).await {
            Gone::Yes => {
                let source = if stored.is_some() { Source::Recovery } else { self.record.source };
                self.note_removal(change, scim_id, action, stored, judged, source);
                None
            }
            Gone::No(account) => Some(account),
            Gone::Unknown => None,
        }
    }

    /// Whether the account is gone for good; if nobody can tell, that is recorded.
    async fn gone(&self, change: &Change, scim_id: &ScimId, stored: Option<StoredIntent>, judged: &Judged) -> Gone {
        match self.session.absence(scim_id).await {
            Absence::Gone => return Gone::Yes,
            Absence::There(account) => return Gone::No(account),
            Absence::NoWitness => {
                let judged = judged.because(AnswerDoubt::NoWitness);
                self.record.unanswered(change, stored, MaybeApplied::MaybeDone, &judged);
            }
            Absence::Unread(error) => self.removal_unread(change, stored, MaybeApplied::MaybeDone, error),
            Absence::Ended => match stored {
                Some(stored) => self.record.interrupted(change, stored, MaybeApplied::MaybeDone),
                None => self.record.leave(change),
            },
        }
        Gone::Unknown
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

fn shown_by(account: &Account) -> Shown {
    Shown::of(account.user_name.as_ref(), account.external_id.as_ref())
}
