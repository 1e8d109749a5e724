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
    /// When the schedule starts the next one.
    pub next_cycle: Option<Moment>,
    /// Whether Rhombus refuses the token in use.
    pub token_is_refused: bool,
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
    /// Another configuration is in force.
    Reloaded,
    /// It was not taken.
    ReloadRefused(String),
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

    fn line(&self) -> String {
        if self.error.is_empty() {
            let lists = self.outstanding.iter().map(|(kind, count)| format!(", {count} {}", kind.as_str()));
            return format!("{}: {} provisioned{}", self.result, self.provisioned_count, lists.collect::<String>());
        }
        let hint = self.hint.as_ref().map(|hint| format!(" ({})", hint.replace('\n', "; "))).unwrap_or_default();
        format!("{}: {}{hint}", self.result, self.error)
    }
}

impl Health {
    /// One line for the service manager.
    #[must_use]
    pub fn line(&self) -> String {
        match &self.latest {
            Latest::Starting => "starting".to_owned(),
            Latest::Idle(why) => format!("idle: {why}"),
            Latest::Active => "active".to_owned(),
            Latest::Cycle => {
                let next = self.next_cycle.map(|at| format!("; next cycle {at}")).unwrap_or_default();
                let last = self.last_cycle.as_ref().map(LastCycle::line).unwrap_or_default();
                format!("{last}{next}")
            }
            Latest::NotStarted(why) => format!("no cycle: {why}"),
            Latest::Reloaded => "the configuration was read again and is in force".to_owned(),
            Latest::ReloadRefused(why) => format!("the reload was refused, the old configuration stays: {why}"),
            Latest::NoToken(why) => why.clone(),
        }
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
}
