//! An account as an endpoint shows it, parsed leniently: an account that we cannot read is one that we might create
//! twice.

use crate::model::{DirectoryId, NAME_BYTES_MAX, Names, ScimId, UserName};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

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

/// The members of an account, and of its name, that are read here.
const READ: [&str; 7] = ["id", "userName", "externalId", "name", "active", "givenName", "familyName"];

/// The members of an account, as they were written: a number that fits no type of ours makes nothing unreadable.
pub(super) type Members = BTreeMap<String, Box<RawValue>>;

/// Those that are read here. The others are passed over, however many they are.
pub(super) struct ReadMembers(Members);

impl<'de> Deserialize<'de> for ReadMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Chosen;
        impl<'de> Visitor<'de> for Chosen {
            type Value = ReadMembers;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::new();
                while let Some(name) = map.next_key::<String>()? {
                    if READ.iter().any(|read| read.eq_ignore_ascii_case(&name)) {
                        members.insert(name, map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(ReadMembers(members))
            }
        }
        deserializer.deserialize_map(Chosen)
    }
}

impl Account {
    /// Reads a SCIM user; `None` if it is not an object.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().map(|ReadMembers(members)| Self::from_members(&members))
    }

    /// Reads the members of a SCIM user; attribute names are case-insensitive (RFC 7643, section 2.1).
    #[must_use]
    pub(super) fn from_members(members: &Members) -> Self {
        let name = member(members, "name").and_then(|name| serde_json::from_str(name.get()).ok());
        let name = name.map_or_else(Members::new, |ReadMembers(name)| name);
        let part = |key| text(member(&name, key)).map(|name| cut(name).into());
        let usable = |id: &String| !id.is_empty() && id.len() <= ID_BYTES_MAX && id != "." && id != "..";
        let id = text(member(members, "id")).filter(usable);
        let active = member(members, "active");
        Self {
            id: id.map(ScimId::new),
            user_name: text(member(members, "userName")).map(|name| UserName::of_account(&name)),
            external_id: text(member(members, "externalId")).filter(|id| !id.is_empty()).map(DirectoryId::new),
            names: Names { given: part("givenName"), family: part("familyName") },
            active: active.is_none_or(|active| active.get() != "false")
                && text(active).is_none_or(|active| !active.eq_ignore_ascii_case("false")),
        }
    }
}

/// A member by its name, in any letter case.
fn member<'m>(members: &'m Members, name: &str) -> Option<&'m RawValue> {
    let in_any_case = || members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    members.get(name).or_else(in_any_case).map(|value| &**value)
}

/// Truncates a name that is longer than any wanted name can be, so that it still differs from all of them.
fn cut(mut name: String) -> String {
    name.truncate(name.ceil_char_boundary(NAME_BYTES_MAX + 1));
    name
}

/// A string, or a number as it was written.
fn text(value: Option<&RawValue>) -> Option<String> {
    let value = value?.get();
    match value.as_bytes().first()? {
        b'"' => serde_json::from_str(value).ok(),
        b'-' | b'0'..=b'9' => Some(value.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_still_no_name_that_could_be_wanted() {
        let long = "\u{e9}".repeat(100_000);
        let account = serde_json::json!({"id": "x".repeat(2000), "name": {"givenName": long, "familyName": "Lee"}});
        let account = Account::from_members(&serde_json::from_str(&account.to_string()).expect("an object"));
        let given = account.names.given.expect("a name");
        assert_eq!((account.id, given.len()), (None, 1026));
        assert_eq!(account.names.family.as_deref(), Some("Lee"));
    }

    #[track_caller]
    fn check(text: &str, expected: (Option<&str>, Option<&str>, Option<&str>, bool)) {
        let account = Account::from_members(&serde_json::from_str(text).expect("an object"));
        let id = account.id.as_ref().map(ScimId::as_str);
        let external_id = account.external_id.as_ref().map(DirectoryId::as_str);
        assert_eq!((id, external_id, account.names.given.as_deref(), account.active), expected, "{text}");
    }

    #[test]
    fn a_number_that_fits_no_type_makes_no_account_unreadable() {
        let text = r#"{"id":"1","badge":1e400,"x":[-1E-999,{"y":1e999}],"externalId":123456789012345678901234567890}"#;
        check(text, (Some("1"), Some("123456789012345678901234567890"), None, true));
        check(
            r#"{"ID":7,"ExternalID":"","Name":{"GIVENNAME":"L\u00e9"},"Active":"False"}"#,
            (Some("7"), None, Some("Lé"), false),
        );
        check(r#"{"id":"1","active":false,"name":"x"}"#, (Some("1"), None, None, false));
        check(r#"{"id":{},"active":null,"name":{"givenName":1e400}}"#, (None, None, Some("1e400"), true));
    }
}
