//! What is written down of a change: its intent before, its outcome after, and who stands how because of it.

use crate::apply::window::Apply;
use crate::cycle::End;
use crate::event::{Draft, Resource, event_type_of};
use crate::http::Transport;
use crate::model::{
    Action, AnswerDoubt, Change, Field, Moment, NotTried, OutstandingKind, OutstandingUser, Reason, ScimId,
};
use crate::outcome::Judged;
use crate::retry;
use crate::scim::Permit;
use crate::settlement::{FailureEffect, IntentEnd, IntentId, Settlement};
use crate::store::{self, Intent, JournalError};
use rusqlite::Transaction;

/// An intent older than this at its turn is stored anew first.
const INTENT_AGE_MS_MAX: i64 = 2_000;
impl MaybeApplied {
    /// How an intent ends of which an answer says that nothing was accepted: an earlier try may have been.
    pub(crate) fn end(self) -> IntentEnd {
        match self {
            Self::MaybeDone => IntentEnd::Unknown,
            Self::NotDone => IntentEnd::NotAccepted,
        }
    }

    /// The same of an update or removal, which stays open where an earlier try may still be obeyed.
    pub(crate) fn end_of(self, stored: (IntentId, Moment)) -> Option<(IntentId, IntentEnd)> {
        match self {
            Self::MaybeDone => None,
            Self::NotDone => Some((stored.0, IntentEnd::NotAccepted)),
        }
    }
}

/// Whether a request that got no answer may have been obeyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MaybeApplied {
    /// It may.
    MaybeDone,
    /// It was not.
    NotDone,
}

impl<T: Transport> Apply<'_, T> {
    /// Stores an intent and answers once it is on the disk. None: the state cannot be written, or the link was ended by hand.
    pub(crate) async fn intend(&self, change: &Change, intent: Intent) -> Option<(IntentId, Moment)> {
        let now = self.now();
        // Where the same is sent again, it is one intent, whichever is obeyed.
        let earlier = self.undecided.borrow_mut().remove(change.directory_id()).map(|(id, _)| id);
        let write = move |transaction: &Transaction<'_>| match earlier {
            Some(id) => store::take_up_intent(transaction, id, &intent, now),
            None => store::store_intents(transaction, &intent, now),
        };
        let stored = self.context.journal.write(write).await;
        let stored = self.state(stored)?;
        if stored.is_none() {
            self.list_user(entry_for(change, OutstandingKind::Waiting, NotTried::Forgotten));
        }
        stored.map(|id| (id, now))
    }

    /// Whether a request of an earlier run for just this change may still be obeyed; ask before the intent is stored.
    pub(crate) fn sent_before(&self, change: &Change) -> MaybeApplied {
        match self.undecided.borrow().contains_key(change.directory_id()) {
            true => MaybeApplied::MaybeDone,
            false => MaybeApplied::NotDone,
        }
    }

    /// Waits for the turn of a change; its intent is stored anew where that took long. None: the cycle has ended.
    pub(crate) async fn permit(&self, intent: &mut (IntentId, Moment)) -> Option<Permit<'_>> {
        let permit = self.any_permit().await?;
        if self.now().since_ms(intent.1) > INTENT_AGE_MS_MAX {
            self.renew(intent).await?;
        }
        (!self.ended()).then_some(permit)
    }

    /// Waits for the turn of any request. None: the cycle has ended.
    pub(crate) async fn any_permit(&self) -> Option<Permit<'_>> {
        let permit = tokio::select! {
            permit = self.target().permit() => Some(permit),
            () = self.context.stop.cancelled() => None,
        };
        permit.filter(|_| !self.ended())
    }

    /// Stores an intent anew.
    pub(crate) async fn renew(&self, intent: &mut (IntentId, Moment)) -> Option<()> {
        let (id, now) = (intent.0, self.now());
        self.state(self.context.journal.write(move |transaction| store::restore_intent(transaction, id, now)).await)?;
        intent.1 = now;
        Some(())
    }

    /// Queues what an outcome writes; nobody waits for it but the end of the cycle.
    pub(crate) fn settle(&self, mut settlement: Settlement) {
        if settlement.failure == FailureEffect::Clear && !self.failed_before.contains_key(&settlement.directory_id) {
            // Nothing is on record that could be cleared: a statement less for each user of a first load.
            settlement.failure = FailureEffect::Keep;
        }
        let (settings, now) = (self.settings, self.now());
        let queued =
            self.context.journal.queue(move |transaction| store::settle(transaction, &settlement, settings, now));
        self.state(queued);
    }

    /// Ends an intent of which nothing was accepted.
    pub(crate) fn withdraw(&self, change: &Change, intent: Option<&(IntentId, Moment)>) {
        if let Some((id, _)) = intent {
            let mut settlement = Settlement::of(change.directory_id(), change.action());
            settlement.intent = Some((*id, IntentEnd::NotAccepted));
            self.settle(settlement);
        }
    }

    /// The cycle ended before this change did. What may have been obeyed stays open.
    pub(crate) fn interrupted(&self, change: &Change, intent: &(IntentId, Moment), sent: MaybeApplied) {
        match sent {
            MaybeApplied::MaybeDone => {
                self.unanswered(change, Some(intent), sent, &Judged::unknown(AnswerDoubt::Interrupted));
            }
            MaybeApplied::NotDone => {
                self.withdraw(change, Some(intent));
                self.leave(change);
            }
        }
    }

    /// Passes a good answer of the state on; a bad one ends the cycle: no request leaves after it.
    pub(crate) fn state<V, E: Into<JournalError>>(&self, result: Result<V, E>) -> Option<V> {
        result.map_err(|error| self.finish(End::State(error.into()))).ok()
    }

    /// A failure of one user, with when it is tried again: written down at once.
    pub(crate) fn fail(&self, change: &Change, intent: Option<(IntentId, IntentEnd)>, judged: &Judged) {
        self.fail_as(change.action(), change, intent, judged);
    }

    /// The same, where something else was attempted than was planned.
    pub(crate) fn fail_as(
        &self,
        attempted: Action,
        change: &Change,
        intent: Option<(IntentId, IntentEnd)>,
        judged: &Judged,
    ) {
        let event = self.failed(attempted, change, judged, change.fields());
        self.record_failure(change, intent, judged, vec![event]);
    }

    /// A failure before anything was attempted: the account of this user must be read first, and may not be.
    pub(crate) fn fail_unread(&self, change: &Change, judged: &Judged) {
        self.say_lookup_failed(change, judged, "rejected");
        self.record_failure(change, None, judged, Vec::new());
    }

    fn record_failure(
        &self,
        change: &Change,
        intent: Option<(IntentId, IntentEnd)>,
        judged: &Judged,
        events: Vec<Draft>,
    ) {
        let wanted = change.wanted();
        let before = self.failed_before.get(change.directory_id());
        let attempts = before.filter(|before| *before.wanted == *wanted).map_or(0, |before| before.attempts) + 1;
        let mut entry =
            entry_for(change, OutstandingKind::Failed, judged.why()).until(retry::next_try(attempts, self.now()));
        entry.attempts = attempts;
        let mut settlement = Settlement::of(change.directory_id(), change.action());
        settlement.intent = intent;
        settlement.failure = FailureEffect::Record(Box::new(entry.clone()));
        settlement.events = events;
        self.settle(settlement);
        self.settled();
        self.list_user(entry);
    }

    /// A user who got no answer: tried again in the next cycle. Its intent stays open where something may have been done.
    pub(crate) fn unanswered(
        &self,
        change: &Change,
        intent: Option<&(IntentId, Moment)>,
        sent: MaybeApplied,
        judged: &Judged,
    ) {
        let mut settlement = Settlement::of(change.directory_id(), change.action());
        match sent {
            MaybeApplied::MaybeDone => {}
            MaybeApplied::NotDone => settlement.intent = intent.map(|(id, _)| (*id, IntentEnd::NotAccepted)),
        }
        if intent.is_some() {
            settlement.events.push(self.failed(change.action(), change, judged, change.fields()));
        }
        self.settle(settlement);
        self.gave_up(&judged.bare());
        let mut entry = entry_for(change, OutstandingKind::Failed, judged.why());
        if matches!(*self.end.borrow(), Some(End::Unauthorized(_))) {
            // The token is to blame, and nobody is marked failed for it.
            entry.kind = OutstandingKind::Waiting;
        }
        if sent == MaybeApplied::MaybeDone
            && let (Action::Create, Some((_, stored_at))) = (change.action(), intent)
        {
            entry.kind = OutstandingKind::Waiting;
            entry.until = Some(stored_at.plus(self.context.settings.settle_time));
        }
        self.list_user(entry);
    }

    /// The event of an attempt that was accepted.
    pub(crate) fn succeeded(
        &self,
        action: Action,
        change: &Change,
        account: Option<&ScimId>,
        judged: &Judged,
        fields: Vec<Field>,
    ) -> Draft {
        let mut draft = Draft::new(event_type_of(action), true, self.context.source);
        let (id, username) = (change.directory_id().clone(), Some(change.user_name().clone()));
        draft.resource = Some(Resource { id, username, target_id: account.cloned() });
        draft.response.clone_from(&judged.response);
        draft.cycle = Some(self.context.cycle.clone());
        draft.changes = fields
            .into_iter()
            .map(|field| if action == Action::Create { Field { from: None, ..field } } else { field })
            .collect();
        draft
    }

    /// The event of an attempt that was not.
    pub(crate) fn failed(&self, action: Action, change: &Change, judged: &Judged, fields: Vec<Field>) -> Draft {
        let draft = self.succeeded(action, change, change.scim_id(), judged, fields);
        Draft { success: false, error_message: judged.why().to_string(), ..draft }
    }
}

/// What is said of the user of a change.
pub(crate) fn entry_for(change: &Change, kind: OutstandingKind, reason: impl Into<Reason>) -> OutstandingUser {
    let mut entry = OutstandingUser::new(kind, Some(change.directory_id()), Some(change.user_name()), reason)
        .action(change.action())
        .wanted(change.wanted());
    entry.scim_id = change.scim_id().cloned();
    entry
}
