//! The last cycles, as far as pictures need them: those of this daemon, and before them what the log says of earlier ones.

use crate::model::{Moment, OutstandingKind};
use crate::report::{CycleReport, CycleResult};
use serde_json::Value;
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
    /// How long it took, in milliseconds; not known of a cycle from the log.
    pub took_ms: Option<u64>,
    /// How many changes were accepted.
    pub changes_count: u64,
    /// How many users were held after it.
    pub held_count: usize,
    /// How many failed.
    pub failed_count: usize,
    /// How many wait.
    pub waiting_count: usize,
    /// How many events the sink that was furthest behind lacked when it began; not known of a cycle from the log.
    pub pending_count: Option<i64>,
}

impl PastCycle {
    /// Of a report.
    #[must_use]
    pub fn of(report: &CycleReport, at: Moment, pending_count: i64) -> Self {
        Self {
            at,
            result: report.result,
            took_ms: Some(report.took_ms),
            changes_count: report.done.named().map(|(_, count)| count).sum(),
            held_count: report.count(OutstandingKind::Held),
            failed_count: report.count(OutstandingKind::Failed),
            waiting_count: report.count(OutstandingKind::Waiting),
            pending_count: Some(pending_count),
        }
    }

    /// Of a line of the log; `None` if it is not about the end of a cycle.
    #[must_use]
    pub fn of_event(line: &str, at: Moment) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        let counts = event["message_chain"]["message_details"].as_str()?;
        let count = |name: &str| -> usize {
            let of = |word: &str| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
            counts.split(' ').find_map(of).unwrap_or_default()
        };
        let result = match event["event_type"].as_str()? {
            "reconcile_completed" if count("failed") + count("parked") > 0 => CycleResult::Partial,
            "reconcile_completed" => CycleResult::Done,
            "reconcile_held" => CycleResult::Held,
            "reconcile_failed" => CycleResult::Failed,
            _ => return None,
        };
        let changes = ["created", "updated", "linked", "deactivated", "deleted"].map(count);
        Some(Self {
            at,
            result,
            took_ms: None,
            changes_count: changes.iter().sum::<usize>() as u64,
            held_count: count("held"),
            failed_count: count("failed"),
            waiting_count: count("waiting"),
            pending_count: None,
        })
    }
}

/// The last cycles of this daemon, oldest first, and how many there were.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Past {
    cycles: VecDeque<PastCycle>,
    counts: [u64; CycleResult::ALL.len()],
}

impl Past {
    /// Puts cycles from the log, oldest first, before those of this daemon, if there are none yet.
    pub fn begin_with(&mut self, earlier: impl Iterator<Item = PastCycle>) {
        if self.cycles.is_empty() {
            earlier.for_each(|cycle| self.remember(cycle));
        }
    }

    /// Remembers and counts a cycle.
    pub fn note(&mut self, cycle: PastCycle) {
        self.remember(cycle);
        for (count, result) in self.counts.iter_mut().zip(CycleResult::ALL) {
            *count += u64::from(result == cycle.result);
        }
    }

    /// In place of the oldest, if there are too many.
    fn remember(&mut self, cycle: PastCycle) {
        if self.cycles.len() == CYCLES_MAX {
            self.cycles.pop_front();
        }
        self.cycles.push_back(cycle);
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
                took_ms: Some(1),
                changes_count: 0,
                held_count: 0,
                failed_count: 0,
                waiting_count: 0,
                pending_count: None,
            });
        }
        assert_eq!(past.cycles().count(), CYCLES_MAX);
        assert_eq!(past.cycles().next().map(|cycle| cycle.at), Some(Moment(12)));
        assert_eq!(past.counts().map(|(_, count)| count).collect::<Vec<_>>(), [299, 0, 0, 1]);
    }

    #[test]
    fn the_log_brings_back_earlier_cycles_and_counts_none_of_them() {
        let line = |event_type: &str, details: &str| {
            format!(r#"{{"event_type":"{event_type}","message_chain":{{"message_details":"{details}"}}}}"#)
        };
        let of = |event_type, details| PastCycle::of_event(&line(event_type, details), Moment(7));
        let held = of("reconcile_held", "created=2 deleted=1 held=3 waiting=4 failed=0").expect("a cycle");
        assert_eq!((held.result, held.changes_count, held.held_count), (CycleResult::Held, 3, 3));
        assert_eq!(of("reconcile_completed", "failed=1").map(|cycle| cycle.result), Some(CycleResult::Partial));
        assert_eq!(of("reconcile_approved", "hold=4717"), None);
        let mut past = Past::default();
        past.begin_with([held].into_iter());
        past.begin_with([held].into_iter());
        assert_eq!((past.cycles().count(), past.counts().map(|(_, count)| count).sum::<u64>()), (1, 0));
    }
}
