//! The lines of the configuration that would read a refused export, and what its job should write too. For messages only.

use super::lines::{Table, Words, folded};
use super::shapes::Shape;
use super::sight::Sight;
use crate::model::{Column, clean, is_type_name};
use std::fmt::Write;

/// Members in which programs write an id that is an object, folded.
const ID_INSIDE: [&str; 6] = ["$oid", "guid", "value", "id", "objectid", "text"];

impl Sight {
    /// The lines of the configuration, and what the export job should write too.
    pub(super) fn write_lines(&self, text: &mut String, shape: Option<&Shape>, wrapper: Option<&str>) {
        let missing = shape.and_then(|shape| {
            let (names, how) = shape.ask;
            let missing: Vec<_> = names.iter().filter(|name| !self.has(name)).copied().collect();
            (!missing.is_empty()).then(|| format!("; it lacks {}: {how}", missing.join(" and ")))
        });
        text.push_str(missing.as_deref().unwrap_or_default());
        let mut lines = String::new();
        if let Some(name) = wrapper {
            let _ = write!(lines, "\n[directory]\nrecords = {name:?}");
        }
        let table = self.table();
        let mut named: Vec<(Column, String)> = Vec::new();
        for (column, theirs) in shape.map(|shape| shape.columns).unwrap_or_default() {
            if theirs.is_empty() {
                named.push((*column, String::new()));
            } else if let Some(name) = self.as_written(theirs) {
                named.push((*column, name.clone()));
            }
        }
        if shape.is_none() {
            named = table.columns();
            let ours = |column: Column, name: &str| {
                [column.as_str(), column.key()].iter().any(|ours| name.trim().eq_ignore_ascii_case(ours))
            };
            named.retain(|(column, name)| *column == Column::State || !ours(*column, name));
        } else if has_addresses_elsewhere(&table, &named)
            && let Some(name) = table.username()
        {
            named.retain(|(column, _)| *column != Column::Username);
            named.insert(named.len().min(1), (Column::Username, name));
        }
        if shape.is_some_and(|shape| shape.columns.iter().all(|(column, _)| *column != Column::State))
            && !named.is_empty()
        {
            named.extend(table.columns().into_iter().filter(|(column, _)| *column == Column::State));
        }
        let columns = named.iter().map(|(column, name)| format!("\n{} = {name:?}", column.key())).collect::<String>();
        if !columns.is_empty() {
            let _ = write!(lines, "\n[directory.columns]{columns}");
        }
        if let Some((_, state)) = named.iter().find(|(column, _)| *column == Column::State) {
            let words = shape.and_then(|shape| shape.words);
            lines.push_str(&states(words, table.words(state)));
        }
        if !lines.is_empty() {
            let _ = write!(text, "; add to the configuration:{lines}");
        }
    }

    /// What is wrong with ids that are not text: an object with the id inside, or bytes, as directories hold a GUID.
    pub(super) fn odd_ids(&self, shape: Option<&Shape>) -> Option<String> {
        let of_shape = shape.and_then(|shape| shape.columns.iter().find(|(column, _)| *column == Column::Id));
        let of_table = || self.table().columns().into_iter().find(|(column, _)| *column == Column::Id);
        let name = match of_shape.and_then(|(_, theirs)| self.as_written(theirs)) {
            Some(name) => name.clone(),
            None => of_table()?.1,
        };
        let inside = self.names.iter().find(|known| {
            let inside = known.strip_prefix(&*name).and_then(|rest| rest.strip_prefix('.'));
            inside.is_some_and(|inside| ID_INSIDE.contains(&&*folded(inside)))
        });
        if let Some(inside) = inside {
            return Some(format!(
                "its ids stand inside; add to the configuration:\n[directory.columns]\nid = {inside:?}"
            ));
        }
        let as_bytes = |value: &String| is_type_name(value) || value.starts_with("b'");
        if !self.opens_with_a_bracket(&name) && !self.table().values(&name).iter().any(as_bytes) {
            return None;
        }
        let how = if folded(&name).contains("guid") {
            format!(", as `Get-ADUser` does, or with `@{{n='{name}';e={{([guid]$_.{name}).ToString()}}}}`")
        } else {
            String::new()
        };
        Some(format!("`{name}` is bytes or an object there, not text: have the job write it as text{how}"))
    }

    /// Whether the value of a JSON member is an object or a list, where it first stands.
    fn opens_with_a_bracket(&self, name: &str) -> bool {
        let key = format!("\"{}\"", name.rsplit('.').next().unwrap_or(name));
        let value = self.text.split_once(&key).and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
        self.json && value.is_some_and(|value| value.trim_start().starts_with(['[', '{']))
    }

    fn as_written(&self, name: &str) -> Option<&String> {
        self.names.iter().find(|known| folded(known) == name)
    }

    /// Where groups may stand, or how they are separated.
    pub(super) fn other_groups(&self) -> Option<String> {
        let table = self.table();
        let name = table.groups()?;
        if folded(&name) != "groups" {
            return Some(format!("add to the configuration:\n[directory.columns]\ngroups = {name:?}"));
        }
        let values = table.values(&name);
        let with = |sign: char| values.iter().filter(|value| value.contains(sign)).count();
        let separator = [',', '|'].into_iter().find(|sign| !self.json && with(*sign) > 0 && with(';') == 0)?;
        Some(format!(
            "the groups seem to be separated by `{separator}`; add to the configuration:\n[directory]\ngroup_separator = \"{separator}\""
        ))
    }
}

/// Whether what a shape has as the username holds no e-mail addresses here.
fn has_addresses_elsewhere(table: &Table<'_>, named: &[(Column, String)]) -> bool {
    let name =
        named.iter().find(|(column, _)| *column == Column::Username).map_or("username", |(_, name)| name.as_str());
    !table.values(name).is_empty() && !table.holds_addresses(name)
}

/// The lines for the words of a state: those of a known export if they are those of this file, else what the file holds.
fn states(known: Option<[&[&str]; 3]>, held: Option<Words>) -> String {
    let is_known = |held: &Words| {
        let all = || [&held.activated, &held.suspended, &held.staged, &held.unknown].into_iter().flatten();
        known.is_some_and(|known| {
            all().all(|word| known.into_iter().flatten().any(|known| known.eq_ignore_ascii_case(word)))
        })
    };
    let mut text = String::new();
    let mut list = |key: &str, words: &dyn std::fmt::Debug| {
        let _ = write!(text, "\n{key} = {words:?}");
    };
    match (known, held) {
        (Some([activated, suspended, staged]), held) if held.as_ref().is_none_or(is_known) => {
            list("activated", &activated);
            list("suspended", &suspended);
            if !staged.is_empty() {
                list("staged", &staged);
            }
        }
        (_, Some(Words { activated, suspended, staged, unknown })) => {
            list("activated", &activated);
            list("suspended", &suspended);
            if !staged.is_empty() {
                list("staged", &staged);
            }
            if !unknown.is_empty() {
                let _ = write!(text, "\n# put these words where they belong: {}", clean(&unknown.join(", ")));
            }
        }
        (_, None) => return String::new(),
    }
    format!("\n[directory.states]{text}")
}
