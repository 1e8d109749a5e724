//! What goes over the wire: paths and bodies (RFC 7644, section 3).

use super::Update;
use super::account::member;
use crate::model::{DesiredUser, Names, ScimId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Map, Value, json};

const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Everything but RFC 3986's unreserved characters, including the `+` and `@` of an e-mail address.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn user(id: &ScimId) -> String {
    format!("/Users/{}", utf8_percent_encode(id.as_str(), ENCODED))
}

pub(super) fn list(start: usize, count: usize) -> String {
    format!("/Users?startIndex={start}&count={count}")
}

/// A filter's value is a JSON string (RFC 7644, section 3.4.2.2); all of it is percent-encoded.
pub(super) fn filter(name: &str, count: usize) -> String {
    let filter = format!("userName eq {}", Value::from(name));
    format!("/Users?filter={}&startIndex=1&count={count}", utf8_percent_encode(&filter, ENCODED))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewUser<'u> {
    schemas: [&'static str; 1],
    user_name: &'u str,
    external_id: &'u str,
    active: bool,
    #[serde(skip_serializing_if = "NewName::is_empty")]
    name: NewName<'u>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewName<'u> {
    #[serde(skip_serializing_if = "str::is_empty")]
    given_name: &'u str,
    #[serde(skip_serializing_if = "str::is_empty")]
    family_name: &'u str,
}

impl NewName<'_> {
    fn is_empty(&self) -> bool {
        self.given_name.is_empty() && self.family_name.is_empty()
    }
}

pub(super) fn new_user(user: &DesiredUser) -> Vec<u8> {
    let Names { given, family } = &user.names;
    let name = NewName {
        given_name: given.as_deref().unwrap_or_default(),
        family_name: family.as_deref().unwrap_or_default(),
    };
    let (user_name, external_id) = (user.user_name.as_str(), user.id.as_str());
    let body = NewUser { schemas: [USER_SCHEMA], user_name, external_id, active: true, name };
    serde_json::to_vec(&body).unwrap_or_default()
}

pub(super) fn patch_names(update: &Update<'_>) -> Vec<u8> {
    let (wanted, carried) = (update.wanted, update.carried);
    let mut operations: Vec<_> =
        [("name.givenName", &wanted.given, &carried.given), ("name.familyName", &wanted.family, &carried.family)]
            .into_iter()
            .filter_map(|(path, wanted, carried)| {
                let wanted = wanted.as_deref()?;
                (carried.as_deref().unwrap_or_default() != wanted)
                    .then(|| json!({"op": "replace", "path": path, "value": wanted}))
            })
            .collect();
    if update.reactivate {
        operations.push(json!({"op": "replace", "path": "active", "value": true}));
    }
    json!({"schemas": [PATCH_SCHEMA], "Operations": operations}).to_string().into_bytes()
}

pub(super) fn patch_inactive() -> Vec<u8> {
    let operation = json!({"op": "replace", "path": "active", "value": false});
    json!({"schemas": [PATCH_SCHEMA], "Operations": [operation]}).to_string().into_bytes()
}

/// Sets the managed names of an account that a PUT is about to send back.
pub(super) fn lay_names(members: &mut Map<String, Value>, wanted: &Names) {
    let mut name = member(members, "name").and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, value) in [("givenName", &wanted.given), ("familyName", &wanted.family)] {
        if let Some(value) = value.as_deref() {
            name.retain(|present, _| !present.eq_ignore_ascii_case(key));
            name.insert(key.to_owned(), value.into());
        }
    }
    // A formatted name made of the old parts would contradict the new ones.
    name.retain(|present, _| !present.eq_ignore_ascii_case("formatted"));
    members.retain(|present, _| !present.eq_ignore_ascii_case("name"));
    members.insert("name".to_owned(), name.into());
}

pub(super) fn set_active(members: &mut Map<String, Value>, active: bool) {
    members.retain(|present, _| !present.eq_ignore_ascii_case("active"));
    members.insert("active".to_owned(), active.into());
}

/// Drops `meta` and unassigned values: two servers of six refuse a PUT of what their own GET returned.
pub(super) fn put_body(mut members: Map<String, Value>) -> Vec<u8> {
    members.retain(|key, _| !key.eq_ignore_ascii_case("meta") && !key.eq_ignore_ascii_case("groups"));
    let mut body = Value::Object(members);
    without_unassigned(&mut body);
    if body.get("schemas").is_none() {
        body["schemas"] = json!([USER_SCHEMA]);
    }
    body.to_string().into_bytes()
}

/// Removes `null`, `""`, `[]` and `{}` (RFC 7643, section 2.5). True if nothing is left.
fn without_unassigned(value: &mut Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => {
            values.retain_mut(|value| !without_unassigned(value));
            values.is_empty()
        }
        Value::Object(members) => {
            members.retain(|_, value| !without_unassigned(value));
            members.is_empty()
        }
        Value::Bool(_) | Value::Number(_) => false,
    }
}
