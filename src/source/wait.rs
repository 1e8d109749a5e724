//! A directory that wants to be left alone, beyond the end of a read: until when is noted beside the state, for the ticks and
//! restarts to come. Somebody who asks by hand asks all the same: the first answer renews the wait, or the read ends it.

use super::{Asked, Doubt, Keep, SourceError, spool};
use crate::http::Fetched;
use crate::model::{Moment, command};
use crate::outcome::RetryAfter;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A wait that is longer ends the read.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);
/// A note of a longer wait was written under another clock: no `Retry-After` is believed for more than a day.
const NOTED_MS_MAX: i64 = 24 * 3_600_000;

#[derive(Serialize, Deserialize)]
struct Note {
    /// Whom to leave alone.
    address: String,
    /// In milliseconds since 1970.
    until: i64,
}

/// Where a wait is noted.
pub(super) struct Patience<'p> {
    note: PathBuf,
    address: &'p str,
    keep: Keep,
}

impl<'p> Patience<'p> {
    /// Beside the spool, for this address; only a cycle writes.
    pub(super) fn beside(spool: &Path, address: &'p str, keep: Keep) -> Self {
        Self { note: spool::beside(spool, ".wait"), address, keep }
    }

    /// Refuses to ask before a noted time, if nobody is there who asks.
    pub(super) fn allows(&self, asked: Asked) -> Result<(), SourceError> {
        let (Asked::BySchedule, Some(until)) = (asked, self.until(now())) else { return Ok(()) };
        let what = format!("it asked us to retry after {until}");
        let hint = format!(
            "the first cycle after that asks again; to ask now: `{}`; nothing was sent",
            command("--reconcile")
        );
        Err(SourceError::NotFetched { path: self.address.to_owned(), cause: Doubt { what, hint: Some(hint) } })
    }

    fn until(&self, now: Moment) -> Option<Moment> {
        let note: Note = serde_json::from_slice(&spool::read_small(&self.note).ok()?).ok()?;
        let left = Moment(note.until).since_ms(now);
        (note.address == self.address && left > 0 && left <= NOTED_MS_MAX).then_some(Moment(note.until))
    }

    /// Notes that it wants to be left alone for so long. If that cannot be noted, the next tick asks.
    pub(super) fn note(&self, wait: Duration) {
        if self.keep == Keep::Nothing || wait <= WAIT_MAX {
            return;
        }
        let until = now().0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).min(NOTED_MS_MAX));
        let text = serde_json::to_vec(&Note { address: self.address.to_owned(), until });
        if let Err(error) = text.map_err(std::io::Error::other).and_then(|text| spool::write_small(&self.note, &text)) {
            tracing::warn!(%error, "how long the directory wants to be left alone cannot be noted beside the state");
        }
    }

    /// It answered: what was noted is over.
    pub(super) fn is_over(&self) {
        if self.keep == Keep::AsTheLast {
            // There is none, but for once in a long while; one that stays ends by itself.
            let _ = std::fs::remove_file(&self.note);
        }
    }
}

/// How long an answer asks to be left alone; None: it does not ask.
pub(super) fn asked_for(answer: &Fetched) -> Option<Duration> {
    Some(match answer.retry_after? {
        RetryAfter::Seconds(seconds) => Duration::from_secs(seconds.into()),
        RetryAfter::At(at) => {
            Duration::from_millis(at.since_ms(answer.date.unwrap_or_else(now)).clamp(0, NOTED_MS_MAX).unsigned_abs())
        }
        RetryAfter::Unreadable => WAIT_MAX,
    })
}

fn now() -> Moment {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_kept_for_this_address_and_for_a_day_at_most() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = folder.path().join("state.db.spool");
        let of = |address, keep| Patience::beside(&spool, address, keep);
        let (ours, looker) = (of("https://a.example", Keep::AsTheLast), of("https://a.example", Keep::Nothing));
        looker.note(Duration::from_secs(600));
        assert!(ours.allows(Asked::BySchedule).is_ok(), "who only looks notes nothing");
        ours.note(WAIT_MAX);
        assert!(ours.allows(Asked::BySchedule).is_ok(), "that was waited for");
        ours.note(Duration::from_secs(600));
        assert!(ours.allows(Asked::BySchedule).is_err() && looker.allows(Asked::BySchedule).is_err());
        assert!(ours.allows(Asked::BySomebody).is_ok());
        assert!(of("https://b.example", Keep::AsTheLast).allows(Asked::BySchedule).is_ok(), "another directory");
        let until = |ms: i64| ours.until(Moment(now().0 + ms)).is_some();
        assert!(until(0) && !until(601_000), "it ends");
        assert!(!until(-NOTED_MS_MAX), "a clock that was a day ahead wrote it");
        looker.is_over();
        assert!(ours.allows(Asked::BySchedule).is_err());
        ours.is_over();
        assert!(ours.allows(Asked::BySchedule).is_ok());
        ours.note(Duration::from_secs(600));
        std::fs::write(folder.path().join("state.db.spool.wait"), "{\"until\":").expect("torn");
        assert!(ours.allows(Asked::BySchedule).is_ok(), "what cannot be read holds nothing up");
    }
}
