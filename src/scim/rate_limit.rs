//! How many requests are under way and how many leave in a second. Retry-After holds all of them.

use std::cell::Cell;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// Timers are coarser than this; a shorter wait is no wait.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The rate_limit of one endpoint.
pub struct RateLimit {
    under_way: Semaphore,
    gap: Duration,
    next_slot: Cell<Instant>,
    not_before: Cell<Instant>,
}

/// The right to one request and its answer.
pub struct Permit<'p> {
    _permit: Option<SemaphorePermit<'p>>,
}

impl RateLimit {
    /// So many at once, so many a second; none: as fast as it goes.
    #[must_use]
    pub fn new(concurrency_max: u32, requests_per_second_max: Option<u32>) -> Self {
        let gap = requests_per_second_max.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1));
        let now = Instant::now();
        let under_way = Semaphore::new(concurrency_max as usize);
        Self { under_way, gap, next_slot: Cell::new(now), not_before: Cell::new(now) }
    }

    /// Waits for the next turn, in the order of asking.
    pub async fn permit(&self) -> Permit<'_> {
        let permit = self.under_way.acquire().await.ok();
        self.next().await;
        Permit { _permit: permit }
    }

    /// Waits until another request of the same turn may leave.
    pub async fn next(&self) {
        let now = Instant::now();
        let slot = self.next_slot.get().max(now);
        self.next_slot.set(slot + self.gap);
        // A pause may be ordered while this one waits: it holds whoever has not left.
        let mut until = slot.max(self.not_before.get());
        while until > Instant::now() + SHORTEST_WAIT {
            sleep_until(until).await;
            until = until.max(self.not_before.get());
        }
    }

    /// Lets no turn come for so long.
    pub fn pause(&self, duration: Duration) {
        self.not_before.set(self.not_before.get().max(Instant::now() + duration));
    }
}
