//! How the daemon is, as one value. PURE: the service manager's line, `/healthz`, `/metrics` and the monitor's page are
//! renderings of it.

mod past;
mod verdict;
mod waits;

pub use past::{Past, PastCycle};
pub use verdict::Verdict;
pub use waits::{Waits, earlier, is_shown, without_addresses};

use crate::meter::Counted;
use crate::model::{Behind, Duration, Moment, OutstandingKind};
use crate::report::{CycleReport, LeadStanding, SinkStanding, TokenProof, UNHEALTHY_AFTER};

/// How a daemon is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// What happened last.
    pub latest: Latest,
    /// Why nobody is managed, if nobody is.
    pub idle: Option<(Idle, String)>,
    /// Since when.
    pub idle_since: Moment,
    /// What this host is to the others; none if there are no others.
    pub lead: Option<LeadStanding>,
    /// Since when this host does not lead, and sees nobody who does.
    pub nobody_leads_since: Option<Moment>,
    /// The last cycle since its start.
    pub last_cycle: Option<LastCycle>,
    /// Since when a cycle runs, if one does.
    pub running_since: Option<Moment>,
    /// When the next one starts: by the schedule, or earlier, because something is tried again.
    pub next_cycle: Option<Moment>,
    /// Whether Rhombus refuses the token in use.
    pub token_is_refused: bool,
    /// The cycle under way.
    pub under_way: Option<UnderWay>,
    /// Why the last reload was refused; none once one was taken.
    pub reload_refused: Option<String>,
    /// The sinks that take nothing.
    pub stuck: Vec<StuckSink>,
    /// Since when nobody waits for the replica, if nobody does.
    pub replica_behind: Option<Behind>,
    /// It was told to stop, and finishes what it has begun.
    pub is_stopping: bool,
    /// When the daemon started: it counts since then.
    pub started_at: Moment,
    /// `[monitor] unhealthy_after`.
    pub unhealthy_after: Duration,
    /// Everybody whose wanted change is not done.
    pub waits: Vec<Waits>,
    /// The last cycles.
    pub past: Past,
    /// What was counted at the endpoint.
    pub counted: Counted,
    /// What the state shows.
    pub standing: Standing,
}

/// How far a cycle is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnderWay {
    /// Changes that are done, one way or another.
    pub done_count: u64,
    /// Changes that it makes; 0 until it has planned.
    pub all_count: u64,
}

/// A sink that takes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StuckSink {
    /// Its name.
    pub name: String,
    /// Why.
    pub error: String,
    /// Since when.
    pub since: Option<Moment>,
    /// Events that wait for it.
    pub pending_count: i64,
}

/// Why nobody is managed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Idle {
    /// There is no state yet.
    NoState,
    /// `deactivate` was run.
    Deactivated,
    /// State, token or configuration cannot be used, or another process sends.
    CannotSend,
    /// Another host leads, or may.
    Standby,
}

/// What the state shows, for whoever looks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Standing {
    /// Nobody has looked.
    #[default]
    NotLooked,
    /// It cannot be read.
    Unusable {
        /// Since when.
        since: Moment,
        /// Why.
        why: String,
    },
    /// It was read.
    Seen(Box<StateSeen>),
}

/// What was read of the state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StateSeen {
    /// Whether users are managed.
    pub is_active: bool,
    /// How many are provisioned.
    pub provisioned_count: i64,
    /// How many accounts carry a directory id and are managed by nobody.
    pub unmanaged_count: i64,
    /// When managing began.
    pub managed_since: Moment,
    /// When the last good cycle ended.
    pub last_good_at: Option<Moment>,
    /// When the last cycle ended.
    pub last_cycle_at: Option<Moment>,
    /// The first cycle since the last good one, how many there were, and why the latest was not good.
    pub failing: Option<(Moment, u32, String)>,
    /// When Rhombus first answered to the token in use.
    pub token_first_proven_at: Option<Moment>,
    /// When it last did.
    pub token_proven_at: Option<Moment>,
    /// Whose the token is, as the last cycle found.
    pub token: TokenProof,
    /// Since when it is not the right one: refused, or of another organisation.
    pub token_refused_since: Option<Moment>,
    /// When the last export that was read was written.
    pub export_written_at: Option<Moment>,
    /// How many users it held.
    pub export_users_count: i64,
    /// How many of them were in scope.
    pub in_scope_count: Option<i64>,
    /// What can be approved now.
    pub hold: Option<String>,
    /// Where events go.
    pub sinks: Vec<SinkStanding>,
}

/// What happened last, and is told until something else does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Latest {
    /// It starts.
    #[default]
    Starting,
    /// It manages nobody, and why.
    Idle(Idle, String),
    /// It may send.
    Active,
    /// A cycle ended.
    Cycle,
    /// A cycle could not start.
    NotStarted(String),
    /// Rhombus refuses the token, and there is no good one on the disk.
    NoToken(String),
}

/// What a cycle came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastCycle {
    /// Its result.
    pub result: &'static str,
    /// When it ended.
    pub at: Moment,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What was done, by its name.
    pub done: Vec<(&'static str, u64)>,
    /// How many users are provisioned after it.
    pub provisioned_count: i64,
    /// How many stand in each list.
    pub outstanding: Vec<(OutstandingKind, usize)>,
    /// Why it ended early; empty if it did not.
    pub error: String,
    /// How the reader can mend it.
    pub hint: Option<String>,
}

impl LastCycle {
    /// Of a report.
    #[must_use]
    pub fn of(report: &CycleReport, provisioned_count: i64, at: Moment) -> Self {
        let outstanding = OutstandingKind::ALL.map(|kind| (kind, report.count(kind)));
        Self {
            result: report.result.as_str(),
            at,
            took_ms: report.took_ms,
            done: report.done.named().filter(|(_, count)| *count > 0).collect(),
            provisioned_count,
            outstanding: outstanding.into_iter().filter(|(_, count)| *count > 0).collect(),
            error: report.error.join(": "),
            hint: report.hint.clone(),
        }
    }

    fn counts(&self) -> String {
        let lists = self.outstanding.iter().map(|(kind, count)| format!(", {count} {}", kind.as_str()));
        format!("{}: {} provisioned{}", self.result, self.provisioned_count, lists.collect::<String>())
    }

    fn line(&self) -> String {
        if self.error.is_empty() {
            return self.counts();
        }
        let hint = self.hint.as_ref().map(|hint| format!(" ({})", hint.replace('\n', "; "))).unwrap_or_default();
        format!("{}: {}{hint}", self.result, self.error)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            latest: Latest::default(),
            idle: None,
            lead: None,
            nobody_leads_since: None,
            idle_since: Moment::default(),
            last_cycle: None,
            running_since: None,
            next_cycle: None,
            token_is_refused: false,
            under_way: None,
            reload_refused: None,
            stuck: Vec::new(),
            replica_behind: None,
            is_stopping: false,
            started_at: Moment::default(),
            unhealthy_after: UNHEALTHY_AFTER,
            waits: Vec::new(),
            past: Past::default(),
            counted: Counted::default(),
            standing: Standing::default(),
        }
    }
}

impl Health {
    /// Something has happened.
    pub fn note(&mut self, latest: Latest, now: Moment) {
        let idle = match &latest {
            Latest::Idle(idle, why) => Some((*idle, why.clone())),
            Latest::Active | Latest::Cycle => None,
            Latest::Starting | Latest::NotStarted(_) | Latest::NoToken(_) => self.idle.clone(),
        };
        if idle.is_some() && self.idle.as_ref().map(|(idle, _)| idle) != idle.as_ref().map(|(idle, _)| idle) {
            self.idle_since = now;
        }
        (self.idle, self.latest) = (idle, latest);
    }

    /// Notes which host leads now.
    pub fn note_lead(&mut self, lead: LeadStanding, now: Moment) {
        match lead.names_nobody() {
            true => drop(self.nobody_leads_since.get_or_insert(now)),
            false => self.nobody_leads_since = None,
        }
        self.lead = Some(lead);
    }

    /// Whether another host leads, or may.
    #[must_use]
    pub fn is_standby(&self) -> bool {
        matches!(self.idle, Some((Idle::Standby, _)))
    }

    /// When the last good cycle ended, as the state shows it.
    #[must_use]
    pub fn last_good_at(&self) -> Option<Moment> {
        match &self.standing {
            Standing::Seen(seen) => seen.last_good_at,
            Standing::NotLooked | Standing::Unusable { .. } => None,
        }
    }

    /// What happened last, in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        match &self.latest {
            Latest::Starting => "starting".to_owned(),
            Latest::Idle(Idle::Standby, why) => why.clone(),
            Latest::Idle(_, why) => format!("idle: {why}"),
            Latest::Active => "active".to_owned(),
            Latest::Cycle => self.last_cycle.as_ref().map(LastCycle::line).unwrap_or_default(),
            Latest::NotStarted(why) => format!("no cycle: {why}"),
            Latest::NoToken(why) => why.clone(),
        }
    }

    /// One line for the service manager: how it is now, whatever happened last.
    #[must_use]
    pub fn line(&self, now: Moment) -> String {
        let headline = match (&self.lead, &self.latest) {
            (Some(lead), Latest::Idle(Idle::Standby, why)) if *why == lead.in_brief() => lead.line(now),
            (Some(LeadStanding::Standby { .. } | LeadStanding::Unknown { .. }), _) | (None, _) => self.headline(),
            (Some(lead), _) => format!("{}; {}", lead.line(now), self.headline()),
        };
        let mut line = match (self.is_stopping, self.under_way) {
            (true, Some(_)) => "stopping: requests in flight are finished, no new one is sent".to_owned(),
            (true, None) => "stopping: the last events go to the sinks".to_owned(),
            (false, Some(UnderWay { all_count: 0, .. })) => format!("a cycle is under way; before it: {headline}"),
            (false, Some(UnderWay { done_count, all_count })) => {
                format!("a cycle is under way, {done_count} of {all_count} changes; before it: {headline}")
            }
            (false, None) => headline,
        };
        for StuckSink { name, error, since, pending_count } in &self.stuck {
            let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
            line.push_str(&format!("; sink {name} is stuck{since}, {pending_count} events wait: {error}"));
        }
        if let Some(Behind { since, why }) = &self.replica_behind {
            line.push_str(&format!("; replica behind since {since}: {why}"));
        }
        if let Some(why) = &self.reload_refused {
            line.push_str(&format!("; the reload was refused, the old configuration stays: {why}"));
        }
        let rests = self.under_way.is_none() && !self.is_stopping;
        let goes_on = matches!(self.latest, Latest::Cycle | Latest::NotStarted(_));
        if let Some(at) = self.next_cycle.filter(|_| rests && goes_on) {
            line.push_str(&format!("; next cycle {at}"));
        }
        line
    }

    /// The last word, once the process ends.
    #[must_use]
    pub fn last_word(&self) -> String {
        let last = self.last_cycle.as_ref().map(|last| format!("; the last cycle: {}", last.counts()));
        format!("stopped by a signal{}", last.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_happened_last() {
        let cycle = LastCycle {
            result: "held",
            at: Moment(1),
            took_ms: 1,
            done: Vec::new(),
            provisioned_count: 3,
            outstanding: vec![(OutstandingKind::Held, 2)],
            error: String::new(),
            hint: None,
        };
        let failed = LastCycle { error: "no export".into(), hint: Some("write one".into()), ..cycle.clone() };
        let health = |latest, last_cycle| Health { latest, last_cycle, ..Health::default() };
        for (health, line) in [
            (Health::default(), "starting"),
            (health(Latest::Idle(Idle::Deactivated, "deactivated".into()), None), "idle: deactivated"),
            (health(Latest::Cycle, Some(cycle.clone())), "held: 3 provisioned, 2 held"),
            (health(Latest::Cycle, Some(failed)), "held: no export (write one)"),
            (health(Latest::Active, Some(cycle)), "active"),
        ] {
            assert_eq!(health.line(Moment(0)), line);
        }
    }

    #[test]
    fn a_line_says_which_host_leads() {
        let renewed_at = Some(Moment(0));
        let (name, leader) = (Some("acme".to_owned()), Some("host-a".to_owned()));
        let standby = LeadStanding::Standby { name, leader, renewed_at, resigned: false };
        let idle = |why: &str| Latest::Idle(Idle::Standby, why.to_owned());
        let leading = LeadStanding::Leading { reign: Some(7) };
        for (lead, latest, line) in [
            (&standby, idle("standby (acme leads: host-a)"), "standby (acme leads: host-a, renewed 4 s ago)"),
            (&standby, idle("standby (acme leads: host-a); no"), "standby (acme leads: host-a); no"),
            (&leading, Latest::Active, "leading (reign 7); active"),
            (&LeadStanding::TakingOver, Latest::Starting, "taking over; starting"),
        ] {
            let health = Health { lead: Some(lead.clone()), latest, ..Health::default() };
            assert_eq!(health.line(Moment(4_000)), line);
        }
    }

    #[test]
    fn a_line_says_how_it_is_whatever_happened_last() {
        let well = Health { latest: Latest::Active, ..Health::default() };
        let under_way = |done_count, all_count| Some(UnderWay { done_count, all_count });
        let stuck = StuckSink { name: "file:/x".into(), error: "no space".into(), since: None, pending_count: 7 };
        for (health, line) in [
            (Health { under_way: under_way(0, 0), ..well.clone() }, "a cycle is under way; before it: active"),
            (
                Health { under_way: under_way(2, 30), ..well.clone() },
                "a cycle is under way, 2 of 30 changes; before it: active",
            ),
            (
                Health { stuck: vec![stuck], reload_refused: Some("a typo".into()), ..well.clone() },
                "active; sink file:/x is stuck, 7 events wait: no space; the reload was refused, the old configuration stays: a typo",
            ),
            (
                Health { replica_behind: Some(Behind { since: Moment(0), why: "silent".into() }), ..well.clone() },
                "active; replica behind since 1970-01-01T00:00:00.000Z: silent",
            ),
            (
                Health { under_way: under_way(2, 30), is_stopping: true, ..well.clone() },
                "stopping: requests in flight are finished, no new one is sent",
            ),
            (
                Health { latest: Latest::NotStarted("no token".into()), next_cycle: Some(Moment(0)), ..well.clone() },
                "no cycle: no token; next cycle 1970-01-01T00:00:00.000Z",
            ),
        ] {
            assert_eq!(health.line(Moment(0)), line);
        }
        assert_eq!(well.last_word(), "stopped by a signal");
    }
}
