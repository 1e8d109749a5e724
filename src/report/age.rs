//! Times for people: an age beside each, in the largest unit that it fills.

use crate::model::{Duration, Moment};

/// An export older than this is worth a word where no `max_age` refuses it: most jobs run daily.
const OLD: Duration = Duration::from_seconds(26 * 3_600);

/// What to say of an export that is old, if nothing refuses it for that.
#[must_use]
pub fn old_export(written_at: Moment, now: Moment, max_age: Option<Duration>) -> Option<&'static str> {
    let is_old = max_age.is_none() && now.since_ms(written_at) > OLD.milliseconds();
    is_old.then_some("older than 26 h, and no [directory] max_age refuses it: is the job that writes it still running?")
}

/// From one instant to the other: `40 s`, `5 min`, `3 h`, `2 days`.
#[must_use]
pub fn lasting(from: Moment, to: Moment) -> String {
    let seconds = to.since_ms(from).max(0) / 1_000;
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `5 min ago`, or `in 5 min`.
#[must_use]
pub fn ago(at: Moment, now: Moment) -> String {
    if at > now { format!("in {}", lasting(now, at)) } else { format!("{} ago", lasting(at, now)) }
}

/// `5 min ago (2026-11-29 14:39:53 UTC)`.
#[must_use]
pub fn dated(at: Moment, now: Moment) -> String {
    format!("{} ({})", ago(at, now), date(at))
}

/// `2026-11-29 14:39:53 UTC`.
#[must_use]
pub fn date(at: Moment) -> String {
    let text = at.to_string();
    format!("{} UTC", text.split('.').next().unwrap_or_default().replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_export_is_said_where_nothing_refuses_it() {
        let (now, hours) = (Moment(1_000_000_000_000), |hours: i64| Moment(1_000_000_000_000 - hours * 3_600_000));
        assert_eq!(old_export(hours(26), now, None), None);
        assert!(old_export(hours(27), now, None).is_some());
        assert_eq!(old_export(hours(27), now, Some(Duration::from_seconds(1))), None);
    }

    #[test]
    fn an_age_is_told_in_the_largest_unit_that_it_fills() {
        let now = Moment(1_000_000_000_000);
        for (seconds, expected) in
            [(0, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7_200, "2 h ago"), (200_000, "2 days ago")]
        {
            assert_eq!(ago(Moment(now.0 - seconds * 1_000), now), expected);
        }
        assert_eq!(dated(Moment(now.0 + 60_000), now), "in 60 s (2001-09-09 01:47:40 UTC)");
    }
}
