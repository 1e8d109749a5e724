//! Audit events for people: a line each, with who did it and what came of it.

use super::words::count;
use crate::model::{Person, clean, short};
use serde_json::Value;
use std::fmt::Write;

/// Events as a table, oldest first, with a line above the columns.
#[must_use]
pub fn events_table(lines: &[impl AsRef<str>]) -> String {
    let mut out =
        format!("{:>6}  {}\n", "event", "time (UTC)           what                     who, and what came of it");
    for line in lines {
        let event: Value = serde_json::from_str(line.as_ref()).unwrap_or_default();
        let _ = write!(out, "{:>6}  {}", event["sequence"].as_i64().unwrap_or_default(), row(&event));
    }
    out
}

/// One event in one line.
#[must_use]
pub fn event_text(line: &str) -> String {
    row(&serde_json::from_str(line).unwrap_or_default())
}

fn row(event: &Value) -> String {
    let at = text(&event["timestamp"]);
    let at = at.split('.').next().unwrap_or_default().replace('T', " ");
    let who = text(&event["resource"]["username"]);
    let who = if who.is_empty() { String::new() } else { format!("{who}: ") };
    format!("{at}  {:<23}  {who}{}{}{}\n", text(&event["event_type"]), outcome(event), changes(event), by(event))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().map(|text| clean(text).into_owned()).unwrap_or_default()
}

fn outcome(event: &Value) -> String {
    let details = text(&event["message_chain"]["message_details"]);
    if event["success"] != true {
        return text(&event["error_message"]);
    }
    let done = done(event, &details);
    let details = match done {
        "linked" | "moved to the user's new id" => String::new(),
        _ => counted(&details),
    };
    if details.is_empty() { done.to_owned() } else { format!("{done} ({details})") }
}

/// A cycle's counts without those that are 0.
fn counted(details: &str) -> String {
    details.split(' ').filter(|part| !part.ends_with("=0")).collect::<Vec<_>>().join(" ")
}

/// What was done, in a word.
fn done(event: &Value, details: &str) -> &'static str {
    match (event["event_type"].as_str(), details) {
        (Some("user_create_provision"), _) => "created",
        (Some("user_update_provision"), "linked") => "linked",
        (Some("user_update_provision"), "relinked") => "moved to the user's new id",
        (Some("user_update_provision"), _) => "updated",
        (Some("user_deprovision"), _) => "deactivated",
        (Some("user_delete_provision"), _) => "deleted",
        (Some("reconcile_held"), _) => "held",
        (Some("reconcile_approved"), _) => "released",
        (Some("idm_integration_activate"), _) => "activated",
        (Some("idm_integration_delete"), _) => "deactivated",
        (Some(_) | None, _) => "done",
    }
}

fn changes(event: &Value) -> String {
    let Some(changes) = event["changes"].as_array() else { return String::new() };
    let one = |change: &Value| format!(", {} → {:?}", text(&change["field"]), text(&change["to"]));
    changes.iter().map(one).collect()
}

/// Who asked for it, if a person did; and who approved it.
pub(super) fn by(event: &Value) -> String {
    let initiator = &event["initiated_by"];
    let mut out = String::new();
    if initiator["type"] == "admin" {
        let _ = write!(out, ", by {}", person(&initiator["username"], &initiator["id"], &initiator["claimed"]));
    }
    let targets = event["targets"].as_array().map_or(0, Vec::len);
    if targets > 0 {
        let _ = write!(out, ", for {}", count(targets, "user"));
    }
    let approval = &event["approval"];
    if approval.is_object() {
        let (by, hold) = (person(&approval["by"], &approval["account"], &approval["claimed"]), text(&approval["hold"]));
        let _ = write!(out, "; approved by {by}, hold {}", short(&hold));
        let reason = text(&approval["reason"]);
        if !reason.is_empty() {
            let _ = write!(out, " ({reason})");
        }
    }
    out
}

/// `carol (root)`: a person and the account of the process, if it is another, and whether the name is only claimed.
fn person(username: &Value, account: &Value, claimed: &Value) -> String {
    let (username, account) = (text(username), text(account));
    match (username.is_empty(), account.is_empty()) {
        (true, _) => account,
        (false, true) => username,
        (false, false) => Person { username, account, claimed: *claimed == true }.text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_who_did_it_and_who_approved_it() {
        let line = r#"{"timestamp":"2026-01-02T03:04:05.678Z","event_type":"user_delete_provision","success":true,"sequence":7,
            "resource":{"username":"bob@x.example"},"message_chain":{"message_details":""},"changes":[],
            "initiated_by":{"type":"system","id":"rhombus-sync"},"approval":{"hold":"0123456789abcdef","by":"carol","account":"root","reason":"night shift"}}"#;
        let expected = "2026-01-02 03:04:05  user_delete_provision    bob@x.example: deleted; approved by carol (root), hold 01234567 (night shift)\n";
        assert_eq!(event_text(line), expected);
        let claimed = line.replace("\"account\":\"root\"", "\"account\":\"root\",\"claimed\":true");
        assert!(event_text(&claimed).contains("approved by carol (root, by sudo's word), hold"), "{claimed}");
        assert!(events_table(&[line]).ends_with(&format!("     7  {expected}")));
    }

    #[test]
    fn an_event_says_what_was_done_and_no_count_of_nothing() {
        for (event_type, details, expected) in [
            ("reconcile_held", "created=0 deleted=0 unchanged=48 held=2", "held (unchanged=48 held=2)"),
            ("reconcile_completed", "created=0", "done"),
            ("user_update_provision", "linked", "linked"),
            ("user_update_provision", "relinked", "moved to the user's new id"),
            ("user_update_provision", "", "updated"),
            ("idm_integration_delete", "", "deactivated"),
        ] {
            let event = serde_json::json!({
                "event_type": event_type, "success": true, "message_chain": {"message_details": details},
            });
            assert_eq!(outcome(&event), expected);
        }
    }
}
