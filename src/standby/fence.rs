//! Whether a request may start: until when the lease is certain, by a clock that cannot be set and that runs on while the system is
//! suspended.

use crate::model::{Duration, Fence};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// How much earlier than the lease the last request must have ended, at least.
const MARGIN_MS: i64 = 100;
/// And one of so many parts of the lease more: clocks of two machines do not run at one speed. NTP puts up with half of it each.
const MARGINS_PER_TTL: i64 = 1_000;

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
    /// How many heads of the log were to be noted under the lease: each has the number that it was given.
    asked: AtomicU64,
    /// The newest of those that were given up, for now or for good.
    owed: AtomicU64,
    /// The newest of those that are noted; it covers what is older.
    noted: AtomicU64,
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
            asked: AtomicU64::new(0),
            owed: AtomicU64::new(0),
            noted: AtomicU64::new(0),
            hands_over: AtomicBool::new(false),
            timeout_ms: timeout.milliseconds(),
        }
    }

    /// A renewal whose request started at `started_ms` was good for `ttl`.
    pub(super) fn renewed(&self, started_ms: i64, ttl: Duration) {
        let open_ms = ttl.milliseconds() - self.timeout_ms;
        // A long lease that is hardly longer than a request is not all margin.
        let margin_ms = (MARGIN_MS + ttl.milliseconds() / MARGINS_PER_TTL).min(open_ms / 2).max(MARGIN_MS);
        let until = started_ms.saturating_add(open_ms).saturating_sub(margin_ms);
        self.until_ms.fetch_max(until, Ordering::SeqCst);
    }

    /// The lease is lost: everything begins anew with the next one. What is owed stays owed: a term begins with a note.
    pub(super) fn lose(&self) {
        self.until_ms.store(i64::MIN, Ordering::SeqCst);
        self.hands_over.store(false, Ordering::SeqCst);
    }

    /// A head of the log is to be noted; its number.
    pub(super) fn ask_note(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Nobody waits for this one any more: nothing starts until it is noted, or a newer one.
    pub(super) fn owe_note(&self, number: u64) {
        self.owed.fetch_max(number, Ordering::SeqCst);
    }

    /// This one is noted, and with it whatever is older.
    pub(super) fn note(&self, number: u64) {
        self.noted.fetch_max(number, Ordering::SeqCst);
    }

    fn owes_note(&self) -> bool {
        self.owed.load(Ordering::SeqCst) > self.noted.load(Ordering::SeqCst)
    }

    pub(super) fn hand_over(&self) {
        self.hands_over.store(true, Ordering::SeqCst);
    }

    pub(super) fn hands_over(&self) -> bool {
        self.hands_over.load(Ordering::SeqCst)
    }

    fn is_open_at(&self, now_ms: i64) -> bool {
        now_ms < self.until_ms.load(Ordering::SeqCst) && !self.owes_note() && !self.hands_over()
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
        for (now_ms, open) in [(1_000, true), (5_889, true), (5_890, false), (11_000, false)] {
            assert_eq!(fence.is_open_at(now_ms), open, "{now_ms}");
        }
        fence.renewed(500, Duration::from_seconds(10));
        assert!(fence.is_open_at(5_889), "an answer that came late takes nothing back");
        fence.lose();
        assert!(!fence.is_open_at(1_000));
    }

    #[test]
    fn nothing_starts_on_what_is_not_noted_or_while_the_lead_is_handed_over() {
        let fence = LeaseFence::new(Duration::from_seconds(5));
        fence.renewed(0, Duration::from_seconds(10));
        let (first, second, third) = (fence.ask_note(), fence.ask_note(), fence.ask_note());
        assert!(fence.is_open_at(1), "what is being noted stops nothing: no request rests on it yet");
        fence.owe_note(second);
        fence.note(first);
        assert!(!fence.is_open_at(1), "an older one says nothing about it");
        fence.note(second);
        assert!(fence.is_open_at(1));
        fence.note(third);
        fence.owe_note(second);
        assert!(fence.is_open_at(1), "a newer one covers it, whoever gave up waiting");
        fence.hand_over();
        assert!(!fence.is_open_at(1));
    }
}
