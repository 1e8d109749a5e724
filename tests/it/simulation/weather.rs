//! What goes wrong in a seed: each kind of trouble is on or off for all of it, so that some seeds see many kinds together and
//! others one kind alone (swarm testing: Groce et al., ISSTA 2012).

use crate::support::chance::Chance;
use std::collections::{BTreeMap, BTreeSet};

/// A kind of trouble.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Trouble {
    /// The connection breaks before the request is obeyed.
    CutBefore,
    /// The connection breaks after it was obeyed.
    CutAfter,
    /// The connection breaks, and the request is obeyed some seconds later.
    ComesLate,
    /// 500, 502, 503 or 504, and nothing was done.
    ErrorBefore,
    /// The same, and it was done.
    ErrorAfter,
    /// 429, with or without `Retry-After`.
    Throttled,
    /// A body that does not arrive completely.
    Torn,
    /// 400 to a change.
    Rejected,
    /// 401 to everything in a cycle.
    Unauthorized,
    /// 404 to a read of an account that is there.
    NotFoundLie,
    /// A list that lacks accounts.
    ShortList,
    /// A filter that is not obeyed.
    FilterIgnored,
    /// Lists that show what happened only later.
    IndexLag,
    /// Somebody edits the names of an account by hand.
    EditedByHand,
    /// Somebody deletes an account by hand.
    DeletedByHand,
    /// Somebody deactivates an account by hand.
    DeactivatedByHand,
    /// A second sender makes the account of somebody who has none.
    MadeByAnother,
    /// Our clock is ahead for a while.
    ClockAhead,
    /// Our clock is behind for a while.
    ClockBehind,
    /// The export is cut off.
    TruncatedExport,
    /// The export is empty, or not an export.
    GarbageExport,
    /// The export of some time ago comes again.
    OldExport,
    /// An export of one record a line lacks its last lines.
    CutLines,
    /// A record that cannot be used.
    BadRecord,
    /// Two records with one id.
    DoubledRecord,
    /// The process is killed before or after a request, commit or delivery.
    Killed,
    /// SIGTERM.
    Stopped,
}

use Trouble::{
    BadRecord, ClockAhead, ClockBehind, ComesLate, CutAfter, CutBefore, CutLines, DeactivatedByHand, DeletedByHand,
    DoubledRecord, EditedByHand, ErrorAfter, ErrorBefore, FilterIgnored, GarbageExport, IndexLag, Killed,
    MadeByAnother, NotFoundLie, OldExport, Rejected, ShortList, Stopped, Throttled, Torn, TruncatedExport,
    Unauthorized,
};

impl Trouble {
    /// All of them.
    pub(super) const ALL: [Self; 27] = [
        CutBefore,
        CutAfter,
        ComesLate,
        ErrorBefore,
        ErrorAfter,
        Throttled,
        Torn,
        Rejected,
        Unauthorized,
        NotFoundLie,
        ShortList,
        FilterIgnored,
        IndexLag,
        EditedByHand,
        DeletedByHand,
        DeactivatedByHand,
        MadeByAnother,
        ClockAhead,
        ClockBehind,
        TruncatedExport,
        GarbageExport,
        OldExport,
        CutLines,
        BadRecord,
        DoubledRecord,
        Killed,
        Stopped,
    ];

    /// What needs an endpoint that takes no username twice: without it and without an honest look-up nobody can promise that
    /// no user is created twice.
    const NEEDS_UNIQUE: [Self; 4] = [NotFoundLie, ShortList, FilterIgnored, MadeByAnother];
}

/// The troubles of one seed, and how the endpoint and the export are made.
pub(super) struct Weather {
    on: BTreeSet<Trouble>,
    /// How often a request meets a trouble that is on, in a thousand.
    rate: u64,
    /// How often each trouble was met.
    pub(super) met: BTreeMap<Trouble, u64>,
    /// The endpoint takes no username twice.
    pub(super) unique: bool,
    /// An account that was deactivated stays.
    pub(super) keeps_inactive: bool,
    /// The endpoint shows its clock.
    pub(super) shows_date: bool,
    /// How long lists do not show what happened, in milliseconds.
    pub(super) lag_ms: u64,
    /// The longest way to the endpoint and the longest way back, in milliseconds.
    pub(super) latency_ms_max: u64,
    /// The export has a record a line, which proves nothing about who is absent.
    pub(super) by_lines: bool,
    /// The guard holds back what is much.
    pub(super) guarded: bool,
}

impl Weather {
    /// The weather of a seed.
    pub(super) fn of(chance: &mut Chance) -> Self {
        let share = chance.pick(&[0, 150, 400, 700]);
        let mut on: BTreeSet<_> = Trouble::ALL.into_iter().filter(|_| chance.per_mille(share)).collect();
        let unique = chance.per_mille(600);
        if !unique {
            on.retain(|one| !Trouble::NEEDS_UNIQUE.contains(one));
        }
        let by_lines = chance.per_mille(300);
        if !by_lines {
            on.remove(&CutLines);
        }
        let shows_date = on.contains(&ClockAhead) || on.contains(&ClockBehind) || chance.per_mille(800);
        // Without uniqueness a create must show within `settle_time`, counted from its intent.
        let lag_s_max = if unique { 300 } else { 20 };
        let lag_ms = if on.contains(&IndexLag) { 1_000 * chance.between(1, lag_s_max) } else { 0 };
        // A lag is met by everything that is listed.
        let met = on.get(&IndexLag).map(|lag| (*lag, 1)).into_iter().collect();
        Self {
            on,
            rate: chance.pick(&[5, 20, 60, 150]),
            met,
            unique,
            keeps_inactive: chance.per_mille(400),
            shows_date,
            lag_ms,
            latency_ms_max: chance.pick(&[0, 30, 400, 3_000]),
            by_lines,
            guarded: chance.per_mille(300),
        }
    }

    /// A day without clouds.
    pub(super) fn fair() -> Self {
        Self {
            on: BTreeSet::new(),
            rate: 0,
            met: BTreeMap::new(),
            unique: true,
            keeps_inactive: false,
            shows_date: true,
            lag_ms: 0,
            latency_ms_max: 20,
            by_lines: false,
            guarded: false,
        }
    }

    /// Which troubles are on.
    pub(super) fn says(&self) -> String {
        let on: Vec<_> = self.on.iter().map(|one| format!("{one:?}")).collect();
        format!(
            "rate {}, unique {}, keeps inactive {}, date {}, lag {} ms, latency {} ms, by lines {}, guarded {}, {}",
            self.rate,
            self.unique,
            self.keeps_inactive,
            self.shows_date,
            self.lag_ms,
            self.latency_ms_max,
            self.by_lines,
            self.guarded,
            on.join(" ")
        )
    }

    /// Whether a request meets this trouble.
    pub(super) fn strikes(&mut self, trouble: Trouble, chance: &mut Chance) -> bool {
        let rate = self.rate;
        self.comes(trouble, rate, chance)
    }

    /// Whether this trouble comes, in so many of a thousand cases if it is on.
    pub(super) fn comes(&mut self, trouble: Trouble, per_mille: u64, chance: &mut Chance) -> bool {
        let comes = self.on.contains(&trouble) && chance.per_mille(per_mille);
        if comes {
            *self.met.entry(trouble).or_default() += 1;
        }
        comes
    }

    /// A trouble that came did not come after all.
    pub(super) fn spares(&mut self, trouble: Trouble) {
        if let Some(count) = self.met.get_mut(&trouble) {
            *count -= 1;
        }
    }

    /// From now on nothing goes wrong.
    pub(super) fn clears(&mut self) {
        self.on.clear();
        self.lag_ms = 0;
    }
}
