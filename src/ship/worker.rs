//! One sink's worker: a thread that is never blocked itself. It ships when it is woken, and retries after a failure.

use super::catch_up::{PATIENCE, STUCK, catch_up};
use super::hand::HandThread;
use crate::config::{SinkCompany, SinkConfig};
use crate::event::chain_of;
use crate::model::{Clock, Moment};
use crate::process::SystemClock;
use crate::sink::Owner;
use crate::store::{self, Access, Journal, JournalError, SinkPlace};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot, watch};

/// The pause before a failed sink is retried; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also of a healthy sink: other commands append events too, and do not wake it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often to try to claim a place that another thread still writes to.
const CLAIM_PAUSE: Duration = Duration::from_millis(100);
/// How long a worker that ends waits for its last write to the state. Its owner waits twice as long.
const LAST_NOTE: Duration = Duration::from_millis(500);

/// A sink that has not answered for this long when its worker ends counts as stuck.
const STUCK_AT_THE_END: Duration = Duration::from_secs(5);

/// The signals to a worker.
#[derive(Default)]
struct Signals {
    wake: Notify,
    /// The deadline by which it must end; `None`: it keeps running.
    leave_by: watch::Sender<Option<Instant>>,
}

impl Signals {
    fn is_to_leave(&self) -> bool {
        self.leave_by.borrow().is_some()
    }

    async fn to_leave(&self) {
        // We own the sender, so the channel is never closed.
        let _ = self.leave_by.subscribe().wait_for(Option::is_some).await;
    }

    /// Returns when the worker must end, even if events are left.
    async fn must_leave(&self, hand: &HandThread) {
        let mut leave_by = self.leave_by.subscribe();
        loop {
            let by = *leave_by.borrow_and_update();
            match by {
                None => drop(leave_by.changed().await),
                Some(_) if hand.silent_for() >= PATIENCE => return,
                Some(by) => tokio::select! {
                    _ = leave_by.changed() => {}
                    () = tokio::time::sleep_until(by.into()) => return,
                },
            }
        }
    }
}

/// The handle of a worker. Dropped without [`Worker::end`], it ends the worker at once.
pub(super) struct Worker {
    config: SinkConfig,
    signals: Arc<Signals>,
    ended: oneshot::Receiver<Option<SinkPlace>>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.signals.leave_by.send_replace(Some(Instant::now()));
    }
}

impl Worker {
    pub(super) fn start(config: SinkConfig, state: PathBuf, journal: Journal) -> std::io::Result<Self> {
        let (signals, (end, ended)) = (Arc::new(Signals::default()), oneshot::channel());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let shipper = Shipper { config: config.clone(), state, journal, signals: signals.clone() };
        std::thread::Builder::new().name("ship".to_owned()).spawn(move || {
            // The owner may no longer be waiting.
            let _ = end.send(runtime.block_on(shipper.last()));
        })?;
        Ok(Self { config, signals, ended })
    }

    pub(super) fn config(&self) -> &SinkConfig {
        &self.config
    }

    pub(super) fn wake(&self) {
        self.signals.wake.notify_one();
    }

    /// Tells it to ship what is left, until `by`, and then to end.
    pub(super) fn end(&self, by: Instant) {
        self.signals.leave_by.send_replace(Some(by));
    }

    /// Waits for that end. Returns the sink's position if it is behind.
    pub(super) async fn ended(&mut self, by: Instant) -> Option<SinkPlace> {
        let late = by + LAST_NOTE * 2;
        match tokio::time::timeout_at(late.into(), &mut self.ended).await {
            Ok(Ok(behind)) => behind,
            // The state's disk hangs, or the worker died.
            Ok(Err(_)) | Err(_) => {
                Some(SinkPlace { error: Some(STUCK.to_owned()), ..SinkPlace::begin(&self.config.name) })
            }
        }
    }
}

/// What a worker works with.
struct Shipper {
    config: SinkConfig,
    state: PathBuf,
    journal: Journal,
    signals: Arc<Signals>,
}

impl Shipper {
    /// Works until it is signals to end, even if the state cannot be read for a while.
    async fn last(&self) -> Option<SinkPlace> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.work().await {
                Ok(behind) => return behind,
                Err(error) => error.to_string(),
            };
            tracing::warn!(sink = self.config.name, error, "events cannot be shipped");
            if tokio::time::timeout(pause, self.signals.to_leave()).await.is_ok() {
                return Some(SinkPlace { error: Some(error), ..SinkPlace::begin(&self.config.name) });
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Ships until it is signals to end. Returns the sink's position if it is behind then.
    async fn work(&self) -> Result<Option<SinkPlace>, JournalError> {
        let reader = store::open(&self.state, Access::Read)?;
        let place = self.config.place();
        self.take_place(&reader).await?;
        let Some(hand) = self.claim(&reader).await? else { return self.leave(&reader, Duration::ZERO).await };
        let mut pause = FIRST_PAUSE;
        loop {
            let is_last = self.signals.is_to_leave();
            let is_behind = tokio::select! {
                biased;
                () = self.signals.must_leave(&hand) => return self.leave(&reader, hand.silent_for()).await,
                shipped = catch_up(&place, &hand, &reader, &self.journal, &SystemClock) => shipped?.error.is_some(),
            };
            if is_last {
                // What the replica does not have stays here.
                let waits = store::head_of(&reader)?.sequence > self.journal.leaves_up_to();
                return if is_behind || waits { self.leave(&reader, Duration::ZERO).await } else { Ok(None) };
            }
            let wait = if is_behind { pause } else { LONGEST_PAUSE };
            pause = if is_behind { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
            tokio::select! {
                () = self.signals.to_leave() => {}
                () = self.signals.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Takes the place in the log that was its own before others came to its destination, or before they went.
    async fn take_place(&self, reader: &Connection) -> Result<(), JournalError> {
        let Some(former) = self.config.former_place() else { return Ok(()) };
        if !store::sink_places(reader)?.iter().any(|place| place.name == former) {
            return Ok(());
        }
        // Under its own name it is its own; under the destination's it may have become another's.
        let (place, replaces) = (self.config.place(), self.config.company == SinkCompany::Alone);
        self.journal.write(move |transaction| store::move_place(transaction, &former, &place, replaces)).await
    }

    /// Starts the thread that holds the sink, once the last write of an earlier one to the same place has ended; until then
    /// the sink is as stuck as that one. `None`: it is time to leave.
    async fn claim(&self, reader: &Connection) -> Result<Option<HandThread>, JournalError> {
        let started = Instant::now();
        let mut is_noted = false;
        loop {
            let owner = owner(reader, &self.state)?;
            let hand = HandThread::start(&self.config, owner).map_err(|error| JournalError::from(error.to_string()))?;
            if hand.is_some() || self.signals.is_to_leave() {
                return Ok(hand);
            }
            if !is_noted
                && started.elapsed() >= PATIENCE
                && let Some(mut place) = self.behind(reader)?
            {
                self.note_stuck(&mut place, started.elapsed()).await?;
                is_noted = true;
            }
            tokio::time::sleep(CLAIM_PAUSE).await;
        }
    }

    /// Returns the sink's position if events are left; stores that it is stuck, if it is.
    async fn leave(&self, reader: &Connection, silent_for: Duration) -> Result<Option<SinkPlace>, JournalError> {
        let Some(mut place) = self.behind(reader)? else { return Ok(None) };
        if silent_for >= STUCK_AT_THE_END {
            // The owner does not wait much longer than this.
            let _ = tokio::time::timeout(LAST_NOTE, self.note_stuck(&mut place, silent_for)).await;
        }
        place.error.get_or_insert_with(|| "not all delivered yet".to_owned());
        Ok(Some(SinkPlace { name: self.config.name.clone(), ..place }))
    }

    /// The sink's position; `None` if no event is left for it.
    fn behind(&self, reader: &Connection) -> Result<Option<SinkPlace>, JournalError> {
        let places = store::sink_places(reader)?;
        let place = places.into_iter().find(|place| place.name == self.config.place());
        let place = place.unwrap_or_else(|| SinkPlace::begin(&self.config.place()));
        let is_behind = !store::pending(reader, place.delivered, 1)?.is_empty();
        Ok(is_behind.then_some(place))
    }

    /// Stores that a sink is stuck, unless it already has an error.
    async fn note_stuck(&self, place: &mut SinkPlace, silent_for: Duration) -> Result<(), JournalError> {
        if place.error.is_some() {
            return Ok(());
        }
        let (sink, delivered) = (self.config.name.as_str(), place.delivered);
        tracing::warn!(sink, delivered, error = STUCK, "a sink is behind; its events stay queued");
        place.error = Some(STUCK.to_owned());
        place.since = Some(Moment(SystemClock.now().0.saturating_sub(silent_for.as_millis() as i64)));
        let noted = place.clone();
        self.journal.write(move |transaction| store::note_sink(transaction, &noted)).await
    }
}

/// Whose log goes to the sinks of this state.
///
/// # Errors
/// The state cannot be read.
pub fn owner(reader: &Connection, state: &Path) -> rusqlite::Result<Owner> {
    let (installation, state) = (store::installation_id(reader)?, state.to_owned());
    // Asked seldom, on the sink's own thread.
    let chain_of = move |sequence| {
        let line = store::event_line(&store::open(&state, Access::Read).ok()?, sequence).ok()??;
        chain_of(&line).map(str::to_owned)
    };
    Ok(Owner { installation, chain_of: Box::new(chain_of) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SinkKind;
    use crate::event::{Draft, EventType, Source};

    #[tokio::test]
    async fn a_state_that_cannot_be_read_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, events, now) = (folder.path().join("state.db"), folder.path().join("events"), SystemClock.now());
        let journal = Journal::start(store::scratch(now).expect("a state"), None, None).expect("a thread");
        let config = SinkConfig::new(SinkKind::file(events.clone()));
        let shipper = Shipper { config, state: state.clone(), journal, signals: Arc::default() };
        let mend = async {
            // The worker has found no state by now.
            let mut made = store::create(&state, "sandbox:", now, [0; 16]).expect("a state");
            let transaction = made.transaction().expect("a transaction");
            let draft = Draft::new(EventType::LogCheckpoint, true, Source::Schedule);
            store::append(&transaction, &[draft], now).expect("an event");
            transaction.commit().expect("an event");
            while std::fs::read_to_string(&events).unwrap_or_default().is_empty() {
                tokio::time::sleep(CLAIM_PAUSE).await;
            }
            shipper.signals.leave_by.send_replace(Some(Instant::now() + PATIENCE));
        };
        let both = async { tokio::join!(biased; shipper.last(), mend) };
        let (behind, ()) = tokio::time::timeout(PATIENCE, both).await.expect("it ships");
        assert_eq!(behind, None);
    }
}
