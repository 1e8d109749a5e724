//! What is held: how much, who, on what evidence, against which limit, and the commands that settle it.

use super::age::{dated, lasting};
use super::diff::{self, Line};
use super::paint::Paint;
use super::words::{Extent, count, name, whole};
use crate::model::{
    Duration, GuardKind, HeldBy, HeldChange, Moment, OutstandingKind, OutstandingUser, OverLimit, Reason, approval,
    clean, command, quoted,
};
use std::collections::BTreeSet;

/// How many held changes a page lists.
const SHOWN_MAX: usize = 8;
/// What is wrong where nothing says otherwise.
const WRONG_EXPORT: &str = "if the export is wrong:";
const CHANGED: &str = "if somebody changed it:";
/// How many reasons a page gives.
const REASONS_SHOWN_MAX: usize = 4;

/// Whether the guard's hold can be approved now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Approvable<'h> {
    /// A cycle stored it, under this id.
    By(&'h str),
    /// Only a plan showed it.
    NotYet,
    /// It is held because of what Rhombus shows, or waits for the clock: nothing can be approved.
    Never,
}

/// What is held, and what its page rests on.
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
    let changes: Vec<_> = users.iter().filter_map(|user| Line::of_held(user, held.extent)).collect();
    if users.is_empty() {
        return Vec::new();
    }
    let mut out = vec![headline(held, &users, &changes)];
    if let Some(at) = held.written_at {
        out.push(format!("  The export was written {}.", dated(at, held.now)));
    }
    let reasons = reasons(&users, held.window);
    let shown = if held.extent == Extent::All { reasons.len() } else { REASONS_SHOWN_MAX };
    out.extend(reasons.iter().take(shown).map(|reason| format!("  {reason}")));
    if reasons.len() > shown {
        out.push(format!("  and {} more reasons: {}", reasons.len() - shown, command(all_of(held.approvable))));
    }
    out.push(String::new());
    let shown = if held.extent == Extent::All { usize::MAX } else { SHOWN_MAX };
    let (lines, more) = diff::lines(changes, shown);
    out.extend(lines);
    if more > 0 {
        out.push(format!("    and {more} more: {}", command(all_of(held.approvable))));
    }
    out.push(String::new());
    out.extend(ways_out(held, &users));
    out
}

/// What shows all that is held: `approve` what a cycle stored, `plan` the rest.
fn all_of(approvable: Approvable<'_>) -> &'static str {
    match approvable {
        Approvable::By(_) | Approvable::Never => "approve",
        Approvable::NotYet => "plan --all",
    }
}

fn headline(held: &Held<'_>, users: &[&OutstandingUser], changes: &[Line<'_>]) -> String {
    let now = held.now;
    let since = users.iter().filter_map(|user| user.since).min().filter(|since| now.since_ms(*since) >= 60_000);
    let since = since.map(|since| format!(" for {}", lasting(since, now))).unwrap_or_default();
    let stay = match (diff::any_removal(changes), held.approvable) {
        (false, _) => "",
        (true, Approvable::By(_) | Approvable::NotYet) => "; these people keep their access until you decide",
        (true, Approvable::Never) => "; these people keep their access until then",
    };
    let what = match changes.is_empty() {
        true => count(users.len(), "user"),
        false => diff::nouns(changes),
    };
    format!("{}. None of it was sent{stay}.", Paint::Notice.over(&format!("HELD{since}: {what}")))
}

/// Why, each reason once: many may be held by one limit.
fn reasons(users: &[&OutstandingUser], window: Duration) -> Vec<String> {
    let (mut out, mut seen, mut by_these) = (Vec::new(), BTreeSet::new(), Vec::new());
    for user in users {
        if let Reason::Held { by, .. } = user.reason {
            if by_these.contains(&by) {
                continue;
            }
            by_these.push(by);
        }
        out.extend(reason(&user.reason, window).into_iter().filter(|reason| seen.insert(reason.clone())));
    }
    out
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
        | HeldBy::Blank(_)
        | HeldBy::Scope
        | HeldBy::Identity
        | HeldBy::Encoding
        | HeldBy::ApprovedOtherwise => vec![sentence(&reason.to_string())],
    }
}

fn count_of(number: u64, word: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), word)
}

fn limit(numbers: OverLimit, window: Duration) -> [String; 2] {
    let OverLimit { kind, wanted, spent, limit, base } = numbers;
    let are = if wanted == 1 { "is" } else { "are" };
    let (what, may) = match kind {
        GuardKind::Absent => {
            (format!("{wanted} of {base} users {are} missing from the export or from its groups"), "be removed")
        }
        GuardKind::Suspended => {
            (format!("{wanted} of {base} users {are} suspended or staged in the export"), "be removed")
        }
        GuardKind::Create => {
            (format!("{} {are} wanted, beside {base} users", count_of(wanted, "new account")), "be created")
        }
        GuardKind::Update => (format!("{wanted} of {base} users would get new names"), "be changed"),
    };
    let already = match spent {
        0 => String::new(),
        1 => "; 1 already has been".to_owned(),
        2.. => format!("; {spent} already have been"),
    };
    let (kind, window) = (kind.as_str(), lasting(Moment(0), Moment(0).plus(window)));
    [format!("{what}."), format!("Without approval, {limit} may {may} within {window} ([guard.{kind}]){already}.")]
}

/// A sentence of ours with a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What may be wrong, if what is held is not right, and how that is mended.
fn mend(users: &[&OutstandingUser]) -> (&'static str, &'static str) {
    let any = |of: fn(&Reason) -> bool| users.iter().any(|user| of(&user.reason));
    if any(|reason| matches!(reason, Reason::Held { by: HeldBy::Scope, .. })) {
        return ("if a group was renamed:", "fix [scope] groups");
    }
    if users.iter().all(|user| matches!(user.reason, Reason::Mismatch { .. })) {
        return ("if the account is wrong:", "correct it in Rhombus");
    }
    if users.iter().any(|user| approved_otherwise(user)) {
        return (
            CHANGED,
            "find out who; what was approved otherwise stays held until it is approved, or gone from the export",
        );
    }
    (WRONG_EXPORT, "fix it")
}

fn approved_otherwise(user: &OutstandingUser) -> bool {
    matches!(user.reason, Reason::Held { by: HeldBy::ApprovedOtherwise, .. })
}

fn ways_out(held: &Held<'_>, users: &[&OutstandingUser]) -> Vec<String> {
    let way = |what: &str, how: &str| format!("  {what:<26}{how}");
    let doubt = users.iter().find_map(|user| user.reason.clock_doubt());
    let mut out = match held.approvable {
        Approvable::By(hold) => {
            let approve = approval(hold);
            let mut out = vec![way("if all of it is right:", &command(&approve))];
            // What waits for the clock is no part of the hold.
            let of_hold: Vec<_> = users.iter().filter(|user| user.reason.clock_doubt().is_none()).collect();
            let one = of_hold.iter().filter(|_| of_hold.len() > 1).min_by_key(|user| name(user));
            if let Some(name) = one.and_then(|one| one.username.as_ref()) {
                let only = format!("{approve} --only {}", quoted(&clean(name.as_str())));
                out.push(way("if only one is right:", &command(&only)));
            }
            let (cause, mend) = mend(users);
            let then = match cause {
                CHANGED => "",
                WRONG_EXPORT => "; the hold ends on its own with the next export",
                _ => "; the hold ends on its own",
            };
            out.push(way(cause, &format!("{mend}{then}")));
            out
        }
        Approvable::NotYet => {
            let (cause, mend) = mend(users);
            vec![
                way("to approve it:", &format!("a cycle must hold it first: {}", command("--reconcile"))),
                way(cause, &format!("{mend}{}", if cause == CHANGED { "" } else { "; nothing else needs to be done" })),
            ]
        }
        Approvable::Never if doubt.is_some() => Vec::new(),
        Approvable::Never => vec![way("nothing to approve:", "it ends once the cause above is gone")],
    };
    if let Some(doubt) = doubt {
        let what = if out.is_empty() { "nothing to approve:" } else { "what waits for the clock:" };
        out.push(way(what, &doubt.hint()));
    }
    out
}

/// What was released, one line a change, with every value that will be sent.
#[must_use]
pub fn released_lines(changes: &[HeldChange]) -> String {
    whole(&diff::lines(changes.iter().map(Line::of_released).collect(), usize::MAX).0)
}

/// A change that was approved, and that a coming cycle sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approved {
    /// The change, with the values that were shown.
    pub change: HeldChange,
    /// Who approved it.
    pub by: String,
    /// Until when.
    pub until: Moment,
}

/// What sends what was approved.
pub(super) fn sends(a_sender_is_alive: bool) -> String {
    match a_sender_is_alive {
        true => "the daemon acts within seconds".to_owned(),
        false => format!("no daemon is running; to send it now: {}", command("--reconcile")),
    }
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
        out.extend(diff::lines(approved.iter().map(|one| Line::of_released(&one.change)).collect(), usize::MAX).0);
        out.push(sends(a_daemon_runs));
    }
    whole(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, Mismatch};

    #[track_caller]
    fn check(reasons: &[Reason], expected: (&str, &str)) {
        let user = |reason: &Reason| OutstandingUser::new(OutstandingKind::Held, None, None, reason.clone());
        let users: Vec<_> = reasons.iter().map(user).collect();
        assert_eq!(mend(&users.iter().collect::<Vec<_>>()), expected);
    }

    #[test]
    fn what_is_to_be_mended_goes_by_what_is_held() {
        let mismatch = Reason::Mismatch { what: Mismatch::UserName, shown: None };
        let by = |by| Reason::Held { cause: Cause::Gone, by };
        check(&[by(HeldBy::Everybody)], (WRONG_EXPORT, "fix it"));
        check(&[by(HeldBy::Everybody), mismatch.clone()], (WRONG_EXPORT, "fix it"));
        check(&[mismatch], ("if the account is wrong:", "correct it in Rhombus"));
        check(&[by(HeldBy::Scope)], ("if a group was renamed:", "fix [scope] groups"));
    }
}
