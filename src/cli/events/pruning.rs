//! Whether events can have been pruned: only those go that are older than `keep_history`. A mark in a log that is younger than that
//! was set by somebody else.

use super::witnesses::PruneTerms;
use crate::event::{FlawKind, Sealed};
use crate::model::{Duration, Moment};

/// An installation may have been off for so long that the first event that is kept is younger than `keep_history`: by half of it, or
/// by this, whichever is longer.
const GAP_FREE: Duration = Duration::from_seconds(30 * 86_400);
/// The key by which the log names an edit of `keep_history`.
const KEY: &str = "state.keep_history";

/// What the events that are kept say about those that are not.
#[derive(Default)]
pub(super) struct Pruning {
    /// When the first one that is kept happened.
    first_at: Option<Moment>,
    /// The first event that says that `keep_history` was edited.
    edited_in: Option<i64>,
}

impl Pruning {
    /// Takes the next event that is kept.
    pub(super) fn take(&mut self, event: &Sealed) {
        let is_edit = self.edited_in.is_none() && event.line.contains(KEY);
        if self.first_at.is_some() && !is_edit {
            return;
        }
        let Ok(line) = serde_json::from_str::<serde_json::Value>(&event.line) else { return };
        if self.first_at.is_none() {
            self.first_at = line["id"].as_str().and_then(second_of);
        }
        let details = line["message_chain"]["message_details"].as_str().unwrap_or_default();
        if line["event_type"] == "idm_integration_update" && details.split([' ', ',']).any(|word| word == KEY) {
            self.edited_in = self.edited_in.or(Some(event.sequence));
        }
    }

    /// Whether anything can have been pruned by now; a sentence where nobody can tell.
    ///
    /// # Errors
    /// The installation, or the first event that is kept, is too young for it.
    pub(super) fn judge(&self, terms: &PruneTerms) -> Result<Option<String>, FlawKind> {
        let PruneTerms { since, keep, now } = terms;
        if let Some(edited_in) = self.edited_in {
            return Ok(Some(format!(
                "keep_history was edited before event {edited_in}: whether the older events were old enough to be pruned is not known"
            )));
        }
        let keep_ms = keep.milliseconds();
        let gap_ms = (keep_ms / 2).max(GAP_FREE.milliseconds());
        let is_young = |at: Moment, at_least_ms: i64| now.since_ms(at) < at_least_ms;
        let first_is_young = self.first_at.is_some_and(|first_at| is_young(first_at, keep_ms.saturating_sub(gap_ms)));
        if is_young(*since, keep_ms) || first_is_young { Err(FlawKind::PruneMark) } else { Ok(None) }
    }
}

/// The time in an event's id: its first eight digits are the second.
fn second_of(id: &str) -> Option<Moment> {
    i64::from_str_radix(id.get(..8)?, 16).ok().map(|second| Moment(second * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn a_mark_is_believed_where_something_can_have_been_pruned() {
        let days = |days: i64| Moment(days * DAY_MS);
        let now = 1_000;
        for (since, first_at, keep_days, is_believed) in [
            (0, 700, 365, true),
            (900, 900, 365, false),
            // The row may be forged: the first event that is kept is not.
            (0, 999, 365, false),
            (0, 999, 30, true),
            (990, 999, 30, false),
            (0, 1_000, 0, true),
        ] {
            let pruning = Pruning { first_at: Some(days(first_at)), edited_in: None };
            let keep = Duration::from_seconds(keep_days * 86_400);
            let terms = PruneTerms { since: days(since), keep, now: days(now) };
            assert_eq!(pruning.judge(&terms).is_ok(), is_believed, "{since} {first_at} {keep_days}");
            let edited = Pruning { edited_in: Some(7), ..pruning };
            assert!(edited.judge(&terms).is_ok_and(|said| said.is_some()));
        }
    }
}
