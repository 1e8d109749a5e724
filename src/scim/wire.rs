//! What goes over the wire: paths and bodies (RFC 7644, section 3).

use super::Update;
use crate::model::{DesiredUser, Names, ScimId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};

const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Everything but RFC 3986's unreserved characters, including the `+` and `@` of an e-mail address.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How the target of a filter begins.
pub(super) const FILTER: &str = "/Users?filter=";

pub(super) fn user(id: &ScimId) -> String {
    format!("/Users/{}", utf8_percent_encode(id.as_str(), ENCODED))
}

/// A page of the list, from a place that was said.
pub(super) fn list(from: Option<(&str, &str)>, count: Option<usize>) -> String {
    let from = from.map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, ENCODED)));
    let count = count.map(|count| format!("count={count}"));
    let query = from.into_iter().chain(count).collect::<Vec<_>>().join("&");
    if query.is_empty() { "/Users".to_owned() } else { format!("/Users?{query}") }
}

/// A filter's value is a JSON string (RFC 7644, section 3.4.2.2); all of it is percent-encoded.
pub(super) fn filter(name: &str) -> String {
    let filter = format!("userName eq {}", Value::from(name));
    format!("{FILTER}{}", utf8_percent_encode(&filter, ENCODED))
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
