//! What is held, or was released, in words: who, and every value that would be sent.

use crate::model::{Field, HeldChange, clean};
use serde_json::{Value, json};
use std::fmt::Write;

/// One line a change, with the values that it would set.
#[must_use]
pub fn held_changes_text(changes: &[HeldChange]) -> String {
    changes.iter().fold(String::new(), |mut text, HeldChange { exact, user_name, fields }| {
        let (action, id) = (exact.key.action.as_str(), exact.key.directory_id.as_str());
        let fields: String = fields.iter().map(|field| format!(", {}", field_text(field))).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "    {action} {} ({}){fields}", clean(user_name.as_str()), clean(id));
        text
    })
}

fn field_text(field: &Field) -> String {
    let value = |value: &Option<Box<str>>| value.as_deref().map(|value| format!("{:?}", clean(value)));
    let to = value(&field.to).unwrap_or_else(|| "none".to_owned());
    match value(&field.from) {
        Some(from) => format!("{} {from} -> {to}", field.name.as_str()),
        None => format!("{} {to}", field.name.as_str()),
    }
}

/// The same as a document.
#[must_use]
pub fn held_changes_document(changes: &[HeldChange]) -> Value {
    let change = |HeldChange { exact, user_name, fields }: &HeldChange| {
        let fields: Vec<_> = fields
            .iter()
            .map(|field| json!({"field": field.name.as_str(), "from": field.from, "to": field.to}))
            .collect();
        json!({
            "action": exact.key.action.as_str(), "id": exact.key.directory_id.as_str(), "username": user_name.as_str(),
            "fields": fields,
        })
    };
    changes.iter().map(change).collect()
}
