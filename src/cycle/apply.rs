//! Sends an approved plan: removals first, then the rest, a window of changes at once. What ends the whole cycle, what is
//! tried again and what is counted stands here; what one change is stands in `create`, `update` and `remove`.

use super::lookup::Directory;
use super::{End, World};
use crate::event::{Draft, Resource, Response, Source, event_type_of};
use crate::http::Transport;
use crate::model::{Action, Change, DirectoryId, Field, Moment, ScimId, Standing, StandingKind, UserName};
use crate::outcome::{Judged, Outcome};
use crate::plan::ApprovedPlan;
use crate::retry;
use crate::settlement::{FailureEffect, IntentEnd, IntentId, Settlement};
use crate::store::{self, Intent};
use crate::target::{ScimTarget, Turn};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// An intent older than this at its turn is stored anew first (CONTRACT section 4).
const INTENT_AGE_MS_MAX: i64 = 2_000;
/// How many intents may wait for each request under way; more would be a debt after a crash without being faster.
const WINDOW_PER_REQUEST: u32 = 4;
/// How many other accounts are read before an endpoint counts as the wrong one.
const WITNESSES_MAX: u32 = 20;

/// What was done, and to whom it was not.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) created_count: u64,
    pub(super) updated_count: u64,
    pub(super) linked_count: u64,
    pub(super) deactivated_count: u64,
    pub(super) deleted_count: u64,
    pub(super) standings: Vec<Standing>,
    pub(super) creates_left: bool,
}

impl Tally {
    pub(super) fn accepted_count(&self) -> u64 {
        self.created_count + self.updated_count + self.linked_count + self.deactivated_count + self.deleted_count
    }
}

/// A cycle's work at the endpoint.
pub(super) struct Apply<'w, T> {
    pub(super) world: &'w World<'w, T>,
    pub(super) settings: i64,
    pub(super) tally: RefCell<Tally>,
    pub(super) directory: Directory,
    pub(super) removed: RefCell<BTreeSet<DirectoryId>>,
    pub(super) removing: RefCell<BTreeSet<ScimId>>,
    pub(super) made: RefCell<BTreeSet<ScimId>>,
    pub(super) failed_before: BTreeMap<DirectoryId, Standing>,
    end: RefCell<Option<End>>,
    unanswered_in_a_row: Cell<u32>,
    answered: Cell<bool>,
    witnessed: Cell<bool>,
}

/// What follows from an answer that is nobody's own business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// It is an answer about this user.
    Settled,
    /// There was none; try again.
    Again,
    /// There was none, often enough.
    GiveUp,
    /// The cycle has ended.
    Ended,
}

/// Why something could not be read.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Trouble {
    /// Nothing usable came back, often enough.
    Unanswered(Judged),
    /// The endpoint refuses to show it.
    Rejected(Judged),
    /// What came back is not what was asked for.
    Doubtful(String),
    /// The cycle has ended.
    Ended,
}

impl<'w, T: Transport> Apply<'w, T> {
    pub(super) fn new(world: &'w World<'w, T>, settings: i64, failed_before: BTreeMap<DirectoryId, Standing>) -> Self {
        Self {
            world,
            settings,
            tally: RefCell::default(),
            directory: Directory::default(),
            removed: RefCell::default(),
            removing: RefCell::default(),
            made: RefCell::default(),
            failed_before,
            end: RefCell::default(),
            unanswered_in_a_row: Cell::new(0),
            answered: Cell::new(false),
            witnessed: Cell::new(false),
        }
    }

    pub(super) fn target(&self) -> &ScimTarget<T> {
        &self.world.target
    }

    pub(super) fn now(&self) -> Moment {
        self.world.clock.now()
    }

    /// How many changes may be under way at once, intents that wait for their turn among them.
    pub(super) fn window(&self) -> usize {
        let pace = &self.world.settings;
        let by_rate = pace.requests_per_second_max.unwrap_or(u32::MAX);
        (pace.concurrency_max * WINDOW_PER_REQUEST).min(by_rate).max(1) as usize
    }

    /// Sends everything that the guard let through.
    pub(super) async fn plan(&self, plan: ApprovedPlan) {
        let changes = plan.into_changes();
        self.removing
            .borrow_mut()
            .extend(changes.iter().filter(|(c, _)| c.action().removes()).filter_map(|(c, _)| c.scim_id().cloned()));
        let (removals, rest): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(change, _)| change.action().removes());
        self.phase(removals).await;
        self.directory.prepare(self, &rest).await;
        self.phase(rest).await;
    }

    async fn phase(&self, changes: Vec<(Change, bool)>) {
        let mut waiting = changes.into_iter();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.window() && !self.ended() {
                let Some((change, approved)) = waiting.next() else { break };
                running.push(self.one(change, approved));
            }
            if running.next().await.is_none() {
                break;
            }
        }
        drop(running);
        for (change, _) in waiting {
            self.leave(&change);
        }
    }

    async fn one(&self, change: Change, approved: bool) {
        match &change {
            Change::Create { user, after_removal_of } => {
                if let Some(holder) = after_removal_of
                    && !self.removed.borrow().contains(holder)
                {
                    let reason = "the username is still carried by an account whose removal is not confirmed";
                    self.stand(standing_of(&change, StandingKind::Waiting, reason));
                    return;
                }
                self.create(&change, user, approved).await;
            }
            Change::Update { scim_id, wanted, carried, .. } => {
                self.update(&change, scim_id, wanted, carried, Some(change.guard_kind()), approved).await;
            }
            Change::Remove { scim_id, removal, user_name, directory_id, .. } => {
                self.remove(&change, directory_id, scim_id, user_name, *removal, approved).await;
            }
        }
    }

    /// A change that is not tried because the cycle ended.
    pub(super) fn leave(&self, change: &Change) {
        let end = self.end.borrow();
        let (reason, until) = match end.as_ref() {
            Some(End::Throttled(until)) => ("Rhombus asked to wait", Some(*until)),
            Some(End::Unauthorized(_)) => ("Rhombus refuses the token", None),
            Some(End::WrongEndpoint(_)) => ("the endpoint seems to be the wrong one", None),
            Some(End::Unanswered(_)) => ("Rhombus does not answer", None),
            Some(End::Stopped) => ("stopped before its turn", None),
            Some(End::Deactivated) => ("deactivated before its turn", None),
            Some(End::State(_)) | None => ("not tried in this cycle", None),
        };
        let mut standing = standing_of(change, StandingKind::Waiting, reason);
        standing.until = until;
        drop(end);
        self.stand(standing);
    }

    pub(super) fn stand(&self, standing: Standing) {
        let mut tally = self.tally.borrow_mut();
        let open = matches!(standing.kind, StandingKind::Held | StandingKind::Waiting);
        tally.creates_left |= open && standing.action == Some(Action::Create);
        tally.standings.push(standing);
    }

    /// Ends the cycle; the first reason stays.
    pub(super) fn finish(&self, end: End) {
        self.end.borrow_mut().get_or_insert(end);
    }

    pub(super) fn ended(&self) -> bool {
        if self.world.stop.is_cancelled() {
            self.finish(if self.world.deactivated.get() { End::Deactivated } else { End::Stopped });
        }
        self.end.borrow().is_some()
    }

    pub(super) fn into_end(self) -> (Tally, Option<End>, bool) {
        (self.tally.into_inner(), self.end.into_inner(), self.answered.get())
    }

    /// Whether any call of this cycle was answered.
    pub(super) fn heard(&self) {
        self.answered.set(true);
        self.unanswered_in_a_row.set(0);
    }

    /// Decides what follows from an outcome: pauses before a retry, ends the cycle, or hands it back as settled.
    pub(super) async fn after(&self, judged: &Judged, tries: &mut u32) -> After {
        let retry_after = match &judged.outcome {
            Outcome::Accepted | Outcome::NotFound | Outcome::Conflict | Outcome::Rejected | Outcome::NotSupported => {
                self.heard();
                return After::Settled;
            }
            Outcome::Unauthorized => {
                self.heard();
                self.finish(End::Unauthorized(judged.reason.clone()));
                return After::Ended;
            }
            Outcome::Redirected => {
                self.heard();
                self.finish(End::WrongEndpoint(format!("{}; a SCIM endpoint does not redirect", judged.reason)));
                return After::Ended;
            }
            Outcome::Forbidden => {
                self.heard();
                return if self.list_is_refused().await { After::Ended } else { After::Settled };
            }
            Outcome::Throttled(retry_after) => {
                self.answered.set(true);
                *retry_after
            }
            Outcome::Unknown(retry_after) => *retry_after,
            Outcome::NotSent => None,
        };
        if let Some(retry_after) = retry_after {
            let until = retry::instant(retry_after, self.now());
            let wait_ms = until.since_ms(self.now()).max(0);
            if wait_ms > retry::RETRY_AFTER_WAITED_FOR.milliseconds() {
                self.finish(End::Throttled(until));
                return After::Ended;
            }
            self.target().pause(std::time::Duration::from_millis(wait_ms.unsigned_abs()));
        }
        if *tries >= retry::RETRIES_MAX {
            let in_a_row = self.unanswered_in_a_row.get() + 1;
            self.unanswered_in_a_row.set(in_a_row);
            if in_a_row >= retry::UNANSWERED_IN_A_ROW_MAX {
                self.finish(End::Unanswered(judged.reason.clone()));
            }
            return After::GiveUp;
        }
        let pause = retry::pause(*tries, (self.world.random)());
        *tries += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.world.stop.cancelled() => {}
        }
        if self.ended() { After::Ended } else { After::Again }
    }

    /// A 403 to one user is followed by one list call: refused too, it is the token.
    async fn list_is_refused(&self) -> bool {
        let turn = self.target().turn().await;
        let page = self.target().list_page(1, &mut |_| {}, turn).await;
        let refused = matches!(page.judged.outcome, Outcome::Unauthorized | Outcome::Forbidden);
        if refused {
            self.finish(End::Unauthorized(page.judged.reason));
        }
        refused
    }

    /// Stores an intent and answers once it is on the disk.
    pub(super) async fn intend(&self, intent: Intent) -> Option<(IntentId, Moment)> {
        let now = self.now();
        let stored = self.world.journal.write(move |transaction| store::store_intents(transaction, &intent, now)).await;
        self.state(stored).map(|id| (id, now))
    }

    /// Waits for the turn of a change; its intent is stored anew where that took long. None: the cycle has ended.
    pub(super) async fn turn(&self, intent: &mut (IntentId, Moment)) -> Option<Turn<'_>> {
        let turn = self.target().turn().await;
        if self.now().since_ms(intent.1) > INTENT_AGE_MS_MAX {
            self.renew(intent).await?;
        }
        (!self.ended()).then_some(turn)
    }

    /// Stores an intent anew.
    pub(super) async fn renew(&self, intent: &mut (IntentId, Moment)) -> Option<()> {
        let (id, now) = (intent.0, self.now());
        self.state(self.world.journal.write(move |transaction| store::restore_intent(transaction, id, now)).await)?;
        intent.1 = now;
        Some(())
    }

    /// Queues what an outcome writes; nobody waits for it but the end of the cycle.
    pub(super) fn settle(&self, settlement: Settlement) {
        let (settings, now) = (self.settings, self.now());
        let queued =
            self.world.journal.queue(move |transaction| store::settle(transaction, &settlement, settings, now));
        self.state(queued);
    }

    /// Ends an intent of which nothing was accepted.
    pub(super) fn withdraw(&self, change: &Change, intent: Option<&(IntentId, Moment)>) {
        if let Some((id, _)) = intent {
            let mut settlement = Settlement::of(change.directory_id(), change.action());
            settlement.intent = Some((*id, IntentEnd::NotAccepted));
            self.settle(settlement);
        }
    }

    /// Passes a good answer of the state on; a bad one ends the cycle: no request leaves after it.
    pub(super) fn state<V, E: std::error::Error>(&self, result: Result<V, E>) -> Option<V> {
        result.map_err(|error| self.finish(End::State(error.to_string()))).ok()
    }

    /// A failure of one user, with when it is tried again: written down at once.
    pub(super) fn fail(&self, change: &Change, intent: Option<(IntentId, IntentEnd)>, judged: &Judged) {
        let wanted = change.wanted();
        let before = self.failed_before.get(change.directory_id());
        let attempts = before.filter(|before| *before.wanted == *wanted).map_or(0, |before| before.attempts) + 1;
        let mut standing =
            standing_of(change, StandingKind::Failed, &judged.reason).until(retry::next_try(attempts, self.now()));
        standing.attempts = attempts;
        let mut settlement = Settlement::of(change.directory_id(), change.action());
        settlement.intent = intent;
        settlement.failure = FailureEffect::Record(Box::new(standing.clone()));
        settlement.events.push(self.draft(change.action(), change, change.scim_id(), judged, change.fields()));
        self.settle(settlement);
        self.stand(standing);
    }

    /// A user who got no answer: tried again in the next cycle. Its intent stays open where something may have been done.
    pub(super) fn unanswered(&self, change: &Change, intent: Option<&(IntentId, Moment)>, sent: Sent, judged: &Judged) {
        let mut settlement = Settlement::of(change.directory_id(), change.action());
        match sent {
            Sent::MaybeDone => {}
            Sent::NotDone => settlement.intent = intent.map(|(id, _)| (*id, IntentEnd::NotAccepted)),
        }
        if intent.is_some() {
            let mut event = self.draft(change.action(), change, change.scim_id(), judged, change.fields());
            event.success = false;
            settlement.events.push(event);
        }
        self.settle(settlement);
        let mut standing = standing_of(change, StandingKind::Failed, &judged.reason);
        if sent == Sent::MaybeDone
            && let (Action::Create, Some((_, stored_at))) = (change.action(), intent)
        {
            standing.kind = StandingKind::Waiting;
            standing.until = Some(stored_at.plus(self.world.settings.settle_time));
        }
        self.stand(standing);
    }

    /// The event of an attempt.
    pub(super) fn draft(
        &self,
        action: Action,
        change: &Change,
        account: Option<&ScimId>,
        judged: &Judged,
        fields: Vec<Field>,
    ) -> Draft {
        let success = judged.reason.is_empty();
        let mut draft = self.event(action, change.directory_id(), change.user_name(), account, &judged.response);
        draft.success = success;
        draft.changes = fields
            .into_iter()
            .map(|field| if action == Action::Create { Field { from: None, ..field } } else { field })
            .collect();
        draft.error_message.clone_from(&judged.reason);
        draft
    }

    /// An event about one user, of success.
    pub(super) fn event(
        &self,
        action: Action,
        id: &DirectoryId,
        name: &UserName,
        account: Option<&ScimId>,
        response: &Response,
    ) -> Draft {
        let mut draft = Draft::new(event_type_of(action), true, Source::Reconcile);
        draft.resource = Some(Resource { id: id.clone(), username: Some(name.clone()), target_id: account.cloned() });
        draft.response.clone_from(response);
        draft.cycle = Some(self.world.cycle.clone());
        draft
    }

    /// Reads an account, with retries. None: it is gone.
    pub(super) async fn read(&self, id: &ScimId) -> Result<(Option<crate::target::Account>, Judged), Trouble> {
        let mut tries = 0;
        loop {
            if self.ended() {
                return Err(Trouble::Ended);
            }
            let turn = self.target().turn().await;
            let mut read = self.target().read(id, turn).await;
            if read.judged.outcome == Outcome::Accepted && read.value.is_none() {
                read.judged.outcome = Outcome::Unknown(None);
                read.judged.reason = "the answer to a read is no account".to_owned();
            }
            match (self.after(&read.judged, &mut tries).await, read.value) {
                (After::Settled, Some(account)) if account.id.as_ref() == Some(id) => {
                    return Ok((Some(account), read.judged));
                }
                (After::Settled, Some(_)) => {
                    return Err(Trouble::Doubtful("Rhombus shows another account under this id".to_owned()));
                }
                (After::Settled, None) if read.judged.outcome == Outcome::NotFound => return Ok((None, read.judged)),
                (After::Settled, None) => return Err(Trouble::Rejected(read.judged)),
                (After::Again, _) => {}
                (After::GiveUp, _) => return Err(Trouble::Unanswered(read.judged)),
                (After::Ended, _) => return Err(Trouble::Ended),
            }
        }
    }

    /// Whether this is still the right endpoint, after it said that an account is gone: another account of ours must be
    /// readable, if there is one. Where none is, the cycle ends.
    pub(super) async fn witness(&self, gone: &ScimId) -> bool {
        if self.witnessed.get() {
            return true;
        }
        let removing = self.removing.borrow().clone();
        let count = WITNESSES_MAX + u32::try_from(removing.len()).unwrap_or(0);
        let Some(mut others) = self.state(store::witnesses(&self.world.reader, count)) else { return false };
        others.retain(|other| other.scim_id != *gone);
        others.sort_by_key(|other| removing.contains(&other.scim_id));
        others.truncate(WITNESSES_MAX as usize);
        if others.is_empty() {
            return true;
        }
        for other in others {
            match self.read(&other.scim_id).await {
                Ok((Some(_), _)) => {
                    self.witnessed.set(true);
                    return true;
                }
                Ok((None, _)) | Err(Trouble::Doubtful(_) | Trouble::Rejected(_)) => {}
                Err(Trouble::Unanswered(_) | Trouble::Ended) => return false,
            }
        }
        self.finish(End::WrongEndpoint("none of our accounts can be read there".to_owned()));
        false
    }
}

/// Whether a request that got no answer may have been obeyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// It may.
    MaybeDone,
    /// It was not.
    NotDone,
}

/// What is said of the user of a change.
pub(super) fn standing_of(change: &Change, kind: StandingKind, reason: &str) -> Standing {
    let mut standing = Standing::new(kind, Some(change.directory_id()), Some(change.user_name()), reason)
        .action(change.action())
        .wanted(change.wanted());
    standing.scim_id = change.scim_id().cloned();
    standing
}
