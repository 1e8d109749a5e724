//! The story of one user, step by step: what the export says, what follows, what stands in the way, what comes next.

use super::age::date;
use super::text::by_hand;
use super::words::count;
use crate::model::{
    Action, Change, DirectoryId, Field, HoldId, Moment, Names, OutstandingKind, OutstandingUser, Proof,
    ProvisionedUser, Reason, UserName, approval, clean, command, quoted,
};
use crate::plan::mapping::Requested;
use serde_json::{Value, json};

/// Everything that is known of one user.
#[derive(Clone, PartialEq, Debug)]
pub struct Facts {
    /// Who.
    pub id: DirectoryId,
    /// By the link's username, else the directory's.
    pub username: Option<UserName>,
    /// What names the user in a command: the linked username if it means nobody else, else the id.
    pub called: String,
    /// What the export says, or why it says nothing.
    pub export: Result<ExportFacts, String>,
    /// `[scope] groups`.
    pub groups: Vec<String>,
    /// Whether a username of this user is in `[scope] protected`.
    pub protected: bool,
    /// The account that we hold for this user.
    pub link: Option<ProvisionedUser>,
    /// What the next cycle would send.
    pub change: Option<Change>,
    /// Why it would not send what is wanted.
    pub outstanding: Vec<OutstandingUser>,
    /// Who else has the username, where that is why the record cannot be used.
    pub namesakes: Vec<DirectoryId>,
    /// The account that carries this user's id and that nobody manages, if the last refresh saw one.
    pub unmanaged: Option<OutstandingUser>,
    /// The hold by which it can be approved.
    pub hold: Option<HoldId>,
    /// When a request left whose answer is not known.
    pub in_doubt_since: Option<Moment>,
    /// When the account was made or linked, if the log still has it.
    pub linked_at: Option<Moment>,
    /// The last event of this user, in words.
    pub last_event: Option<String>,
    /// Whether users are managed.
    pub active: bool,
}

/// What one reading of the export tells of one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportFacts {
    /// When it was written.
    pub written_at: Moment,
    /// How many users it holds.
    pub users_count: u64,
    /// Whether an absence from it counts.
    pub proof: Proof,
    /// The user's record.
    pub record: Option<RecordFacts>,
}

/// One record, as far as it decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordFacts {
    /// Its username.
    pub username: Option<UserName>,
    /// Its groups; `None` if it has no such key.
    pub groups: Option<Vec<String>>,
    /// The names that it asks for.
    pub names: Names,
    /// What it asks for, or why it cannot be used.
    pub requested: Result<Requested, Reason>,
}

/// The story, and what would have to happen for it to change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Steps by name, in their order.
    pub steps: Vec<(&'static str, String)>,
    /// What comes next, or what would have to.
    pub next: String,
}

/// Tells the story.
#[must_use]
pub fn explain(facts: &Facts) -> Explanation {
    let mut steps = vec![("export", export_says(facts)), ("scope", scope_says(facts))];
    if let Some(record) = record(facts)
        && record.requested.is_ok()
    {
        steps.push(("mapping", mapping_says(facts, record)));
    }
    steps.push(("snapshot", snapshot_says(facts)));
    steps.push(("guard", guard_says(facts)));
    steps.push(("target", target_says(facts)));
    Explanation { steps, next: next(facts) }
}

/// `explain --json`.
#[must_use]
pub fn explain_document(facts: &Facts) -> Value {
    let Explanation { steps, next } = explain(facts);
    let steps: Vec<_> = steps.into_iter().map(|(step, says)| json!({"step": step, "says": says})).collect();
    let username = facts.username.as_ref().map(UserName::as_str);
    json!({"id": facts.id.as_str(), "username": username, "steps": steps, "next": next})
}

fn record(facts: &Facts) -> Option<&RecordFacts> {
    facts.export.as_ref().ok().and_then(|export| export.record.as_ref())
}

/// The record that has this user's username, but not the id, and cannot be used: it stands for the user.
pub(super) fn claimed(facts: &Facts) -> Option<&OutstandingUser> {
    let unusable = |reason: &Reason| matches!(reason, Reason::Unusable(_) | Reason::Unfit { .. });
    let stands = |entry: &&OutstandingUser| entry.kind == OutstandingKind::Refused && unusable(&entry.reason);
    facts.outstanding.iter().find(stands).filter(|_| record(facts).is_none())
}

fn export_says(facts: &Facts) -> String {
    let export = match &facts.export {
        Ok(export) => export,
        Err(error) => return format!("nothing: {error}"),
    };
    let proof = match export.proof {
        Proof::Whole => "proven whole",
        Proof::Unproven => "which cannot prove that it is whole",
    };
    let of = format!("the export of {} ({} users, {proof})", export.written_at, export.users_count);
    match &export.record {
        None => match claimed(facts) {
            None => format!("{of} has no record with this id"),
            Some(entry) => format!(
                "{of} has a record with this username that cannot be used: {}; so the user counts as present",
                entry.reason
            ),
        },
        Some(RecordFacts { requested: Err(fault), .. }) => {
            format!("{of} has a record that cannot be used: {fault}; so the user counts as present")
        }
        Some(RecordFacts { requested: Ok(Requested::Withhold(state)), .. }) => {
            format!("{of} says {}", format!("{state:?}").to_uppercase())
        }
        Some(RecordFacts {
            requested: Ok(Requested::Provision | Requested::OutOfScope | Requested::Unlisted(_)),
            ..
        }) => {
            format!("{of} says ACTIVATED")
        }
    }
}

fn scope_says(facts: &Facts) -> String {
    if facts.protected {
        return "in [scope] protected: never created, changed or removed".to_owned();
    }
    if facts.export.is_err() {
        return "unknown until the export can be read".to_owned();
    }
    let Some(record) = record(facts) else { return "without a record, nobody is in scope".to_owned() };
    if facts.groups.is_empty() {
        return "[scope] groups is empty: everyone in the export is in scope".to_owned();
    }
    let wanted = facts.groups.iter().map(|group| clean(group)).collect::<Vec<_>>().join(", ");
    match &record.groups {
        None => format!("the record has no groups, and the scope is {wanted}"),
        Some(groups) => match groups.iter().find(|group| facts.groups.contains(group)) {
            Some(group) => format!("in scope, as a member of {}", clean(group)),
            None if matches!(record.requested, Ok(Requested::Unlisted(_))) => {
                format!("the members file lists the user in none of {wanted}")
            }
            None => format!("out of scope: a member of {}, none of which is {wanted}", count(groups.len(), "group")),
        },
    }
}

fn mapping_says(facts: &Facts, record: &RecordFacts) -> String {
    let name = |value: &Option<Box<str>>, path: &str, key: &str| match value.as_deref() {
        None => format!("{path} is left as it is ({key} is absent)"),
        Some("") => format!("{path} is cleared"),
        Some(value) => format!("{path} = {:?}", clean(value)),
    };
    let given = name(&record.names.given, "name.givenName", "firstname");
    let family = name(&record.names.family, "name.familyName", "lastname");
    let wanted = record.username.as_ref().map_or_else(String::new, |name| clean(name.as_str()).into_owned());
    format!("userName = {wanted:?}, {given}, {family}, externalId = {:?}", clean(facts.id.as_str()))
}

fn snapshot_says(facts: &Facts) -> String {
    match &facts.link {
        None => "no linked account".to_owned(),
        Some(link) => {
            let name = |value: &Option<Box<str>>| format!("{:?}", clean(value.as_deref().unwrap_or_default()));
            let active = if link.active { "" } else { ", found inactive" };
            format!(
                "account {} with userName {:?}, names {} {}{active}",
                clean(link.scim_id.as_str()),
                clean(link.user_name.as_str()),
                name(&link.names.given),
                name(&link.names.family)
            )
        }
    }
}

fn guard_says(facts: &Facts) -> String {
    let held = facts.outstanding.iter().find(|entry| entry.kind == OutstandingKind::Held);
    match (held, &facts.change) {
        (Some(held), _) => format!("held{}: {}", age(held), held.reason),
        (None, Some(change)) => {
            let fields: Vec<_> = change.fields().iter().map(field).collect();
            let fields = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
            format!("lets through: {}{fields}, {}", change.action().as_str(), change.cause())
        }
        (None, None) if facts.outstanding.is_empty() => "nothing to send".to_owned(),
        (None, None) => "nothing to send now".to_owned(),
    }
}

fn field(field: &Field) -> String {
    format!("{} → {:?}", field.name.as_str(), clean(field.to.as_deref().unwrap_or_default()))
}

fn target_says(facts: &Facts) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(since) = facts.in_doubt_since {
        parts.push(format!("a request of {since} was not answered; it is looked up first"));
    }
    for entry in facts.outstanding.iter().filter(|entry| entry.kind != OutstandingKind::Held) {
        parts.push(format!("{}{}: {}", entry.kind.as_str(), age(entry), entry.reason));
    }
    if !facts.namesakes.is_empty() {
        parts.push(format!("the other: {}", namesakes(facts)));
    }
    if let Some(entry) = &facts.unmanaged {
        let account = entry.scim_id.as_ref().map_or("", |id| id.as_str());
        parts.push(format!("unmanaged{}: {} (account {})", age(entry), entry.reason, clean(account)));
    }
    parts.push(match &facts.last_event {
        Some(event) => format!("last in the log: {event}"),
        None => "no audit events for this user".to_owned(),
    });
    parts.join("; ")
}

/// Who else has the username, by id.
pub(super) fn namesakes(facts: &Facts) -> String {
    facts.namesakes.iter().map(|id| clean(id.as_str())).collect::<Vec<_>>().join(", ")
}

fn age(entry: &OutstandingUser) -> String {
    entry.since.map(|since| format!(" since {since}")).unwrap_or_default()
}

pub(super) fn next(facts: &Facts) -> String {
    if let Err(error) = &facts.export {
        return format!("nothing until the export can be read: {error}");
    }
    if !facts.active {
        return format!("nothing until you run `{}`: the integration is deactivated", command("activate"));
    }
    if facts.protected {
        return "nothing while the username is in [scope] protected".to_owned();
    }
    if let Some(entry) = facts.outstanding.first() {
        return after_entry(facts, entry);
    }
    if let Some(change) = &facts.change {
        return format!("the next cycle sends it: {}", change.action().as_str());
    }
    if facts.unmanaged.is_some() {
        return "nothing; if this user has left, remove the account by hand, in Rhombus".to_owned();
    }
    match (&facts.link, record(facts).map(|record| &record.requested)) {
        (Some(_), _) => "nothing, unless names, state or groups change in the directory".to_owned(),
        (None, Some(Ok(Requested::Withhold(_)))) => "an account, once the directory says ACTIVATED".to_owned(),
        (None, Some(Ok(Requested::OutOfScope | Requested::Unlisted(_)))) => {
            "an account, once the user is in a group of [scope]".to_owned()
        }
        (None, _) => "an account, once the export has a usable record of this user".to_owned(),
    }
}

fn after_entry(facts: &Facts, entry: &OutstandingUser) -> String {
    let id = quoted(&clean(&facts.called));
    if let Some(doubt) = entry.reason.clock_doubt() {
        return format!("nothing to approve: {}", doubt.hint());
    }
    match (entry.kind, entry.until) {
        (OutstandingKind::Held, _) => match &facts.hold {
            Some(hold) => {
                let approve = command(&format!("{} --only {id}", approval(hold.as_str())));
                if entry.action == Some(Action::Relink) {
                    format!("`{approve}` moves the account to the new id; with --as-new they are treated as two users")
                } else {
                    format!("`{approve}`, or the directory wants the user again")
                }
            }
            None => "a cycle must hold it before it can be approved; or fix the account in Rhombus".to_owned(),
        },
        (OutstandingKind::Waiting | OutstandingKind::Failed, Some(until)) => {
            format!("it continues at {}; at once with `{}`", date(until), command(&format!("--reconcile --only {id}")))
        }
        (OutstandingKind::Waiting | OutstandingKind::Failed, None) => {
            "it continues in one of the next cycles".to_owned()
        }
        (OutstandingKind::Refused, Some(until)) => {
            let at_once = command(&format!("--reconcile --only {id}"));
            let until = date(until);
            format!("fix the account in Rhombus; it is checked again at {until}, or at once with `{at_once}`")
        }
        (OutstandingKind::Refused, None) => by_hand(&entry.reason, &id).unwrap_or_else(|| {
            let has_an_account_to_fix =
                entry.scim_id.is_some() && !matches!(entry.reason, Reason::Unusable(_) | Reason::Unfit { .. });
            let or_the_account = if has_an_account_to_fix { ", or fix the account in Rhombus" } else { "" };
            format!("fix the record in the directory{or_the_account}")
        }),
        (OutstandingKind::Parked, _) => {
            format!("fix it in Rhombus, then run `{}`; or change the record", command(&format!("forget {id}")))
        }
        (OutstandingKind::Drift, _) => {
            format!("fix it in Rhombus, or run `{}` to have it linked again", command(&format!("forget {id}")))
        }
        (OutstandingKind::Kept, _) => {
            "nothing while the policy is `keep`; see [rhombus] on_removed, on_suspended".to_owned()
        }
    }
}
