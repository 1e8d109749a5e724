//! The same for people: what was done, who waits for what, and what to do next.

use super::{CycleReport, CycleResult};
use crate::model::{Change, Standing, StandingKind};
use crate::plan::ApprovedPlan;
use std::fmt::Write;

/// How many users of a list are shown; `--json` has all of them.
const USERS_SHOWN_MAX: usize = 20;

/// The end of a cycle.
#[must_use]
pub fn cycle_text(report: &CycleReport) -> String {
    let mut out = String::new();
    let verdict = match report.result {
        CycleResult::Done => "done",
        CycleResult::Partial => "not all of it yet",
        CycleResult::Held => "done, but for what the guard holds",
        CycleResult::Failed => "failed",
    };
    let _ = writeln!(out, "cycle {}: {verdict}, in {} ms", report.cycle, report.took_ms);
    let parts = [
        (report.created_count, "created"),
        (report.linked_count, "linked"),
        (report.updated_count, "updated"),
        (report.deactivated_count, "deactivated"),
        (report.deleted_count, "deleted"),
        (report.unchanged_count, "unchanged"),
    ];
    let said: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let said = if said.is_empty() { "nothing changed".to_owned() } else { said.join(", ") };
    let _ = writeln!(out, "  {said} (export: {} users)", report.export_users_count);
    standings_text(&mut out, &report.standings);
    if let Some(hold) = &report.hold {
        let _ = writeln!(
            out,
            "  next: look at what is held; `rhombus-sync approve {hold}` releases exactly that, for one hour"
        );
    }
    out
}

/// A plan.
#[must_use]
pub fn plan_text(plan: &ApprovedPlan, standings: &[Standing]) -> String {
    let mut out = String::new();
    let changes: Vec<_> = plan.changes().collect();
    if changes.is_empty() {
        let _ = writeln!(out, "nothing to change; {} users are as they should be", plan.unchanged_count());
    } else {
        let _ =
            writeln!(out, "{} to change, {} as they should be", count(changes.len(), "user"), plan.unchanged_count());
    }
    for change in changes.iter().take(USERS_SHOWN_MAX) {
        let _ = writeln!(
            out,
            "  {} {}: {}{}",
            change.action().as_str(),
            crate::model::clean(change.user_name().as_str()),
            change.cause().as_str(),
            fields(change)
        );
    }
    if changes.len() > USERS_SHOWN_MAX {
        let _ = writeln!(out, "  … and {} more (--json has all)", changes.len() - USERS_SHOWN_MAX);
    }
    for numbers in plan.tripped() {
        let _ = writeln!(out, "  {numbers}");
    }
    standings_text(&mut out, standings);
    let _ = writeln!(out, "plan {}", plan.digest());
    out
}

fn fields(change: &Change) -> String {
    match change {
        Change::Create { .. } | Change::Remove { .. } => String::new(),
        Change::Update { .. } => change
            .fields()
            .iter()
            .map(|field| {
                let value = |text: &Option<Box<str>>| format!("{:?}", text.as_deref().unwrap_or_default());
                format!(", {} {} → {}", field.name.as_str(), value(&field.from), value(&field.to))
            })
            .collect(),
    }
}

/// Everybody whose wanted change is not done, list by list.
pub fn standings_text(out: &mut String, standings: &[Standing]) {
    for kind in StandingKind::ALL {
        let users: Vec<_> = standings.iter().filter(|standing| standing.kind == kind).collect();
        if users.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  {}: {}", kind.as_str(), count(users.len(), "user"));
        for user in users.iter().take(USERS_SHOWN_MAX) {
            let name = user.username.as_ref().map_or("(nobody)", |name| name.as_str());
            let until = user.until.map(|until| format!(", until {until}")).unwrap_or_default();
            let _ = writeln!(out, "    {}: {}{until}", crate::model::clean(name), user.reason);
        }
        if users.len() > USERS_SHOWN_MAX {
            let _ = writeln!(out, "    … and {} more (--json has all)", users.len() - USERS_SHOWN_MAX);
        }
    }
}

fn count(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
