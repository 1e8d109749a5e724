//! SHELL: the log to the sinks. Each sink has a worker of its own ([`Shipping`]) with its own place, its own look at the state,
//! its own retries: one that is slow, blocked or dead holds up no other sink, no cycle and no signal.
//!
//! # Guarantees
//! Events arrive in order and at least once. In one process never two threads write to one place (`hand::Claim`).

mod catch_up;
mod hand;
mod worker;

pub use catch_up::{Hand, PATIENCE, catch_up};

use crate::config::SinkConfig;
use crate::store::{Journal, SinkPlace};
use std::path::{Path, PathBuf};
use std::time::Instant;
use worker::Worker;

/// The workers of all sinks.
pub struct Shipping {
    state: PathBuf,
    journal: Journal,
    workers: Vec<Worker>,
    behind: Vec<SinkPlace>,
}

impl Shipping {
    /// Starts a worker a sink; what waits already is shipped at once.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(sinks: &[SinkConfig], state: &Path, journal: Journal) -> std::io::Result<Self> {
        let mut shipping = Self { state: state.to_owned(), journal, workers: Vec::new(), behind: Vec::new() };
        shipping.change(sinks)?;
        Ok(shipping)
    }

    /// Ships to these sinks from now on. A sink that stays keeps its worker; of one that goes the worker ends without a wait,
    /// and whoever comes to its place begins once its last write has ended.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn change(&mut self, sinks: &[SinkConfig]) -> std::io::Result<()> {
        self.workers.retain(|worker| sinks.contains(worker.config()));
        for sink in sinks {
            if !self.workers.iter().any(|worker| worker.config() == sink) {
                self.workers.push(Worker::start(sink.clone(), self.state.clone(), self.journal.clone())?);
            }
        }
        Ok(())
    }

    /// There is something to ship.
    pub fn wake(&self) {
        self.workers.iter().for_each(Worker::wake);
    }

    /// Ships what is left until `by` at most, and says who is behind then. A sink that is stuck is not waited for, and its
    /// thread is left behind: it ends with the process. Whoever has lost patience calls this again with an earlier time.
    pub async fn end(&mut self, by: Instant) -> Vec<SinkPlace> {
        self.workers.iter().for_each(|worker| worker.end(by));
        while let Some(worker) = self.workers.last_mut() {
            self.behind.extend(worker.ended(by).await);
            self.workers.pop();
        }
        std::mem::take(&mut self.behind)
    }
}
