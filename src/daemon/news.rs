//! What the log says of cycles: each that changed something, or that came to something else than the one before; of the others
//! once an hour that all is as it was.

use crate::model::{Moment, OutstandingKind};
use crate::report::CycleReport;

/// So long the log says nothing while nothing changes, in milliseconds.
const SILENCE_MS_MAX: i64 = 3_600_000;

/// The last cycle that was logged.
#[derive(Debug, Default)]
pub(super) struct News {
    last: String,
    logged_at: Moment,
    quiet_count: u64,
}

/// What to say of a cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// All of it.
    News,
    /// That so many came to the same as the one before.
    Same(u64),
    /// Nothing.
    Nothing,
}

impl News {
    /// Decides what to say of a cycle that ended now.
    pub(super) fn of(&mut self, report: &CycleReport, now: Moment) -> Word {
        let lists = OutstandingKind::ALL.map(|kind| report.count(kind));
        let came_to = format!("{:?} {:?} {lists:?}", report.result, report.error);
        if came_to != self.last || report.done.any() {
            *self = Self { last: came_to, logged_at: now, quiet_count: 0 };
            return Word::News;
        }
        self.quiet_count += 1;
        if now.since_ms(self.logged_at) < SILENCE_MS_MAX {
            return Word::Nothing;
        }
        self.logged_at = now;
        Word::Same(std::mem::take(&mut self.quiet_count))
    }
}
