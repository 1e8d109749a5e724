//! An account as an endpoint shows it, parsed leniently: an account that we cannot read is one that we might create
//! twice.

use crate::model::{DirectoryId, NAME_BYTES_MAX, Names, ScimId, UserName};
use serde_json::{Map, Value};

/// The longest id that is stored and put into a URL, in bytes.
const ID_BYTES_MAX: usize = 1024;

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The `id`; `None` if it is absent or cannot be part of a URL.
    pub id: Option<ScimId>,
    /// The `userName`, if it is a string or a number.
    pub user_name: Option<UserName>,
    /// The `externalId`, if it is not empty.
    pub external_id: Option<DirectoryId>,
    /// `name.givenName` and `name.familyName`.
    pub names: Names,
    /// False only if `active` says so, as a boolean or as text.
    pub active: bool,
}

impl Account {
    /// Reads the members of a SCIM user; attribute names are case-insensitive (RFC 7643, section 2.1).
    #[must_use]
    pub fn from_members(members: Map<String, Value>) -> Self {
        let name = member(&members, "name").and_then(Value::as_object);
        let part = |key| name.and_then(|name| text(member(name, key))).map(|name| cut(name).into());
        let usable = |id: &String| !id.is_empty() && id.len() <= ID_BYTES_MAX && id != "." && id != "..";
        let id = text(member(&members, "id")).filter(usable);
        Self {
            id: id.map(ScimId::new),
            user_name: text(member(&members, "userName")).map(|name| UserName::of_account(&name)),
            external_id: text(member(&members, "externalId")).filter(|id| !id.is_empty()).map(DirectoryId::new),
            names: Names { given: part("givenName"), family: part("familyName") },
            active: match member(&members, "active") {
                Some(Value::Bool(active)) => *active,
                Some(Value::String(text)) => !text.eq_ignore_ascii_case("false"),
                Some(_) | None => true,
            },
        }
    }
}

/// A member by its name, in any letter case.
fn member<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    members.get(name).or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// Truncates a name that is longer than any wanted name can be, so that it still differs from all of them.
fn cut(mut name: String) -> String {
    name.truncate(name.ceil_char_boundary(NAME_BYTES_MAX + 1));
    name
}

/// A string, or a number as a string.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_still_no_name_that_could_be_wanted() {
        let long = "\u{e9}".repeat(100_000);
        let account = serde_json::json!({"id": "x".repeat(2000), "name": {"givenName": long, "familyName": "Lee"}});
        let serde_json::Value::Object(members) = account else { unreachable!("an object") };
        let account = Account::from_members(members);
        let given = account.names.given.expect("a name");
        assert_eq!((account.id, given.len()), (None, 1026));
        assert_eq!(account.names.family.as_deref(), Some("Lee"));
    }
}
