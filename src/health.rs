//! How the daemon is, as one value. PURE: the service manager's line is one rendering of it.

use crate::model::{Moment, OutstandingKind};
use crate::report::CycleReport;

/// How a daemon is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// What happened last.
    pub latest: Latest,
    /// The last cycle since its start.
    pub last_cycle: Option<LastCycle>,
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
    /// It was told to stop, and finishes what it has begun.
    pub is_stopping: bool,
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

/// What happened last, and is told until something else does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Latest {
    /// It starts.
    #[default]
    Starting,
    /// It manages nobody, and why.
    Idle(String),
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
    pub fn of(report: &CycleReport, provisioned_count: i64) -> Self {
        let outstanding = OutstandingKind::ALL.map(|kind| (kind, report.count(kind)));
        Self {
            result: report.result.as_str(),
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

impl Health {
    /// What happened last, in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        match &self.latest {
            Latest::Starting => "starting".to_owned(),
            Latest::Idle(why) => format!("idle: {why}"),
            Latest::Active => "active".to_owned(),
            Latest::Cycle => self.last_cycle.as_ref().map(LastCycle::line).unwrap_or_default(),
            Latest::NotStarted(why) => format!("no cycle: {why}"),
            Latest::NoToken(why) => why.clone(),
        }
    }

    /// One line for the service manager: how it is now, whatever happened last.
    #[must_use]
    pub fn line(&self) -> String {
        let headline = self.headline();
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
            provisioned_count: 3,
            outstanding: vec![(OutstandingKind::Held, 2)],
            error: String::new(),
            hint: None,
        };
        let failed = LastCycle { error: "no export".into(), hint: Some("write one".into()), ..cycle.clone() };
        let health = |latest, last_cycle| Health { latest, last_cycle, ..Health::default() };
        for (health, line) in [
            (Health::default(), "starting"),
            (health(Latest::Idle("deactivated".into()), None), "idle: deactivated"),
            (health(Latest::Cycle, Some(cycle.clone())), "held: 3 provisioned, 2 held"),
            (health(Latest::Cycle, Some(failed)), "held: no export (write one)"),
            (health(Latest::Active, Some(cycle)), "active"),
        ] {
            assert_eq!(health.line(), line);
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
                Health { under_way: under_way(2, 30), is_stopping: true, ..well.clone() },
                "stopping: requests in flight are finished, no new one is sent",
            ),
            (
                Health { latest: Latest::NotStarted("no token".into()), next_cycle: Some(Moment(0)), ..well.clone() },
                "no cycle: no token; next cycle 1970-01-01T00:00:00.000Z",
            ),
        ] {
            assert_eq!(health.line(), line);
        }
        assert_eq!(well.last_word(), "stopped by a signal");
    }
}
