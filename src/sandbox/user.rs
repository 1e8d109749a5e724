//! What is kept of a user that a client sent: known attributes under their own names, extensions, and nothing secret.

use super::answer::Refusal;
use super::digits;
use super::schemas::{Attribute, Kind, Mutability, USER, attribute, member};
use serde_json::{Map, Value, json};

/// Parses the body of a POST or PUT.
pub(super) fn of_body(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let Ok(Value::Object(members)) = digits::read(body) else {
        return Err(Refusal::syntax("the body is not a JSON object"));
    };
    if !has_schema(&members, USER) {
        return Err(Refusal::syntax(format!("schemas does not contain {USER}")));
    }
    let user = kept(members)?;
    match user.get("userName").and_then(Value::as_str) {
        // Rhombus signs people in with it.
        Some(name) if name.contains('@') => Ok(user),
        Some(_) => Err(Refusal::value("userName must be an e-mail address")),
        None => Err(Refusal::value("userName is required")),
    }
}

/// Whether a body names a schema, in any letter case.
pub(super) fn has_schema(members: &Map<String, Value>, schema: &str) -> bool {
    member(members, "schemas")
        .and_then(Value::as_array)
        .is_some_and(|schemas| schemas.iter().filter_map(Value::as_str).any(|known| known.eq_ignore_ascii_case(schema)))
}

/// The members that an account keeps. Passwords are dropped here, before anything is stored. What only the server sets
/// is ignored (RFC 7644, section 3.5.1), and so is what no schema knows. Other vendors' extensions stay as they are.
pub(super) fn kept(members: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let mut user = Map::new();
    for (name, value) in members {
        match attribute(&name) {
            Some(known) if known.mutability == Mutability::ReadWrite => {
                if let Some(value) = cast(known, value)? {
                    user.insert(known.name.to_owned(), value);
                }
            }
            None if is_urn(&name) && value.is_object() => {
                user.insert(name, value);
            }
            Some(_) | None => {}
        }
    }
    Ok(user)
}

fn is_urn(name: &str) -> bool {
    name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
}

/// Converts a value to its attribute's type; `None` if it is null, which is the same as unassigned (RFC 7643, section
/// 2.5).
pub(super) fn cast(attribute: &Attribute, value: Value) -> Result<Option<Value>, Refusal> {
    if value.is_null() {
        return Ok(None);
    }
    if !attribute.is_list {
        return cast_one(attribute, value).map(Some);
    }
    let Value::Array(values) = value else {
        return Err(Refusal::value(format!("{} is not a list", attribute.name)));
    };
    let values: Vec<_> = values.into_iter().map(|value| cast_one(attribute, value)).collect::<Result<_, _>>()?;
    if values.iter().filter(|value| is_primary(value)).count() > 1 {
        return Err(Refusal::value(format!("{} has more than one primary value", attribute.name)));
    }
    Ok(Some(values.into()))
}

/// Converts a value of a list, or the value of an attribute that is not a list.
pub(super) fn cast_one(attribute: &Attribute, value: Value) -> Result<Value, Refusal> {
    let wrong = |what: &str| Err(Refusal::value(format!("{} is not {what}", attribute.name)));
    match (attribute.kind, value) {
        (Kind::Text | Kind::DateTime | Kind::Binary | Kind::Reference(_), Value::String(text)) => Ok(text.into()),
        (Kind::Text | Kind::DateTime | Kind::Binary | Kind::Reference(_), _) => wrong("a string"),
        (Kind::Boolean, Value::Bool(value)) => Ok(value.into()),
        // As Entra sends it.
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true.into()),
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false.into()),
        (Kind::Boolean, _) => wrong("a boolean"),
        (Kind::Complex, Value::Object(members)) => {
            let mut whole = Map::new();
            for (name, value) in members {
                if let Some(part) = attribute.part(&name)
                    && let Some(value) = cast(part, value)?
                {
                    whole.insert(part.name.to_owned(), value);
                }
            }
            Ok(whole.into())
        }
        // Rhombus itself uses roles as plain strings; Entra sends a manager as one.
        (Kind::Complex, Value::String(text)) if attribute.part("value").is_some() => Ok(json!({"value": text})),
        (Kind::Complex, _) => wrong("an object"),
    }
}

/// Whether a value of a list is its primary one.
pub(super) fn is_primary(value: &Value) -> bool {
    value["primary"] == Value::Bool(true)
}

/// Whether a PUT contains the element that `empty_email` refuses.
pub(super) fn has_empty_email(user: &Map<String, Value>) -> bool {
    let emails = user.get("emails").and_then(Value::as_array);
    emails.into_iter().flatten().any(|email| email["value"].as_str().is_none_or(str::is_empty))
}

/// Removes leading and trailing spaces of all names.
pub(super) fn trim_names(user: &mut Map<String, Value>) {
    let names = user.get_mut("name").and_then(Value::as_object_mut);
    for name in names.into_iter().flat_map(Map::values_mut) {
        if let Value::String(text) = name {
            *text = text.trim().to_owned();
        }
    }
}
