//! The JSON documents, member by member.

use super::CycleReport;
use crate::model::{Change, Exit, Field, HeldChange, Moment, OutstandingKind, OutstandingUser, UnnamedGroup};
use crate::plan::ApprovedPlan;
use serde_json::{Value, json};

/// `--reconcile --json`.
#[must_use]
pub fn cycle_document(report: &CycleReport) -> Value {
    let mut document = json!({
        "result": report.result.as_str(),
        "exit": report.exit.code(),
        "cycle": report.cycle.as_str(),
        "export": {
            "users": report.export_users_count, "digest": report.export_digest,
            "written_at": report.export_written_at.map(|at| at.to_string()),
        },
        "unchanged": report.unchanged_count,
        "hold": report.hold,
        "plan": report.plan,
        "groups_unnamed": groups_document(&report.groups_unnamed),
        "token": report.token.as_str(),
        "took_ms": report.took_ms,
    });
    for (name, count) in report.done.named() {
        document[name] = json!(count);
    }
    for kind in OutstandingKind::ALL {
        document[kind.as_str()] = users_of(&report.outstanding, kind);
    }
    if report.void_approvals_count > 0 {
        document["void_approvals"] = json!(report.void_approvals_count);
    }
    if !report.error.is_empty() {
        document["error"] = json!(report.error);
    }
    if report.hint.is_some() || !report.error.is_empty() {
        document["hint"] = json!(report.hint);
    }
    document
}

/// Groups of `[scope]` that no record names, and when one did last.
#[must_use]
pub fn groups_document(groups: &[UnnamedGroup]) -> Value {
    let group =
        |group: &UnnamedGroup| json!({"group": group.name, "named_at": group.named_at.map(|at| at.to_string())});
    groups.iter().map(group).collect()
}

/// `plan --json`.
#[must_use]
pub fn plan_document(plan: &ApprovedPlan, outstanding: &[OutstandingUser]) -> Value {
    let changes: Vec<_> = plan.changes().map(|planned| change(&planned)).collect();
    let mut document = json!({
        "plan": plan.digest(),
        "changes": changes,
        "hold": plan.hold().map(|hold| hold.as_str()),
        "unchanged": plan.unchanged_count(),
    });
    for kind in OutstandingKind::ALL {
        document[kind.as_str()] = users_of(outstanding, kind);
    }
    document
}

/// `changes` of `approve --json`: what is held, or was released, with every value that would be sent.
#[must_use]
pub fn held_changes_document(changes: &[HeldChange]) -> Value {
    let change = |HeldChange { exact, user_name, fields }: &HeldChange| {
        json!({
            "action": exact.key.action.as_str(),
            "id": exact.key.directory_id.as_str(),
            "username": user_name.as_str(),
            "fields": fields_document(fields),
        })
    };
    changes.iter().map(change).collect()
}

fn fields_document(fields: &[Field]) -> Value {
    fields.iter().map(|field| json!({"field": field.name.as_str(), "from": field.from, "to": field.to})).collect()
}

fn change(change: &Change) -> Value {
    json!({
        "action": change.action().as_str(),
        "id": change.directory_id().as_str(),
        "username": change.user_name().as_str(),
        "cause": change.cause().code(),
        "fields": fields_document(&change.fields()),
    })
}

/// The users of one list.
#[must_use]
pub fn users_of(outstanding: &[OutstandingUser], kind: OutstandingKind) -> Value {
    outstanding.iter().filter(|entry| entry.kind == kind).map(user).collect()
}

pub(super) fn user(entry: &OutstandingUser) -> Value {
    let time = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
    let mut user = json!({
        "id": entry.directory_id.as_ref().map(|id| id.as_str()),
        "username": entry.username.as_ref().map(|name| name.as_str()),
        "code": entry.reason.code(),
        "reason": entry.reason.to_string(),
        "since": time(entry.since),
    });
    if let Some(until) = entry.until {
        user["until"] = json!(until.to_string());
    }
    if let Some(former_id) = &entry.former_id {
        user["former_id"] = json!(former_id.as_str());
    }
    if let Some(action) = entry.action {
        user["action"] = json!(action.as_str());
    }
    user
}

/// Any command that failed.
#[must_use]
pub fn failure_document(exit: Exit, error: &[String], hint: Option<&str>) -> Value {
    json!({"result": "failed", "exit": exit.code(), "error": error, "hint": hint})
}
