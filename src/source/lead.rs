//! The advice after an export was refused: what it looks like, and the lines of the configuration that would read it. It looks
//! at the beginning of the file again, and shows names of columns at most.

use super::outline::outline;
use super::seen::listed;
use super::shapes::{ERRORS, SHAPES, Shape};
use super::strange::{Strange, other_format};
use super::utf16::Decoder;
use crate::model::Column;
use serde::de::IgnoredAny;
use std::fmt::Write;

/// So much of a file is looked at.
pub(super) const LOOKED_AT_BYTES: usize = 1 << 16;

/// So many of its first bytes say what kind of file it is.
const START_BYTES: usize = 64;

/// What an export was refused for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// It cannot be read as what it seems to be, or lacks a column.
    Shape,
    /// It says nothing of anybody's state, or in other words.
    State,
    /// No record can be used, for its username.
    Username,
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
        people.sort_by_key(|(name, _)| name.contains('.'));
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
    pub(super) fn lead(&self, trouble: Trouble, read_as_wrapper: bool) -> Option<String> {
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
        if self.single_object && over_lines && trouble == Trouble::Shape && (has("_id") || has("id")) {
            let what = "this looks like one user over several lines, as `ConvertTo-Json` writes a single user; use \
                        `ConvertTo-Json -InputObject @($users)`, or set [directory] records if a member holds the array";
            return Some(what.to_owned());
        }
        // An array begins as it should: which members its first record has is not what is wrong.
        if self.is_array() && trouble == Trouble::Shape {
            return None;
        }
        let shape = SHAPES.iter().find(|shape| shape.fits(&has));
        let wrapper = self.wrapper.as_deref().filter(|name| !read_as_wrapper && !name.eq_ignore_ascii_case("results"));
        let mut text = String::new();
        if let Some(shape) = shape {
            let _ = write!(text, "this looks like {}", shape.name);
        } else if let Some(name) = wrapper {
            let _ = write!(text, "this looks like an object that holds the users in `{name}`");
        } else if trouble == Trouble::Username {
            return self.other_username();
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
        let mut state = false;
        let mut columns = String::new();
        for (column, theirs) in shape.map(|shape| shape.columns).unwrap_or_default() {
            match as_written(theirs) {
                _ if theirs.is_empty() => {
                    let _ = write!(columns, "\n{} = \"\"", column.key());
                }
                Some(name) => {
                    state |= *column == Column::State;
                    let _ = write!(columns, "\n{} = {name:?}", column.key());
                }
                None => {}
            }
        }
        if !columns.is_empty() {
            let _ = write!(lines, "\n[directory.columns]{columns}");
        }
        if let (Some([activated, suspended, staged]), true) = (shape.and_then(|shape| shape.words), state) {
            let _ = write!(lines, "\n[directory.states]\nactivated = {activated:?}\nsuspended = {suspended:?}");
            if !staged.is_empty() {
                let _ = write!(lines, "\nstaged = {staged:?}");
            }
        }
        if !lines.is_empty() {
            let _ = write!(text, "; add to the configuration:{lines}");
        }
    }

    fn other_username(&self) -> Option<String> {
        const NAMES: [&str; 7] =
            ["email", "mail", "userprincipalname", "emailaddress", "workemail", "primaryemail", "e-mail"];
        let name = self.names.iter().find(|name| NAMES.contains(&folded(name).as_str()))?;
        Some(format!(
            "is the e-mail address the username? add to the configuration:\n[directory.columns]\nusername = {name:?}"
        ))
    }
}

impl Shape {
    fn fits(&self, has: &impl Fn(&str) -> bool) -> bool {
        self.has.iter().all(|name| has(name)) && !self.lacks.iter().any(|name| has(name))
    }
}

/// A name of a column, for comparison: without letter case and blanks.
fn folded(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
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
