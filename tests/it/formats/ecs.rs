//! ECS lines against Elastic's own list of fields: names, types, arrays and allowed values.

use super::{event, fixture, hostile, renderer, samples};
use rhombus_sync::event::{EventFormat, OcsfVersion};
use serde_json::Value;
use std::collections::BTreeMap;

/// A field as Elastic has it.
struct Field {
    kind: String,
    is_array: bool,
    allowed: Vec<String>,
}

type Fields = BTreeMap<String, Field>;

fn fields() -> Fields {
    let text = std::fs::read_to_string(fixture("ecs-8.17.0-fields.tsv")).expect("the list");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let parts: Vec<_> = line.split('\t').collect();
            let allowed = parts[3].split(',').filter(|value| *value != "-").map(str::to_owned).collect();
            (parts[0].to_owned(), Field { kind: parts[1].to_owned(), is_array: parts[2] == "array", allowed })
        })
        .collect()
}

/// Complaints about a value at a path.
fn judge(fields: &Fields, path: &str, value: &Value, complaints: &mut Vec<String>) {
    if path == "rhombus_sync" {
        return;
    }
    if let (Value::Object(members), false) = (value, fields.contains_key(path)) {
        for (name, value) in members {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            judge(fields, &path, value, complaints);
        }
        return;
    }
    let Some(field) = fields.get(path) else { return complaints.push(format!("there is no field {path}")) };
    let values = match (field.is_array, value.as_array()) {
        (true, Some(values)) => values.as_slice(),
        (true, None) => return complaints.push(format!("{path} is not an array")),
        (false, _) => std::slice::from_ref(value),
    };
    for value in values {
        let is_good = match field.kind.as_str() {
            "keyword" | "match_only_text" | "wildcard" => value.as_str().is_some_and(|text| !text.is_empty()),
            "date" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
            "long" => value.is_i64(),
            other => panic!("{path} is a {other}: say here what that is"),
        };
        let is_allowed =
            field.allowed.is_empty() || value.as_str().is_some_and(|v| field.allowed.iter().any(|a| a == v));
        if !is_good || !is_allowed {
            complaints.push(format!("{path} ({}) cannot be {value}", field.kind));
        }
    }
}

/// Each category has types of its own.
fn judge_types(fields: &Fields, event: &Value, complaints: &mut Vec<String>) {
    for category in event["category"].as_array().expect("an array") {
        let expected = &fields[&format!("event.category={}", category.as_str().expect("a string"))].allowed;
        for kind in event["type"].as_array().expect("an array") {
            if !expected.iter().any(|known| Some(known.as_str()) == kind.as_str()) {
                complaints.push(format!("event.type {kind} does not go with event.category {category}"));
            }
        }
    }
}

#[test]
fn every_field_of_ecs_is_one_of_elastics_with_its_type_and_values() {
    let fields = fields();
    assert!(fields.len() > 100 && fields["event.sequence"].kind == "long");
    let renderer = renderer(EventFormat::Ecs, OcsfVersion::default());
    let hostile = (1..300).map(|seed| event(seed, &hostile(seed as usize), "old", &hostile(seed as usize + 9), "no"));
    let mut versions = std::collections::BTreeSet::new();
    for event in samples().into_iter().chain(hostile) {
        let line: Value = serde_json::from_str(&renderer.line(&event).expect("an event")).expect("JSON");
        let mut complaints = Vec::new();
        judge(&fields, "", &line, &mut complaints);
        judge_types(&fields, &line["event"], &mut complaints);
        assert_eq!(complaints, Vec::<String>::new(), "{line}");
        versions.insert(line["ecs"]["version"].as_str().expect("a version").to_owned());
    }
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), ["8.17.0"], "the list is of the version that the events name");
}

#[test]
fn what_is_not_ecs_is_complained_of() {
    let fields = fields();
    let good =
        r#"{"@timestamp":"2026-01-02T03:04:05.001Z","event":{"kind":"event","category":["iam"],"type":["user"]}}"#;
    for (from, to) in [
        ("\"kind\"", "\"sort\""),
        ("[\"iam\"]", "\"iam\""),
        ("\"iam\"", "\"cats\""),
        ("03:04", "25:04"),
        ("\"event\",\"category", "7,\"category"),
        ("\"kind\":\"event\"", "\"kind\":\"event\",\"sequence\":\"7\""),
    ] {
        let mut complaints = Vec::new();
        judge(&fields, "", &serde_json::from_str(good).expect("JSON"), &mut complaints);
        assert_eq!(complaints, Vec::<String>::new());
        let bad = good.replacen(from, to, 1);
        if let Ok(bad) = serde_json::from_str(&bad) {
            judge(&fields, "", &bad, &mut complaints);
            assert!(!complaints.is_empty(), "{bad}");
        }
    }
}
