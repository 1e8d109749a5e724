//! `history` for people: what was done for one user, a line each with its age, and what stands now by our record.

use super::age::{ago, date};
use super::diff::plain;
use super::event_text::{by, text};
use super::paint::Paint;
use super::words::{count, whole};
use crate::model::{DirectoryId, FieldName, Moment, ScimId, clean, command, quoted};
use serde_json::Value;

/// Between the time of an event and what happened.
const AGE_WIDTH: usize = 12;

/// One user's log.
#[derive(Clone, Copy, Debug)]
pub struct History<'h> {
    /// Who.
    pub id: &'h DirectoryId,
    /// The events, oldest first, as they were written.
    pub lines: &'h [String],
    /// The account that we hold for this user now.
    pub account: Option<&'h ScimId>,
    /// The present time.
    pub now: Moment,
}

/// The story.
#[must_use]
pub fn history_text(history: &History<'_>) -> String {
    let History { id, lines, account, now } = *history;
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
    let name = events.iter().rev().map(|event| text(&event["resource"]["username"])).find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| "(no username)".to_owned());
    let mut out = vec![format!("{name} ({}): {}", clean(id.as_str()), count(events.len(), "event")), String::new()];
    out.extend(events.iter().map(|event| line(event, now)));
    out.push(String::new());
    let who = quoted(&clean(id.as_str()));
    out.push(match account {
        Some(account) => format!("now: account {} is ours, by our record", clean(account.as_str())),
        None => "now: no account, by our records".to_owned(),
    });
    out.push(format!("why, and what comes next: {}", command(&format!("explain {who}"))));
    whole(&out)
}

fn line(event: &Value, now: Moment) -> String {
    let at = event["timestamp"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let at = at.map(|at| Moment(at.as_millisecond()));
    let (age, at) = at.map_or((String::new(), String::new()), |at| (ago(at, now), date(at)));
    // By this name it is found where the log goes.
    let kind = Paint::Faint.over(&format!("[{}]", text(&event["event_type"])));
    format!("  {age:<AGE_WIDTH$}  {at}  {}{} {kind}", what(event), by(event))
}

/// What happened, in a sentence.
fn what(event: &Value) -> String {
    let details = text(&event["message_chain"]["message_details"]);
    if event["success"] != true {
        return format!("{}: {}", failed(event, &details), text(&event["error_message"]));
    }
    let account = text(&event["resource"]["target_id"]);
    let changes = changes(event);
    let done = match (event["event_type"].as_str(), &*details) {
        (Some("user_create_provision"), "") => format!("created as account {account}{}", behind(&names(event))),
        (Some("user_create_provision"), _) => {
            format!("created as account {account} ({details}){}", behind(&names(event)))
        }
        (Some("user_update_provision"), "linked") => format!("linked to account {account}, which was there already"),
        (Some("user_update_provision"), "relinked") => format!("moved to another directory id: {changes}"),
        (Some("user_update_provision"), _) => format!("updated: {changes}"),
        (Some("user_deprovision"), "") => "deactivated".to_owned(),
        (Some("user_deprovision"), _) => format!("deactivated ({details})"),
        (Some("user_delete_provision"), _) if event["message_chain"]["response_code"] == "404" => {
            "deleted: the account was gone already".to_owned()
        }
        (Some("user_delete_provision"), _) => "deleted".to_owned(),
        (Some(_) | None, "") => "done".to_owned(),
        (Some(_) | None, _) => details,
    };
    // Its answer was lost; a look-up showed that it had been done.
    let found = event["initiated_by"]["source"] == "recovery" && event["initiated_by"]["type"] == "system";
    if found { format!("{done}; its answer was lost, a read showed it") } else { done }
}

fn failed(event: &Value, details: &str) -> &'static str {
    match (event["event_type"].as_str(), details) {
        (_, "refused") => "refused",
        (_, "parked") => "parked",
        (Some("user_create_provision"), _) => "not created",
        (Some("user_update_provision"), _) => "not updated",
        (Some("user_deprovision"), _) => "not deactivated",
        (Some("user_delete_provision"), _) => "not deleted",
        (Some("user_lookup_provision"), _) => "could not be looked up",
        (Some(_) | None, _) => "failed",
    }
}

fn behind(names: &str) -> String {
    if names.is_empty() { String::new() } else { format!(": {names}") }
}

/// The names of a new account: whose it is stands above already.
fn names(event: &Value) -> String {
    told(event, |field| [FieldName::GivenName, FieldName::FamilyName].iter().any(|name| name.as_str() == field))
}

/// `given name Ann -> Anna`, each in plain words.
fn changes(event: &Value) -> String {
    told(event, |_| true)
}

fn told(event: &Value, is_told: impl Fn(&str) -> bool) -> String {
    let value = |value: &Value| match text(value) {
        none if none.is_empty() => "(none)".to_owned(),
        value => value,
    };
    let one = |change: &Value| {
        let field = text(&change["field"]);
        let name = FieldName::from_name(&field).map_or_else(|| field.clone(), |name| plain(name).to_owned());
        match change.get("from") {
            Some(from) => format!("{name} {} -> {}", value(from), value(&change["to"])),
            None => format!("{name} {}", value(&change["to"])),
        }
    };
    let all = event["changes"].as_array().map_or(&[][..], Vec::as_slice);
    let all = all.iter().filter(|change| is_told(change["field"].as_str().unwrap_or_default()));
    all.map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(event: Value, expected: &str) {
        let mut event = event;
        event["timestamp"] = "2026-01-02T03:04:05.678Z".into();
        let now = Moment("2026-01-02T05:04:06Z".parse::<jiff::Timestamp>().expect("a time").as_millisecond());
        let told = anstream::adapter::strip_str(&line(&event, now)).to_string();
        let told = told.rsplit_once(" [user_").expect("its type").0.to_owned();
        assert_eq!(told, format!("  2 h ago       2026-01-02 03:04:05 UTC  {expected}"));
    }

    #[test]
    fn an_event_is_a_sentence_with_its_age() {
        let of = |kind: &str, details: &str, success: bool| {
            json!({"event_type": kind, "success": success, "resource": {"username": "a@x.example", "target_id": "77"},
                "message_chain": {"message_details": details, "response_code": "200"}, "error_message": "no",
                "initiated_by": {"type": "system", "source": "schedule"}, "changes": []})
        };
        let mut created = of("user_create_provision", "", true);
        created["changes"] = json!([{"field": "name.givenName", "to": "Ann"}]);
        check(created.clone(), "created as account 77: given name Ann");
        created["initiated_by"]["source"] = "recovery".into();
        check(created, "created as account 77: given name Ann; its answer was lost, a read showed it");
        let mut updated = of("user_update_provision", "", true);
        updated["changes"] = json!([{"field": "name.givenName", "from": "Ann", "to": null}]);
        check(updated, "updated: given name Ann -> (none)");
        check(of("user_update_provision", "linked", true), "linked to account 77, which was there already");
        check(of("user_update_provision", "refused", false), "refused: no");
        check(of("user_delete_provision", "", false), "not deleted: no");
        let mut deleted = of("user_delete_provision", "", true);
        deleted["approval"] = json!({"hold": "0123456789", "by": "carol", "account": "root", "reason": ""});
        check(deleted.clone(), "deleted; approved by carol (root), hold 01234567");
        deleted["message_chain"]["response_code"] = "404".into();
        check(deleted, "deleted: the account was gone already; approved by carol (root), hold 01234567");
    }
}
