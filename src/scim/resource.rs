//! An account that is put back: what we do not manage goes back as it came, number for number, but for what servers reject of
//! their own words: `meta`, `groups`, and values that are unassigned or empty.

use super::account::{Account, Members};
use crate::model::{Names, is_small_json};
use serde::de::Error;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// How deep an account may be nested: as deep as serde_json reads.
const DEPTH_MAX: usize = 128;

/// The members of an account, as they were written.
#[derive(Debug)]
pub(super) struct Resource {
    members: Members,
}

impl Resource {
    /// The members in a body, and the account that they are. One with more values than an answer needs is not read.
    pub(super) fn of(body: &[u8]) -> Option<(Self, Account)> {
        let members: Members = serde_json::from_slice(Some(body).filter(|body| is_small_json(body))?).ok()?;
        let account = Account::from_members(&members);
        Some((Self { members }, account))
    }

    /// Lays the managed names over those that it carries.
    pub(super) fn lay_names(&mut self, wanted: &Names) {
        let name = self.members.iter().find(|(key, _)| key.eq_ignore_ascii_case("name")).map(|(_, value)| value);
        let mut name = name.and_then(|name| serde_json::from_str::<Members>(name.get()).ok()).unwrap_or_default();
        for (key, value) in [("givenName", &wanted.given), ("familyName", &wanted.family)] {
            if let Some(value) = value.as_deref() {
                set(&mut name, key, &value.into());
            }
        }
        // A formatted name made of the old parts would contradict the new ones.
        name.retain(|present, _| !present.eq_ignore_ascii_case("formatted"));
        self.members.retain(|present, _| !present.eq_ignore_ascii_case("name"));
        if let Ok(name) = serde_json::value::to_raw_value(&name) {
            self.members.insert("name".to_owned(), name);
        }
    }

    pub(super) fn set_active(&mut self, active: bool) {
        set(&mut self.members, "active", &active.into());
    }

    /// What is sent. Two servers of six refuse a PUT of what their own GET gave.
    pub(super) fn into_body(mut self) -> Result<Vec<u8>, serde_json::Error> {
        self.members.retain(|key, _| !key.eq_ignore_ascii_case("meta") && !key.eq_ignore_ascii_case("groups"));
        let mut members = assigned_members(&self.members, 1)?;
        if !self.members.keys().any(|key| key.eq_ignore_ascii_case("schemas")) {
            members.insert(0, format!("\"schemas\":[\"{USER_SCHEMA}\"]"));
        }
        Ok(format!("{{{}}}", members.join(",")).into_bytes())
    }
}

fn set(members: &mut Members, key: &str, value: &Value) {
    members.retain(|present, _| !present.eq_ignore_ascii_case(key));
    if let Ok(value) = serde_json::value::to_raw_value(value) {
        members.insert(key.to_owned(), value);
    }
}

/// A value without what is unassigned in it: `null`, `""`, `[]`, `{}` (RFC 7643, section 2.5), and elements of a list whose
/// `value` is that, whatever else they say. `None` if nothing is left.
fn assigned(raw: &RawValue, depth: usize) -> Result<Option<String>, serde_json::Error> {
    if depth > DEPTH_MAX {
        return Err(serde_json::Error::custom("nested too deeply"));
    }
    let text = raw.get();
    let (open, parts, close) = match text.as_bytes().first() {
        Some(b'{') => ('{', assigned_members(&serde_json::from_str(text)?, depth)?, '}'),
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            let mut parts = Vec::new();
            for element in elements {
                if !has_empty_value(element, depth)? {
                    parts.extend(assigned(element, depth + 1)?);
                }
            }
            ('[', parts, ']')
        }
        Some(_) | None => return Ok((!matches!(text, "null" | "\"\"")).then(|| text.to_owned())),
    };
    Ok((!parts.is_empty()).then(|| format!("{open}{}{close}", parts.join(","))))
}

fn assigned_members(members: &Members, depth: usize) -> Result<Vec<String>, serde_json::Error> {
    let mut parts = Vec::new();
    for (key, value) in members {
        if let Some(value) = assigned(value, depth + 1)? {
            parts.push(format!("{}:{value}", Value::from(key.as_str())));
        }
    }
    Ok(parts)
}

/// Whether an element of a list has a `value`, and it is empty.
fn has_empty_value(element: &RawValue, depth: usize) -> Result<bool, serde_json::Error> {
    if !element.get().starts_with('{') {
        return Ok(false);
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(element.get())?;
    match members.iter().find(|(key, _)| key.eq_ignore_ascii_case("value")) {
        Some((_, value)) => Ok(assigned(value, depth + 2)?.is_none()),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let (mut resource, _) = Resource::of(body.as_bytes()).expect("an account");
        resource.lay_names(&Names { given: Some("Ann".into()), family: None });
        resource.set_active(true);
        let sent = resource.into_body().expect("a body");
        assert_eq!(String::from_utf8(sent).expect("UTF-8"), expected, "{body}");
    }

    #[test]
    fn what_is_not_managed_goes_back_digit_for_digit() {
        check(
            r#"{"schemas":["s"],"x":{"card":89014103211118510720,"big":1.0E+40,"exact":0.10},"name":{"familyName":"L\u00e9"}}"#,
            r#"{"active":true,"name":{"familyName":"L\u00e9","givenName":"Ann"},"schemas":["s"],"x":{"big":1.0E+40,"card":89014103211118510720,"exact":0.10}}"#,
        );
    }

    #[test]
    fn what_is_unassigned_is_not_sent_back() {
        check(
            r#"{"emails":[{"value":"","primary":true},{"Value":null,"type":"x"}],"phones":[{"value":"1","type":""},{"type":"work"}],"meta":{"a":1},"Groups":[1],"a":null,"b":"","c":[[],{"d":{}}],"Active":false,"Name":{"GIVENNAME":"x","formatted":"X Y"}}"#,
            r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"active":true,"name":{"givenName":"Ann"},"phones":[{"value":"1"},{"type":"work"}]}"#,
        );
    }

    #[test]
    fn what_is_nested_without_end_is_not_sent_at_all() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(500), "]".repeat(500));
        let members = serde_json::from_str(&deep).expect("JSON");
        assert!(Resource { members }.into_body().is_err());
    }
}
