//! When something is retried. PURE: randomness and time are arguments.

use crate::clock::WAIT_MAX;
use crate::model::{Duration, Moment};
use crate::outcome::RetryAfter;

/// How often a request is retried in one cycle.
pub const RETRIES_MAX: u32 = 3;
/// A `Retry-After` longer than this ends the cycle.
pub const RETRY_AFTER_WAITED_FOR: Duration = Duration::from_seconds(30);
/// After so many unanswered users in a row one list call tells an outage from users that the endpoint cannot serve.
pub const UNANSWERED_IN_A_ROW_DOUBTED: u32 = 10;
/// Unanswered users in a row that end the cycle whatever a list says: the endpoint is down for changes.
pub const UNANSWERED_IN_A_ROW_MAX: u32 = 30;
/// The same while the list has not been answered yet.
pub const UNANSWERED_BEFORE_THE_LIST_MAX: u32 = 60;

/// The wait if a `Retry-After` says no time.
pub const UNREADABLE_WAIT: Duration = Duration::from_seconds(30);

/// The first pause, before jitter, in milliseconds.
const FIRST_PAUSE_MS: u64 = 200;
/// The longest pause, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 5_000;

/// The pause before retry number `retry` (from 0): doubling, with jitter in its upper half.
#[must_use]
pub fn pause(retry: u32, random: u64) -> std::time::Duration {
    let most = (FIRST_PAUSE_MS << retry.min(10)).min(LONGEST_PAUSE_MS);
    std::time::Duration::from_millis(most / 2 + random % (most / 2 + 1))
}

/// When a rejected user is tried again: after 5 min, 15 min, 1 h, 6 h, then daily.
#[must_use]
pub fn next_try(attempts: u32, now: Moment) -> Moment {
    let minutes = match attempts {
        0 | 1 => 5,
        2 => 15,
        3 => 60,
        4 => 360,
        _ => 1440,
    };
    now.plus(Duration::from_seconds(minutes * 60))
}

/// When a rejected removal is tried again, or a user who gets no answer while others do: 5 min, then every 15 min. A leaver
/// must not keep a key until tomorrow.
#[must_use]
pub fn next_try_soon(attempts: u32, now: Moment) -> Moment {
    let minutes = if attempts <= 1 { 5 } else { 15 };
    now.plus(Duration::from_seconds(minutes * 60))
}

/// The time that a `Retry-After` stands for.
#[must_use]
pub fn instant(retry_after: RetryAfter, now: Moment) -> Moment {
    match retry_after {
        RetryAfter::Seconds(seconds) => now.plus(Duration::from_seconds(seconds).min(WAIT_MAX)),
        RetryAfter::Unreadable => now.plus(UNREADABLE_WAIT),
        RetryAfter::At(at) => at.min(now.plus(WAIT_MAX)),
    }
}
