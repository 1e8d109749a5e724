//! One session: what it works with, what it has seen of the endpoint, and the first reason to end the cycle.

use super::calls::Calls;
use super::directory::Directory;
use super::row::Row;
use super::told_to_wait::ToldToWait;
use crate::http::Transport;
use crate::model::{Clock, Moment, ScimId};
use crate::retry;
use crate::scim::{Permit, ScimTarget};
use crate::store::{Batch, Journal, JournalError};
use futures_util::stream::{FuturesUnordered, StreamExt};
use rusqlite::{Connection, Transaction};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// Why a cycle ended before everything was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// 401, or 403 to a list call.
    Unauthorized(String),
    /// It redirects.
    WrongEndpoint(String),
    /// None of the linked accounts exists there, though token and address are those that were proven.
    NobodyThere,
    /// A new token opens another organisation: none of the linked accounts exists there.
    OtherOrganisation {
        /// How many accounts it has.
        accounts_count: u64,
    },
    /// An answer that does not prove the token.
    NotProven(String),
    /// A refresh could not read the list.
    NotRefreshed(String),
    /// Ten users in a row got no answer.
    Unanswered(String),
    /// Retry-After is longer than we wait.
    Throttled(Moment),
    /// A signal.
    Stopped,
    /// `deactivate`.
    Deactivated,
    /// Another host may lead: no request starts.
    NotLeading,
    /// The state cannot be written: no request may leave.
    State(JournalError),
}

/// What was seen of the endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct EndpointSeen {
    /// It answered at all.
    pub(crate) answered: bool,
    /// It accepted a request: the token is proven.
    pub(crate) token_is_good: bool,
}

/// Whether another linked account was read in this cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Witnessed {
    /// Nobody had to ask yet, or nothing was proven.
    #[default]
    NotYet,
    /// One was: this is the right endpoint.
    Yes,
    /// None was answered; they are not asked again.
    NoAnswer,
}

/// What a session works with.
pub(crate) struct SessionContext<'c, T> {
    /// The SCIM endpoint.
    pub(crate) target: &'c ScimTarget<T>,
    /// The state's writing connection.
    pub(crate) journal: &'c Journal,
    /// A reading connection to the state.
    pub(crate) reader: &'c Connection,
    /// The wall clock.
    pub(crate) clock: &'c dyn Clock,
    /// Randomness, for backoff.
    pub(crate) random: fn() -> u64,
    /// Once this is cancelled, no request is sent.
    pub(crate) stop: &'c CancellationToken,
    /// Set before `stop` if an administrator deactivated the integration.
    pub(crate) deactivated: &'c AtomicBool,
    /// How many changes are in progress at once, including those that wait for a permit.
    pub(crate) window: usize,
}

/// The conversation with the endpoint in one cycle.
pub(crate) struct Session<'c, T> {
    pub(crate) context: SessionContext<'c, T>,
    end: RefCell<Option<End>>,
    seen: Cell<EndpointSeen>,
    pub(super) row: Row,
    pub(super) witnessed: Cell<Witnessed>,
    /// Other accounts are read for one user at a time.
    pub(super) witness_turn: tokio::sync::Mutex<()>,
    removing: RefCell<BTreeSet<ScimId>>,
    /// Two of them that this cycle saw as they were linked, before their removal was sent.
    pub(super) met: RefCell<BTreeSet<ScimId>>,
    pub(super) directory: Directory,
    pub(super) calls: Calls,
    /// Whom a long Retry-After was about.
    pub(crate) told_to_wait: ToldToWait,
}

impl<'c, T: Transport> Session<'c, T> {
    pub(crate) fn new(context: SessionContext<'c, T>) -> Self {
        Self {
            context,
            end: RefCell::default(),
            seen: Cell::default(),
            row: Row::default(),
            witnessed: Cell::default(),
            witness_turn: tokio::sync::Mutex::default(),
            removing: RefCell::default(),
            met: RefCell::default(),
            directory: Directory::default(),
            calls: Calls::default(),
            told_to_wait: ToldToWait::default(),
        }
    }

    pub(crate) fn target(&self) -> &'c ScimTarget<T> {
        self.context.target
    }

    pub(crate) fn now(&self) -> Moment {
        self.context.clock.now()
    }

    /// Waits for a request permit. `None`: the cycle has ended.
    pub(crate) async fn permit(&self) -> Option<Permit<'c>> {
        let permit = tokio::select! {
            permit = self.context.target.permit() => Some(permit),
            () = self.context.stop.cancelled() => None,
        };
        permit.filter(|_| !self.ended())
    }

    /// Pauses before the next try, and counts it.
    pub(crate) async fn pause(&self, tries: &mut u32) {
        let pause = retry::pause(*tries, (self.context.random)());
        *tries += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.context.stop.cancelled() => {}
        }
    }

    /// Runs `work` on each item, a window of them at once. If the cycle ends, the remaining items are not started.
    pub(crate) async fn each<I, F: Future>(
        &self,
        items: &mut dyn Iterator<Item = I>,
        work: impl Fn(I) -> F,
        mut done: impl FnMut(F::Output),
    ) {
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.context.window && !self.ended() {
                let Some(item) = items.next() else { break };
                running.push(self.with_doubts_settled(work(item)));
            }
            match running.next().await {
                Some(output) => done(output),
                None => break,
            }
        }
    }

    /// Ends the cycle. The first reason stays; of several waits, the longest.
    pub(crate) fn end_cycle(&self, end: End) {
        let mut first = self.end.borrow_mut();
        let first = first.get_or_insert_with(|| end.clone());
        if let (End::Throttled(until), End::Throttled(later)) = (first, end) {
            *until = later.max(*until);
        }
    }

    pub(crate) fn ended(&self) -> bool {
        if self.context.stop.is_cancelled() {
            self.end_cycle(if self.context.deactivated.load(Ordering::SeqCst) {
                End::Deactivated
            } else {
                End::Stopped
            });
        }
        if !self.target().may_send() {
            self.end_cycle(End::NotLeading);
        }
        self.end.borrow().is_some()
    }

    /// Why the cycle ended, if it has.
    pub(crate) fn end(&self) -> Option<End> {
        self.end.borrow().clone()
    }

    pub(crate) fn seen(&self) -> EndpointSeen {
        self.seen.get()
    }

    /// Unwraps a result of the state; an error ends the cycle, so that no further request leaves.
    pub(crate) fn state<V, E: Into<JournalError>>(&self, result: Result<V, E>) -> Option<V> {
        result.map_err(|error| self.end_cycle(End::State(error.into()))).ok()
    }

    /// Writes to the state, and returns once the write is on the disk. `None`: it cannot be written.
    pub(crate) async fn write<V: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<V> + Send + 'static,
    ) -> Option<V> {
        let written: Result<V, JournalError> = self.context.journal.write(write).await;
        self.state(written)
    }

    /// The same for a write that shares what it reads with its neighbours in the transaction.
    pub(crate) async fn write_in_batch<V: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<V> + Send + 'static,
    ) -> Option<V> {
        let written: Result<V, JournalError> = self.context.journal.write_in_batch(write).await;
        self.state(written)
    }

    /// Queues a write; only the end of the cycle waits for it.
    pub(crate) fn queue(&self, write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static) {
        self.state(self.context.journal.queue(write));
    }

    /// The same for a write that shares what it reads with its neighbours in the transaction.
    pub(crate) fn queue_in_batch(&self, write: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<()> + Send + 'static) {
        self.state(self.context.journal.queue_in_batch(write));
    }

    /// Notes accounts that this cycle removes: they may vanish soon, so they are the last choice as witnesses.
    pub(crate) fn note_removals(&self, accounts: impl Iterator<Item = ScimId>) {
        self.removing.borrow_mut().extend(accounts);
    }

    /// Notes an account that is about to be removed and is as it was linked.
    pub(crate) fn note_met(&self, account: &ScimId) {
        let mut met = self.met.borrow_mut();
        if met.len() < 2 {
            met.insert(account.clone());
        }
    }

    pub(super) fn removing(&self) -> BTreeSet<ScimId> {
        self.removing.borrow().clone()
    }

    pub(super) fn note_answered(&self) {
        self.seen.set(EndpointSeen { answered: true, ..self.seen.get() });
    }

    pub(super) fn note_accepted(&self) {
        self.seen.set(EndpointSeen { answered: true, token_is_good: true });
    }
}
