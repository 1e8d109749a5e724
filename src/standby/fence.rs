//! Whether a request may start: until when the lease is certain, by a clock that cannot be set and that runs on while the system is
//! suspended.

use crate::model::{Duration, Fence};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// How much earlier than the lease the last request must have ended: clocks of two machines do not run at one speed.
const MARGIN_MS: i64 = 100;

/// Milliseconds of the clock that a lease is judged by.
#[must_use]
pub(super) fn steady_ms() -> i64 {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    at.tv_sec.saturating_mul(1_000).saturating_add(at.tv_nsec / 1_000_000)
}

/// The fence of a lease. Closed until the first renewal.
#[derive(Debug)]
pub(super) struct LeaseFence {
    /// No request starts from this instant on, by [`steady_ms`].
    until_ms: AtomicI64,
    /// The last head of the log could not be noted under the lease.
    owes_note: AtomicBool,
    /// The lead is being handed over.
    hands_over: AtomicBool,
    timeout_ms: i64,
}

impl LeaseFence {
    /// `timeout`: the longest that a request takes.
    #[must_use]
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            until_ms: AtomicI64::new(i64::MIN),
            owes_note: AtomicBool::new(false),
            hands_over: AtomicBool::new(false),
            timeout_ms: timeout.milliseconds(),
        }
    }

    /// A renewal whose request started at `started_ms` was good for `ttl`.
    pub(super) fn renewed(&self, started_ms: i64, ttl: Duration) {
        let until = started_ms.saturating_add(ttl.milliseconds()).saturating_sub(self.timeout_ms + MARGIN_MS);
        self.until_ms.fetch_max(until, Ordering::SeqCst);
    }

    /// The lease is lost: everything begins anew with the next one.
    pub(super) fn lose(&self) {
        self.until_ms.store(i64::MIN, Ordering::SeqCst);
        self.owes_note.store(false, Ordering::SeqCst);
        self.hands_over.store(false, Ordering::SeqCst);
    }

    pub(super) fn owe_note(&self, owes: bool) {
        self.owes_note.store(owes, Ordering::SeqCst);
    }

    pub(super) fn hand_over(&self) {
        self.hands_over.store(true, Ordering::SeqCst);
    }

    pub(super) fn hands_over(&self) -> bool {
        self.hands_over.load(Ordering::SeqCst)
    }

    fn is_open_at(&self, now_ms: i64) -> bool {
        now_ms < self.until_ms.load(Ordering::SeqCst) && !self.owes_note.load(Ordering::SeqCst) && !self.hands_over()
    }
}

impl Fence for LeaseFence {
    fn may_send(&self) -> bool {
        self.is_open_at(steady_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_ended_when_the_lease_does() {
        let fence = LeaseFence::new(Duration::from_seconds(5));
        assert!(!fence.is_open_at(0), "nothing was renewed");
        fence.renewed(1_000, Duration::from_seconds(10));
        for (now_ms, open) in [(1_000, true), (5_899, true), (5_900, false), (11_000, false)] {
            assert_eq!(fence.is_open_at(now_ms), open, "{now_ms}");
        }
        fence.renewed(500, Duration::from_seconds(10));
        assert!(fence.is_open_at(5_899), "an answer that came late takes nothing back");
        fence.lose();
        assert!(!fence.is_open_at(1_000));
    }

    #[test]
    fn nothing_starts_on_what_is_not_noted_or_while_the_lead_is_handed_over() {
        let fence = LeaseFence::new(Duration::from_seconds(5));
        fence.renewed(0, Duration::from_seconds(10));
        fence.owe_note(true);
        assert!(!fence.is_open_at(1));
        fence.owe_note(false);
        assert!(fence.is_open_at(1));
        fence.hand_over();
        assert!(!fence.is_open_at(1));
    }
}
