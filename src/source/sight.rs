//! What the beginning of a refused export shows: its text, the names of its columns or members, and what its records stand in.
//! For messages only.

use super::lines::{Table, folded};
use super::outline::outline;
use super::seen::listed;
use super::utf16::Decoder;
use serde::de::IgnoredAny;

/// So much of a file is looked at.
pub(super) const LOOKED_AT_BYTES: usize = 1 << 16;

/// So many of its first bytes say what kind of file it is.
const START_BYTES: usize = 64;

/// Names of arrays that hold no users, folded.
const NO_USERS: [&str; 6] = ["error", "errors", "errorcauses", "warnings", "details", "links"];

/// What the beginning of a file shows.
pub(super) struct Sight {
    /// Its first bytes, as they stand in the file.
    pub(super) start: Vec<u8>,
    /// As text, without blanks in front.
    pub(super) text: String,
    /// Columns, or members of the first record.
    pub(super) names: Vec<String>,
    /// The JSON member that holds the records, if it is not the document itself.
    pub(super) wrapper: Option<String>,
    /// The one inside another member, with dots.
    pub(super) inner: Option<String>,
    /// Whether it is one JSON object, as far as it shows.
    pub(super) single_object: bool,
    pub(super) json: bool,
    /// Whether it is text as it says it is.
    pub(super) utf8: bool,
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
        let of_errors = |name: &str| name.rsplit('.').next().is_some_and(|name| NO_USERS.contains(&&*folded(name)));
        let people = found.arrays.into_iter().filter(|(name, names)| person(names) && !of_errors(name));
        let mut people: Vec<_> = people.collect();
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

    /// It, as a table.
    pub(super) fn table(&self) -> Table<'_> {
        Table { text: &self.text, names: &self.names, json: self.json }
    }

    /// Whether it has a column or member of this name, folded.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| folded(known) == name)
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
