//! Changes that are not done: failed, unanswered, or not tried because the cycle ended.

use super::intents::StoredIntent;
use super::record::Record;
use super::tally::entry_for;
use crate::event::Draft;
use crate::http::Transport;
use crate::model::{Action, AnswerDoubt, Change, DirectoryId, NotTried, OutstandingKind, UsernameConflict};
use crate::outcome::Judged;
use crate::retry;
use crate::session::{End, MaybeApplied};
use crate::settlement::{FailureEffect, IntentEnd, IntentId, Settlement};

impl<T: Transport> Record<'_, T> {
    /// Stores one user's failure with its next try.
    pub(super) fn fail(&self, change: &Change, intent: Option<(IntentId, IntentEnd)>, judged: &Judged) {
        self.fail_as(change.action(), change, intent, judged);
    }

    /// The same, if the action attempted differs from the planned one.
    pub(super) fn fail_as(
        &self,
        attempted: Action,
        change: &Change,
        intent: Option<(IntentId, IntentEnd)>,
        judged: &Judged,
    ) {
        let event = self.failed(attempted, change, judged, change.fields());
        self.record_failure(change, intent, judged, vec![event]);
    }

    /// A failure before anything was attempted: the account must be read first, and the endpoint refuses.
    pub(super) fn fail_unread(&self, change: &Change, judged: &Judged) {
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
        let attempts = self.failed_before(change).map_or(0, |before| before.attempts) + 1;
        let next_try = if change.action().removes() { retry::next_try_soon } else { retry::next_try };
        let mut entry =
            entry_for(change, OutstandingKind::Failed, judged.why()).until(next_try(attempts, self.session.now()));
        entry.attempts = attempts;
        let mut settlement = Settlement::of(change.directory_id(), change.action());
        settlement.intent = intent;
        settlement.failure = FailureEffect::Record(Box::new(entry.clone()));
        settlement.events = events;
        self.write(settlement);
        self.session.user_answered();
        self.list_user(entry);
    }

    /// A user without an answer: retried in the next cycle. The intent stays open if something may have been applied.
    pub(super) fn unanswered(
        &self,
        change: &Change,
        intent: Option<StoredIntent>,
        sent: MaybeApplied,
        judged: &Judged,
    ) {
        let mut settlement = Settlement::of(change.directory_id(), change.action());
        match sent {
            MaybeApplied::MaybeDone => {}
            MaybeApplied::NotDone => settlement.intent = intent.map(|stored| stored.ends(IntentEnd::NotAccepted)),
        }
        if intent.is_some() {
            settlement.events.push(self.failed(change.action(), change, judged, change.fields()));
        }
        self.write(settlement);
        self.user_unanswered(change, judged);
        let mut entry = entry_for(change, OutstandingKind::Failed, judged.why());
        if matches!(self.session.end(), Some(End::Unauthorized(_))) {
            // The token is to blame, so no user is marked failed.
            entry.kind = OutstandingKind::Waiting;
        }
        if sent == MaybeApplied::MaybeDone
            && let (Action::Create, Some(stored)) = (change.action(), intent)
        {
            entry.kind = OutstandingKind::Waiting;
            entry.until = Some(self.may_show_until(stored));
        }
        self.list_user(entry);
    }

    /// Counts a user without an answer, and notes in which row.
    pub(super) fn user_unanswered(&self, change: &Change, judged: &Judged) {
        let row = self.session.user_unanswered(&judged.bare());
        self.rows.borrow_mut().insert(change.directory_id().clone(), row);
        *self.last_unanswered.borrow_mut() = judged.bare();
    }

    /// At the end of all changes: users whom the endpoint left without an answer while it answered others are put off, so that
    /// they keep nobody out. If nobody's change was accepted, it is an outage after all; whoever was put off before still is. If
    /// so many of them ended the cycle, all of them are put off, whatever was accepted: the next cycle gets further.
    pub(super) fn put_off_unanswered(&self) {
        let rows = self.rows.borrow();
        let blamed = |id: &DirectoryId| rows.get(id).is_some_and(|row| self.session.is_row_of_users(*row));
        let ended = self.session.ended();
        let by_them = matches!(self.session.end(), Some(End::Unanswered(_)));
        if (ended && !by_them) || !rows.keys().any(blamed) {
            return;
        }
        let outage = !ended && !self.tally.borrow().done.any();
        for entry in &mut self.tally.borrow_mut().outstanding {
            let Some(id) = entry.directory_id.as_ref().filter(|id| blamed(id)) else { continue };
            let before = self.failed_before.get(id).filter(|before| before.wanted == entry.wanted);
            let attempts = before.map_or(0, |before| before.attempts);
            let unanswered = match entry.kind {
                OutstandingKind::Failed => entry.until.is_none(),
                // A lost create: its intent stays open and is looked up, and nothing is sent again before the next try.
                OutstandingKind::Waiting => entry.action == Some(Action::Create),
                OutstandingKind::Held
                | OutstandingKind::Refused
                | OutstandingKind::Parked
                | OutstandingKind::Kept
                | OutstandingKind::Drift => false,
            };
            if unanswered && (!outage || attempts > 0) {
                entry.kind = OutstandingKind::Failed;
                entry.attempts = attempts + 1;
                entry.until = Some(retry::next_try_soon(entry.attempts, self.session.now()));
            }
        }
        self.tally.borrow_mut().note_creates_left();
        if outage {
            self.session.end_cycle(End::Unanswered(self.last_unanswered.borrow().clone()));
        }
    }

    /// At the end of all changes: the user whose long `Retry-After` ended the cycle is remembered, and comes last in the next one;
    /// who is told so again, while the list is answered, is put off like who gets no answer.
    pub(super) fn note_told_to_wait(&self) {
        let told = &self.session.told_to_wait;
        for entry in &mut self.tally.borrow_mut().outstanding {
            let Some(id) = &entry.directory_id else { continue };
            if !matches!(entry.kind, OutstandingKind::Failed | OutstandingKind::Waiting) {
                continue;
            }
            let attempts = self.failed_before.get(id).map_or(0, |before| before.attempts) + 1;
            if told.is_again(id) {
                (entry.kind, entry.attempts) = (OutstandingKind::Failed, attempts);
                entry.until = Some(retry::next_try_soon(attempts - 1, self.session.now()));
                entry.reason = NotTried::Throttled.into();
            } else if told.has_ended(id) {
                entry.attempts = attempts;
                entry.reason = NotTried::Throttled.into();
            }
        }
        self.tally.borrow_mut().note_creates_left();
    }

    /// The cycle ended before this change did. An intent that may have been applied stays open.
    pub(super) fn interrupted(&self, change: &Change, intent: StoredIntent, sent: MaybeApplied) {
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

    /// A user who cannot be provisioned as things are.
    pub(super) fn refuse(&self, change: &Change, intent: Option<StoredIntent>, reason: UsernameConflict) {
        self.withdraw(change, intent);
        self.session.user_answered();
        let mut entry = entry_for(change, OutstandingKind::Refused, reason).fields(change.fields());
        // What Rhombus shows or hides may change by itself: it is asked anew like a rejected user.
        entry.attempts = self.failed_before(change).map_or(0, |before| before.attempts) + 1;
        entry.until = Some(retry::next_try(entry.attempts, self.session.now()));
        self.list_user(entry);
    }

    /// A change that is not tried because the cycle ended.
    pub(super) fn leave(&self, change: &Change) {
        if let Some(failed) = self.failed_before(change) {
            // A change that is not tried now keeps its earlier failures.
            return self.list_user(failed.clone());
        }
        let (reason, until) = match self.session.end() {
            Some(End::Throttled(until)) => (NotTried::Throttled, Some(until)),
            Some(End::Unauthorized(_)) => (NotTried::TokenRefused, None),
            Some(End::WrongEndpoint(_) | End::NobodyThere | End::OtherOrganisation { .. } | End::NotProven(_)) => {
                (NotTried::WrongEndpoint, None)
            }
            Some(End::Unanswered(_)) => (NotTried::NoAnswer, None),
            Some(End::NotRefreshed(_)) => (NotTried::NotRefreshed, None),
            Some(End::Stopped) => (NotTried::Stopped, None),
            Some(End::Deactivated) => (NotTried::Deactivated, None),
            Some(End::NotLeading) => (NotTried::NotLeading, None),
            Some(End::State(_)) | None => (NotTried::NotInThisCycle, None),
        };
        let mut entry = entry_for(change, OutstandingKind::Waiting, reason);
        entry.until = until;
        self.list_user(entry);
    }
}
