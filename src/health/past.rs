//! The last cycles, as far as pictures need them.

use crate::model::{Moment, OutstandingKind};
use crate::report::{CycleReport, CycleResult};
use std::collections::VecDeque;

/// How many cycles are remembered: a day of one every five minutes.
const CYCLES_MAX: usize = 288;

/// A cycle that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PastCycle {
    /// When it ended.
    pub at: Moment,
    /// What it came to.
    pub result: CycleResult,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How many changes were accepted.
    pub changes_count: u64,
    /// How many users were held after it.
    pub held_count: usize,
    /// How many failed.
    pub failed_count: usize,
    /// How many wait.
    pub waiting_count: usize,
    /// How many events the sink that is furthest behind lacked.
    pub pending_count: i64,
}

impl PastCycle {
    /// Of a report.
    #[must_use]
    pub fn of(report: &CycleReport, at: Moment, pending_count: i64) -> Self {
        Self {
            at,
            result: report.result,
            took_ms: report.took_ms,
            changes_count: report.done.named().map(|(_, count)| count).sum(),
            held_count: report.count(OutstandingKind::Held),
            failed_count: report.count(OutstandingKind::Failed),
            waiting_count: report.count(OutstandingKind::Waiting),
            pending_count,
        }
    }
}

/// The last cycles of this daemon, oldest first, and how many there were.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Past {
    cycles: VecDeque<PastCycle>,
    counts: [u64; CycleResult::ALL.len()],
}

impl Past {
    /// Remembers a cycle, in place of the oldest if there are too many.
    pub fn note(&mut self, cycle: PastCycle) {
        if self.cycles.len() == CYCLES_MAX {
            self.cycles.pop_front();
        }
        self.cycles.push_back(cycle);
        for (count, result) in self.counts.iter_mut().zip(CycleResult::ALL) {
            *count += u64::from(result == cycle.result);
        }
    }

    /// The last cycles, oldest first.
    pub fn cycles(&self) -> impl DoubleEndedIterator<Item = &PastCycle> {
        self.cycles.iter()
    }

    /// How many cycles ended so since the daemon started.
    pub fn counts(&self) -> impl Iterator<Item = (CycleResult, u64)> {
        CycleResult::ALL.into_iter().zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_remembered_and_everything_is_counted() {
        let mut past = Past::default();
        for number in 0..300 {
            past.note(PastCycle {
                at: Moment(number),
                result: if number == 0 { CycleResult::Failed } else { CycleResult::Done },
                took_ms: 1,
                changes_count: 0,
                held_count: 0,
                failed_count: 0,
                waiting_count: 0,
                pending_count: 0,
            });
        }
        assert_eq!(past.cycles().count(), CYCLES_MAX);
        assert_eq!(past.cycles().next().map(|cycle| cycle.at), Some(Moment(12)));
        assert_eq!(past.counts().map(|(_, count)| count).collect::<Vec<_>>(), [299, 0, 0, 1]);
    }
}
