//! What is held: how much, who, on what evidence, against which limit, and the commands that settle it.

use super::age::{dated, lasting};
use super::diff::{self, Line};
use super::paint::Paint;
use super::words::{Extent, count, name, whole};
use crate::model::{
    Action, Duration, GuardKind, HeldBy, Moment, OutstandingKind, OutstandingUser, OverLimit, Reason, approval, clean,
    command, quoted,
};
use std::collections::BTreeSet;

/// How many held changes a page lists.
const SHOWN_MAX: usize = 8;
/// How many reasons a page gives.
const REASONS_SHOWN_MAX: usize = 4;

/// Whether the guard's hold can be approved now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Approvable<'h> {
    /// A cycle stored it, under this id.
    By(&'h str),
    /// Only a plan showed it.
    NotYet,
    /// What is held is in doubt at Rhombus, or a clock is wrong: nothing can be approved.
    Never,
}

/// What is held, and all that is said of it.
#[derive(Clone, Copy, Debug)]
pub struct Held<'h> {
    /// Every list; what is held is looked for in it.
    pub outstanding: &'h [OutstandingUser],
    /// How it can be approved.
    pub approvable: Approvable<'h>,
    /// When the export was written.
    pub written_at: Option<Moment>,
    /// `[guard] window`.
    pub window: Duration,
    /// How much is shown.
    pub extent: Extent,
    /// The present time.
    pub now: Moment,
}

/// The section about it; empty if nothing is held.
#[must_use]
pub(super) fn held_lines(held: &Held<'_>) -> Vec<String> {
    let users: Vec<_> = held.outstanding.iter().filter(|entry| entry.kind == OutstandingKind::Held).collect();
    let changes: Vec<_> = users.iter().filter_map(|user| Line::of_held(user)).collect();
    if users.is_empty() {
        return Vec::new();
    }
    let mut out = vec![headline(&users, &changes, held.now)];
    if let Some(at) = held.written_at {
        out.push(format!("  The export was written {}.", dated(at, held.now)));
    }
    let mut reasons: Vec<String> = users.iter().flat_map(|user| reason(&user.reason, held.window)).collect();
    let mut said = BTreeSet::new();
    reasons.retain(|reason| said.insert(reason.clone()));
    let shown = if held.extent == Extent::All { reasons.len() } else { REASONS_SHOWN_MAX };
    out.extend(reasons.iter().take(shown).map(|said| format!("  {said}")));
    if reasons.len() > shown {
        out.push(format!("  and {} more reasons: {}", reasons.len() - shown, command("status --all")));
    }
    out.push(String::new());
    let shown = if held.extent == Extent::All { usize::MAX } else { SHOWN_MAX };
    let (lines, more) = diff::lines(changes, shown);
    out.extend(lines);
    if more > 0 {
        let all = if held.approvable == Approvable::NotYet { "plan --all" } else { "approve" };
        out.push(format!("    and {more} more: {}", command(all)));
    }
    out.push(String::new());
    out.extend(ways_out(held, &users));
    out
}

fn headline(users: &[&OutstandingUser], changes: &[Line], now: Moment) -> String {
    let since = users.iter().filter_map(|user| user.since).min().filter(|since| now.since_ms(*since) >= 60_000);
    let since = since.map(|since| format!(" for {}", lasting(since, now))).unwrap_or_default();
    let stay = if diff::any_removal(changes) { "; these people keep their doors until you decide" } else { "" };
    let said = format!("HELD{since}: {}", diff::nouns(changes));
    format!("{}. None of it was sent{stay}.", Paint::Notice.over(&said))
}

/// Why, with the limit in words.
fn reason(reason: &Reason, window: Duration) -> Vec<String> {
    let Reason::Held { cause: _, by } = reason else { return vec![sentence(&reason.to_string())] };
    match by {
        HeldBy::Limit(numbers) => limit(*numbers, window).to_vec(),
        HeldBy::Everybody => vec!["Everybody would be removed.".to_owned()],
        HeldBy::Configuration
        | HeldBy::Restored
        | HeldBy::Clock(_)
        | HeldBy::Status(_)
        | HeldBy::Scope
        | HeldBy::Identity
        | HeldBy::Encoding => vec![sentence(&reason.to_string())],
    }
}

fn limit(numbers: OverLimit, window: Duration) -> [String; 2] {
    let OverLimit { kind, wanted, spent, limit, base } = numbers;
    let (what, may) = match kind {
        GuardKind::Absent => {
            (format!("{wanted} of {base} users are missing from the export or from its groups"), "be removed")
        }
        GuardKind::Suspended => {
            (format!("{wanted} of {base} users are suspended or staged in the export"), "be removed")
        }
        GuardKind::Create => (format!("{wanted} new accounts are wanted, beside {base} users"), "be created"),
        GuardKind::Update => (format!("{wanted} of {base} users would get other names"), "be changed"),
    };
    let already = if spent == 0 { String::new() } else { format!("; {spent} already were") };
    let (kind, window) = (kind.as_str(), lasting(Moment(0), Moment(0).plus(window)));
    [format!("{what}."), format!("Without approval, {limit} may {may} within {window} ([guard.{kind}]){already}.")]
}

/// A sentence of ours with a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn by_scope(user: &OutstandingUser) -> bool {
    matches!(user.reason, Reason::Held { by: HeldBy::Scope, .. })
}

fn ways_out(held: &Held<'_>, users: &[&OutstandingUser]) -> Vec<String> {
    let way = |what: &str, how: &str| format!("  {what:<26}{how}");
    match held.approvable {
        Approvable::By(hold) => {
            let approve = approval(hold);
            let mut out = vec![way("if all of it is right:", &command(&approve))];
            let one = users.iter().filter(|_| users.len() > 1).min_by_key(|user| name(user));
            if let Some(name) = one.and_then(|one| one.username.as_ref()) {
                let only = format!("{approve} --only {}", quoted(&clean(name.as_str())));
                out.push(way("if only one is right:", &command(&only)));
            }
            match users.iter().any(|user| by_scope(user)) {
                true => out.push(way("if a group was renamed:", "mend [scope] groups; the hold ends by itself")),
                false => {
                    out.push(way("if the export is wrong:", "mend it; the hold ends by itself with the next export"));
                }
            }
            out
        }
        Approvable::NotYet => vec![
            way("to approve it:", &format!("a cycle must hold it first: {}", command("--reconcile"))),
            way("if the export is wrong:", "mend it; nothing needs to be done here"),
        ],
        Approvable::Never => vec![way("nothing to approve:", "it ends once the cause above is gone")],
    }
}

/// A change that was approved, and that a coming cycle sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approved {
    /// What is done.
    pub action: Action,
    /// To whom.
    pub name: String,
    /// Who approved it.
    pub by: String,
    /// Until when.
    pub until: Moment,
}

/// `approve` without a hold.
#[must_use]
pub fn approve_text(held: &Held<'_>, approved: &[Approved], a_daemon_runs: bool) -> String {
    let mut out = held_lines(held);
    if out.is_empty() && approved.is_empty() {
        out.push("nothing is held".to_owned());
    }
    if let Some(last) = approved.iter().map(|one| one.until).max() {
        if !out.is_empty() {
            out.push(String::new());
        }
        let by: BTreeSet<_> = approved.iter().map(|one| clean(&one.by)).collect();
        let by: Vec<_> = by.iter().map(AsRef::as_ref).collect();
        let (changes, until) = (count(approved.len(), "change"), dated(last, held.now));
        out.push(format!("{}: {changes}, by {}; ends {until}", Paint::Good.over("APPROVED"), by.join(", ")));
        out.extend(approved.iter().map(|one| format!("  {:<10}  {}", one.action.as_str(), clean(&one.name))));
        out.push(match a_daemon_runs {
            true => "the daemon sends it within seconds".to_owned(),
            false => format!("no daemon runs; to send it: {}", command("--reconcile")),
        });
    }
    whole(&out)
}
