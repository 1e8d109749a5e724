//! Attribute names in paths, filters and `attributes`: in any letter case, with or without the schema's URN, with or
//! without a part after a dot (RFC 7644, section 3.10).

use super::schemas::{Attribute, ENTERPRISE, Mutability, USER, attribute, member};
use serde_json::{Map, Value};

/// The path of an attribute within a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// The top-level attribute, or the extension.
    pub(super) top: &'static Attribute,
    /// A part of it.
    pub(super) part: Option<&'static Attribute>,
    /// A part of that part: only extensions are this deep.
    pub(super) leaf: Option<&'static Attribute>,
}

impl Path {
    /// `None` if no schema has such an attribute.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = after_urn(text, ENTERPRISE) {
            let top = attribute(ENTERPRISE)?;
            if rest.is_empty() {
                return Some(Self { top, part: None, leaf: None });
            }
            let (name, leaf) = divided(rest.strip_prefix(':')?);
            let part = top.part(name)?;
            return Some(Self { top, part: Some(part), leaf: part_of(part, leaf)? });
        }
        let name = match after_urn(text, USER) {
            Some(rest) => rest.strip_prefix(':')?,
            None => text,
        };
        let (name, part) = divided(name);
        let top = attribute(name)?;
        Some(Self { top, part: part_of(top, part)?, leaf: None })
    }

    /// A part of a list's values, as named by the filter between brackets.
    pub(super) fn of_part(list: &'static Attribute, name: &str) -> Option<Self> {
        list.part(name).map(|top| Self { top, part: None, leaf: None })
    }

    /// The attribute that the path ends at.
    pub(super) fn last(&self) -> &'static Attribute {
        self.leaf.or(self.part).unwrap_or(self.top)
    }

    /// Whether it, or anything it is a part of, can only be set by the server.
    pub(super) fn is_read_only(&self) -> bool {
        [Some(self.top), self.part, self.leaf]
            .into_iter()
            .flatten()
            .any(|attribute| attribute.mutability == Mutability::ReadOnly)
    }

    /// The values at this path: each value of a list by itself, and of a complex value its `value`.
    pub(super) fn values<'a>(&self, members: &'a Map<String, Value>) -> Vec<&'a Value> {
        let mut found: Vec<&Value> = member(members, self.top.name).map(flat).unwrap_or_default();
        for step in [self.part, self.leaf].into_iter().flatten() {
            found = found
                .into_iter()
                .filter_map(Value::as_object)
                .filter_map(|members| member(members, step.name))
                .flat_map(flat)
                .collect();
        }
        found.into_iter().filter(|value| !value.is_null()).collect()
    }
}

fn flat(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => vec![value],
    }
}

/// What follows a URN at the beginning of a text.
fn after_urn<'a>(text: &'a str, urn: &str) -> Option<&'a str> {
    text.get(..urn.len()).filter(|start| start.eq_ignore_ascii_case(urn)).and_then(|start| text.get(start.len()..))
}

fn divided(name: &str) -> (&str, Option<&str>) {
    name.split_once('.').map_or((name, None), |(name, part)| (name, Some(part)))
}

/// The named part; the inner `None` means that no part is named, the outer one that it does not exist.
#[expect(clippy::option_option, reason = "whether a part is named, and whether it exists, are two questions")]
fn part_of(attribute: &'static Attribute, name: Option<&str>) -> Option<Option<&'static Attribute>> {
    match name {
        None => Some(None),
        Some(name) => attribute.part(name).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = Path::parse(text).map_or("none".to_owned(), |path| {
            let names: Vec<_> = [Some(path.top), path.part, path.leaf].into_iter().flatten().map(|a| a.name).collect();
            names.join(" > ")
        });
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn an_attribute_is_found_by_each_of_its_names() {
        check("userName", "userName");
        check("USERNAME", "userName");
        check("name.givenname", "name > givenName");
        check("urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", "name > givenName");
        check("URN:ietf:params:scim:schemas:CORE:2.0:user:active", "active");
        check(&format!("{ENTERPRISE}:department"), &format!("{ENTERPRISE} > department"));
        check(&format!("{ENTERPRISE}:manager.value"), &format!("{ENTERPRISE} > manager > value"));
        check(ENTERPRISE, ENTERPRISE);
        for unknown in ["", "department", "name.", "name.x", "name.givenName.x", "userName.x", USER, "urn:x:userName"] {
            check(unknown, "none");
        }
    }
}
