//! Not faster than a receiver takes without dropping, where nothing tells us that it drops.

use std::time::{Duration, Instant};

/// So many messages a second, and no burst of more than a tenth of them.
pub(super) struct Pace {
    gap: Duration,
    burst: Duration,
    next: Instant,
}

impl Pace {
    pub(super) fn of(per_second_max: u32) -> Self {
        let gap = Duration::from_secs(1) / per_second_max.max(1);
        Self { gap, burst: Duration::from_millis(100), next: Instant::now() }
    }

    /// Waits until the next message may go.
    pub(super) fn wait(&mut self) {
        let now = Instant::now();
        // What was not used is saved up, but not for long.
        self.next = self.next.max(now.checked_sub(self.burst).unwrap_or(now));
        if self.next > now {
            std::thread::sleep(self.next - now);
        }
        self.next += self.gap;
    }
}
