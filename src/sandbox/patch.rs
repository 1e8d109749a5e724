//! PATCH (RFC 7644, section 3.5.2), including the forms that Okta and Entra send: `op` in any letter case, members
//! without a path, booleans as text, paths with a URN or a filter.

use super::answer::Refusal;
use super::digits;
use super::filter::Filter;
use super::path::Path;
use super::schemas::{Attribute, Kind, Mutability, member};
use super::user::{cast, cast_one, has_schema, is_primary};
use serde_json::{Map, Value, json};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// One parsed operation.
#[derive(Debug)]
struct Operation {
    verb: Verb,
    target: Target,
    value: Value,
}

/// The target of an operation.
#[derive(Debug)]
struct Target {
    path: Path,
    /// Which values of the list; `None`: all of them.
    filter: Option<Filter>,
}

/// The operations of a PATCH, all parsed before the first is applied.
#[derive(Debug)]
pub(super) struct Patch(Vec<Operation>);

impl Patch {
    /// Parses a request body.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Refusal> {
        let no_patch = || Refusal::syntax("the body is not a PatchOp with Operations");
        let Ok(Value::Object(message)) = digits::read(body) else { return Err(no_patch()) };
        let operations = member(&message, "Operations").and_then(Value::as_array);
        let (true, Some(operations)) = (has_schema(&message, PATCH), operations) else { return Err(no_patch()) };
        let mut understood = Vec::new();
        for operation in operations {
            read(operation.as_object().ok_or_else(no_patch)?, &mut understood)?;
        }
        Ok(Self(understood))
    }

    /// Applies all operations, or none.
    pub(super) fn done_to(&self, account: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
        let mut account = account.clone();
        for operation in &self.0 {
            apply(operation, &mut account)?;
        }
        Ok(account)
    }
}

fn read(operation: &Map<String, Value>, understood: &mut Vec<Operation>) -> Result<(), Refusal> {
    let op = member(operation, "op").and_then(Value::as_str).unwrap_or_default();
    let verb = [("add", Verb::Add), ("replace", Verb::Replace), ("remove", Verb::Remove)]
        .into_iter()
        .find(|(name, _)| op.eq_ignore_ascii_case(name))
        .map(|(_, verb)| verb)
        .ok_or_else(|| Refusal::syntax(format!("there is no op `{op}`")))?;
    let value = member(operation, "value").cloned();
    let path = match member(operation, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) => Some(path),
        Some(_) => return Err(Refusal::path("path is not a string")),
    };
    match (verb, path, value) {
        (Verb::Remove, None, _) => return Err(Refusal::no_target("a remove needs a path")),
        (Verb::Remove, Some(path), value) => {
            understood.push(Operation { verb, target: target(path)?, value: value.unwrap_or_default() });
        }
        (Verb::Add | Verb::Replace, _, None) => return Err(Refusal::value(format!("op `{op}` needs a value"))),
        (Verb::Add | Verb::Replace, Some(path), Some(value)) => {
            understood.push(Operation { verb, target: target(path)?, value });
        }
        // Each member is an operation of its own; Entra uses paths as names.
        (Verb::Add | Verb::Replace, None, Some(Value::Object(members))) => {
            for (path, value) in members {
                // Okta repeats these; they must not change.
                if !["schemas", "id", "meta"].iter().any(|fixed| path.eq_ignore_ascii_case(fixed)) {
                    understood.push(Operation { verb, target: target(&path)?, value });
                }
            }
        }
        (Verb::Add | Verb::Replace, None, Some(_)) => {
            return Err(Refusal::value("without a path, the value must be an object of attributes"));
        }
    }
    Ok(())
}

/// Parses `attribute`, `attribute.part`, `attribute[filter]` or `attribute[filter].part`.
fn target(text: &str) -> Result<Target, Refusal> {
    let unknown = || Refusal::path(format!("there is no attribute `{text}`"));
    let Some((list, rest)) = text.split_once('[') else {
        return Ok(Target { path: Path::parse(text).ok_or_else(unknown)?, filter: None });
    };
    let (filter, part) = rest.rsplit_once(']').ok_or_else(|| Refusal::path(format!("`{text}` is missing a `]`")))?;
    let mut path = Path::parse(list.trim_end()).ok_or_else(unknown)?;
    if !path.top.is_list || path.part.is_some() || path.top.parts.is_empty() {
        return Err(Refusal::path(format!("`{list}` is not a list, so it cannot be filtered")));
    }
    if !part.is_empty() {
        let part = part.strip_prefix('.').and_then(|part| path.top.part(part));
        path.part = Some(part.ok_or_else(unknown)?);
    }
    Ok(Target { path, filter: Some(Filter::of_values(path.top, filter)?) })
}

fn apply(operation: &Operation, account: &mut Map<String, Value>) -> Result<(), Refusal> {
    let Operation { verb, target, value } = operation;
    let path = &target.path;
    if path.is_read_only() {
        return Err(Refusal::mutability(format!("only the server can set {}", path.last().name)));
    }
    // Null is the same as unassigned (RFC 7643, section 2.5).
    let verb = if value.is_null() { Verb::Remove } else { *verb };
    if verb == Verb::Remove && path.part.is_none() && path.top.is_required {
        return Err(Refusal::mutability(format!("{} is required", path.top.name)));
    }
    if path.last().mutability == Mutability::WriteOnly {
        return if verb == Verb::Remove { Ok(()) } else { cast(path.last(), value.clone()).map(drop) };
    }
    if path.top.is_list && (target.filter.is_some() || path.part.is_some()) {
        return in_values(verb, target, value, account);
    }
    match (path.part, path.leaf) {
        (None, _) => put(verb, path.top, value, account),
        (Some(part), None) => inside(path.top, account, |members| put(verb, part, value, members)),
        (Some(part), Some(leaf)) => {
            inside(path.top, account, |members| inside(part, members, |members| put(verb, leaf, value, members)))
        }
    }
}

/// Changes the parts of a complex attribute, and removes the attribute if none is left.
fn inside(
    attribute: &Attribute,
    members: &mut Map<String, Value>,
    change: impl FnOnce(&mut Map<String, Value>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut parts = match members.remove(attribute.name) {
        Some(Value::Object(parts)) => parts,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => Map::new(),
    };
    change(&mut parts)?;
    if !parts.is_empty() {
        members.insert(attribute.name.to_owned(), parts.into());
    }
    Ok(())
}

/// Sets, extends or removes one attribute, or one part of one.
fn put(verb: Verb, attribute: &Attribute, value: &Value, members: &mut Map<String, Value>) -> Result<(), Refusal> {
    match verb {
        Verb::Remove => {
            remove(attribute, value, members);
            return Ok(());
        }
        Verb::Add if attribute.is_list => return extend(attribute, value, members),
        Verb::Add | Verb::Replace => {}
    }
    let whole = if attribute.is_list && !value.is_array() { json!([value]) } else { value.clone() };
    let Some(value) = cast(attribute, whole)? else { return Ok(()) };
    match (value, attribute.kind) {
        // Parts that are not named stay (RFC 7644, sections 3.5.2.1 and 3.5.2.3).
        (Value::Object(parts), Kind::Complex) => inside(attribute, members, |present| {
            present.extend(parts);
            Ok(())
        }),
        (value, _) => {
            members.insert(attribute.name.to_owned(), value);
            Ok(())
        }
    }
}

/// Removes an attribute; of a list, only the named values if there are any (Entra does so).
fn remove(attribute: &Attribute, named: &Value, members: &mut Map<String, Value>) {
    if let (true, Value::Array(named)) = (attribute.is_list, named) {
        let is_named = |value: &Value| named.iter().any(|named| named["value"] == value["value"]);
        if let Some(Value::Array(values)) = members.get_mut(attribute.name) {
            values.retain(|value| !is_named(value));
        }
    } else {
        members.remove(attribute.name);
    }
    drop_empty_list(attribute, members);
}

fn drop_empty_list(attribute: &Attribute, members: &mut Map<String, Value>) {
    if members.get(attribute.name).and_then(Value::as_array).is_some_and(Vec::is_empty) {
        members.remove(attribute.name);
    }
}

/// Adds values to a list. A value that exists is not added again, and a new primary one replaces the old primary.
fn extend(attribute: &Attribute, value: &Value, members: &mut Map<String, Value>) -> Result<(), Refusal> {
    let new = if value.is_array() { value.clone() } else { json!([value]) };
    let Some(Value::Array(new)) = cast(attribute, new)? else { return Ok(()) };
    let values = members.entry(attribute.name).or_insert_with(|| json!([]));
    if let Value::Array(values) = values {
        if new.iter().any(is_primary) {
            no_primary(values);
        }
        for value in new {
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }
    drop_empty_list(attribute, members);
    Ok(())
}

fn no_primary(values: &mut [Value]) {
    for value in values.iter_mut().filter(|value| is_primary(value)) {
        value["primary"] = false.into();
    }
}

/// Changes the values of a list that match a filter, or a part of each.
fn in_values(verb: Verb, target: &Target, value: &Value, account: &mut Map<String, Value>) -> Result<(), Refusal> {
    let list = target.path.top;
    let mut values = match account.remove(list.name) {
        Some(Value::Array(values)) => values,
        Some(_) | None => Vec::new(),
    };
    let chosen = |value: &Value| match (&target.filter, value) {
        (Some(filter), Value::Object(members)) => filter.fits(members),
        (Some(_), _) => false,
        (None, _) => true,
    };
    let mut places: Vec<usize> = (0..values.len()).filter(|place| chosen(&values[*place])).collect();
    if places.is_empty() {
        // Entra adds `emails[type eq "work"].value` to people who have no such address.
        let made = match (verb, &target.filter) {
            (Verb::Add, Some(filter)) => filter.demanded(),
            (Verb::Add, None) => Some(Map::new()),
            (Verb::Replace | Verb::Remove, _) => None,
        };
        let made = made.ok_or_else(|| Refusal::no_target(format!("no value of {} matches", list.name)))?;
        places.push(values.len());
        values.push(cast_one(list, made.into())?);
    }
    match (verb, target.path.part) {
        (Verb::Remove, None) => {
            values =
                values.into_iter().enumerate().filter(|(place, _)| !places.contains(place)).map(|(_, v)| v).collect();
        }
        (Verb::Add | Verb::Replace | Verb::Remove, part) => {
            change_values(verb, list, part, value, &places, &mut values)?
        }
    }
    if !values.is_empty() {
        // Checked again as a whole: a part can make a second value primary.
        account.extend(cast(list, values.into())?.map(|values| (list.name.to_owned(), values)));
    }
    Ok(())
}

fn change_values(
    verb: Verb,
    list: &'static Attribute,
    part: Option<&'static Attribute>,
    value: &Value,
    places: &[usize],
    values: &mut [Value],
) -> Result<(), Refusal> {
    let new = match part {
        None => cast_one(list, value.clone())?,
        Some(part) if verb == Verb::Remove => json!({part.name: null}),
        Some(part) => json!({part.name: cast(part, value.clone())?}),
    };
    if is_primary(&new) {
        no_primary(values);
    }
    if part.is_none() && verb == Verb::Replace {
        places.iter().for_each(|place| values[*place] = new.clone());
        return Ok(());
    }
    for place in places {
        if let (Value::Object(present), Value::Object(new)) = (&mut values[*place], &new) {
            present.extend(new.clone());
            present.retain(|_, value| !value.is_null());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn done(operations: Value) -> Result<Value, Refusal> {
        let Value::Object(account) = json!({"id": "a", "userName": "ann@x.example", "active": true, "title": "Dr",
            "name": {"givenName": "Ann", "familyName": "Ash"},
            "emails": [{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "type": "home"}],
            "roles": [{"value": "guard"}]})
        else {
            panic!("an account is an object");
        };
        let body = json!({"schemas": [PATCH], "Operations": operations}).to_string();
        let after = Patch::of_body(body.as_bytes())?.done_to(&account)?;
        // Only what changed; null if it is gone.
        let mut changed = Map::new();
        for key in account.keys().chain(after.keys()) {
            if account.get(key) != after.get(key) {
                changed.insert(key.clone(), after.get(key).cloned().unwrap_or_default());
            }
        }
        Ok(changed.into())
    }

    #[track_caller]
    fn check(operation: Value, changed: Value) {
        assert_eq!(done(json!([operation.clone()])), Ok(changed), "{operation}");
    }

    #[track_caller]
    fn refused(operation: Value, scim_type: &str) {
        let refusal = done(json!([{"op": "replace", "path": "title", "value": "first"}, operation.clone()]));
        assert_eq!(refusal.err().and_then(|refusal| refusal.scim_type), Some(scim_type), "{operation}");
    }

    #[test]
    fn what_okta_and_entra_send_is_done() {
        check(json!({"op": "replace", "value": {"active": false}}), json!({"active": false}));
        check(json!({"op": "Replace", "path": "active", "value": "False"}), json!({"active": false}));
        check(json!({"op": "ADD", "path": "displayName", "value": "A"}), json!({"displayName": "A"}));
        check(
            json!({"op": "replace", "value": {"id": "a", "name.givenName": "Eve", "Title": "Prof"}}),
            json!({"name": {"givenName": "Eve", "familyName": "Ash"}, "title": "Prof"}),
        );
        check(
            json!({"op": "Add", "path": "emails[type eq \"other\"].value", "value": "c@x"}),
            json!({"emails": [{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "type": "home"},
                {"value": "c@x", "type": "other"}]}),
        );
        check(json!({"op": "remove", "path": "roles", "value": [{"value": "guard"}]}), json!({"roles": null}));
        let urn = "urn:ietf:params:scim:schemas:core:2.0:User:name.familyName";
        check(
            json!({"op": "replace", "path": urn, "value": "Elm"}),
            json!({"name": {"givenName": "Ann", "familyName": "Elm"}}),
        );
        let manager = format!("{ENTERPRISE}:manager");
        check(json!({"op": "add", "path": manager, "value": "m1"}), json!({ENTERPRISE: {"manager": {"value": "m1"}}}));
        check(
            json!({"op": "add", "value": {ENTERPRISE: {"department": "Doors"}}}),
            json!({ENTERPRISE: {"department": "Doors"}}),
        );
    }

    #[test]
    fn parts_and_values_change_alone() {
        check(
            json!({"op": "replace", "path": "name", "value": {"givenName": "Eve"}}),
            json!({"name": {"givenName": "Eve", "familyName": "Ash"}}),
        );
        check(json!({"op": "remove", "path": "name.familyName"}), json!({"name": {"givenName": "Ann"}}));
        check(
            json!({"op": "replace", "path": "name.familyName", "value": ""}),
            json!({"name": {"givenName": "Ann", "familyName": ""}}),
        );
        check(json!({"op": "replace", "path": "title", "value": null}), json!({"title": null}));
        check(json!({"op": "remove", "path": "nickName"}), json!({}));
        check(
            json!({"op": "replace", "path": "EMAILS[Type EQ \"HOME\" and value pr].value", "value": "n@x"}),
            json!({"emails": [{"value": "a@x", "type": "work", "primary": true}, {"value": "n@x", "type": "home"}]}),
        );
        check(
            json!({"op": "replace", "path": "emails[type eq \"home\"]", "value": {"value": "n@x", "primary": true}}),
            json!({"emails": [{"value": "a@x", "type": "work", "primary": false}, {"value": "n@x", "primary": true}]}),
        );
        check(
            json!({"op": "add", "path": "emails[type eq \"home\"]", "value": {"display": "N"}}),
            json!({"emails": [{"value": "a@x", "type": "work", "primary": true},
                {"value": "b@x", "type": "home", "display": "N"}]}),
        );
        check(
            json!({"op": "remove", "path": "emails[type eq \"work\"]"}),
            json!({"emails": [{"value": "b@x", "type": "home"}]}),
        );
        check(
            json!({"op": "remove", "path": "emails.type"}),
            json!({"emails": [{"value": "a@x", "primary": true}, {"value": "b@x"}]}),
        );
        check(
            json!({"op": "add", "path": "emails", "value": {"value": "c@x", "primary": "true"}}),
            json!({"emails": [{"value": "a@x", "type": "work", "primary": false}, {"value": "b@x", "type": "home"},
                {"value": "c@x", "primary": true}]}),
        );
        check(json!({"op": "add", "path": "roles", "value": ["guard"]}), json!({}));
        check(json!({"op": "replace", "path": "emails", "value": []}), json!({"emails": []}));
        check(json!({"op": "replace", "path": "password", "value": "x"}), json!({}));
    }

    #[test]
    fn what_cannot_be_done_is_refused_whole_with_its_reason() {
        for path in [
            "colour",
            "name.colour",
            "emails[type eq \"work\"",
            "title[a eq \"b\"]",
            "urn:x:User:title",
            "",
            "emails[type eq \"work\"].x",
        ] {
            refused(json!({"op": "replace", "path": path, "value": "x"}), "invalidPath");
        }
        refused(json!({"op": "replace", "value": {"colour": "red"}}), "invalidPath");
        refused(json!({"op": "replace", "path": "emails[colour eq \"red\"]", "value": {}}), "invalidFilter");
        refused(json!({"op": "remove"}), "noTarget");
        refused(json!({"op": "replace", "path": "emails[type eq \"other\"].value", "value": "x"}), "noTarget");
        refused(json!({"op": "remove", "path": "emails[type eq \"other\"]"}), "noTarget");
        refused(json!({"op": "replace", "path": "title"}), "invalidValue");
        refused(json!({"op": "add", "value": "x"}), "invalidValue");
        refused(json!({"op": "replace", "path": "active", "value": "perhaps"}), "invalidValue");
        refused(json!({"op": "replace", "path": "title", "value": 7}), "invalidValue");
        refused(json!({"op": "replace", "path": "emails.primary", "value": true}), "invalidValue");
        refused(json!({"op": "replace", "path": "id", "value": "b"}), "mutability");
        refused(json!({"op": "add", "path": "meta.created", "value": "b"}), "mutability");
        refused(json!({"op": "remove", "path": "userName"}), "mutability");
        refused(json!({"op": "move", "path": "title", "value": "b"}), "invalidSyntax");
    }
}
