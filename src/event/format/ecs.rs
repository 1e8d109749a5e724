//! Elastic Common Schema. `changes` is one string of JSON: in an index without a mapping, the first document would decide which type
//! every later value must have. What ECS has no field for stands below `rhombus_sync.audit`.

use super::record::{Record, is_none, plain};
use crate::event::line::escape;
use serde::Serialize;
use serde_json::value::RawValue;

/// The version that the fields were taken from.
const ECS_VERSION: &str = "8.17.0";
const US: &str = "rhombus-sync";

#[derive(Serialize)]
struct Document<'r> {
    #[serde(rename = "@timestamp")]
    timestamp: &'r str,
    ecs: Version,
    event: Event<'r>,
    message: String,
    service: Service,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Id<'r>>,
    user: User<'r>,
    related: Related<'r>,
    rhombus_sync: Ours<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Message<'r>>,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

#[derive(Serialize)]
struct Event<'r> {
    kind: &'static str,
    id: &'r str,
    action: &'r str,
    category: [&'static str; 1],
    r#type: &'static [&'static str],
    outcome: &'static str,
    provider: &'static str,
    dataset: &'static str,
    module: &'static str,
    sequence: i64,
    hash: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    code: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'r str,
}

#[derive(Serialize)]
struct Service {
    name: &'static str,
    r#type: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Id<'r> {
    id: &'r str,
}

#[derive(Serialize)]
struct Message<'r> {
    message: &'r str,
}

#[derive(Serialize)]
struct User<'r> {
    name: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Changes>,
}

#[derive(Serialize)]
struct Target<'r> {
    id: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    email: &'r str,
}

#[derive(Serialize)]
struct Changes {
    full_name: String,
}

#[derive(Serialize)]
struct Related<'r> {
    user: Vec<&'r str>,
}

#[derive(Serialize)]
struct Ours<'r> {
    audit: Audit<'r>,
}

#[derive(Serialize)]
struct Audit<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'r str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    target_id: &'r str,
    initiated_by: &'r RawValue,
    application: &'r RawValue,
    idm_client_id: &'r RawValue,
    message_chain: &'r RawValue,
    correlation: &'r RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'r RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<&'r str>,
    #[serde(skip_serializing_if = "is_none")]
    targets_left_out: usize,
}

/// Category and types (`iam` and `configuration` allow them).
fn kind_of(event_type: &str) -> (&'static str, &'static [&'static str]) {
    match event_type {
        "user_create_provision" => ("iam", &["user", "creation"]),
        "user_update_provision" | "user_deprovision" => ("iam", &["user", "change"]),
        "user_delete_provision" => ("iam", &["user", "deletion"]),
        "user_lookup_provision" => ("iam", &["user", "info"]),
        "idm_integration_activate" | "idm_integration_update" | "idm_integration_reauth" | "idm_integration_delete" => {
            ("configuration", &["change"])
        }
        _ => ("configuration", &["info"]),
    }
}

pub(super) fn render(record: &Record<'_>) -> Option<String> {
    let (who, answer, cycle) = (record.who(), record.answer(), record.cycle());
    let (category, types) = kind_of(&record.event_type);
    let resource = &record.resource;
    let target = resource.is_user().then(|| Target {
        id: &resource.id,
        name: &resource.username,
        email: if resource.username.contains('@') { &resource.username } else { "" },
    });
    let name = Some(who.name()).filter(|name| !name.is_empty()).unwrap_or(US);
    let document = Document {
        timestamp: &record.timestamp,
        ecs: Version { version: ECS_VERSION },
        event: Event {
            kind: "event",
            id: &record.id,
            action: &record.event_type,
            category: [category],
            r#type: types,
            outcome: if record.success { "success" } else { "failure" },
            provider: US,
            dataset: "rhombus_sync.audit",
            module: "rhombus_sync",
            sequence: record.sequence,
            hash: &record.chain,
            code: &answer.response_code,
            reason: &record.error_message,
        },
        message: record.title(),
        service: Service { name: US, r#type: US, version: env!("CARGO_PKG_VERSION") },
        trace: Some(Id { id: &cycle }).filter(|trace| !trace.id.is_empty()),
        user: User { name, target, changes: full_name(record) },
        related: Related { user: [name, &resource.username].into_iter().filter(|name| !name.is_empty()).collect() },
        rhombus_sync: Ours {
            audit: Audit {
                changes: Some(record.changes.get()).filter(|changes| *changes != "[]"),
                target_id: &resource.target_id,
                initiated_by: record.initiated_by,
                application: record.application,
                idm_client_id: record.idm_client_id,
                message_chain: record.message_chain,
                correlation: record.correlation,
                approval: record.approval,
                targets: record.targets.map(RawValue::get),
                targets_left_out: record.targets_left_out,
            },
        },
        error: Some(Message { message: &record.error_message }).filter(|error| !error.message.is_empty()),
    };
    serde_json::to_vec(&document).ok().map(escape)
}

/// Only where the event has both parts: ECS has no field for one of them.
fn full_name(record: &Record<'_>) -> Option<Changes> {
    let changes = record.changes();
    let new = |field: &str| Some(plain(changes.iter().find(|change| change.field == field)?.to?).into_owned());
    let full_name = format!("{} {}", new("name.givenName")?, new("name.familyName")?);
    Some(Changes { full_name })
}
