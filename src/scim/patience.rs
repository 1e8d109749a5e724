//! How long to leave an endpoint alone that asks for it in words that say no time: 30 s, then twice as long each time.

use crate::outcome::RetryAfter;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// The first wait.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait: a day, like that of a `Retry-After` that can be read.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// The wait that was last decided on, and when it ends.
#[derive(Debug, Default)]
pub(super) struct Patience {
    last: Cell<Option<(Duration, Instant)>>,
}

impl Patience {
    /// The same wish, with a time. Requests that were under way together are one wish.
    pub(super) fn read(&self, retry_after: RetryAfter) -> RetryAfter {
        match retry_after {
            RetryAfter::Seconds(_) | RetryAfter::At(_) => return retry_after,
            RetryAfter::Unreadable => {}
        }
        let now = Instant::now();
        let left = match self.last.get() {
            Some((_, until)) if until > now => until - now,
            last => {
                let wait = last.map_or(FIRST_WAIT, |(wait, _)| (wait * 2).min(LONGEST_WAIT));
                self.last.set(Some((wait, now + wait)));
                wait
            }
        };
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        RetryAfter::Seconds(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// The endpoint accepted a request.
    pub(super) fn renew(&self) {
        self.last.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wish_without_a_time_doubles_until_a_request_is_accepted() {
        let patience = Patience::default();
        let wish = || patience.read(RetryAfter::Unreadable);
        assert_eq!((wish(), wish()), (RetryAfter::Seconds(30), RetryAfter::Seconds(30)));
        for expected in [60, 120, 240] {
            tokio::time::advance(Duration::from_secs(expected)).await;
            assert_eq!(wish(), RetryAfter::Seconds(u32::try_from(expected).expect("small")));
        }
        tokio::time::advance(Duration::from_millis(100_500)).await;
        assert_eq!(wish(), RetryAfter::Seconds(140), "what is left of it");
        patience.renew();
        assert_eq!(wish(), RetryAfter::Seconds(30));
        assert_eq!(patience.read(RetryAfter::Seconds(7)), RetryAfter::Seconds(7));
        for _ in 0..30 {
            tokio::time::advance(LONGEST_WAIT).await;
            wish();
        }
        tokio::time::advance(LONGEST_WAIT).await;
        assert_eq!(wish(), RetryAfter::Seconds(86_400));
    }
}
