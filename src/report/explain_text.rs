//! The story of one user for people: whether they should be in Rhombus and are, by our record; why; what comes next; and how
//! to ask Rhombus now. What it rests on is the same as in the document.

use super::age::{dated, lasting};
use super::diff::{fields_text, shortened};
use super::explain::{ExportFacts, Facts, RecordFacts, claimed, namesakes, next};
use super::paint::Paint;
use super::text::with_value;
use super::words::{Extent, count, whole};
use crate::model::{
    Action, Moment, OutstandingKind, OutstandingUser, Proof, ProvisionedUser, UserState, clean, command, quoted,
};
use crate::plan::mapping::Requested;

/// `explain` for people.
#[must_use]
pub fn explain_text(facts: &Facts, now: Moment) -> String {
    let name = facts.username.as_ref().map_or("(no username)", |name| name.as_str());
    let who = format!("{} ({})", clean(name), clean(facts.id.as_str()));
    let mut out = vec![format!("{who} {}", Paint::Strong.over(verdict(facts))), String::new()];
    out.extend(entry("directory", &directory(facts)));
    out.extend(entry("export", &export(facts, now)));
    out.extend(entry("Rhombus", &account(facts, now)));
    if let Some(since) = facts.in_doubt_since {
        let since = dated(since, now);
        out.extend(entry("in doubt", &[format!("a request of {since} was not answered; it is looked up first")]));
    }
    let since =
        |one: &OutstandingUser| one.since.map(|since| format!("; for {}", lasting(since, now))).unwrap_or_default();
    for one in &facts.outstanding {
        let action = one.action.map(|action| format!(" ({})", action.as_str())).unwrap_or_default();
        out.extend(entry(one.kind.as_str(), &[format!("{}{action}{}", with_value(one), since(one))]));
    }
    if !facts.namesakes.is_empty() {
        out.extend(entry("the other", &[format!("{} in the export", namesakes(facts))]));
    }
    if let Some(one) = &facts.unmanaged {
        let account = one.scim_id.as_ref().map(|id| format!("account {}", clean(id.as_str()))).unwrap_or_default();
        out.extend(entry("unmanaged", &[account, format!("{}{}", one.reason, since(one))]));
    }
    if let Some(change) = &facts.change {
        let fields = fields_text(&change.fields(), Extent::All);
        let fields =
            if change.scim_id().is_some() && !fields.is_empty() { format!(", {fields}") } else { String::new() };
        out.extend(entry("planned", &[format!("{}: {}{fields}", change.action().as_str(), change.cause())]));
    }
    if let Some(event) = &facts.last_event {
        out.extend(entry("last event", &[shortened_event(event)]));
    }
    out.extend(entry("next", &[next(facts)]));
    out.push(String::new());
    out.extend(ask_rhombus(facts));
    whole(&out)
}

fn entry(what: &str, lines: &[String]) -> Vec<String> {
    let first = |at: usize| if at == 0 { what } else { "" };
    lines.iter().enumerate().map(|(at, line)| format!("  {:<11} {line}", first(at))).collect()
}

fn record(facts: &Facts) -> Option<&RecordFacts> {
    facts.export.as_ref().ok().and_then(|export| export.record.as_ref())
}

/// Whether the user should have an account, where that is known, and whether we have one.
fn verdict(facts: &Facts) -> &'static str {
    let is_active = |link: &ProvisionedUser| link.active;
    let is_in = facts.link.as_ref().is_some_and(is_active);
    if facts.protected {
        return "is protected: never created, changed or removed";
    }
    let requested = record(facts).map(|record| &record.requested);
    if facts.unmanaged.is_some() && !matches!(requested, Some(Ok(Requested::Provision))) {
        return "should not be in Rhombus, but an account there carries this user's id";
    }
    if claimed(facts).is_some() && is_in {
        return "is in Rhombus by our records; the record in the export cannot be used";
    }
    let is_known_otherwise = facts.outstanding.iter().any(|one| one.action == Some(Action::Relink));
    match (&facts.export, requested, is_in) {
        // The directory has this user under another id: whichever of the two is asked for, the answer is the same.
        (Ok(_), None, true) if is_known_otherwise => "should be in Rhombus, and is, by our records",
        (Err(_), _, true) => "is in Rhombus by our records; the export cannot be read",
        (Err(_), _, false) => "is not in Rhombus by our records; the export cannot be read",
        (Ok(_), Some(Err(_)), true) => "is in Rhombus by our records; the record in the export cannot be used",
        (Ok(_), Some(Err(_)), false) => "is not in Rhombus; the record in the export cannot be used",
        (Ok(_), Some(Ok(Requested::Provision)), true) => "should be in Rhombus, and is, by our records",
        (Ok(_), Some(Ok(Requested::Provision)), false) => "should be in Rhombus, and is not yet",
        (Ok(_), Some(Ok(_)) | None, true) => "should not be in Rhombus, and still is, by our records",
        (Ok(_), Some(Ok(_)) | None, false) => "should not be in Rhombus, and is not, by our records",
    }
}

/// What the directory says of the user, in plain words.
fn directory(facts: &Facts) -> Vec<String> {
    let Ok(_) = &facts.export else { return vec!["unknown".to_owned()] };
    let Some(record) = record(facts) else {
        return vec![match claimed(facts) {
            None => "no record with this id".to_owned(),
            Some(entry) => format!(
                "a record with this username that cannot be used: {}; so the user counts as present",
                with_value(entry)
            ),
        }];
    };
    let state = match &record.requested {
        Err(fault) => return vec![format!("a record that cannot be used: {fault}; so the user counts as present")],
        Ok(Requested::Withhold(UserState::Staged)) => "staged",
        Ok(Requested::Withhold(UserState::Suspended | UserState::Activated)) => "suspended",
        Ok(Requested::Provision | Requested::OutOfScope | Requested::Unlisted(_)) => "active",
    };
    let names = [record.names.given.as_deref(), record.names.family.as_deref()];
    let names: Vec<_> = names.into_iter().flatten().map(|name| shortened(&clean(name))).collect();
    let names = if names.is_empty() { String::new() } else { format!("{}, ", names.join(" ")) };
    vec![format!("{names}{state}, {}", scope(facts, record))]
}

fn scope(facts: &Facts, record: &RecordFacts) -> String {
    let wanted = facts.groups.iter().map(|group| format!("{:?}", clean(group))).collect::<Vec<_>>().join(" or ");
    if facts.groups.is_empty() {
        return "and everyone in the export is in scope".to_owned();
    }
    let groups = record.groups.as_deref().unwrap_or_default();
    match groups.iter().find(|group| facts.groups.contains(group)) {
        Some(group) => format!("in {:?}", clean(group)),
        None if matches!(record.requested, Ok(Requested::Unlisted(_))) => {
            format!("not in {wanted}, says the members file")
        }
        None => format!("not in {wanted} (in {})", count(groups.len(), "other group")),
    }
}

fn export(facts: &Facts, now: Moment) -> Vec<String> {
    match &facts.export {
        Err(error) => vec![clean(error).into_owned()],
        Ok(ExportFacts { written_at, users_count, proof, record: _ }) => {
            let proof = match proof {
                Proof::Whole => "whole",
                Proof::Unproven => "cannot prove that it is whole",
            };
            vec![format!("written {}, {users_count} users, {proof}", dated(*written_at, now))]
        }
    }
}

fn account(facts: &Facts, now: Moment) -> Vec<String> {
    let Some(link) = &facts.link else { return vec!["no account, by our records".to_owned()] };
    let made = facts.linked_at.map(|at| format!(", linked {}", dated(at, now))).unwrap_or_default();
    let mut out = vec![format!("account {}{made}", clean(link.scim_id.as_str()))];
    if facts.username.as_ref() != Some(&link.user_name) {
        out.push(format!("its username there is {}", clean(link.user_name.as_str())));
    }
    if !link.active {
        out.push("it was found inactive".to_owned());
    }
    out.push("from our records; Rhombus was not asked".to_owned());
    out
}

/// An event with its long tail of values cut.
fn shortened_event(event: &str) -> String {
    let cut: String = event.chars().take(120).collect();
    if cut.len() < event.len() { format!("{cut}…") } else { cut }
}

/// What a person at a door that does not open does next.
fn ask_rhombus(facts: &Facts) -> Vec<String> {
    let who = quoted(&clean(&facts.called));
    let mut out = Vec::new();
    if facts.link.is_some() && facts.active {
        out.push(format!("to ask Rhombus now: {}", command(&format!("plan --refresh --only {who}"))));
    }
    let held = facts.outstanding.iter().any(|one| one.kind == OutstandingKind::Held);
    if held {
        out.push(format!("to see everything that is held: {}", command("approve")));
    }
    if facts.last_event.is_some() {
        out.push(format!("what was done for this user: {}", command(&format!("history {who}"))));
    }
    out.push("Doors, schedules and badges are set in Rhombus; only the account is managed here.".to_owned());
    out
}
