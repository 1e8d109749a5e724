//! `status` as a page: one line that says whether somebody must look, then what stands how, with an age beside each time and
//! the command that settles it.

use super::age::{ago, date, dated, lasting, old_export};
use super::held::sends;
use super::status::{SinkStanding, Status};
use super::text::groups_text;
use super::words::{Extent, count, name};
use crate::model::{
    AccountState, Action, HoldId, Moment, OutstandingKind, OutstandingUser, Reason, approval, clean, command, quoted,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A page: so many lines fit on a terminal that is not tiny.
const PAGE_LINES_MAX: usize = 40;
/// Lines of the page that are kept for what comes after the users: log, sinks, and that there is more.
const LINES_AFTER: usize = 8;
/// How many sinks a page shows.
const SINKS_SHOWN_MAX: usize = 5;
/// How many users of a group a page names.
const NAMES_SHOWN_MAX: usize = 3;

/// The page for people.
#[must_use]
pub fn status_text(status: &Status, extent: Extent) -> String {
    let mut lines = vec![headline(status)];
    if status.restored {
        lines.push(
            "the state was restored from a backup: the next cycle is a refresh, and its removals are held until they are \
             approved"
                .to_owned(),
        );
    }
    if let Some(lead) = &status.lead {
        lines.push(entry("lead", &lead.line(status.now)));
    }
    if let Some(behind) = &status.replica_behind {
        let since = dated(behind.since, status.now);
        let risk = "changes are sent without it, and another host would lack the newest";
        lines.push(entry("replica", &format!("behind since {since}: {}; {risk}", clean(&behind.why))));
    }
    lines.push(entry("daemon", &daemon(status)));
    lines.push(entry("export", &export(status)));
    lines.push(entry("accounts", &accounts(status)));
    lines.push(entry("cycle", &cycle(status)));
    let mut groups = String::new();
    groups_text(&mut groups, &status.groups_unnamed);
    lines.extend(groups.lines().map(|line| entry("scope", line.trim())));
    lines.extend(outstanding(status, extent, lines.len()));
    lines.push(entry("log", &format!("event {}", status.head.0)));
    if status.head.0 > 0 {
        lines.push(entry("head", &format!("{}:{}", status.head.0, status.head.1)));
    }
    let shown = if extent == Extent::All { usize::MAX } else { SINKS_SHOWN_MAX };
    lines.extend(status.sinks.iter().take(shown).map(|one| entry("sink", &sink(one, status.now))));
    if status.sinks.len() > shown {
        lines.push(entry("", &format!("and {} more sinks: {}", status.sinks.len() - shown, command("status --all"))));
    }
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

fn entry(what: &str, says: &str) -> String {
    format!("{what:<9} {says}")
}

fn headline(status: &Status) -> String {
    let users = count(usize::try_from(status.provisioned_count).unwrap_or(0), "user");
    if !status.active {
        return format!("deactivated: {users} stay as they are in Rhombus; to begin again: {}", command("activate"));
    }
    match &status.red {
        Some(red) => {
            format!("RED since {} ({}): {}", date(red.since), lasting(red.since, status.now), clean(&red.reason))
        }
        None => match &status.failing {
            None => format!("OK: {users} provisioned{}", listed(status)),
            Some(failing) => format!(
                "OK so far: {users} provisioned{}; no good cycle since {} ({}): {}",
                listed(status),
                date(failing.since),
                lasting(failing.since, status.now),
                clean(&failing.reason)
            ),
        },
    }
}

/// "; 4 held, 1 refused".
fn listed(status: &Status) -> String {
    let mut counts: BTreeMap<OutstandingKind, usize> = BTreeMap::new();
    for one in status.outstanding.iter().filter(|one| !is_approved(one, status)) {
        *counts.entry(one.kind).or_default() += 1;
    }
    let parts: Vec<_> = counts.iter().map(|(kind, count)| format!("{count} {}", kind.as_str())).collect();
    if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) }
}

/// Whether it is held no more: a coming cycle sends it.
fn is_approved(one: &OutstandingUser, status: &Status) -> bool {
    one.kind == OutstandingKind::Held && status.approved.iter().any(|approved| approved.change.is_about(one))
}

fn daemon(status: &Status) -> String {
    match (&status.daemon, status.last_cycle_at) {
        (Some(daemon), _) => {
            let pid = daemon.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            let next = daemon.next_cycle.map(|next| format!(", next cycle {}", dated(next, status.now)));
            format!("running{pid}{}", next.unwrap_or_default())
        }
        (None, _) if status.cycle_runs => "not running; another process is running a cycle".to_owned(),
        (None, Some(at)) => format!("not running; the last cycle ended {}", dated(at, status.now)),
        (None, None) => format!("not running, and no cycle has run; to run one: {}", command("--reconcile")),
    }
}

fn export(status: &Status) -> String {
    let export = &status.export;
    let path = clean(&export.path);
    let Some(written_at) = export.written_at else { return format!("{path}, not read yet") };
    let users = match export.in_scope_count {
        Some(wanted) => format!("{wanted} of {} users wanted", export.users_count),
        None => count(usize::try_from(export.users_count).unwrap_or(0), "user"),
    };
    let old = old_export(written_at, status.now, export.max_age).map(|old| format!("; {old}")).unwrap_or_default();
    // Of one that was rejected nothing is stored: what stands here is another file's.
    let was_rejected = status.last_cycle["result"] == "failed" && status.last_cycle["export"]["digest"] == "";
    let which = if was_rejected { "; the last one accepted was" } else { "," };
    format!("{path}{which} written {}, {users}{old}", dated(written_at, status.now))
}

fn accounts(status: &Status) -> String {
    let proven = match status.token.proven_at {
        Some(at) => {
            let first =
                status.token.first_proven_at.map(|at| format!("token in use for {}, ", lasting(at, status.now)));
            format!("{}last proven {}", first.unwrap_or("token ".to_owned()), dated(at, status.now))
        }
        None => "token never proven".to_owned(),
    };
    format!("{} in Rhombus by our records; {proven}", status.provisioned_count)
}

fn cycle(status: &Status) -> String {
    let good = match status.last_good_at {
        Some(at) => format!("last good: {}", dated(at, status.now)),
        None => "none good yet".to_owned(),
    };
    let Some(result) = status.last_cycle["result"].as_str() else { return good };
    let error = status.last_cycle["error"].as_array().map(|chain| {
        let causes: Vec<_> = chain.iter().filter_map(|part| part.as_str()).collect();
        format!(": {}", clean(&causes.join(": ")))
    });
    format!("last: {result}{}; {good}", error.unwrap_or_default())
}

/// Who waits for the same thing.
type Groups<'u> = BTreeMap<(OutstandingKind, Option<&'static str>, String), Vec<&'u OutstandingUser>>;

fn outstanding(status: &Status, extent: Extent, lines_before: usize) -> Vec<String> {
    let mut groups: Groups<'_> = BTreeMap::new();
    for one in status.outstanding.iter().filter(|one| !is_approved(one, status)) {
        let key = (one.kind, one.action.map(Action::as_str), one.reason.to_string());
        groups.entry(key).or_default().push(one);
    }
    let mut all: Vec<Vec<String>> = groups
        .iter()
        .map(|((kind, action, reason), users)| group(kind.as_str(), *action, reason, users, status, extent))
        .collect();
    if !status.approved.is_empty() {
        all.insert(0, approved(status, extent));
    }
    // Of what is held, the command above disposes.
    let is_held = |one: &&OutstandingUser| {
        one.scim_id.is_some() && status.outstanding.iter().any(|held| held.scim_id == one.scim_id)
    };
    let users: Vec<_> = status.unmanaged.iter().filter(|one| !is_held(one)).collect();
    if !users.is_empty() {
        all.push(group("unmanaged", None, &users[0].reason.to_string(), &users, status, extent));
    }
    if extent == Extent::All {
        return all.concat();
    }
    let (mut lines, groups_count) = (Vec::new(), all.len());
    for (shown, group) in all.into_iter().enumerate() {
        if lines_before + lines.len() + group.len() + LINES_AFTER > PAGE_LINES_MAX {
            lines.push(entry(
                "",
                &format!("and {} more such groups: {}", groups_count - shown, command("status --all")),
            ));
            break;
        }
        lines.extend(group);
    }
    lines
}

/// What stands how, who, and the command that settles it.
fn group(
    kind: &str,
    action: Option<&str>,
    reason: &str,
    users: &[&OutstandingUser],
    status: &Status,
    extent: Extent,
) -> Vec<String> {
    let since = users.iter().filter_map(|one| one.since).min();
    let since = since.map(|since| format!(" for {}", lasting(since, status.now))).unwrap_or_default();
    let action = action.map(|action| format!(" ({action})")).unwrap_or_default();
    let users_count = count(users.len(), "user");
    let mut lines = vec![entry(kind, &format!("{users_count}{action}{since}: {}", clean(reason)))];
    let mut names: Vec<_> = users.iter().map(|one| name(one)).collect();
    names.sort_unstable();
    lines.extend(names_lines(names, extent));
    lines.extend(way_out(users, status).map(|way| entry("", &way)));
    lines
}

/// Who, from A to Z: the first few on a page, a line each if everybody is asked for.
fn names_lines(mut names: Vec<String>, extent: Extent) -> Vec<String> {
    if extent == Extent::All {
        return names.iter().map(|name| entry("", name)).collect();
    }
    let more = names.len().saturating_sub(NAMES_SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.truncate(NAMES_SHOWN_MAX);
    vec![entry("", &format!("{}{more}", names.join(", ")))]
}

/// What was approved and is not sent yet: how much, by whom, until when, who, and what sends it.
fn approved(status: &Status, extent: Extent) -> Vec<String> {
    let all = &status.approved;
    let by: BTreeSet<_> = all.iter().map(|one| clean(&one.by)).collect();
    let by: Vec<_> = by.iter().map(AsRef::as_ref).collect();
    let until = all.iter().map(|one| one.until).max().unwrap_or(status.now);
    let (changes, until) = (count(all.len(), "change"), dated(until, status.now));
    let mut lines = vec![entry("approved", &format!("{changes}, by {}; ends {until}", by.join(", ")))];
    let mut names: Vec<_> = all.iter().map(|one| clean(one.change.user_name.as_str()).into_owned()).collect();
    names.sort_unstable();
    lines.extend(names_lines(names, extent));
    lines.push(entry("", &sends(status.daemon.is_some() || status.cycle_runs)));
    lines
}

fn way_out(users: &[&OutstandingUser], status: &Status) -> Option<String> {
    let first = users.iter().min_by_key(|one| name(one))?;
    let who = first.username.as_ref().map(|name| name.as_str()).or(first.directory_id.as_ref().map(|id| id.as_str()));
    let one = |words: &str| who.map(|who| command(&format!("{words} {}", quoted(who))));
    let until = users.iter().filter_map(|one| one.until).min();
    match first.kind {
        OutstandingKind::Held => match first.reason.clock_doubt() {
            Some(doubt) => Some(format!("nothing to approve: {}", doubt.hint())),
            None => Some(held(status.hold.as_ref())),
        },
        OutstandingKind::Failed | OutstandingKind::Waiting => until.map(|until| goes_on(until, status.now, one)),
        OutstandingKind::Drift if first.reason == Reason::Account(AccountState::Unmanaged) => {
            let explain = one("explain").map(|explain| format!("; more: {explain}")).unwrap_or_default();
            Some(format!("remove whoever has left by hand, in Rhombus{explain}"))
        }
        OutstandingKind::Refused | OutstandingKind::Parked | OutstandingKind::Drift => one("explain"),
        OutstandingKind::Kept => None,
    }
}

fn held(hold: Option<&HoldId>) -> String {
    match hold {
        Some(hold) => format!("to review: {}; to release: {}", command("approve"), command(&approval(hold.as_str()))),
        None => "nothing to approve: it ends on its own, or with the next export".to_owned(),
    }
}

fn goes_on(until: Moment, now: Moment, one: impl Fn(&str) -> Option<String>) -> String {
    let at_once = one("--reconcile --only").map(|command| format!("; at once, for one: {command}"));
    format!("it continues {}{}", ago(until, now), at_once.unwrap_or_default())
}

fn sink(sink: &SinkStanding, now: Moment) -> String {
    let SinkStanding { name, kind: _, delivered, pending_count, dead_letters, refused_ever: _, error, since } = sink;
    let dead = match dead_letters {
        0 => String::new(),
        count => format!(", {count} refused for good (to list them: {})", command("events dead")),
    };
    let since = since.map(|since| format!(" for {}", lasting(since, now))).unwrap_or_default();
    let stuck = error.as_ref().map(|error| format!("; stuck{since}: {}", clean(error))).unwrap_or_default();
    format!("{}: {delivered} delivered, {pending_count} pending{dead}{stuck}", clean(name))
}
