//! A cycle for people: what was done, who waits for what, and what to do next.

use super::age::{ago, date, dated, lasting, old_export};
use super::diff::{self, shortened};
use super::held::{Held, held_lines};
use super::paint::Paint;
use super::words::{Extent, count, name, whole};
use super::{CycleReport, CycleResult};
use crate::model::{
    FieldName, Moment, OutstandingKind, OutstandingUser, Reason, RecordFault, UnnamedGroup, UsernameConflict, clean,
    command, quoted,
};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many users of a reason a page names.
const NAMES_SHOWN_MAX: usize = 5;
/// How many reasons of a list a page gives.
const REASONS_SHOWN_MAX: usize = 3;

/// The end of a cycle, and what stands around it.
#[derive(Clone, Copy, Debug)]
pub struct CycleStory<'c> {
    /// What it did.
    pub report: &'c CycleReport,
    /// What it holds.
    pub held: Held<'c>,
    /// Where a sandbox run keeps its files.
    pub sandbox: Option<&'c str>,
}

/// The end of a cycle.
#[must_use]
pub fn cycle_text(story: &CycleStory<'_>) -> String {
    let CycleStory { report, held, sandbox } = story;
    let now = held.now;
    let mut out = vec![format!("{}: {}, in {} ms", verdict(report), done(report), report.took_ms)];
    if !report.export_digest.is_empty() {
        let written = held.written_at.map(|at| format!(", written {}", dated(at, now))).unwrap_or_default();
        out.push(format!("export: {} users{written}", report.export_users_count));
    }
    if let Some(old) = held.written_at.and_then(|at| old_export(at, now, report.max_age)) {
        out.push(format!("the export is {old}"));
    }
    out.extend(void_line(report.void_approvals_count));
    let mut groups = String::new();
    groups_text(&mut groups, &report.groups_unnamed);
    out.extend(groups.lines().map(|line| line.trim_start().to_owned()));
    for section in [held_lines(held), listed_lines(held.outstanding, held.extent, now, "status --all")] {
        if !section.is_empty() {
            out.push(String::new());
            out.extend(section);
        }
    }
    if let Some(folder) = sandbox {
        out.push(String::new());
        let folder = clean(folder);
        out.push(format!(
            "a sandbox run: no request left this machine; its state, events and accounts are in {folder}"
        ));
    }
    whole(&out)
}

/// Approvals that release nothing: whoever wrote them did not run `approve`.
#[must_use]
pub fn void_line(count: u64) -> Option<String> {
    let approvals = match count {
        0 => return None,
        1 => "1 approval in the state is".to_owned(),
        2.. => format!("{count} approvals in the state are"),
    };
    Some(Paint::Bad.over(&format!("{approvals} void: the log has no approval that gave them")))
}

fn verdict(report: &CycleReport) -> String {
    match report.result {
        CycleResult::Done if everybody_is_refused(report) => {
            Paint::Notice.over("nothing could be done: every user is refused")
        }
        CycleResult::Done => Paint::Good.over("done"),
        CycleResult::Partial => Paint::Notice.over("incomplete"),
        CycleResult::Held => Paint::Notice.over("done, except for what is held"),
        CycleResult::Failed => Paint::Bad.over("failed"),
    }
}

/// "1 deleted, 9 created, 44 up to date".
fn done(report: &CycleReport) -> String {
    let counts = report.done.named();
    let mut parts: Vec<_> =
        counts.filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    match parts.is_empty() {
        true => parts.push("nothing changed".to_owned()),
        false => parts.reverse(),
    }
    if report.unchanged_count > 0 {
        parts.push(format!("{} unchanged", report.unchanged_count));
    }
    parts.join(", ")
}

fn everybody_is_refused(report: &CycleReport) -> bool {
    !report.done.any() && report.unchanged_count == 0 && report.count(OutstandingKind::Refused) > 0
}

/// Groups of `[scope]` that no record names.
pub fn groups_text(out: &mut String, groups: &[UnnamedGroup]) {
    for UnnamedGroup { name, named_at } in groups {
        let since = named_at.map_or("none ever did".to_owned(), |at| format!("one of {} did", date(at)));
        let (name, check) = (clean(name), command("check"));
        let _ = writeln!(
            out,
            "  no record in the export names the group {name} of [scope]; {since}; `{check}` shows the groups that it has"
        );
    }
}

/// Everybody else whose wanted change is not done, by list and reason; what is held has a section of its own. `all`: the command
/// that shows everybody.
pub(super) fn listed_lines(outstanding: &[OutstandingUser], extent: Extent, now: Moment, all: &str) -> Vec<String> {
    let mut out = Vec::new();
    for kind in OutstandingKind::ALL.into_iter().filter(|kind| *kind != OutstandingKind::Held) {
        let mut by_reason: BTreeMap<String, Vec<&OutstandingUser>> = BTreeMap::new();
        for user in outstanding.iter().filter(|entry| entry.kind == kind) {
            by_reason.entry(with_value(user)).or_default().push(user);
        }
        let shown = if extent == Extent::All { by_reason.len() } else { REASONS_SHOWN_MAX };
        let more = by_reason.len().saturating_sub(shown);
        for (reason, users) in by_reason.into_iter().take(shown) {
            out.extend(group(kind, &reason, &users, extent, now));
        }
        if more > 0 {
            let reasons = count(more, "more reason");
            out.push(format!("  ! {}  for {reasons}: {}", kind.as_str(), command(all)));
        }
    }
    out
}

/// Who stands in a list for one reason: how many, since when, until when, and who.
fn group(kind: OutstandingKind, reason: &str, users: &[&OutstandingUser], extent: Extent, now: Moment) -> Vec<String> {
    let since = users.iter().filter_map(|user| user.since).min().filter(|since| now.since_ms(*since) >= 60_000);
    let since = since.map(|since| format!(" for {}", lasting(since, now))).unwrap_or_default();
    let until = users.iter().filter_map(|user| user.until).min();
    let until = until.map(|until| format!("; {}", goes_on(kind, until, now))).unwrap_or_default();
    let paint = match kind {
        OutstandingKind::Failed => Paint::Bad,
        OutstandingKind::Held
        | OutstandingKind::Waiting
        | OutstandingKind::Refused
        | OutstandingKind::Parked
        | OutstandingKind::Drift => Paint::Notice,
        OutstandingKind::Kept => Paint::Faint,
    };
    let what = paint.over(&format!("! {}", kind.as_str()));
    let mut names: Vec<_> = users.iter().map(|user| name(user)).collect();
    names.sort_unstable();
    let users_count = count(names.len(), "user");
    let mut out = vec![format!("  {what}  {users_count}{since}: {reason}{until}")];
    if extent == Extent::All {
        out.extend(names.iter().map(|name| format!("      {name}")));
        out.extend(way_out(users).map(|way| format!("      {way}")));
        return out;
    }
    let more = names.len().saturating_sub(NAMES_SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names: Vec<_> = names.iter().take(NAMES_SHOWN_MAX).map(|name| shortened(name)).collect();
    out.push(format!("      {}{more}", names.join(", ")));
    out.extend(way_out(users).map(|way| format!("      {way}")));
    out
}

/// The command that settles what does not settle itself, for the first user.
fn way_out(users: &[&OutstandingUser]) -> Option<String> {
    if let Some(doubt) = users.iter().find_map(|user| user.reason.clock_doubt()) {
        return Some(doubt.hint());
    }
    let first = users.iter().min_by_key(|user| name(user))?;
    let who = quoted(&clean(first.username.as_ref()?.as_str()));
    if let Some(by_hand) = by_hand(&first.reason, &who) {
        return Some(by_hand);
    }
    let by_hand = matches!(first.kind, OutstandingKind::Parked | OutstandingKind::Drift);
    by_hand.then(|| command(&format!("explain {who}")))
}

/// What a person can do about a refusal whose cause leaves a choice. `who`: the user, quoted for a shell.
pub(super) fn by_hand(reason: &Reason, who: &str) -> Option<String> {
    if *reason == Reason::Username(UsernameConflict::Renamed) {
        let forget = command(&format!("forget {who}"));
        return Some(format!("undo it in the directory; or, for a new account under the new name: {forget}"));
    }
    matches!(reason, Reason::Unfit { fault: RecordFault::UnknownState, .. })
        .then(|| "if the word is right, name it in [directory.states]; else fix the record in the directory".to_owned())
}

/// When it continues, in the words of its list.
pub(super) fn goes_on(kind: OutstandingKind, until: Moment, now: Moment) -> String {
    let word = match kind {
        OutstandingKind::Failed => "tried again",
        OutstandingKind::Held
        | OutstandingKind::Waiting
        | OutstandingKind::Refused
        | OutstandingKind::Parked
        | OutstandingKind::Kept
        | OutstandingKind::Drift => "continues",
    };
    match until > now {
        true => format!("{word} {} ({})", ago(until, now), date(until)),
        false => format!("{word} with the next cycle"),
    }
}

/// A reason with the value that explains it, if it is known.
pub(super) fn with_value(user: &OutstandingUser) -> String {
    let wanted = user.fields.iter().find(|field| field.name == FieldName::UserName);
    let wanted = wanted.and_then(|field| field.to.as_deref()).map(|name| shortened(&clean(name)));
    match (&user.reason, wanted) {
        (Reason::Username(UsernameConflict::Renamed), Some(wanted)) => {
            format!("the directory says {wanted}, but Rhombus does not rename users")
        }
        (Reason::Unusable(RecordFault::UsernameFormat), Some(wanted)) => format!("{} ({wanted:?})", user.reason),
        (_, _) if user.kind == OutstandingKind::Parked && !user.fields.is_empty() => {
            format!("{} ({})", user.reason, diff::fields_text(&user.fields, Extent::Page))
        }
        (reason, _) => clean(&reason.to_string()).into_owned(),
    }
}
