//! The advice after an export was refused: what it looks like, and the lines of the configuration that would read it. It looks
//! at the beginning of the file again, and shows names of columns at most.

use super::lines::{Table, Words, folded};
use super::outline::outline;
use super::seen::listed;
use super::shapes::{ERRORS, SHAPES, Shape};
use super::strange::{Strange, other_format};
use super::utf16::Decoder;
use crate::model::{Column, clean};
use serde::de::IgnoredAny;
use std::fmt::Write;

/// So much of a file is looked at.
pub(super) const LOOKED_AT_BYTES: usize = 1 << 16;

/// So many of its first bytes say what kind of file it is.
const START_BYTES: usize = 64;

/// What an export was refused for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// It cannot be read as what it seems to be, or lacks a column.
    Shape,
    /// It says nothing of anybody's state, or in other words.
    State,
    /// No record can be used, for its username.
    Username,
    /// No user has groups, or none as they should be written.
    Groups,
    /// No record can be used, for another reason.
    Records,
}

/// What the beginning of a file shows.
pub(super) struct Sight {
    /// As they stand in the file.
    start: Vec<u8>,
    text: String,
    /// Columns, or members of the first record.
    pub(super) names: Vec<String>,
    /// The JSON member that holds the records, if it is not the document itself.
    wrapper: Option<String>,
    /// The one inside another member, with dots.
    inner: Option<String>,
    single_object: bool,
    json: bool,
    utf8: bool,
}

impl Sight {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let (text, utf8) = decoded(bytes);
        let start = text.trim_start();
        let json = start.starts_with(['{', '[']);
        let mut sight = Self {
            start: bytes[..bytes.len().min(START_BYTES)].to_owned(),
            names: Vec::new(),
            wrapper: None,
            inner: None,
            single_object: false,
            json,
            utf8,
            text: start.to_owned(),
        };
        if json {
            sight.look_at_json();
        } else {
            let lines = start.lines().skip_while(|line| line.starts_with("#TYPE ") || line.trim().is_empty());
            let cells = lines.take(1).flat_map(|line| line.split([',', ';', '\t']));
            sight.names = cells.map(|cell| cell.trim().trim_matches('"').to_owned()).collect();
        }
        sight
    }

    fn look_at_json(&mut self) {
        let found = outline(&self.text);
        self.single_object = found.object && !self.is_lines();
        self.names = found.members;
        if !found.object {
            return;
        }
        let person = |names: &[String]| {
            names.iter().any(|name| {
                let name = folded(name);
                ["user", "mail", "login", "id"].iter().any(|part| name.contains(part))
            })
        };
        // A user has arrays of objects too, but not of people: an id of its own says what the object is.
        let own = self.names.iter().any(|name| matches!(folded(name).as_str(), "username" | "userprincipalname"));
        let mut people = found.arrays.into_iter().filter(|(_, names)| person(names)).collect::<Vec<_>>();
        // A list of the report's fields has ids too.
        let signs_in = |names: &[String]| {
            let part = |name: &String| ["user", "mail", "login"].iter().any(|part| folded(name).contains(part));
            names.iter().any(part)
        };
        people.sort_by_key(|(name, names)| (name.contains('.'), !signs_in(names)));
        self.inner = people.first().map(|(name, _)| name.clone()).filter(|name| name.contains('.'));
        let wrapped = people.into_iter().next().filter(|(name, _)| !name.contains('.'));
        if let (Some((name, names)), false) = (wrapped, own) {
            (self.wrapper, self.names, self.single_object) = (Some(name), names, false);
        }
    }

    /// "it has 6 columns: …".
    pub(super) fn columns(&self) -> String {
        listed(if self.json { "members" } else { "columns" }, &self.names)
    }

    /// Whether it is one JSON object and no user.
    pub(super) fn is_one_object(&self) -> bool {
        self.single_object || self.wrapper.is_some()
    }

    /// Whether its first line is a whole object, and not the only line.
    fn is_lines(&self) -> bool {
        let mut lines = self.text.trim_end().lines();
        let first = lines.next().unwrap_or_default();
        lines.next().is_some() && serde_json::from_str::<IgnoredAny>(first).is_ok()
    }

    /// Whether it is a JSON array.
    pub(super) fn is_array(&self) -> bool {
        self.json && self.text.starts_with('[')
    }

    /// What to do about it, if anything is known.
    pub(super) fn lead(&self, flaw: Flaw, read_as_wrapper: bool) -> Option<String> {
        let strange = Strange { start: &self.start, text: &self.text, json: self.json, utf8: self.utf8 };
        if let Some(what) = other_format(&strange) {
            return Some(what);
        }
        let has = |name: &str| self.names.iter().any(|known| folded(known) == name);
        if self.json && ERRORS.iter().any(|name| has(name)) && !has("username") && !has("id") && !has("_id") {
            return Some("this looks like the answer to a failed request: fix the export job".to_owned());
        }
        if self.single_object && self.names.iter().any(|name| name.ends_with(".0")) {
            return Some("this looks like pandas: write it with `to_json(orient=\"records\")`".to_owned());
        }
        if let (Some(name), true) = (&self.inner, self.single_object) {
            return Some(format!(
                "the users seem to be in `{name}`: have the job write only that array (jq '.{name}')"
            ));
        }
        let mut lines = self.text.trim_end().lines();
        if let (Some(first), Some(_), true) = (lines.next(), lines.next(), self.single_object)
            && first.trim_end().ends_with("},")
        {
            return Some("a comma follows each object: write an array, or an object a line without commas".to_owned());
        }
        // The first line of NDJSON is a whole object.
        let mut lines = self.text.trim_end().lines();
        let over_lines = lines.next().is_some_and(|line| !line.trim_end().ends_with('}')) && lines.next().is_some();
        if self.single_object && over_lines && flaw == Flaw::Shape && (has("_id") || has("id")) {
            let what = "this looks like one user over several lines, as `ConvertTo-Json` writes a single user; use \
                        `ConvertTo-Json -InputObject @($users)`, or set [directory] records if a member holds the array";
            return Some(what.to_owned());
        }
        // An array begins as it should: which members its first record has is not what is wrong.
        if self.is_array() && flaw == Flaw::Shape {
            return None;
        }
        if flaw == Flaw::Groups {
            return self.other_groups();
        }
        let shape = SHAPES.iter().find(|shape| shape.fits(&has));
        let wrapper = self.wrapper.as_deref().filter(|name| !read_as_wrapper && !name.eq_ignore_ascii_case("results"));
        let mut text = String::new();
        if let Some(shape) = shape {
            let _ = write!(text, "this looks like {}", shape.name);
        } else if let Some(name) = wrapper {
            let _ = write!(text, "this looks like an object that holds the users in `{name}`");
        } else if self.table().columns().iter().any(|(column, name)| column.as_str() != *name && column.key() != *name)
        {
            text.push_str("some columns have other names than ours");
        } else {
            return None;
        }
        self.write_lines(&mut text, shape, wrapper, &has);
        Some(text)
    }

    /// The lines of the configuration, and what the export job should write too.
    fn write_lines(
        &self,
        text: &mut String,
        shape: Option<&Shape>,
        wrapper: Option<&str>,
        has: &impl Fn(&str) -> bool,
    ) {
        let as_written = |name: &str| self.names.iter().find(|known| folded(known) == name);
        let missing = shape.and_then(|shape| {
            let (names, how) = shape.ask;
            let missing: Vec<_> = names.iter().filter(|name| !has(name)).copied().collect();
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
            } else if let Some(name) = as_written(theirs) {
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

    /// Where groups may stand, or how they are separated.
    fn other_groups(&self) -> Option<String> {
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

    fn table(&self) -> Table<'_> {
        Table { text: &self.text, names: &self.names, json: self.json }
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

impl Shape {
    fn fits(&self, has: &impl Fn(&str) -> bool) -> bool {
        self.has.iter().all(|name| has(name)) && !self.lacks.iter().any(|name| has(name))
    }
}

/// The beginning as text, and whether it is what it says it is; a character cut at its end is left out.
fn decoded(bytes: &[u8]) -> (String, bool) {
    let mut text = Vec::new();
    if let Some(mut decoder) = Decoder::of_mark(bytes) {
        let whole = decoder.decode(bytes, &mut text).is_ok();
        return (String::from_utf8_lossy(&text).into_owned(), whole);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), true),
        Err(error) if error.error_len().is_none() => {
            (String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned(), true)
        }
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that are printed for a file.
    #[track_caller]
    fn check(text: &str, flaw: Flaw, expected: &str) {
        let lead = Sight::of(text.as_bytes()).lead(flaw, false).unwrap_or_default();
        let lines = lead.split_once("add to the configuration:").map_or("", |(_, lines)| lines);
        let lines = lines.trim().replace("\n[", " [").replace('\n', " ").replace(" = ", "=").replace('"', "'");
        assert_eq!(lines, expected, "{text}: {lead}");
    }

    #[test]
    fn the_lines_are_those_that_this_file_needs() {
        let of_state =
            |name: &str, yes: &str, no: &str| format!("id,username,{name}\na,a@x.example,{yes}\nb,b@x.example,{no}\n");
        check(
            &of_state("enabled", "1", "0"),
            Flaw::State,
            "[directory.columns] id='id' state='enabled' [directory.states] activated=['1'] suspended=['0']",
        );
        check(
            &of_state("disabled", "False", "True"),
            Flaw::State,
            "[directory.columns] state='disabled' [directory.states] activated=['False'] suspended=['True']",
        );
        check(
            &of_state("employment status", "Active", "Leaver"),
            Flaw::State,
            "[directory.columns] state='employment status' [directory.states] activated=['Active'] suspended=['Leaver']",
        );
        check(
            "[{\"id\":\"a\",\"username\":\"ann\",\"email\":\"ann@x.example\",\"enabled\":true}]",
            Flaw::State,
            "[directory.columns] id='id' username='email' state='enabled' [directory.states] activated=['True'] \
             suspended=['False']",
        );
        check(
            "ObjectId,UserPrincipalName,AccountEnabled\na,a@x.example,True\nb,b@x.example,False\n",
            Flaw::Shape,
            "[directory.columns] id='ObjectId' username='UserPrincipalName' state='AccountEnabled' [directory.states] \
             activated=['True'] suspended=['False']",
        );
        check(
            "{\"fields\":[{\"id\":\"id\",\"name\":\"x\"}],\"employees\":[{\"id\":\"a\",\"workEmail\":\"a@x.example\"}]}",
            Flaw::Shape,
            "[directory] records='employees' [directory.columns] username='workEmail'",
        );
    }

    #[test]
    fn groups_are_looked_for_where_they_may_stand() {
        check("_id,groups\na,\"R,Staff\"\n", Flaw::Groups, "[directory] group_separator=','");
        check("_id,User Groups\na,R\n", Flaw::Groups, "[directory.columns] groups='User Groups'");
        check("_id,MemberOf\na,R\n", Flaw::Groups, "[directory.columns] groups='MemberOf'");
        check("_id,groups\na,R;Staff\n", Flaw::Groups, "");
    }

    #[test]
    fn what_is_no_export_is_named() {
        let lead = |text: &str| Sight::of(text.as_bytes()).lead(Flaw::Shape, false).unwrap_or_default();
        assert!(lead("curl: (6) Could not resolve host: x\n").contains("a command that failed"));
        assert!(lead("DisplayName       : Ann\nUserPrincipalName : a@x.example\n").contains("PowerShell list"));
        assert!(lead("#TYPE x\nid;username\na;a@x.example\n").contains("separated by `;`"));
        assert!(
            !lead("Employee #,\"Last name, First name\",Work Email\n7,\"X, Ann\",a@x.example\n").contains("spaces")
        );
        assert!(
            !lead("username,email,status,billing-active,userid,fullname\na,a@x.example,Member,1,U1,A\n")
                .contains("Okta")
        );
    }
}
