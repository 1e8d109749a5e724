//! The same for people: what was done, who waits for what, and what to do next.

use super::{CycleReport, CycleResult};
use crate::model::{Change, Moment, OutstandingKind, OutstandingUser, UnnamedGroup, approval, clean, command};
use crate::plan::ApprovedPlan;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many users of a list are shown; `--json` has all of them.
const USERS_SHOWN_MAX: usize = 20;

/// The end of a cycle.
#[must_use]
pub fn cycle_text(report: &CycleReport, now: Moment) -> String {
    let mut out = String::new();
    let verdict = match report.result {
        CycleResult::Done if everybody_is_refused(report) => "nobody is as wanted, everybody is refused",
        CycleResult::Done => "done",
        CycleResult::Partial => "incomplete",
        CycleResult::Held => "done, but for what the guard holds",
        CycleResult::Failed => "failed",
    };
    let _ = writeln!(out, "cycle {}: {verdict}, in {} ms", report.cycle, report.took_ms);
    let parts = report.done.named().chain([("unchanged", report.unchanged_count)]);
    let said: Vec<_> = parts.filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    let said = if said.is_empty() { "nothing changed".to_owned() } else { said.join(", ") };
    let read = match report.export_digest.is_empty() {
        true => "the export was not read".to_owned(),
        false => format!("export: {} users", report.export_users_count),
    };
    let _ = writeln!(out, "  {said} ({read})");
    groups_text(&mut out, &report.groups_unnamed);
    outstanding_text(&mut out, &report.outstanding, now);
    if let Some(hold) = &report.hold {
        let _ = writeln!(
            out,
            "  to look at what is held: {}; to release exactly that, for one hour: {}",
            command("approve"),
            command(&approval(hold))
        );
    }
    out
}

fn everybody_is_refused(report: &CycleReport) -> bool {
    !report.done.any() && report.unchanged_count == 0 && report.count(OutstandingKind::Refused) > 0
}

/// A plan.
#[must_use]
pub fn plan_text(plan: &ApprovedPlan, outstanding: &[OutstandingUser], now: Moment) -> String {
    let mut out = String::new();
    let changes: Vec<_> = plan.changes().collect();
    if changes.is_empty() {
        let _ = writeln!(out, "no changes; {} users up to date", plan.unchanged_count());
    } else {
        let _ = writeln!(out, "{} to change, {} up to date", count(changes.len(), "user"), plan.unchanged_count());
    }
    for change in changes.iter().take(USERS_SHOWN_MAX) {
        let _ = writeln!(
            out,
            "  {} {}: {}{}",
            change.action().as_str(),
            clean(change.user_name().as_str()),
            change.cause(),
            fields(change)
        );
    }
    if changes.len() > USERS_SHOWN_MAX {
        let _ = writeln!(out, "  … and {} more (--json has all)", changes.len() - USERS_SHOWN_MAX);
    }
    for numbers in plan.tripped() {
        let _ = writeln!(out, "  {numbers}");
    }
    outstanding_text(&mut out, outstanding, now);
    let _ = writeln!(out, "plan {}", plan.digest());
    out
}

fn fields(change: &Change) -> String {
    match change {
        Change::Create { .. } | Change::Remove { .. } | Change::Relink { .. } => String::new(),
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

/// Groups of `[scope]` that no record names.
pub fn groups_text(out: &mut String, groups: &[UnnamedGroup]) {
    for UnnamedGroup { name, named_at } in groups {
        let since = named_at.map_or("none ever did".to_owned(), |at| format!("one of {at} did"));
        let _ = writeln!(out, "  no record of the export names the group {} of [scope]; {since}", clean(name));
    }
}

/// Everybody whose wanted change is not done, list by list and reason by reason, the longest wait first.
pub fn outstanding_text(out: &mut String, outstanding: &[OutstandingUser], now: Moment) {
    for kind in OutstandingKind::ALL {
        let users: Vec<_> = outstanding.iter().filter(|entry| entry.kind == kind).collect();
        if users.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  {}: {}", kind.as_str(), count(users.len(), "user"));
        let mut by_reason: BTreeMap<(String, Option<Moment>), Vec<&OutstandingUser>> = BTreeMap::new();
        for user in users {
            by_reason.entry((user.reason.to_string(), user.until)).or_default().push(user);
        }
        for ((reason, until), users) in by_reason {
            let until = until.map(|until| format!(", until {until}")).unwrap_or_default();
            let since = users.iter().filter_map(|user| user.since).min();
            let _ = writeln!(out, "    {reason}{until}{}", age(since, now));
            let names: Vec<_> = users.iter().take(USERS_SHOWN_MAX).map(|user| name(user)).collect();
            let more = users.len().saturating_sub(USERS_SHOWN_MAX);
            let more = if more > 0 { format!(" and {more} more (--json has all)") } else { String::new() };
            let _ = writeln!(out, "      {}{more}", names.join(", "));
        }
    }
}

pub(super) fn name(user: &OutstandingUser) -> String {
    let ids = user.former_id.as_ref().zip(user.directory_id.as_ref());
    let ids = ids.map(|(former, now)| format!(" ({} → {})", clean(former.as_str()), clean(now.as_str())));
    let name = user.username.as_ref().map(|name| name.as_str()).or(user.directory_id.as_ref().map(|id| id.as_str()));
    let name = name.map_or("(nobody)".into(), clean);
    format!("{name}{}", ids.unwrap_or_default())
}

/// For how long, in the largest unit that it fills; nothing where it is new.
fn age(since: Option<Moment>, now: Moment) -> String {
    let Some(since) = since else { return String::new() };
    let minutes = now.since_ms(since) / 60_000;
    match minutes {
        ..1 => String::new(),
        1..120 => format!(", for {minutes} min"),
        120..2_880 => format!(", for {} h", minutes / 60),
        _ => format!(", for {} days", minutes / 1_440),
    }
}

pub(super) fn count(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// One event in one line for people.
#[must_use]
pub fn event_text(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().map(|text| clean(text).into_owned()).unwrap_or_default();
    let outcome = if event["success"] == true { "done".to_owned() } else { text(&event["error_message"]) };
    let changes: String = event["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|change| format!(", {} → {:?}", text(&change["field"]), text(&change["to"])))
        .collect();
    let (at, kind) = (text(&event["timestamp"]), text(&event["event_type"]));
    format!("{at} {kind} {}: {outcome}{changes}\n", text(&event["resource"]["username"]))
}
