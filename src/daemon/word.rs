//! What the daemon tells the service manager: how it is, always, and for how long it must not be killed while it stops.

use super::Daemon;
use crate::health::{Latest, UnderWay};
use crate::model::Clock;
use crate::process::SystemClock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a stopping daemon asks for, each second: nobody who kills it in between waits longer than this for nothing.
const EXTENSION: Duration = Duration::from_secs(30);
/// A request in flight, and one that reads what came of it, may each take the configured timeout; then the sinks.
const LAST_REQUESTS: u32 = 2;
const LAST_SINKS: Duration = Duration::from_secs(10);

/// How far the cycle under way is; its thread notes it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    done_count: AtomicU64,
    all_count: AtomicU64,
}

impl Progress {
    pub(super) fn note(&self, done_count: u64, all_count: u64) {
        self.done_count.store(done_count, Ordering::Relaxed);
        self.all_count.store(all_count, Ordering::Relaxed);
    }

    fn read(&self) -> UnderWay {
        let [done_count, all_count] = [&self.done_count, &self.all_count].map(|count| count.load(Ordering::Relaxed));
        UnderWay { done_count, all_count }
    }
}

impl Daemon {
    /// Tells the service manager what happened, and logs it if it is news. Returns whether it is.
    pub(super) fn say(&mut self, latest: Latest) -> bool {
        let news = self.health.latest != latest;
        self.health.note(latest, SystemClock.now());
        // Of a cycle the log has said what there is to say.
        if news && self.health.latest != Latest::Cycle {
            tracing::info!("{}", self.health.headline());
        }
        self.tell();
        news
    }

    /// Tells the service manager and the monitor how the daemon is now.
    pub(super) fn tell(&mut self) {
        self.health.next_cycle = self.triggers.next();
        self.health.under_way = self.running.as_ref().map(|running| running.progress.read());
        self.health.stuck = self.sending.as_ref().map(|sending| sending.stuck(&self.deployment)).unwrap_or_default();
        self.health.replica_behind = self.sending.as_ref().and_then(|sending| sending.journal.behind());
        let line = self.health.line(SystemClock.now());
        self.manager.status(&line);
        if let Some(monitor) = &self.monitor {
            monitor.tell(&self.health);
        }
        let longest = self.deployment.config.timeout.std() * LAST_REQUESTS + LAST_SINKS;
        if self.stopping_since.is_some_and(|since| since.elapsed() < longest) {
            self.manager.wait_for(EXTENSION);
        }
    }
}
