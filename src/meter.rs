//! What happened since the process began, counted: requests by operation and answer, changes by action and outcome. PURE: who
//! measures says how long it took, and who shows it takes a copy.

use crate::model::Action;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in milliseconds: from a neighbour to `[rhombus] timeout`.
pub const BUCKETS_MS: [u64; 12] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// What is asked of the endpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// A page of the list.
    List,
    /// A filter for one username.
    Lookup,
    /// One account by its id.
    Read,
    /// POST.
    Create,
    /// PATCH.
    Patch,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

impl Operation {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Lookup => "lookup",
            Self::Read => "read",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

/// What became of a change that was attempted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ChangeOutcome {
    /// Rhombus accepted it.
    Accepted,
    /// It did not, or nobody knows.
    Failed,
}

impl ChangeOutcome {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Accepted, Self::Failed];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Failed => "failed",
        }
    }
}

/// How long requests took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Histogram {
    /// How many took at most as long as each of [`BUCKETS_MS`], those of the shorter bounds among them.
    pub within: [u64; BUCKETS_MS.len()],
    /// How many there were.
    pub count: u64,
    /// How long all of them took together.
    pub sum: Duration,
}

impl Histogram {
    fn note(&mut self, took: Duration) {
        for (count, bound_ms) in self.within.iter_mut().zip(BUCKETS_MS) {
            *count += u64::from(took <= Duration::from_millis(bound_ms));
        }
        self.count += 1;
        self.sum += took;
    }
}

/// Everything that was counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// Requests by operation and HTTP status; no status: no answer.
    pub requests: BTreeMap<(Operation, Option<u16>), Histogram>,
    /// Changes by action and outcome.
    pub changes: BTreeMap<(Action, ChangeOutcome), u64>,
}

/// Counts, on any thread.
#[derive(Debug, Default)]
pub struct Meter {
    counted: Mutex<Counted>,
}

impl Meter {
    /// Counts a request. `status`: `None` if there was no answer.
    pub fn note_request(&self, operation: Operation, status: Option<u16>, took: Duration) {
        self.lock().requests.entry((operation, status)).or_default().note(took);
    }

    /// Counts a change that was attempted.
    pub fn note_change(&self, action: Action, outcome: ChangeOutcome) {
        *self.lock().changes.entry((action, outcome)).or_default() += 1;
    }

    /// What was counted so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_every_bucket_that_it_fits_and_in_the_sum() {
        let meter = Meter::default();
        for took_ms in [5, 6, 40_000] {
            meter.note_request(Operation::Read, Some(200), Duration::from_millis(took_ms));
        }
        let counted = meter.counted();
        let histogram = counted.requests[&(Operation::Read, Some(200))];
        assert_eq!((histogram.within[0], histogram.within[1], histogram.within[11], histogram.count), (1, 2, 2, 3));
        assert_eq!(histogram.sum, Duration::from_millis(40_011));
    }
}
