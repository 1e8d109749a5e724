//! Sends an approved plan: removals first, then the rest, a window of changes at once. What one change is stands in
//! `create`, `update` and `remove`.

use super::intents::{StoredIntent, intent_of};
use super::record::{Previous, Record};
use super::tally::{Tally, entry_for};
use crate::config::Settings;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{Change, ChangeKey, CycleId, DirectoryId, Moment, OutstandingKind, UsernameConflict};
use crate::plan::ApprovedPlan;
use crate::scim::Update;
use crate::session::{MaybeApplied, Session};
use crate::store::Intent;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// How many intents may wait for each request under way; more would be a debt after a crash without being faster.
const WINDOW_PER_REQUEST: u32 = 4;

/// How many changes may be under way at once, those that wait for their turn among them.
pub(crate) fn window(settings: &Settings) -> usize {
    let by_rate = settings.requests_per_second_max.unwrap_or(u32::MAX);
    (settings.concurrency_max * WINDOW_PER_REQUEST).min(by_rate).max(1) as usize
}

/// A cycle's changes at the endpoint.
pub(crate) struct Apply<'a, T> {
    pub(crate) session: &'a Session<'a, T>,
    pub(crate) record: Record<'a, T>,
    pub(super) settings: &'a Settings,
    pub(super) planned_at: Moment,
    /// Hashes of the accounts that became ours in this cycle: the snapshot may not show them yet.
    pub(super) made: RefCell<HashSet<u64>>,
    /// Whose account was removed in this cycle.
    pub(super) removed: RefCell<BTreeSet<DirectoryId>>,
    /// Intents of updates and removals of an earlier run that may still be obeyed.
    pub(super) undecided: RefCell<BTreeMap<DirectoryId, StoredIntent>>,
    pub(super) creates_are_free: Cell<bool>,
}

impl<'a, T: Transport> Apply<'a, T> {
    pub(crate) fn new(
        session: &'a Session<'a, T>,
        settings: &'a Settings,
        cycle: (&'a CycleId, Source),
        scope_version: i64,
        previous: Previous,
    ) -> Self {
        Self {
            session,
            record: Record::new(session, cycle, scope_version, settings.settle_time, previous),
            settings,
            planned_at: session.now(),
            made: RefCell::default(),
            removed: RefCell::default(),
            undecided: RefCell::default(),
            creates_are_free: Cell::new(false),
        }
    }

    /// Sends everything that the guard let through; `progress` is told how many of how many are done.
    pub(crate) async fn plan(&self, plan: ApprovedPlan, progress: &dyn Fn(u64, u64)) {
        self.creates_are_free.set(plan.creates_are_free());
        let (changes, approved) = plan.into_changes();
        let (done, all) = (Cell::new(0), changes.len() as u64);
        let one_done = || {
            done.set(done.get() + 1);
            progress(done.get(), all);
        };
        let removals_count = changes.iter().filter(|change| change.action().removes()).count();
        self.session.note_removals(changes[..removals_count].iter().filter_map(|change| change.scim_id().cloned()));
        let mut changes = changes.into_iter();
        self.phase(&mut changes.by_ref().take(removals_count), &approved, &one_done).await;
        // What the removals wrote is read by the look-ups of the creates.
        self.session.write(|_| Ok(())).await;
        let names = changes.as_slice().iter().filter_map(|change| match change {
            Change::Create { user, .. } => Some(&user.user_name),
            Change::Update { .. } | Change::Remove { .. } => None,
        });
        self.session.prepare_look_ups(names).await;
        self.phase(&mut changes, &approved, &one_done).await;
    }

    async fn phase(
        &self,
        changes: &mut dyn Iterator<Item = Change>,
        approved: &BTreeSet<ChangeKey>,
        one_done: &dyn Fn(),
    ) {
        let apply = |change: Change| {
            let approved = !approved.is_empty() && approved.contains(&change.key());
            self.one(change, approved)
        };
        self.session.each(changes, apply, |()| one_done()).await;
        for change in changes {
            self.record.leave(&change);
        }
    }

    async fn one(&self, change: Change, approved: bool) {
        let mut intent = intent_of(&change, approved, self.record.scope_version);
        match &change {
            Change::Create { user, after_removal_of, .. } => {
                if let Some(holder) = after_removal_of
                    && !self.removed.borrow().contains(holder)
                {
                    self.record.list_user(entry_for(&change, OutstandingKind::Waiting, UsernameConflict::NotFreed));
                    return;
                }
                intent.kind = intent.kind.filter(|_| !self.creates_are_free.get());
                self.create(&change, user, intent).await;
            }
            Change::Update { scim_id, user_name, wanted, carried, reactivate, .. } => {
                let update = Update { id: scim_id, user_name, wanted, carried, reactivate: *reactivate };
                self.update(&change, update, intent).await;
            }
            Change::Remove { scim_id, removal, .. } => self.remove(&change, scim_id, *removal, intent).await,
        }
    }

    /// Whether a request of an earlier run for just this change may still be obeyed; ask before the intent is stored.
    pub(super) fn sent_before(&self, change: &Change) -> MaybeApplied {
        match self.undecided.borrow().contains_key(change.directory_id()) {
            true => MaybeApplied::MaybeDone,
            false => MaybeApplied::NotDone,
        }
    }

    /// Stores an intent and answers once it is on the disk. None: the state cannot be written, or the link was ended by hand.
    pub(super) async fn intend(&self, change: &Change, intent: Intent) -> Option<StoredIntent> {
        // If the same is sent again, it is one intent, whichever is obeyed.
        let earlier = self.undecided.borrow_mut().remove(change.directory_id());
        self.record.store_intent(change, intent, earlier).await
    }

    pub(crate) fn into_tally(self) -> Tally {
        self.record.into_tally()
    }
}
