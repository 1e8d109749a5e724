//! SHELL: ships the log to the sinks. Each sink has its own worker ([`Shipping`]) with its own position, its own connection to
//! the state and its own retries: a slow, blocked or dead sink delays no other sink, no cycle and no signal.
//!
//! # Guarantees
//! Events arrive in order and at least once. Within a process, two threads never write to the same place (`hand::Claim`).

mod catch_up;
mod hand;
mod worker;

pub use catch_up::{Hand, PATIENCE, catch_up};

use crate::config::SinkConfig;
use crate::store::{Journal, SinkPlace};
use std::path::{Path, PathBuf};
use std::time::Instant;
use worker::Worker;
pub use worker::owner;

/// The workers of all sinks.
pub struct Shipping {
    state: PathBuf,
    journal: Journal,
    workers: Vec<Worker>,
    behind: Vec<SinkPlace>,
}

impl Shipping {
    /// Starts a worker per sink; queued events are shipped at once.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(sinks: &[SinkConfig], state: &Path, journal: Journal) -> std::io::Result<Self> {
        let mut shipping = Self { state: state.to_owned(), journal, workers: Vec::new(), behind: Vec::new() };
        shipping.change(sinks)?;
        Ok(shipping)
    }

    /// Ships to these sinks from now on. An unchanged sink keeps its worker. The worker of a removed sink is not waited for; a
    /// new sink with the same place starts once the last write to it has ended.
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

    /// Wakes every worker: there is something to ship.
    pub fn wake(&self) {
        self.workers.iter().for_each(Worker::wake);
    }

    /// Ships what is left, until `by`, and returns the sinks that are still behind. A stuck sink is not waited for: its thread
    /// ends with the process. To stop waiting earlier, drop the future and call this again with an earlier time.
    pub async fn end(&mut self, by: Instant) -> Vec<SinkPlace> {
        self.workers.iter().for_each(|worker| worker.end(by));
        while let Some(worker) = self.workers.last_mut() {
            self.behind.extend(worker.ended(by).await);
            self.workers.pop();
        }
        std::mem::take(&mut self.behind)
    }
}
