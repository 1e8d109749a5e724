//! One sink's worker: a thread that is never blocked itself. It ships when it is woken, and tries again what failed.

use super::catch_up::{PATIENCE, STUCK, catch_up};
use super::hand::HandThread;
use crate::config::SinkConfig;
use crate::model::{Clock, Moment};
use crate::process::SystemClock;
use crate::store::{self, Access, Journal, JournalError, SinkPlace};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot, watch};

/// How soon a sink that failed is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How often a sink is looked after at the least: other commands seal events too.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a place is asked for that another thread still writes to.
const CLAIM_PAUSE: Duration = Duration::from_millis(100);
/// How long a worker that ends waits for its last note, and its owner for that.
const LAST_NOTE: Duration = Duration::from_millis(500);

/// A sink that is left after so long a silence counts as stuck.
const STUCK_AT_THE_END: Duration = Duration::from_secs(5);

/// What a worker is told.
#[derive(Default)]
struct Told {
    wake: Notify,
    /// When it has to leave at the latest; none: it stays.
    leave_by: watch::Sender<Option<Instant>>,
}

impl Told {
    fn is_to_leave(&self) -> bool {
        self.leave_by.borrow().is_some()
    }

    async fn to_leave(&self) {
        // The sender is ours: it is never closed.
        let _ = self.leave_by.subscribe().wait_for(Option::is_some).await;
    }

    /// It is time to leave, whatever is left.
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

/// The way to a worker. Dropped without [`Worker::end`], it ends at once.
pub(super) struct Worker {
    config: SinkConfig,
    told: Arc<Told>,
    ended: oneshot::Receiver<Option<SinkPlace>>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.told.leave_by.send_replace(Some(Instant::now()));
    }
}

impl Worker {
    pub(super) fn start(config: SinkConfig, state: PathBuf, journal: Journal) -> std::io::Result<Self> {
        let (told, (end, ended)) = (Arc::new(Told::default()), oneshot::channel());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let shift = Shift { config: config.clone(), state, journal, told: told.clone() };
        std::thread::Builder::new().name("ship".to_owned()).spawn(move || {
            let behind = runtime.block_on(shift.work()).unwrap_or_else(|error: JournalError| {
                let error = error.to_string();
                // The cycle meets the same error, and ends the process with it.
                tracing::warn!(sink = shift.config.name, error, "events cannot be shipped");
                Some(SinkPlace { error: Some(error), ..SinkPlace::begin(&shift.config.name) })
            });
            // Its owner may have left.
            let _ = end.send(behind);
        })?;
        Ok(Self { config, told, ended })
    }

    pub(super) fn config(&self) -> &SinkConfig {
        &self.config
    }

    pub(super) fn wake(&self) {
        self.told.wake.notify_one();
    }

    /// Tells it to ship what is left until `by`.
    pub(super) fn end(&self, by: Instant) {
        self.told.leave_by.send_replace(Some(by));
    }

    /// Waits for that end; where the sink stands, if it is behind.
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

/// What a worker has in its hands.
struct Shift {
    config: SinkConfig,
    state: PathBuf,
    journal: Journal,
    told: Arc<Told>,
}

impl Shift {
    /// Ships until it is told to end; where the sink stands, if it is behind then.
    async fn work(&self) -> Result<Option<SinkPlace>, JournalError> {
        let reader = store::open(&self.state, Access::Read)?;
        let place = self.config.place();
        let hand = loop {
            match HandThread::start(&self.config).map_err(|error| JournalError::from(error.to_string()))? {
                Some(hand) => break hand,
                None if self.told.is_to_leave() => return self.leave(&reader, Duration::ZERO).await,
                // The last write of an earlier worker to this place has not ended.
                None => tokio::time::sleep(CLAIM_PAUSE).await,
            }
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let is_last = self.told.is_to_leave();
            let is_behind = tokio::select! {
                biased;
                () = self.told.must_leave(&hand) => return self.leave(&reader, hand.silent_for()).await,
                shipped = catch_up(&place, &hand, &reader, &self.journal, &SystemClock) => shipped?.error.is_some(),
            };
            if is_last {
                return if is_behind { self.leave(&reader, Duration::ZERO).await } else { Ok(None) };
            }
            pause = if is_behind { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
            tokio::select! {
                () = self.told.to_leave() => {}
                () = self.told.wake.notified() => {}
                () = tokio::time::sleep(if is_behind { pause } else { LONGEST_PAUSE }) => {}
            }
        }
    }

    /// Where the sink stands when it is left, if anything is left; one that is stuck is noted.
    async fn leave(
        &self,
        reader: &rusqlite::Connection,
        silent_for: Duration,
    ) -> Result<Option<SinkPlace>, JournalError> {
        let places = store::sink_places(reader)?;
        let place = places.into_iter().find(|place| place.name == self.config.place());
        let mut place = place.unwrap_or_else(|| SinkPlace::begin(&self.config.place()));
        if store::pending(reader, place.delivered, 1)?.is_empty() {
            return Ok(None);
        }
        if silent_for >= STUCK_AT_THE_END && place.error.is_none() {
            place.error = Some(STUCK.to_owned());
            place.since = Some(Moment(SystemClock.now().0.saturating_sub(silent_for.as_millis() as i64)));
            let noted = place.clone();
            let noting = self.journal.write(move |transaction| store::note_sink(transaction, &noted));
            // Whoever waits for us waits no longer than that.
            let _ = tokio::time::timeout(LAST_NOTE, noting).await;
        }
        place.error.get_or_insert_with(|| "not all delivered yet".to_owned());
        Ok(Some(SinkPlace { name: self.config.name.clone(), ..place }))
    }
}
