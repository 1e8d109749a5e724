//! What follows from a daemon's cycle: when the next one begins, and what is said of this one.

use super::daemon::Daemon;
use super::failure::Failure;
use super::process::SystemClock;
use super::sending::Sending;
use crate::cycle::Clock;
use crate::event::Source;
use crate::model::OutstandingKind;
use crate::report::{CycleReport, Resume, TokenProof};
use crate::schedule::Due;
use std::time::Duration;
use tokio::time::Instant;

/// How many users are named in one line of the log.
const IDS_SHOWN_MAX: usize = 20;

impl Daemon<'_> {
    /// What follows from a cycle. A state that cannot be written, and a bug, end the process.
    pub(super) fn after(&mut self, ended: Result<CycleReport, Failure>) -> Result<(), Failure> {
        let refresh = self.running.take().is_some_and(|running| running.refresh);
        let report = match ended {
            Ok(report) => report,
            // A state that went away is no broken disk: what comes in its place is looked at anew.
            Err(_) if self.sending.as_ref().is_some_and(Sending::has_moved) => {
                self.rest("idle: the state was removed or replaced; it is looked at anew");
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        self.refresh_is_owed = (refresh || self.refresh_is_owed) && !report.error.is_empty();
        if let Some(sending) = &self.sending {
            sending.shipping.knock();
        }
        let (cycle, counts, took_ms) = (report.cycle.as_str(), report.counts(), report.took_ms);
        match report.error.is_empty() {
            true => tracing::info!(cycle, result = report.result.as_str(), counts, took_ms, "a cycle ended"),
            false => {
                tracing::warn!(cycle, error = report.error.join(": "), hint = report.hint, counts, "a cycle failed")
            }
        }
        if report.exit == 6 {
            self.rest("idle: deactivated; run `rhombus-sync activate` to manage users again");
            return Ok(());
        }
        self.token_is_refused = report.token == TokenProof::Refused;
        if self.token_is_refused {
            name_waiting_removals(&report);
        }
        let was_at_once = std::mem::take(&mut self.was_at_once);
        match report.resume {
            Resume::AfterPause => self.wake_at = Some(Instant::now() + self.backoff.longer()),
            Resume::AtOnce if !was_at_once => {
                self.was_at_once = true;
                self.want(Source::Schedule, false);
            }
            Resume::AtOnce => self.wake_at = Some(Instant::now() + self.backoff.longer()),
            Resume::WithTheNext => self.wake_at = self.wakes_at(&report),
        }
        let line = self.status_line(&report);
        self.say(&line);
        Ok(())
    }

    /// When somebody's wait is over: a create that settles, a failure that is tried again, or what Rhombus asked for.
    fn wakes_at(&mut self, report: &CycleReport) -> Option<Instant> {
        let waits = [OutstandingKind::Waiting, OutstandingKind::Failed];
        let of_users = report.outstanding.iter().filter(|one| waits.contains(&one.kind)).filter_map(|one| one.until);
        let now = SystemClock.now();
        let asked = self.sending.as_ref().and_then(|sending| sending.not_before(now));
        // A source, a token or an endpoint that fails is not mended by a user's wait being over.
        let of_users: Vec<_> = of_users.filter(|until| report.error.is_empty() || *until > now).collect();
        let Some(until) = of_users.into_iter().min().max(asked) else {
            self.backoff.over();
            return None;
        };
        let wait_ms = until.since_ms(now);
        // What could go on at once and did not, cannot: it is tried less and less often.
        let wait = if wait_ms <= 1_000 { self.backoff.longer() } else { Duration::from_millis(wait_ms.unsigned_abs()) };
        Some(Instant::now() + wait)
    }

    fn status_line(&self, report: &CycleReport) -> String {
        let provisioned = self.sending.as_ref().map_or(0, Sending::provisioned);
        let next = self.cron.as_ref().and_then(Due::next).map(|at| format!("; next cycle {at}")).unwrap_or_default();
        if report.error.is_empty() {
            let lists = OutstandingKind::ALL.map(|kind| (kind, report.count(kind)));
            let lists = lists.iter().filter(|(_, count)| *count > 0);
            let lists: String = lists.map(|(kind, count)| format!(", {count} {}", kind.as_str())).collect();
            return format!("{}: {provisioned} provisioned{lists}{next}", report.result.as_str());
        }
        let hint = report.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}{next}", report.result.as_str(), report.error.join(": "))
    }
}

/// Leavers who still have a door key because of a refused token, by id.
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
