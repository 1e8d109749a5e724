//! Whether somebody must look: one reason, and since when. Users who only wait, are held or are refused are not a reason.

use super::TokenProof;
use super::age::lasting;
use crate::model::{Duration, Moment, clean};

/// So long may the sync go without a good cycle, if nothing else is configured.
pub const UNHEALTHY_AFTER: Duration = Duration::from_seconds(3_600);

/// Somebody must look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Red {
    /// Since when.
    pub since: Moment,
    /// Why: the first thing to mend.
    pub reason: String,
}

/// Something that goes on: a sink that takes nothing, a removal that fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ongoing {
    /// What.
    pub what: String,
    /// Since when.
    pub since: Moment,
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// A process holds the lock.
    Alive,
    /// None does, and the last cycle was not a daemon's: a timer, or a person, starts the next one.
    Due,
    /// None does, and the last cycle was a daemon's: nobody starts the next one.
    Gone,
}

/// What it is judged by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signs {
    /// Now.
    pub now: Moment,
    /// When managing began.
    pub managed_since: Moment,
    /// The last good cycle.
    pub last_good_at: Option<Moment>,
    /// The end of the last cycle, whomever it was about.
    pub last_cycle_at: Option<Moment>,
    /// The first cycle since the last good one, how many there were, and why the latest was not good.
    pub failing: Option<(Moment, u32, String)>,
    /// Since when the token is not the right one: refused, or of another organisation.
    pub token_refused_since: Option<Moment>,
    /// What was last known of it.
    pub token: TokenProof,
    /// Sinks that do not go on.
    pub sinks: Vec<Ongoing>,
    /// Removals that failed.
    pub removals: Vec<Ongoing>,
    /// Who sends.
    pub sender: Sender,
}

/// The most urgent reason to look, if there is one.
#[must_use]
pub fn red(signs: &Signs, unhealthy_after: Duration) -> Option<Red> {
    let Signs {
        now,
        managed_since,
        last_good_at,
        last_cycle_at,
        failing,
        token_refused_since,
        token,
        sinks,
        removals,
        sender,
    } = signs;
    let for_long = |since: Moment| now.since_ms(since) >= unhealthy_after.milliseconds();
    if let Some(since) = *token_refused_since {
        let reason = match token {
            TokenProof::Foreign => "the token opens another organisation: nothing is sent",
            TokenProof::Unknown | TokenProof::Proven | TokenProof::Refused => "Rhombus refuses the token",
        };
        return Some(Red { since, reason: reason.to_owned() });
    }
    let good_at = last_good_at.unwrap_or(*managed_since).max(*managed_since);
    if let Some((since, count, why)) = failing.as_ref().filter(|_| for_long(good_at)) {
        let often = if *count > 1 { format!(" ({count} cycles in a row)") } else { String::new() };
        return Some(Red { since: *since, reason: format!("{}{often}", clean(why)) });
    }
    if let (Sender::Gone, Some(since)) = (sender, last_cycle_at) {
        return Some(Red { since: *since, reason: "no daemon is running: nothing starts the next cycle".to_owned() });
    }
    if for_long(good_at) {
        let reason = match sender {
            Sender::Alive => format!("no good cycle for {}", lasting(good_at, *now)),
            Sender::Due | Sender::Gone => {
                format!("no good cycle for {}, and none is running", lasting(good_at, *now))
            }
        };
        return Some(Red { since: good_at, reason });
    }
    let longest = |all: &[Ongoing]| all.iter().filter(|one| for_long(one.since)).min_by_key(|one| one.since).cloned();
    let one = longest(removals).or_else(|| longest(sinks))?;
    Some(Red { since: one.since, reason: one.what })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(100 * 3_600_000);

    fn ago(minutes: i64) -> Moment {
        Moment(NOW.0 - minutes * 60_000)
    }

    fn good() -> Signs {
        Signs {
            now: NOW,
            managed_since: ago(6_000),
            last_good_at: Some(ago(5)),
            last_cycle_at: Some(ago(5)),
            failing: None,
            token_refused_since: None,
            token: TokenProof::Proven,
            sinks: Vec::new(),
            removals: Vec::new(),
            sender: Sender::Due,
        }
    }

    #[track_caller]
    fn check(signs: Signs, expected: Option<(i64, &str)>) {
        let red = red(&signs, UNHEALTHY_AFTER);
        let found = red.as_ref().map(|red| (NOW.since_ms(red.since) / 60_000, red.reason.as_str()));
        assert_eq!(found, expected);
    }

    #[test]
    fn what_goes_wrong_and_lasts_is_red_and_says_since_when() {
        let one = |minutes| vec![Ongoing { what: "it is stuck".to_owned(), since: ago(minutes) }];
        let failing = |minutes, count| Some((ago(minutes), count, "no export".to_owned()));
        check(good(), None);
        check(Signs { sender: Sender::Alive, ..good() }, None);
        check(Signs { token_refused_since: Some(ago(1)), ..good() }, Some((1, "Rhombus refuses the token")));
        let foreign = Signs { token_refused_since: Some(ago(1)), token: TokenProof::Foreign, ..good() };
        check(foreign, Some((1, "the token opens another organisation: nothing is sent")));
        check(Signs { failing: failing(4, 1), ..good() }, None);
        let late = Signs { last_good_at: Some(ago(90)), failing: failing(80, 16), ..good() };
        check(late, Some((80, "no export (16 cycles in a row)")));
        let gone = Signs { sender: Sender::Gone, ..good() };
        check(gone, Some((5, "no daemon is running: nothing starts the next cycle")));
        let nobody = Signs { last_good_at: None, last_cycle_at: None, ..good() };
        check(nobody, Some((6_000, "no good cycle for 4 days, and none is running")));
        let begun = Signs { last_good_at: None, last_cycle_at: None, managed_since: ago(2), ..good() };
        check(begun, None);
        let begun_again = Signs { last_good_at: Some(ago(5_000)), managed_since: ago(2), ..good() };
        check(begun_again, None);
        check(Signs { sinks: one(59), ..good() }, None);
        check(Signs { sinks: one(61), ..good() }, Some((61, "it is stuck")));
        check(Signs { removals: one(60), ..good() }, Some((60, "it is stuck")));
    }
}
