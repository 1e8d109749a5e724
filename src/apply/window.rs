//! Sends an approved plan: removals first, then the rest, a window of changes at once. What ends the whole cycle, what is
//! tried again and what is counted stands here; what one change is stands in `create`, `update` and `remove`.

use crate::apply::record::entry_for;
use crate::cycle::{CycleContext, End};
use crate::http::Transport;
use crate::model::{
    Action, Change, ChangeKey, DirectoryId, Moment, NotTried, OutstandingKind, OutstandingUser, ScimId,
    UsernameConflict,
};
use crate::plan::ApprovedPlan;
use crate::retry::UNANSWERED_IN_A_ROW_MAX;
use crate::scim::{ScimTarget, Update};
use crate::session::lookup::Directory;
use crate::settlement::IntentId;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// How many intents may wait for each request under way; more would be a debt after a crash without being faster.
const WINDOW_PER_REQUEST: u32 = 4;
/// What was done, and to whom it was not.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) created_count: u64,
    pub(crate) updated_count: u64,
    pub(crate) linked_count: u64,
    pub(crate) deactivated_count: u64,
    pub(crate) deleted_count: u64,
    pub(crate) outstanding: Vec<OutstandingUser>,
    pub(crate) creates_left: bool,
    /// An account was gone: the next plan makes it again.
    pub(crate) vanished: bool,
}

impl Tally {
    pub(crate) fn accepted_count(&self) -> u64 {
        self.created_count + self.updated_count + self.linked_count + self.deactivated_count + self.deleted_count
    }
}

/// What was heard of the endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EndpointSeen {
    /// Anything at all.
    pub(crate) answered: bool,
    /// That it accepted a request.
    pub(crate) token_is_good: bool,
}

/// What earlier cycles left that this one must know.
#[derive(Default)]
pub(crate) struct Previous {
    /// Failures, by user.
    pub(crate) failed: BTreeMap<DirectoryId, OutstandingUser>,
    /// Users whose last look-up went wrong.
    pub(crate) lookups_failed: BTreeSet<DirectoryId>,
}

/// A cycle's work at the endpoint.
pub(crate) struct Apply<'w, T> {
    pub(crate) context: &'w CycleContext<'w, T>,
    pub(crate) settings: i64,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) directory: Directory,
    /// Intents of updates and removals of an earlier run that may still be obeyed.
    pub(crate) undecided: RefCell<BTreeMap<DirectoryId, (IntentId, Moment)>>,
    pub(crate) removed: RefCell<BTreeSet<DirectoryId>>,
    pub(crate) removing: RefCell<BTreeSet<ScimId>>,
    /// Hashes of the accounts that became ours in this cycle: the snapshot may not show them yet.
    pub(crate) made: RefCell<HashSet<u64>>,
    pub(crate) failed_before: BTreeMap<DirectoryId, OutstandingUser>,
    pub(crate) lookups_failed: RefCell<BTreeSet<DirectoryId>>,
    pub(crate) planned_at: Moment,
    /// Users done, of how many.
    pub(crate) done: Cell<(u64, u64)>,
    pub(crate) end: RefCell<Option<End>>,
    pub(crate) unanswered_in_a_row: Cell<u32>,
    pub(crate) answered: Cell<bool>,
    /// Rhombus accepted a request: the token is proven.
    pub(crate) token_is_good: Cell<bool>,
    pub(crate) witnessed: Cell<bool>,
    pub(crate) creates_are_free: Cell<bool>,
}

impl<'w, T: Transport> Apply<'w, T> {
    pub(crate) fn new(context: &'w CycleContext<'w, T>, settings: i64, before: Previous) -> Self {
        Self {
            context,
            settings,
            tally: RefCell::default(),
            directory: Directory::default(),
            undecided: RefCell::default(),
            removed: RefCell::default(),
            removing: RefCell::default(),
            made: RefCell::default(),
            failed_before: before.failed,
            lookups_failed: RefCell::new(before.lookups_failed),
            planned_at: context.clock.now(),
            done: Cell::new((0, 0)),
            end: RefCell::default(),
            unanswered_in_a_row: Cell::new(0),
            answered: Cell::new(false),
            token_is_good: Cell::new(false),
            witnessed: Cell::new(false),
            creates_are_free: Cell::new(false),
        }
    }

    pub(crate) fn target(&self) -> &ScimTarget<T> {
        &self.context.target
    }

    pub(crate) fn now(&self) -> Moment {
        self.context.clock.now()
    }

    /// How many changes may be under way at once, intents that wait for their turn among them.
    pub(crate) fn window(&self) -> usize {
        let rate_limit = &self.context.settings;
        let by_rate = rate_limit.requests_per_second_max.unwrap_or(u32::MAX);
        (rate_limit.concurrency_max * WINDOW_PER_REQUEST).min(by_rate).max(1) as usize
    }

    /// Sends everything that the guard let through.
    pub(crate) async fn plan(&self, plan: ApprovedPlan) {
        self.creates_are_free.set(plan.creates_are_free());
        let (changes, approved) = plan.into_changes();
        self.done.set((0, changes.len() as u64));
        let removals_count = changes.iter().filter(|change| change.action().removes()).count();
        let removing = changes[..removals_count].iter().filter_map(|change| change.scim_id().cloned());
        self.removing.borrow_mut().extend(removing);
        let mut changes = changes.into_iter();
        self.phase(&mut changes.by_ref().take(removals_count), &approved).await;
        // What the removals wrote is read by the look-ups of the creates.
        let written = self.context.journal.write(|_| Ok(())).await;
        self.state(written);
        self.directory.prepare(self, changes.as_slice()).await;
        self.phase(&mut changes, &approved).await;
    }

    async fn phase(&self, waiting: &mut dyn Iterator<Item = Change>, approved: &BTreeSet<ChangeKey>) {
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.window() && !self.ended() {
                let Some(change) = waiting.next() else { break };
                let approved = !approved.is_empty() && approved.contains(&change.key());
                running.push(self.one(change, approved));
            }
            if running.next().await.is_none() {
                break;
            }
            let (done, all) = self.done.get();
            self.done.set((done + 1, all));
            (self.context.progress)(done + 1, all);
        }
        drop(running);
        for change in waiting {
            self.leave(&change);
        }
    }

    async fn one(&self, change: Change, approved: bool) {
        match &change {
            Change::Create { user, after_removal_of, .. } => {
                if let Some(holder) = after_removal_of
                    && !self.removed.borrow().contains(holder)
                {
                    self.list_user(entry_for(&change, OutstandingKind::Waiting, UsernameConflict::NotFreed));
                    return;
                }
                self.create(&change, user, approved).await;
            }
            Change::Update { scim_id, user_name, wanted, carried, reactivate, .. } => {
                let update = Update { id: scim_id, user_name, wanted, carried, reactivate: *reactivate };
                self.update(&change, update, Some(change.guard_kind()), approved).await;
            }
            Change::Remove { scim_id, removal, user_name, directory_id, .. } => {
                self.remove(&change, directory_id, scim_id, user_name, *removal, approved).await;
            }
        }
    }

    /// A change that is not tried because the cycle ended.
    pub(crate) fn leave(&self, change: &Change) {
        if let Some(failed) =
            self.failed_before.get(change.directory_id()).filter(|failed| *failed.wanted == *change.wanted())
        {
            // Not tried now does not make its earlier failures undone.
            return self.list_user(failed.clone());
        }
        let end = self.end.borrow();
        let (reason, until) = match end.as_ref() {
            Some(End::Throttled(until)) => (NotTried::Throttled, Some(*until)),
            Some(End::Unauthorized(_)) => (NotTried::TokenRefused, None),
            Some(End::WrongEndpoint(_)) => (NotTried::WrongEndpoint, None),
            Some(End::Unanswered(_)) => (NotTried::NoAnswer, None),
            Some(End::NotRefreshed(_)) => (NotTried::NotRefreshed, None),
            Some(End::Stopped) => (NotTried::Stopped, None),
            Some(End::Deactivated) => (NotTried::Deactivated, None),
            Some(End::State(_)) | None => (NotTried::NotInThisCycle, None),
        };
        let mut entry = entry_for(change, OutstandingKind::Waiting, reason);
        entry.until = until;
        drop(end);
        self.list_user(entry);
    }

    pub(crate) fn list_user(&self, entry: OutstandingUser) {
        let mut tally = self.tally.borrow_mut();
        let open = matches!(entry.kind, OutstandingKind::Held | OutstandingKind::Waiting);
        tally.creates_left |= open && entry.action == Some(Action::Create);
        tally.outstanding.push(entry);
    }

    /// Ends the cycle; the first reason stays, and the longest wait.
    pub(crate) fn finish(&self, end: End) {
        let mut first = self.end.borrow_mut();
        let first = first.get_or_insert_with(|| end.clone());
        if let (End::Throttled(until), End::Throttled(later)) = (first, end) {
            *until = later.max(*until);
        }
    }

    pub(crate) fn ended(&self) -> bool {
        if self.context.stop.is_cancelled() {
            self.finish(if self.context.deactivated.get() { End::Deactivated } else { End::Stopped });
        }
        self.end.borrow().is_some()
    }

    pub(crate) fn into_end(self) -> (Tally, Option<End>, EndpointSeen) {
        let heard = EndpointSeen { answered: self.answered.get(), token_is_good: self.token_is_good.get() };
        (self.tally.into_inner(), self.end.into_inner(), heard)
    }

    /// The endpoint answered.
    pub(crate) fn heard(&self) {
        self.answered.set(true);
    }

    /// A user's change came to an end of its own.
    pub(crate) fn settled(&self) {
        self.unanswered_in_a_row.set(0);
    }

    /// A user's change got no answer. Many in a row, and it is the endpoint, not the users.
    pub(crate) fn gave_up(&self, reason: &str) {
        let in_a_row = self.unanswered_in_a_row.get() + 1;
        self.unanswered_in_a_row.set(in_a_row);
        if in_a_row >= UNANSWERED_IN_A_ROW_MAX {
            self.finish(End::Unanswered(reason.to_owned()));
        }
    }
}
