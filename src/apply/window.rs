//! Applies an approved plan: removals first, then the rest, a window of changes at once. The steps of one change are in
//! `create`, `update` and `remove`.

use super::intents::{StoredIntent, intent_of};
use super::linked::LinkedBefore;
use super::record::{Previous, Record};
use super::tally::{Tally, entry_for};
use crate::config::Settings;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{
    Approval, Change, ChangeKey, Content, CycleId, DirectoryId, ExactChange, Moment, OutstandingKind, ScopeVersionId,
    UsernameConflict, folded,
};
use crate::plan::{ApprovedPlan, Cleared, PackedCreates, merged, order};
use crate::scim::Update;
use crate::session::{MaybeApplied, Session, hash_of};
use crate::store::{Intent, OpenIntent};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Intents per concurrent request; more would only mean more look-ups after a crash, at no gain in speed.
const WINDOW_PER_REQUEST: u32 = 8;

/// How many changes may be in progress at once, including those that wait for their turn.
pub(crate) fn window(settings: &Settings) -> usize {
    let by_rate = settings.requests_per_second_max.unwrap_or(u32::MAX);
    (settings.concurrency_max * WINDOW_PER_REQUEST).min(by_rate).max(1) as usize
}

/// What is not a removal.
struct Others {
    changes: Vec<Change>,
    creates: PackedCreates,
    last: Vec<Change>,
}

impl Others {
    /// Hashes of the usernames that are to be created.
    fn names_to_create(&self) -> Vec<u64> {
        let mut names = Vec::with_capacity(self.creates.len());
        self.creates.each(|create| names.push(hash_of(&folded(create.user_name))));
        names.extend(self.changes.iter().chain(&self.last).filter_map(|change| match change {
            Change::Create { user, .. } => Some(hash_of(&user.user_name.folded())),
            Change::Update { .. } | Change::Remove { .. } | Change::Relink { .. } => None,
        }));
        names
    }

    /// All of them in order; the memory of creates is freed along the way.
    fn into_changes(self) -> impl Iterator<Item = Change> {
        merged(self.changes.into_iter(), self.creates.into_changes()).chain(self.last)
    }
}

/// Applies a cycle's changes.
pub(crate) struct Apply<'a, T> {
    pub(crate) session: &'a Session<'a, T>,
    pub(crate) record: Record<'a, T>,
    pub(super) settings: &'a Settings,
    pub(super) planned_at: Moment,
    /// Hashes of the accounts linked in this cycle: the snapshot may not show them yet.
    pub(super) made: RefCell<HashSet<u64>>,
    /// The accounts that were linked before the creates began.
    pub(super) linked_before: RefCell<LinkedBefore>,
    /// Users whose account was removed in this cycle.
    pub(super) removed: RefCell<BTreeSet<DirectoryId>>,
    /// An earlier run's updates and removals that may still take effect.
    pub(super) undecided: RefCell<BTreeMap<DirectoryId, StoredIntent>>,
    /// Creates whose answer was lost and which were not seen within `settle_time`: they may have made an account all the same.
    pub(super) given_up: RefCell<BTreeMap<DirectoryId, OpenIntent>>,
    pub(super) creates_are_free: Cell<bool>,
    /// Removals that go out only if their accounts are still as they were when the guard let these through.
    pub(super) conditional: RefCell<BTreeSet<ChangeKey>>,
}

impl<'a, T: Transport> Apply<'a, T> {
    pub(crate) fn new(
        session: &'a Session<'a, T>,
        settings: &'a Settings,
        cycle: (&'a CycleId, Source),
        scope_version: ScopeVersionId,
        previous: Previous,
    ) -> Self {
        session.told_to_wait.note_before(previous.told_to_wait());
        Self {
            session,
            record: Record::new(session, cycle, scope_version, settings.settle_time, previous),
            settings,
            planned_at: session.now(),
            made: RefCell::default(),
            linked_before: RefCell::default(),
            removed: RefCell::default(),
            undecided: RefCell::default(),
            given_up: RefCell::default(),
            creates_are_free: Cell::new(false),
            conditional: RefCell::default(),
        }
    }

    /// Sends everything that the guard let through; `progress` gets the number of changes done and their total.
    pub(crate) async fn plan(&self, plan: ApprovedPlan, progress: &dyn Fn(u64, u64)) {
        self.creates_are_free.set(plan.creates_are_free());
        let Cleared { changes: mut removals, creates, approved, conditional } = plan.into_cleared();
        *self.conditional.borrow_mut() = conditional;
        let of = |change: &Change| Some((change.key(), approved.get(&change.exact())?.clone()));
        let released = match approved.is_empty() {
            true => BTreeMap::new(),
            false => removals.iter().filter_map(of).chain(creates.iter().filter_map(|change| of(&change))).collect(),
        };
        self.record.note_approvals(released);
        let (done, all) = (Cell::new(0), (removals.len() + creates.len()) as u64);
        let one_done = || {
            done.set(done.get() + 1);
            progress(done.get(), all);
        };
        let others = removals.split_off(removals.iter().filter(|change| change.action().removes()).count());
        self.session.note_removals(removals.iter().filter_map(|change| change.scim_id().cloned()));
        removals.sort_by_key(|change| self.record.failed_before(change).is_some());
        self.phase(&mut removals.into_iter(), &approved, &one_done).await;
        // The look-ups of the creates must see what the removals wrote.
        self.session.write(|_| Ok(())).await;
        let others = self.failed_last(others, creates);
        let names = others.names_to_create();
        let creates_count = names.len();
        self.session.prepare_look_ups(names).await;
        if let Some(linked) = self.session.state(LinkedBefore::read(self.session.context.reader, creates_count)) {
            *self.linked_before.borrow_mut() = linked;
        }
        self.phase(&mut others.into_changes(), &approved, &one_done).await;
        self.record.put_off_unanswered();
        self.record.note_told_to_wait();
    }

    /// Whoever failed before comes last, so that the same few cannot keep everybody else out.
    fn failed_last(&self, mut changes: Vec<Change>, mut creates: PackedCreates) -> Others {
        if self.record.failed_before.is_empty() {
            return Others { changes, creates, last: Vec::new() };
        }
        let has_failed = |id: &str| self.record.failed_before.contains_key(&DirectoryId::new(id));
        changes.extend(creates.take_out(|create| has_failed(create.id)));
        changes.sort_by(order);
        let (last, changes) = changes.into_iter().partition(|change| self.record.failed_before(change).is_some());
        Others { changes, creates, last }
    }

    async fn phase(
        &self,
        changes: &mut dyn Iterator<Item = Change>,
        approved: &BTreeMap<ExactChange, Approval>,
        one_done: &dyn Fn(),
    ) {
        let apply = |change: Change| {
            let exact = (!approved.is_empty()).then(|| change.exact());
            let released = exact.filter(|exact| approved.contains_key(exact));
            self.one(change, released.map(|exact| exact.content))
        };
        let apply = async |change: Change| {
            let user = change.directory_id().clone();
            self.session.about_at_last(&user, apply(change)).await;
        };
        self.session.each(changes, apply, |()| one_done()).await;
        for change in changes {
            self.record.leave(&change);
        }
    }

    async fn one(&self, change: Change, approved: Option<Content>) {
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
            // The guard holds it, and `approve` moves the link.
            Change::Relink { .. } => self.record.leave(&change),
        }
    }

    /// Whether an earlier run's request for exactly this change may still take effect; ask before the intent is stored.
    pub(super) fn sent_before(&self, change: &Change) -> MaybeApplied {
        match self.undecided.borrow().contains_key(change.directory_id()) {
            true => MaybeApplied::MaybeDone,
            false => MaybeApplied::NotDone,
        }
    }

    /// Stores an intent, and returns once it is on the disk. `None`: no state, or the link was removed by hand.
    pub(super) async fn intend(&self, change: &Change, intent: Intent) -> Option<StoredIntent> {
        // If exactly the same is sent again, it is one intent, whichever request is applied.
        let earlier = self.undecided.borrow_mut().remove(change.directory_id());
        self.record.store_intent(change, intent, earlier).await
    }

    pub(crate) fn into_tally(self) -> Tally {
        self.record.into_tally()
    }
}
