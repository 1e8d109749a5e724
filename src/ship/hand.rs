//! The thread that calls a sink and may block in it forever, so that its worker never does.

use super::catch_up::Hand;
use crate::config::SinkConfig;
use crate::event::Sealed;
use crate::sink::{self, Company, Owner, Receipt, SinkError};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The places that a thread of this process writes to.
static CLAIMED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The right to write to a place. The writing thread holds it until it ends, even if its worker has ended before: a
/// successor waits until a stuck write returns.
struct Claim {
    place: String,
}

impl Claim {
    fn of(place: String) -> Option<Self> {
        let is_new = claimed().insert(place.clone());
        // `then`, not `then_some`: dropping a claim that was not made would release the other thread's.
        is_new.then(|| Self { place })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        claimed().remove(&self.place);
    }
}

fn claimed() -> MutexGuard<'static, BTreeSet<String>> {
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Call {
    Resume(i64, oneshot::Sender<Result<i64, SinkError>>),
    Deliver(Vec<Sealed>, oneshot::Sender<Result<Receipt, SinkError>>),
    Settle(i64, oneshot::Sender<Result<Receipt, SinkError>>),
}

/// The handle of that thread. Once it is dropped, the thread ends as soon as the sink returns.
pub(super) struct HandThread {
    name: String,
    calls: mpsc::Sender<Call>,
    called_at: Cell<Option<Instant>>,
}

impl HandThread {
    /// Starts the thread; `None` while an earlier thread still writes to the same place.
    pub(super) fn start(config: &SinkConfig, owner: Owner) -> std::io::Result<Option<Self>> {
        let Some(claim) = Claim::of(config.place()) else { return Ok(None) };
        let (calls, received) = mpsc::channel();
        let mut sink = sink::open(config, Company::Alone, owner);
        std::thread::Builder::new().name("sink".to_owned()).spawn(move || {
            let _claim = claim;
            // A worker that has ended does not wait for its answer.
            while let Ok(call) = received.recv() {
                match call {
                    Call::Resume(delivered, answer) => drop(answer.send(sink.resume(delivered))),
                    Call::Deliver(events, answer) => drop(answer.send(sink.deliver(&events))),
                    Call::Settle(taken, answer) => drop(answer.send(sink.settle(taken))),
                }
            }
        })?;
        Ok(Some(Self { name: config.name.clone(), calls, called_at: Cell::new(None) }))
    }

    /// How long the sink has owed an answer.
    pub(super) fn silent_for(&self) -> Duration {
        self.called_at.get().map(|at| at.elapsed()).unwrap_or_default()
    }

    async fn call<T>(&self, call: impl FnOnce(oneshot::Sender<Result<T, SinkError>>) -> Call) -> Result<T, SinkError> {
        let (answer, answered) = oneshot::channel();
        let ended = || SinkError {
            name: self.name.clone(),
            cause: std::io::Error::other("its thread has ended"),
            repeat_count: 0,
        };
        self.calls.send(call(answer)).map_err(|_| ended())?;
        self.called_at.set(Some(Instant::now()));
        let answer = answered.await.unwrap_or_else(|_| Err(ended()));
        self.called_at.set(None);
        answer
    }
}

impl Hand for &HandThread {
    async fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        self.call(|answer| Call::Resume(delivered, answer)).await
    }

    async fn deliver(&mut self, events: Vec<Sealed>) -> Result<Receipt, SinkError> {
        self.call(|answer| Call::Deliver(events, answer)).await
    }

    async fn settle(&mut self, taken: i64) -> Result<Receipt, SinkError> {
        self.call(|answer| Call::Settle(taken, answer)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SinkKind;

    fn owner() -> Owner {
        Owner { installation: String::new(), chain_of: Box::new(|_| None) }
    }

    #[test]
    fn one_thread_at_a_time_writes_to_a_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = SinkConfig::new(SinkKind::file(folder.path().join("events")));
        let renamed = SinkConfig { name: "another name".to_owned(), ..config.clone() };
        let first = HandThread::start(&config, owner()).expect("a thread").expect("a free place");
        assert!(HandThread::start(&renamed, owner()).expect("a thread").is_none(), "the place is taken");
        drop(first);
        while HandThread::start(&renamed, owner()).expect("a thread").is_none() {
            std::thread::yield_now();
        }
    }
}
