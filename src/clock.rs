//! Which instants are believed, and how much time has passed for the guard. PURE: the clocks' readings are arguments.
//!
//! An instant that lies ahead of our clock was written under another one. Ours may be the wrong one, so a second clock,
//! Rhombus's, decides; what is ahead of both is corrected (`store::correct_clock`).

use crate::model::{Duration, Moment};
use std::collections::VecDeque;

/// Ahead by this much says nothing: clocks are set by a few seconds all the time, in milliseconds.
pub const AHEAD_MS_MAX: i64 = 60_000;
/// Our clock and Rhombus's agree up to this much, in milliseconds.
pub const APART_MS_MAX: i64 = 3_600_000;
/// The longest wait of all: a `Retry-After`, or the next try of a user.
pub const WAIT_MAX: Duration = Duration::from_seconds(86_400);
/// How long an approval holds.
pub const APPROVAL: Duration = Duration::from_seconds(3_600);
/// So many jumps of the wall clock are told apart; earlier ones count as one.
const JUMPS_KEPT_MAX: usize = 64;

/// Whether an instant that was the present when it was written lies ahead of the clock.
#[must_use]
pub fn is_ahead(written: Moment, now: Moment) -> bool {
    written.since_ms(now) > AHEAD_MS_MAX
}

/// The end of a wait, if it lies ahead and no further than a wait can last; a clock that was wrong may have stored any.
#[must_use]
pub fn believed(until: Moment, now: Moment, longest: Duration) -> Option<Moment> {
    (until > now && !is_ahead(until, now.plus(longest))).then_some(until)
}

/// Whether our clock and Rhombus's agree.
#[must_use]
pub fn agree(now: Moment, date: Moment) -> bool {
    now.since_ms(date).abs() <= APART_MS_MAX
}

/// What lies ahead of this was written under a wrong clock; `None`: nothing lies ahead of both clocks, or these disagree, so
/// that nobody knows which one is wrong.
#[must_use]
pub fn wrong_beyond(latest: Moment, now: Moment, date: Moment) -> Option<Moment> {
    let limit = now.max(date);
    (agree(now, date) && is_ahead(latest, limit)).then_some(limit)
}

/// The wall clock beside one that cannot be set: if the first jumps ahead of the second, no time has passed.
#[derive(Clone, Debug, Default)]
pub struct Elapsed {
    /// Each jump: the steady clock's reading, and the wall clock's after it, both in milliseconds.
    jumps: VecDeque<(i64, i64)>,
}

impl Elapsed {
    /// Notes both clocks. Read often: a jump is dated by the first reading after it.
    pub fn note(&mut self, steady_ms: i64, wall: Moment) {
        let is_jump =
            self.jumps.back().is_none_or(|(steady, at)| (wall.0 - at - (steady_ms - steady)).abs() > AHEAD_MS_MAX);
        if is_jump {
            self.jumps.push_back((steady_ms, wall.0));
        }
        if self.jumps.len() > JUMPS_KEPT_MAX {
            self.jumps.pop_front();
        }
    }

    /// The earliest that the wall clock has shown since so long ago, by the steady clock; before the first reading it is
    /// taken to have been right.
    #[must_use]
    pub fn earliest(&self, window: Duration, steady_ms: i64, wall: Moment) -> Moment {
        let since = steady_ms - window.milliseconds();
        let begin = |(place, (steady, at)): (usize, &(i64, i64))| {
            let next = self.jumps.get(place + 1).map_or(steady_ms, |(next, _)| *next);
            let from = if place == 0 { since } else { since.max(*steady) };
            (next >= since).then(|| at + (from - steady))
        };
        let earliest = self.jumps.iter().enumerate().filter_map(begin).min();
        Moment(earliest.unwrap_or(wall.0).min(wall.minus(window).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_800_000_000_000);
    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    fn at(hours: i64) -> Moment {
        Moment(NOW.0 + hours * HOUR)
    }

    #[test]
    fn only_what_two_clocks_that_agree_have_not_reached_is_wrong() {
        let check = |latest: i64, date: i64, expected: Option<i64>| {
            assert_eq!(wrong_beyond(at(latest), NOW, at(date)), expected.map(at), "latest {latest} h, date {date} h");
        };
        check(2, 0, Some(0));
        check(720, 1, Some(1));
        check(720, -1, Some(0));
        check(1, 1, None);
        check(0, 0, None);
        // Ours is the wrong one, or nobody knows.
        check(720, 720, None);
        check(720, 2, None);
        check(720, -2, None);
        assert_eq!(wrong_beyond(Moment(NOW.0 + 60_000), NOW, NOW), None);
        assert_eq!(wrong_beyond(Moment(NOW.0 + 60_001), NOW, NOW), Some(NOW));
    }

    #[test]
    fn no_wait_is_believed_past_its_longest() {
        let until = |hours| believed(at(hours), NOW, WAIT_MAX);
        assert_eq!(
            [until(-1), until(0), until(1), until(24), until(25)],
            [None, None, Some(at(1)), Some(at(24)), None]
        );
    }

    /// A process that begins at NOW; each step is hours of the steady clock, then by how many the wall clock jumps.
    fn earliest(steps: &[(i64, i64)]) -> i64 {
        let (mut elapsed, mut steady, mut wall) = (Elapsed::default(), 5 * DAY, NOW);
        elapsed.note(steady, wall);
        for (hours, jump) in steps {
            steady += hours * HOUR;
            wall = Moment(wall.0 + (hours + jump) * HOUR);
            elapsed.note(steady, wall);
        }
        elapsed.earliest(Duration::from_seconds(86_400), steady, wall).since_ms(NOW) / HOUR
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_no_time_passed() {
        assert_eq!(earliest(&[]), -24);
        assert_eq!(earliest(&[(3, 0)]), -21);
        assert_eq!(earliest(&[(3, 720)]), -21, "thirty days ahead");
        assert_eq!(earliest(&[(3, 720), (20, 0)]), -1);
        assert_eq!(earliest(&[(3, 720), (25, 0)]), 724, "by then the window lies behind the jump");
        assert_eq!(earliest(&[(3, 720), (1, -720)]), -20, "ahead and back");
        assert_eq!(earliest(&[(3, -720), (1, 720)]), -717, "back and ahead: what was stored meanwhile counts");
        assert_eq!(earliest(&[(3, -5)]), -26, "back: never later than a window ago by the wall clock");
        assert_eq!(earliest(&[(30, 0)]), 6);
    }

    #[test]
    fn a_clock_that_jumps_for_ever_takes_no_more_room() {
        let mut elapsed = Elapsed::default();
        (0..1_000).for_each(|hour| elapsed.note(hour, Moment(NOW.0 + hour * HOUR)));
        assert_eq!(elapsed.jumps.len(), JUMPS_KEPT_MAX);
    }
}
