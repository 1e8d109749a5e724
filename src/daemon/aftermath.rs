//! What follows a daemon's cycle: when the next one begins, and what is logged about this one.

use super::Daemon;
use super::news::Word;
use super::sending::Sending;
use crate::cycle_thread::CycleEnded;
use crate::event::Source;
use crate::failure::Failure;
use crate::health::{Idle, LastCycle, Latest, PastCycle, Waits};
use crate::model::{Clock, Exit, OutstandingKind};
use crate::process::SystemClock;
use crate::report::{CycleReport, Resume, TokenProof};
use std::time::Duration;

/// How many user ids one line of the log shows.
const IDS_SHOWN_MAX: usize = 20;

impl Daemon {
    /// Handles the end of a cycle. A state that cannot be written, or a bug, ends the process.
    pub(super) fn after(&mut self, ended: CycleEnded) -> Result<(), Failure> {
        let (refresh, pending_count) =
            self.running.take().map_or((false, 0), |running| (running.refresh, running.pending_count));
        self.health.running_since = None;
        let report = match ended {
            CycleEnded::Reported(report, token) => {
                // The next cycle reads the file again: somebody may have put the right one there.
                self.token = token.filter(|_| report.token != TokenProof::Foreign);
                *report
            }
            CycleEnded::NotStarted(failure) if failure.exit == Exit::Inactive => {
                self.rest_deactivated();
                return Ok(());
            }
            CycleEnded::NotStarted(failure) => {
                self.not_started(refresh, &failure);
                return Ok(());
            }
            // A state that was removed or replaced is not a broken disk: the daemon opens the new one.
            CycleEnded::Broken(_) if self.rest_if_moved() => return Ok(()),
            CycleEnded::Broken(failure) => return Err(failure),
        };
        self.triggers.refresh_is_owed = (refresh || self.triggers.refresh_is_owed) && !report.error.is_empty();
        if let Some(sending) = &mut self.sending {
            sending.shipping.wake();
            sending.look_again();
        }
        self.log(&report);
        // Deactivated, and perhaps activated again since: then it is opened anew.
        let is_ending = self.sending.as_ref().is_some_and(|sending| sending.is_ending) && !self.health.is_stopping;
        if report.exit == Exit::Inactive || is_ending {
            self.rest_deactivated();
            return Ok(());
        }
        self.health.token_is_refused = report.token == TokenProof::Refused;
        if self.health.token_is_refused {
            // It is no news when it is found on the disk.
            self.refused_token = self.token.clone().or(self.refused_token.take());
            name_waiting_removals(&report);
        }
        self.resume(&report);
        self.remember(&report, pending_count);
        self.say(Latest::Cycle);
        Ok(())
    }

    /// Keeps what is shown of a cycle, and tells who waits for a sign of life that it was a good one.
    fn remember(&mut self, report: &CycleReport, pending_count: i64) {
        let now = SystemClock.now();
        let provisioned = self.sending.as_ref().map_or(0, Sending::provisioned);
        self.health.last_cycle = Some(LastCycle::of(report, provisioned, now));
        self.health.past.note(PastCycle::of(report, now, pending_count));
        self.health.waits = Waits::of(&report.outstanding);
        if let (Some(monitor), None) = (&self.monitor, report.why_not_good()) {
            monitor.beat();
        }
    }

    /// A cycle in the log, unless it came to the same as the one before.
    fn log(&mut self, report: &CycleReport) {
        let (cycle, counts, took_ms) = (report.cycle.as_str(), report.counts(), report.took_ms);
        let result = report.result.as_str();
        match self.news.of(report, SystemClock.now()) {
            Word::Nothing => tracing::debug!(cycle, result, counts, took_ms, "a cycle ended"),
            Word::Same(count) => tracing::info!(count, result, counts, "cycles had the same result as the one before"),
            Word::News if !report.error.is_empty() && !self.health.is_stopping => {
                tracing::warn!(cycle, error = report.error.join(": "), hint = report.hint, counts, "a cycle failed");
            }
            Word::News if report.count(OutstandingKind::Held) + report.count(OutstandingKind::Failed) > 0 => {
                tracing::warn!(cycle, result, counts, took_ms, "a cycle ended");
            }
            Word::News => tracing::info!(cycle, result, counts, took_ms, "a cycle ended"),
        }
    }

    fn not_started(&mut self, refresh: bool, failure: &Failure) {
        if failure.exit == Exit::Misconfigured {
            self.rest(Idle::CannotSend, &failure.in_one_line());
            return;
        }
        if self.rest_if_moved() {
            return;
        }
        self.say(Latest::NotStarted(failure.in_one_line()));
        self.triggers.refresh_is_owed |= refresh;
        self.triggers.wake_after_pause();
    }

    /// Decides when the next cycle begins, apart from the schedule.
    fn resume(&mut self, report: &CycleReport) {
        let was_at_once = std::mem::take(&mut self.triggers.was_at_once);
        match report.resume {
            Resume::AtOnce if !was_at_once => {
                self.triggers.was_at_once = true;
                self.triggers.want(Source::Schedule, false);
            }
            Resume::AfterPause | Resume::AtOnce => self.triggers.wake_after_pause(),
            Resume::WithTheNext => {
                let wait = self.wait_after(report);
                self.triggers.wake_in(wait);
            }
        }
    }

    /// How long until the first wait ends: for a create to settle, a failure's next try, or what Rhombus asked for.
    fn wait_after(&mut self, report: &CycleReport) -> Option<Duration> {
        let waits = [OutstandingKind::Waiting, OutstandingKind::Failed];
        let of_users = report.outstanding.iter().filter(|one| waits.contains(&one.kind)).filter_map(|one| one.until);
        let now = SystemClock.now();
        let asked = self.sending.as_ref().and_then(|sending| sending.not_before(now));
        // While the source, the token or the endpoint fails, a user's wait that is over changes nothing.
        let of_users: Vec<_> = of_users.filter(|until| report.error.is_empty() || *until > now).collect();
        let Some(until) = of_users.into_iter().min().max(asked) else {
            self.triggers.backoff.over();
            return None;
        };
        let wait_ms = until.since_ms(now);
        // A wait that was over before this cycle ended did not help: try again less and less often.
        let at_once = wait_ms <= 1_000;
        Some(if at_once { self.triggers.backoff.longer() } else { Duration::from_millis(wait_ms.unsigned_abs()) })
    }
}

/// Logs the ids of leavers who still have a door key because Rhombus refuses the token.
fn name_waiting_removals(report: &CycleReport) {
    let removals: Vec<_> = report
        .outstanding
        .iter()
        .filter(|one| one.action.is_some_and(|action| action.removes()))
        .filter_map(|one| one.directory_id.as_ref())
        .collect();
    if !removals.is_empty() {
        let ids: Vec<_> = removals.iter().take(IDS_SHOWN_MAX).map(ToString::to_string).collect();
        tracing::warn!(count = removals.len(), ids = ids.join(","), "removals wait for a valid token");
    }
}
