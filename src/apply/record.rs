//! What a cycle stores: intents before, settlements and events after, and the users whose change is not done.

use super::intents::StoredIntent;
use super::tally::{Tally, entry_for};
use crate::event::{Draft, EventType, Resource, Source, event_type_of};
use crate::http::Transport;
use crate::meter::ChangeOutcome;
use crate::model::{
    Action, Approval, Change, ChangeKey, CycleId, DirectoryId, Duration, Field, Moment, NotTried, OutstandingKind,
    OutstandingUser, Reason, ScimId, ScopeVersionId,
};
use crate::outcome::Judged;
use crate::session::{RowNumber, Session};
use crate::settlement::{FailureEffect, IntentEnd, Settlement};
use crate::store::{self, Batch, Intent};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// An older intent is renewed when its turn comes.
const INTENT_AGE_MS_MAX: i64 = 2_000;

/// What this cycle must know of earlier ones.
#[derive(Default)]
pub(crate) struct Previous {
    /// Failures, by user.
    pub(crate) failed: BTreeMap<DirectoryId, OutstandingUser>,
    /// Users whose last look-up failed.
    pub(crate) lookups_failed: BTreeSet<DirectoryId>,
}

impl Previous {
    /// Whose long `Retry-After` ended an earlier cycle.
    pub(super) fn told_to_wait(&self) -> impl Iterator<Item = DirectoryId> {
        let is_told = |entry: &OutstandingUser| entry.reason == Reason::from(NotTried::Throttled);
        self.failed.iter().filter(move |(_, entry)| is_told(entry)).map(|(id, _)| id.clone())
    }
}

/// What a cycle stores.
pub(crate) struct Record<'a, T> {
    pub(super) session: &'a Session<'a, T>,
    cycle: &'a CycleId,
    pub(super) source: Source,
    /// The scope version under which users are wanted now.
    pub(super) scope_version: ScopeVersionId,
    settle_time: Duration,
    pub(super) failed_before: BTreeMap<DirectoryId, OutstandingUser>,
    /// In which row of users each one stood who got no answer.
    pub(super) rows: RefCell<BTreeMap<DirectoryId, RowNumber>>,
    /// Why the last of those got none.
    pub(super) last_unanswered: RefCell<String>,
    /// Users whose failure is over.
    cleared: RefCell<BTreeSet<DirectoryId>>,
    lookups_failed: RefCell<BTreeSet<DirectoryId>>,
    pub(super) tally: RefCell<Tally>,
    /// By which approval a change goes out that was held before: its events say so.
    approvals: RefCell<BTreeMap<ChangeKey, Approval>>,
}

impl<'a, T: Transport> Record<'a, T> {
    pub(super) fn new(
        session: &'a Session<'a, T>,
        (cycle, source): (&'a CycleId, Source),
        scope_version: ScopeVersionId,
        settle_time: Duration,
        previous: Previous,
    ) -> Self {
        Self {
            session,
            cycle,
            source,
            scope_version,
            settle_time,
            failed_before: previous.failed,
            rows: RefCell::default(),
            last_unanswered: RefCell::default(),
            cleared: RefCell::default(),
            lookups_failed: RefCell::new(previous.lookups_failed),
            tally: RefCell::default(),
            approvals: RefCell::default(),
        }
    }

    pub(super) fn into_tally(self) -> Tally {
        self.tally.into_inner()
    }

    /// Takes the approvals of the plan, in place of those of earlier intents.
    pub(super) fn note_approvals(&self, approvals: BTreeMap<ChangeKey, Approval>) {
        *self.approvals.borrow_mut() = approvals;
    }

    /// Takes the approval of an earlier run's intent.
    pub(super) fn note_approval(&self, key: &ChangeKey, approval: Option<&Approval>) {
        if let Some(approval) = approval {
            self.approvals.borrow_mut().insert(key.clone(), approval.clone());
        }
    }

    fn approval_of(&self, change: &Change) -> Option<Approval> {
        let approvals = self.approvals.borrow();
        if approvals.is_empty() { None } else { approvals.get(&change.key()).cloned() }
    }

    pub(super) fn list_user(&self, entry: OutstandingUser) {
        self.tally.borrow_mut().list_user(entry);
    }

    /// Lists a user whose removal is not sent; if that is for what the account shows, it can be approved.
    pub(super) fn hold(&self, change: &Change, mut entry: OutstandingUser) {
        if let Some(shown) = entry.reason.shown() {
            let held = change.as_held_for(&shown);
            entry = entry.wanted(held.exact.content.as_str());
            self.tally.borrow_mut().held.push(held);
        }
        self.list_user(entry);
    }

    pub(super) fn failed_before(&self, change: &Change) -> Option<&OutstandingUser> {
        self.failed_before.get(change.directory_id()).filter(|failed| *failed.wanted == *change.wanted())
    }

    /// Whether this cycle ended a failure of an earlier one.
    pub(crate) fn has_cleared(&self, entry: &OutstandingUser) -> bool {
        let is_cleared = |id| self.cleared.borrow().contains(id);
        entry.kind == OutstandingKind::Failed && entry.directory_id.as_ref().is_some_and(is_cleared)
    }

    /// Stores an intent, and returns once it is on the disk. An `earlier` run's intent for the same change is reused.
    /// `None`: the state cannot be written, or the link was removed by hand.
    pub(super) async fn store_intent(
        &self,
        change: &Change,
        intent: Intent,
        earlier: Option<StoredIntent>,
    ) -> Option<StoredIntent> {
        let stored_at = self.session.now();
        let write = move |batch: &mut Batch<'_>| match earlier {
            Some(StoredIntent { id, .. }) => store::reuse_intent(batch.transaction(), id, &intent, stored_at),
            None => store::store_intents(batch.transaction(), &intent, stored_at),
        };
        let stored = self.session.write_in_batch(write).await?;
        if stored.is_none() {
            self.list_user(entry_for(change, OutstandingKind::Waiting, NotTried::Forgotten));
        }
        stored.map(|id| StoredIntent { id, stored_at })
    }

    /// Called when it is a change's turn; renews its intent if that took long.
    pub(super) async fn on_turn(&self, stored: &mut StoredIntent) -> Option<()> {
        if self.session.now().since_ms(stored.stored_at) > INTENT_AGE_MS_MAX {
            self.renew(stored).await?;
        }
        Some(())
    }

    /// Gives an intent the present time.
    pub(super) async fn renew(&self, stored: &mut StoredIntent) -> Option<()> {
        let (id, now) = (stored.id, self.session.now());
        self.session.write(move |transaction| store::renew_intent(transaction, id, now)).await?;
        stored.stored_at = now;
        Some(())
    }

    /// Until when the effect of a lost request may still appear.
    pub(super) fn may_show_until(&self, stored: StoredIntent) -> Moment {
        stored.stored_at.plus(self.settle_time)
    }

    /// Queues a settlement; only the end of the cycle waits for it.
    pub(crate) fn write(&self, mut settlement: Settlement) {
        if settlement.failure == FailureEffect::Clear {
            if self.failed_before.contains_key(&settlement.directory_id) {
                self.cleared.borrow_mut().insert(settlement.directory_id.clone());
            } else {
                // If no failure is on record, there is none to clear: that saves a statement per user of a first load.
                settlement.failure = FailureEffect::Keep;
            }
        }
        self.count(&settlement);
        let (scope_version, now) = (self.scope_version, self.session.now());
        self.session.queue_in_batch(move |batch| store::settle(batch, &settlement, scope_version, now));
    }

    /// Counts what was attempted: one event is one attempt.
    fn count(&self, settlement: &Settlement) {
        for event in &settlement.events {
            let action = match event.event_type {
                EventType::UserCreateProvision => Action::Create,
                EventType::UserUpdateProvision if settlement.action == Action::Link => Action::Link,
                EventType::UserUpdateProvision => Action::Update,
                EventType::UserDeprovision => Action::Deactivate,
                EventType::UserDeleteProvision => Action::Delete,
                EventType::UserLookupProvision
                | EventType::IdmIntegrationActivate
                | EventType::IdmIntegrationUpdate
                | EventType::IdmIntegrationReauth
                | EventType::IdmIntegrationDelete
                | EventType::ReconcileCompleted
                | EventType::ReconcileHeld
                | EventType::ReconcileFailed
                | EventType::ReconcileApproved
                | EventType::LogCheckpoint
                | EventType::ClockCorrected => continue,
            };
            let outcome = if event.success { ChangeOutcome::Accepted } else { ChangeOutcome::Failed };
            self.session.target().meter().note_change(action, outcome);
        }
    }

    /// Ends an intent of which nothing was accepted.
    pub(super) fn withdraw(&self, change: &Change, intent: Option<StoredIntent>) {
        if let Some(stored) = intent {
            let mut settlement = Settlement::of(change.directory_id(), change.action());
            settlement.intent = Some(stored.ends(IntentEnd::NotAccepted));
            self.write(settlement);
        }
    }

    /// Ends a lost create that was never seen: whether it was accepted, nobody knows.
    pub(super) fn give_up(&self, change: &Change, stored: StoredIntent) {
        let mut settlement = Settlement::of(change.directory_id(), change.action());
        settlement.intent = Some(stored.ends(IntentEnd::Unknown));
        self.write(settlement);
    }

    /// Logs a failed look-up once per user and cause.
    pub(super) fn say_lookup_failed(&self, change: &Change, judged: &Judged, cause: &'static str) {
        self.lookups_failed.borrow_mut().insert(change.directory_id().clone());
        let mut draft = self.failed(change.action(), change, judged, Vec::new());
        draft.event_type = EventType::UserLookupProvision;
        let (id, now) = (change.directory_id().clone(), self.session.now());
        self.session.queue(move |transaction| {
            if store::lookup_failed(transaction, &id, cause)? {
                store::append(transaction, &[draft], now)?;
            }
            Ok(())
        });
    }

    /// Makes the next failed look-up of this user be logged again.
    pub(super) fn lookup_went_well(&self, change: &Change) {
        let id = change.directory_id();
        if self.lookups_failed.borrow_mut().remove(id) {
            let id = id.clone();
            self.session.queue(move |transaction| store::lookup_succeeded(transaction, &id));
        }
    }

    /// The event of an accepted attempt.
    pub(super) fn succeeded(
        &self,
        action: Action,
        change: &Change,
        account: Option<&ScimId>,
        judged: &Judged,
        fields: Vec<Field>,
    ) -> Draft {
        let mut draft = Draft::new(event_type_of(action), true, self.source);
        let (id, username) = (change.directory_id().clone(), Some(change.user_name().clone()));
        draft.resource = Some(Resource { id, username, target_id: account.cloned() });
        draft.response.clone_from(&judged.response);
        draft.cycle = Some(self.cycle.clone());
        draft.approval = self.approval_of(change);
        draft.changes = fields
            .into_iter()
            .map(|field| if action == Action::Create { Field { from: None, ..field } } else { field })
            .collect();
        draft
    }

    /// The event of a failed attempt.
    pub(super) fn failed(&self, action: Action, change: &Change, judged: &Judged, fields: Vec<Field>) -> Draft {
        let draft = self.succeeded(action, change, change.scim_id(), judged, fields);
        Draft { success: false, error_message: judged.why().to_string(), ..draft }
    }
}
