//! When something is due: a cron expression in its time zone. Reads no clock; parsing reads the system's time zone
//! files. croner 4 handles both daylight-saving changes correctly.

use crate::model::Moment;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds};
use croner::{CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use std::cmp::Ordering;

/// Why a schedule cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScheduleError {
    /// Not a valid cron expression.
    Cron(String),
    /// The system does not know the time zone.
    TimeZone,
}

/// When something is due.
#[derive(Clone)]
pub struct CronSchedule {
    cron: Cron,
    zone: TimeZone,
}

impl CronSchedule {
    /// Parses six fields, seconds first, in an IANA time zone.
    ///
    /// # Errors
    /// The expression or the zone is wrong.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, ScheduleError> {
        let parsed = CronParser::builder().seconds(Seconds::Required).build().parse(cron);
        Ok(Self {
            cron: parsed.map_err(|error| ScheduleError::Cron(error.to_string()))?,
            zone: time_zone(zone).ok_or(ScheduleError::TimeZone)?,
        })
    }

    /// A time as its zone shows it: `2026-11-29 03:00:00 PST`.
    #[must_use]
    pub fn shown(&self, at: Moment) -> String {
        let at = Timestamp::from_millisecond(at.0).unwrap_or_default();
        at.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// The next time after `now`; `None` if there is none.
    #[must_use]
    pub fn next_after(&self, now: Moment) -> Option<Moment> {
        let now = Timestamp::from_millisecond(now.0).ok()?;
        let next = self.cron.find_next_occurrence(&Instant(now.to_zoned_datetime(self.zone.clone())), false).ok()?;
        Some(Moment(next.0.timestamp().as_millisecond()))
    }
}

/// UTC without a look at the system's time zones: the first one by name lists their whole folder, a third of what `status` takes.
fn time_zone(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("UTC") { Some(TimeZone::UTC) } else { TimeZone::get(name).ok() }
}

/// The next due time, for a caller that polls. If several were missed, it is due once; if the clock was set back, the
/// next time is brought forward. Only then is the timetable searched: that may take 70 ms for a day that comes once in years.
pub struct Due {
    cron_schedule: CronSchedule,
    next: Option<Moment>,
    asked_at: Moment,
}

impl Due {
    /// Due for the first time after `now`.
    #[must_use]
    pub fn after(cron_schedule: CronSchedule, now: Moment) -> Self {
        Self { next: cron_schedule.next_after(now), cron_schedule, asked_at: now }
    }

    /// The next due time; `None` if there is none.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        self.next
    }

    /// Whether it is due; true once for each time.
    pub fn is_due(&mut self, now: Moment) -> bool {
        let Some(next) = self.next else { return false };
        let (due, set_back) = (now >= next, now < self.asked_at);
        self.asked_at = now;
        if due || set_back {
            self.next = self.cron_schedule.next_after(now);
        }
        due
    }
}

/// Makes jiff 1's time usable for croner, whose own bridge is for jiff 0.2.
#[derive(Clone)]
struct Instant(ZonedDateTime);

impl CronDateTime for Instant {
    fn to_civil(&self) -> CivilDateTime {
        let at = self.0.datetime();
        let part = |part: i8| u32::try_from(part).unwrap_or(0);
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(i32::from(at.year()), part(at.month()), part(at.day())),
            CivilTime::from_parts_unchecked(part(at.hour()), part(at.minute()), part(at.second())),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(u32::try_from(self.0.weekday().to_sunday_zero_offset()).unwrap_or(0))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (month, day) = (part(civil.month())?, part(civil.day())?);
        let (hour, minute, second) = (part(civil.hour())?, part(civil.minute())?, part(civil.second())?);
        let at = DateTime::new(year, month, day, hour, minute, second, 0).map_err(|_| CronError::InvalidDate)?;
        let ambiguous = self.0.time_zone().to_ambiguous_zoned_datetime(at);
        let one = |zoned: Result<ZonedDateTime, jiff::Error>| zoned.map(Self).map_err(|_| CronError::InvalidTime);
        Ok(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => Resolution::Single(one(ambiguous.unambiguous())?),
            AmbiguousOffset::Fold { .. } => {
                Resolution::Ambiguous(one(ambiguous.clone().earlier())?, one(ambiguous.later())?)
            }
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timetable_is_right_over_both_changes_of_daylight_saving() {
        for (cron, now, next) in [
            ("0 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00.000Z"),
            ("0 30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00.000Z"),
            ("0 30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00.000Z"),
            ("0 */30 * * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00.000Z"),
        ] {
            let cron_schedule = CronSchedule::parse(cron, "Europe/Berlin").expect("good");
            let now: Timestamp = now.parse().expect("an instant");
            let found = cron_schedule.next_after(Moment(now.as_millisecond())).map(|next| next.to_string());
            assert_eq!(found.as_deref(), Some(next), "{cron} after {now}");
        }
    }

    #[test]
    fn missed_instants_are_one_run_and_a_clock_set_back_waits_for_no_hour() {
        let at = |text: &str| Moment(text.parse::<Timestamp>().expect("an instant").as_millisecond());
        let cron_schedule = CronSchedule::parse("0 */5 * * * *", "UTC").expect("good");
        let mut due = Due::after(cron_schedule, at("2026-01-01T00:01:00Z"));
        assert!(!due.is_due(at("2026-01-01T00:04:59Z")));
        assert!(due.is_due(at("2026-01-01T03:00:01Z")), "three hours of sleep");
        assert!(!due.is_due(at("2026-01-01T03:00:02Z")), "one run, not thirty-six");
        assert!(!due.is_due(at("2026-01-01T02:01:00Z")), "set back");
        assert!(due.is_due(at("2026-01-01T02:05:00Z")), "and due as that clock says");
    }

    #[test]
    fn a_day_that_comes_once_in_years_is_not_searched_for_at_each_tick() {
        let cron_schedule = CronSchedule::parse("0 0 0 29 2 *", "Europe/Berlin").expect("good");
        let mut due = Due::after(cron_schedule, Moment(1_900_000_000_000));
        let started = std::time::Instant::now();
        assert!((1..200_000).all(|second| !due.is_due(Moment(1_900_000_000_000 + 1_000 * second))));
        assert!(started.elapsed().as_secs() < 10, "{:?} for two days of ticks", started.elapsed());
    }

    #[test]
    fn what_never_comes_is_seen() {
        let cron_schedule = CronSchedule::parse("0 0 0 30 2 *", "UTC").expect("it parses");
        assert_eq!(cron_schedule.next_after(Moment(0)), None);
    }
}
