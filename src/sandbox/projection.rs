//! `attributes` and `excludedAttributes`: which parts of a user are returned (RFC 7644, section 3.9).

use super::path::Path;
use super::schemas::member;
use serde_json::{Map, Value};

/// Always returned, because a resource is nothing without them.
const ALWAYS: [&str; 2] = ["schemas", "id"];

/// The parts that a client asks for.
#[derive(Debug, Default)]
pub(super) struct Projection {
    wanted: Option<Vec<Path>>,
    unwanted: Vec<Path>,
}

impl Projection {
    /// Parses both lists of names. Names that no schema has are ignored; if both lists are given, `attributes` wins.
    pub(super) fn new<'a>(
        wanted: Option<impl IntoIterator<Item = &'a str>>,
        unwanted: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        fn paths<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Path> {
            names.into_iter().filter_map(|name| Path::parse(name.trim())).collect()
        }
        Self { wanted: wanted.map(paths), unwanted: paths(unwanted) }
    }

    /// The requested parts of a user.
    pub(super) fn of(&self, user: Map<String, Value>) -> Map<String, Value> {
        if let Some(wanted) = &self.wanted {
            let mut shown: Map<_, _> = user
                .iter()
                .filter(|(key, _)| ALWAYS.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            for path in wanted {
                show(&names(path), &user, &mut shown);
            }
            return shown;
        }
        let mut user = user;
        for path in self.unwanted.iter().filter(|path| !ALWAYS.contains(&path.top.name)) {
            hide(&names(path), &mut user);
        }
        user
    }
}

fn names(path: &Path) -> Vec<&'static str> {
    [Some(path.top), path.part, path.leaf].into_iter().flatten().map(|attribute| attribute.name).collect()
}

/// Copies what a path leads to, for each value of a list, into what is already shown.
fn show(names: &[&str], from: &Map<String, Value>, to: &mut Map<String, Value>) {
    let Some((name, deeper)) = names.split_first() else { return };
    let Some(value) = member(from, name) else { return };
    match value {
        Value::Object(parts) if !deeper.is_empty() => {
            let mut shown = to.remove(*name).and_then(|shown| shown.as_object().cloned()).unwrap_or_default();
            show(deeper, parts, &mut shown);
            to.insert((*name).to_owned(), shown.into());
        }
        Value::Array(values) if !deeper.is_empty() => {
            let before = to.remove(*name);
            let shown = values.iter().enumerate().map(|(place, value)| {
                let mut shown =
                    before.as_ref().and_then(|before| before[place].as_object().cloned()).unwrap_or_default();
                if let Value::Object(parts) = value {
                    show(deeper, parts, &mut shown);
                }
                Value::from(shown)
            });
            let shown = shown.collect::<Vec<_>>();
            to.insert((*name).to_owned(), shown.into());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            to.insert((*name).to_owned(), value.clone());
        }
    }
}

fn hide(names: &[&str], members: &mut Map<String, Value>) {
    let Some((name, deeper)) = names.split_first() else { return };
    if deeper.is_empty() {
        members.retain(|key, _| !key.eq_ignore_ascii_case(name));
        return;
    }
    match members.get_mut(*name) {
        Some(Value::Object(parts)) => hide(deeper, parts),
        Some(Value::Array(values)) => {
            values.iter_mut().filter_map(Value::as_object_mut).for_each(|parts| hide(deeper, parts));
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(wanted: &str, unwanted: &str, expected: Value) {
        let Value::Object(user) = json!({"schemas": ["s"], "id": "1", "userName": "a", "name": {"givenName": "A", "familyName": "B"},
            "emails": [{"value": "a@x", "type": "work"}, {"value": "b@x"}]})
        else {
            panic!("a user is an object");
        };
        let wanted = Some(wanted).filter(|wanted| !wanted.is_empty()).map(|wanted| wanted.split(','));
        let projection = Projection::new(wanted, unwanted.split(','));
        assert_eq!(Value::Object(projection.of(user)), expected);
    }

    #[test]
    fn a_client_sees_what_it_asks_for() {
        check("username", "", json!({"schemas": ["s"], "id": "1", "userName": "a"}));
        check("name.givenName, colour", "", json!({"schemas": ["s"], "id": "1", "name": {"givenName": "A"}}));
        check(
            "emails.value,emails.type",
            "id",
            json!({"schemas": ["s"], "id": "1", "emails": [{"value": "a@x", "type": "work"}, {"value": "b@x"}]}),
        );
        check("", "NAME,emails,id,schemas", json!({"schemas": ["s"], "id": "1", "userName": "a"}));
        check(
            "",
            "name.familyName,emails.value",
            json!({"schemas": ["s"], "id": "1", "userName": "a", "name": {"givenName": "A"},
                "emails": [{"type": "work"}, {}]}),
        );
    }
}
