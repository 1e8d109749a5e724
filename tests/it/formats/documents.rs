//! docs/events.md and docs/event.schema.json against what the program writes.

use super::{fixture, renderers, samples};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Each field: its path, what it is, and where it stands in OCSF, ECS and CEF.
const FIELDS: [(&str, &str, &str, &str, &str); 27] = [
    ("@version", "always `1`", "", "", ""),
    (
        "id",
        "24 hex digits, the first 8 are the second of `timestamp`; the same in every repetition",
        "`metadata.uid`",
        "`event.id`",
        "`externalId`",
    ),
    (
        "timestamp",
        "RFC 3339, milliseconds, UTC; never goes back",
        "`time`, `metadata.original_time`",
        "`@timestamp`",
        "`rt`",
    ),
    ("service", "always `directory`", "", "", "`cat`"),
    ("event_type", "what was attempted, see below", "`metadata.event_code`", "`event.action`", "`act`"),
    ("success", "whether Rhombus accepted it", "`status_id`", "`event.outcome`", "`outcome`"),
    ("organization", "the configured organisation, or empty", "", "", ""),
    (
        "initiated_by.type",
        "`system`, or `admin` for a command",
        "`unmapped.initiated_by`",
        "`rhombus_sync.audit.initiated_by`",
        "",
    ),
    (
        "initiated_by.id",
        "`rhombus-sync`, or the operating-system account of the command",
        "`unmapped.initiated_by`",
        "`rhombus_sync.audit.initiated_by`; `user.name` where there is no `username`",
        "`suser` where there is no `username`",
    ),
    (
        "initiated_by.source",
        "what started it: `schedule`, `watch`, `signal`, `startup`, `reconcile`, `recovery`, a command",
        "`unmapped.initiated_by`",
        "`rhombus_sync.audit.initiated_by`",
        "`sourceServiceName`",
    ),
    ("application.id", "this integration", "`entity.uid`", "`rhombus_sync.audit.application`", ""),
    ("application.name", "always `rhombus`", "`entity.name`", "`rhombus_sync.audit.application`", ""),
    ("idm_client_id", "this installation", "`unmapped.idm_client_id`", "`rhombus_sync.audit.idm_client_id`", ""),
    ("resource.type", "`user`, or `application` for events of the integration", "`user`, `entity.type`", "", ""),
    ("resource.id", "the directory id", "`user.uid`, `entity.uid`", "`user.target.id`", "`duid`"),
    ("resource.username", "the username", "`user.name`, `entity.name`", "`user.target.name`", "`duser`"),
    (
        "resource.target_id",
        "the SCIM id in Rhombus",
        "`user.uid_alt`",
        "`rhombus_sync.audit.target_id`",
        "`flexString1`",
    ),
    (
        "changes[].field",
        "the attribute",
        "`unmapped.changes`",
        "`rhombus_sync.audit.changes` (one string of JSON)",
        "`cs2` to `cs6`",
    ),
    ("changes[].from", "its value before; absent on a create", "the same", "the same", "the same"),
    ("changes[].to", "its value after", "the same", "the same", "the same"),
    (
        "message_chain.response_code",
        "the HTTP status, as a string; empty without an answer",
        "`status_code`",
        "`event.code`",
        "`cn2`",
    ),
    (
        "message_chain.response_message",
        "its phrase",
        "`unmapped.message_chain`",
        "`rhombus_sync.audit.message_chain`",
        "",
    ),
    (
        "message_chain.message_details",
        "what Rhombus or we say about it",
        "`unmapped.message_chain`",
        "`rhombus_sync.audit.message_chain`",
        "`msg`",
    ),
    (
        "error_message",
        "why it failed; never empty if `success` is false",
        "`status_detail`",
        "`event.reason`, `error.message`",
        "`reason`",
    ),
    ("correlation.id", "the cycle", "`metadata.correlation_uid`", "`trace.id`", "`flexString2`"),
    ("correlation.type", "always `reconcile`", "", "", ""),
    ("sequence", "the event's number", "`metadata.sequence`", "`event.sequence`", "`cn1`"),
];
/// It closes the line, and the table.
const CHAIN: (&str, &str, &str, &str, &str) =
    ("chain", "64 hex digits over all events up to this one", "`unmapped.chain`", "`event.hash`", "`cs1`");
/// What only some events have; no sample does.
const MORE: [(&str, &str, &str, &str, &str); 14] = [
    (
        "initiated_by.username",
        "the person behind a command: who logged in, else who `sudo` says, else the account; absent for `system`",
        "`actor.user.name`",
        "`user.name`",
        "`suser`",
    ),
    (
        "initiated_by.claimed",
        "`true` where only `sudo` says who the person is; else absent",
        "`unmapped.initiated_by`",
        "`rhombus_sync.audit.initiated_by`",
        "",
    ),
    (
        "approval.hold",
        "the hold that a person released; only on an approval and on what it released",
        "`unmapped.approval`",
        "`rhombus_sync.audit.approval`",
        "`cs6`",
    ),
    ("approval.by", "who released it, as in `initiated_by.username`", "the same", "the same", "the same"),
    ("approval.account", "the operating-system account", "the same", "the same", "the same"),
    ("approval.claimed", "as in `initiated_by.claimed`", "the same", "the same", "the same"),
    ("approval.reason", "the reason given, or empty", "the same", "the same", "the same"),
    (
        "targets[].action",
        "what an approval releases: `create`, `update`, `link`, `relink`, `deactivate`, `delete`; 100 users an event, more in further events",
        "`unmapped.targets`",
        "`rhombus_sync.audit.targets` (one string of JSON)",
        "`cs6`, as many as fit",
    ),
    ("targets[].id", "the user's directory id", "the same", "the same", "the same"),
    ("targets[].username", "the username", "the same", "the same", "the same"),
    ("targets[].target_id", "the SCIM id, or empty", "the same", "the same", "the same"),
    (
        "targets[].changes[]",
        "`field`, `from` and `to` of what would be set; absent where nothing is",
        "the same",
        "the same",
        "the same, where there is room",
    ),
    (
        "targets_left_out",
        "how many more users there are, where a syslog receiver or CEF has no room for them",
        "`unmapped.targets_left_out`",
        "`rhombus_sync.audit.targets_left_out`",
        "`cs6`",
    ),
    ("seal", "64 hex digits, the HMAC-SHA-256 of `chain`, at the end of the line; only with a seal key", "", "", ""),
];

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The paths of a value's leaves.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| leaves(value, &format!("{path}[]"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => drop(found.insert(path.to_owned())),
    }
}

fn generated() -> String {
    let mut text =
        "## Fields\n\n| directory-insights | meaning | ocsf | ecs | cef |\n|---|---|---|---|---|\n".to_owned();
    for (path, meaning, ocsf, ecs, cef) in FIELDS.into_iter().chain([CHAIN]).chain(MORE) {
        let _ = writeln!(text, "| `{path}` | {meaning} | {ocsf} | {ecs} | {cef} |");
    }
    text +=
        "\nThe [JSON schema](event.schema.json) says the same to programs.\n\n## One event of each type\n\n```json\n";
    let mut seen = BTreeSet::new();
    for event in samples() {
        let value: Value = serde_json::from_str(&event.line).expect("JSON");
        if seen.insert((value["event_type"].to_string(), value["success"].to_string())) {
            let _ = writeln!(text, "{}", event.line);
        }
    }
    text += "```\n\n## The same event in each format\n\n```text\n";
    for (name, _) in renderers().iter().filter(|(name, _)| !name.starts_with("ocsf") || name.contains("1.5.0")) {
        let lines = std::fs::read_to_string(fixture(name)).expect("a fixture");
        let _ = writeln!(text, "{}", lines.lines().nth(2).expect("an update"));
    }
    text + "```\n"
}

#[test]
fn the_page_of_events_is_what_the_program_writes() {
    const BEGIN: &str = "<!-- generated: field tables and samples -->\n";
    const END: &str = "<!-- end of generated -->";
    let path = root("docs/events.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("where it begins");
    let (_, after) = rest.split_once(END).expect("where it ends");
    let wanted = format!("{before}{BEGIN}\n{}\n{END}{after}", generated());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).expect("written");
    } else {
        assert!(page == wanted, "docs/events.md is not up to date: UPDATE_DOCS=1 cargo test --test it formats::");
    }
    let mut found = BTreeSet::new();
    for event in samples() {
        leaves(&serde_json::from_str(&event.line).expect("JSON"), "", &mut found);
    }
    let named: BTreeSet<_> = FIELDS.iter().chain([&CHAIN]).map(|field| field.0.to_owned()).collect();
    assert_eq!(found, named, "the table names every field of the samples");
}

/// The parts of JSON Schema that ours uses.
fn complaints(value: &Value, schema: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = |wanted: &Value| wanted.as_str() == Some(kind);
    let wanted = &schema["type"];
    let fits = wanted.is_null() || is_kind(wanted) || wanted.as_array().is_some_and(|kinds| kinds.iter().any(is_kind));
    if !fits {
        found.push(format!("{at} is {kind}, not {wanted}"));
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        found.push(format!("{at} is {value}"));
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        found.push(format!("{at} is {value}"));
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(key) {
            Some(schema) => found.extend(complaints(value, schema, &format!("{at}.{key}"))),
            None => found.push(format!("{at}.{key} is not in the schema")),
        }
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(key).is_none() {
            found.push(format!("{at}.{key} is missing"));
        }
    }
    for value in value.as_array().into_iter().flatten() {
        found.extend(complaints(value, &schema["items"], &format!("{at}[]")));
    }
    found
}

#[test]
fn every_sample_fits_the_schema() {
    let text = std::fs::read_to_string(root("docs/event.schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    for event in samples() {
        let value = serde_json::from_str(&event.line).expect("JSON");
        assert_eq!(complaints(&value, &schema, ""), Vec::<String>::new(), "{}", event.line);
    }
}

#[test]
fn the_alerts_find_their_events_in_the_samples() {
    let ecs: Vec<Value> = std::fs::read_to_string(fixture("ecs.ndjson"))
        .expect("the samples")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let page = std::fs::read_to_string(root("docs/events.md")).expect("the page");
    let alerts: BTreeMap<&str, (&str, Option<&str>)> = [
        ("event.action: \"reconcile_held\" and", ("reconcile_held", None)),
        ("event.action: \"reconcile_failed\" and event.code: \"401\"", ("reconcile_failed", Some("401"))),
        ("event.action: (\"reconcile_completed\" or \"reconcile_held\")", ("reconcile_completed", None)),
    ]
    .into();
    for (query, (action, code)) in alerts {
        assert!(page.contains(query), "{query}");
        let is_it = |event: &&Value| {
            event["event"]["action"] == action && code.is_none_or(|code| event["event"]["code"] == code)
        };
        assert_eq!(ecs.iter().filter(is_it).count(), 1, "{query}");
    }
}
