//! A plan for people: a diff, what is held, who else is not changed, the totals, and what the export asks for.

use super::age::dated;
use super::diff::{self, Line};
use super::held::{Approvable, Held, held_lines};
use super::paint::Paint;
use super::text::{groups_text, listed_lines};
use super::words::{Extent, count, name, whole};
use crate::model::{Duration, GuardKind, Moment, OutstandingKind, OutstandingUser, UnnamedGroup, command};
use crate::plan::{ApprovedPlan, Usability};

/// A page: so many lines fit on a terminal that is not tiny.
const PAGE_LINES_MAX: usize = 40;
/// So many changes are listed however long the rest is.
const CHANGES_SHOWN_MIN: usize = 5;
/// How many accounts that nobody manages a page names.
const UNMANAGED_SHOWN_MAX: usize = 5;
/// So much of a plan's digest names it.
const DIGEST_DIGITS: usize = 12;

/// What a plan was made against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Against {
    /// Our own record.
    Record,
    /// What Rhombus has now.
    Rhombus,
}

/// A plan, and what its page rests on.
#[derive(Clone, Copy, Debug)]
pub struct PlanStory<'p> {
    /// The plan.
    pub plan: &'p ApprovedPlan,
    /// Everybody who is not changed, with since when.
    pub outstanding: &'p [OutstandingUser],
    /// Groups of `[scope]` that no record of the export names.
    pub groups_unnamed: &'p [UnnamedGroup],
    /// Accounts that carry a directory id and that nobody manages.
    pub unmanaged: &'p [OutstandingUser],
    /// Whether users are managed.
    pub active: bool,
    /// What the records of the export ask for.
    pub usability: &'p Usability,
    /// When the export was written.
    pub written_at: Moment,
    /// What it was compared with.
    pub against: Against,
    /// Whether it is everybody's, or that of some users.
    pub everybody: bool,
    /// Whether what it holds can be approved.
    pub approvable: Approvable<'p>,
    /// `[guard] window`.
    pub window: Duration,
    /// How much is shown.
    pub extent: Extent,
    /// The present time.
    pub now: Moment,
}

/// The plan for people.
#[must_use]
pub fn plan_text(story: &PlanStory<'_>) -> String {
    let planned: Vec<_> = story.plan.changes().collect();
    let changes: Vec<_> = planned.iter().map(|change| Line::of(change, story.extent)).collect();
    let totals = totals(story, &changes);
    let held = held_lines(&Held {
        outstanding: story.outstanding,
        approvable: story.approvable,
        written_at: None,
        window: story.window,
        extent: story.extent,
        now: story.now,
    });
    let mut listed = listed_lines(story.outstanding, story.extent, story.now, &again(story.against, "plan", "--all"));
    listed.extend(unmanaged(story));
    let footer = footer(story, totals, !changes.is_empty());
    let mut out = vec![Paint::Faint.over(&against(story.against))];
    if !story.active {
        let activate = command("activate");
        out.push(Paint::Notice.over(&format!("Deactivated: none of this is sent until you run {activate}")));
    }
    let mut groups = String::new();
    groups_text(&mut groups, story.groups_unnamed);
    out.extend(groups.lines().map(|line| line.trim_start().to_owned()));
    // Around the changes: a line above each section, and one that says how many more there are.
    let taken = out.len() + held.len() + listed.len() + footer.len() + 5;
    let shown_max = match story.extent {
        Extent::Page => PAGE_LINES_MAX.saturating_sub(taken).max(CHANGES_SHOWN_MIN),
        Extent::All => usize::MAX,
    };
    let (mut lines, more) = diff::lines(changes, shown_max);
    if more > 0 {
        lines.push(format!("    and {more} more: {}", command(&again(story.against, "plan", "--all"))));
    }
    for section in [held, lines, listed, footer] {
        if !section.is_empty() {
            out.push(String::new());
            out.extend(section);
        }
    }
    whole(&out)
}

/// Accounts that look as if they were ours, and are not.
fn unmanaged(story: &PlanStory<'_>) -> Vec<String> {
    let all = story.unmanaged;
    let Some(first) = all.first() else { return Vec::new() };
    let shown = if story.extent == Extent::All { all.len() } else { UNMANAGED_SHOWN_MAX };
    let what = Paint::Notice.over("! unmanaged");
    let mut out = vec![format!("  {what}  {}: {}", count(all.len(), "account"), first.reason)];
    out.extend(all.iter().take(shown).map(|one| format!("      {}", name(one))));
    if all.len() > shown {
        out.push(format!("      and {} more: {}", all.len() - shown, command("status --all")));
    }
    out.push("      remove whoever has left by hand, in Rhombus".to_owned());
    out
}

/// The same call in other words: with `--refresh`, if this one had it.
fn again(against: Against, command: &str, rest: &str) -> String {
    match against {
        Against::Record => format!("{command} {rest}"),
        Against::Rhombus => format!("{command} --refresh {rest}"),
    }
}

fn against(against: Against) -> String {
    match against {
        Against::Record => {
            let refresh = command("plan --refresh");
            format!("Compared with our own records. To ask Rhombus: {refresh}")
        }
        Against::Rhombus => "Compared with what Rhombus has now.".to_owned(),
    }
}

/// "1 to delete, 2 to update; 3 held; 44 up to date".
fn totals(story: &PlanStory<'_>, changes: &[Line<'_>]) -> String {
    let mut parts = vec![if changes.is_empty() { "nothing to change".to_owned() } else { diff::totals(changes) }];
    for kind in OutstandingKind::ALL {
        let count = story.outstanding.iter().filter(|entry| entry.kind == kind).count();
        if count > 0 {
            parts.push(format!("{count} {}", kind.as_str()));
        }
    }
    parts.push(format!("{} up to date", story.plan.unchanged_count()));
    parts.join("; ")
}

fn footer(story: &PlanStory<'_>, totals: String, any_changes: bool) -> Vec<String> {
    let mut out = vec![Paint::Strong.over(&totals)];
    if story.everybody {
        let written = dated(story.written_at, story.now);
        out.push(format!("export written {written}: {}", sum(story.usability)));
    }
    let creates = story.plan.changes().any(|change| change.guard_kind() == Some(GuardKind::Create));
    if creates && story.against == Against::Record {
        out.push("a create becomes a link if Rhombus already has the account".to_owned());
    }
    let digest = story.plan.digest();
    let digest = digest.get(..DIGEST_DIGITS).unwrap_or(digest);
    match any_changes && story.everybody {
        true => {
            let run = command(&again(story.against, "--reconcile", &format!("--expect {digest}")));
            out.push(format!("plan {digest}; to run exactly this: {run}"));
        }
        false => out.push(format!("plan {digest}")),
    }
    out
}

/// "60 users = 52 wanted + 6 in no group of [scope] + 1 staged + 1 suspended".
fn sum(usability: &Usability) -> String {
    let parts = [
        (usability.out_of_scope_count + usability.unlisted_count, "in no group of [scope]"),
        (usability.staged_count, "staged"),
        (usability.suspended_count, "suspended"),
        (usability.unusable_count(), "refused"),
    ];
    let others = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(" + {count} {what}"));
    let users_count = usability.usable_count() + usability.unusable_count();
    let users = count(usize::try_from(users_count).unwrap_or(usize::MAX), "user");
    format!("{users} = {} wanted{}", usability.wanted_count, others.collect::<String>())
}
