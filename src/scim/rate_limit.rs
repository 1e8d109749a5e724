//! Limits concurrent requests and requests per second. `Retry-After` pauses all of them.

use std::cell::Cell;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// Timers are coarser than this, so a shorter wait is skipped.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The rate limit of one endpoint.
pub struct RateLimit {
    under_way: Semaphore,
    gap: Duration,
    next_slot: Cell<Instant>,
    not_before: Cell<Instant>,
}

/// The right to send one request and wait for its answer.
pub struct Permit<'p> {
    _permit: Option<SemaphorePermit<'p>>,
    /// Further requests under it.
    more_count: Cell<u32>,
    calls_max: Cell<u32>,
}

impl Permit<'_> {
    /// Limits how many requests may be sent under it; a change may take several. `None`: no limit.
    pub fn allow(&self, calls_max: Option<u32>) {
        self.calls_max.set(calls_max.unwrap_or(u32::MAX));
    }

    /// How many were sent under it, at least one.
    #[must_use]
    pub fn calls_count(&self) -> u32 {
        1 + self.more_count.get()
    }

    /// Whether so many more may be sent under it.
    #[must_use]
    pub(super) fn allows(&self, count: u32) -> bool {
        self.calls_max.get().saturating_sub(self.calls_count()) >= count
    }

    fn note(&self) {
        self.more_count.set(self.more_count.get() + 1);
    }
}

impl RateLimit {
    /// `None` for `requests_per_second_max`: unlimited.
    #[must_use]
    pub fn new(concurrency_max: u32, requests_per_second_max: Option<u32>) -> Self {
        let gap = requests_per_second_max.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1));
        let now = Instant::now();
        let under_way = Semaphore::new(concurrency_max as usize);
        Self { under_way, gap, next_slot: Cell::new(now), not_before: Cell::new(now) }
    }

    /// Waits for a permit, in the order of the calls.
    pub async fn permit(&self) -> Permit<'_> {
        let permit = self.under_way.acquire().await.ok();
        self.next().await;
        Permit { _permit: permit, more_count: Cell::new(0), calls_max: Cell::new(u32::MAX) }
    }

    /// Waits until another request may be sent under the same permit.
    pub async fn another(&self, permit: &Permit<'_>) {
        permit.note();
        self.next().await;
    }

    async fn next(&self) {
        let now = Instant::now();
        let slot = self.next_slot.get().max(now);
        self.next_slot.set(slot + self.gap);
        // A pause may begin while this one waits; it holds everything that has not been sent.
        let mut until = slot.max(self.not_before.get());
        while until > Instant::now() + SHORTEST_WAIT {
            sleep_until(until).await;
            until = until.max(self.not_before.get());
        }
    }

    /// Grants no permit for this long.
    pub fn pause(&self, duration: Duration) {
        self.not_before.set(self.not_before.get().max(Instant::now() + duration));
    }
}
