//! One record: which of its members are kept, and how it is written into the spool, with the groups that count here.

use super::super::spool::Spool;
use super::api::encoded;
use super::failure::ReadFailure;
use crate::model::{Column, ColumnName, Layout};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write as _;

/// The key of a user.
const ID: &str = "_id";
/// Whose user it is. It is asked for, and not kept.
const ORGANIZATION: &str = "organization";
/// Where the groups of a record stand.
const GROUPS: &str = "groups";

/// The members that are read, and no others are asked for or kept.
pub(super) struct Members(Vec<String>);

impl Members {
    /// Those that the configuration reads. What speaks against access is always among them: a record without it would look
    /// active.
    pub(super) fn of(layout: &Layout) -> Self {
        let mut names = vec![ID.to_owned(), "state".to_owned(), "suspended".to_owned(), "activated".to_owned()];
        for column in Column::ALL.into_iter().filter(|column| *column != Column::Groups && *column != Column::Id) {
            match layout.column(column) {
                ColumnName::Ours => names.push(column.as_str().to_owned()),
                ColumnName::Theirs(name) => {
                    // `a.b` may be a name, or `b` inside `a`.
                    names.push(name.to_string());
                    names.extend(name.split_once('.').map(|(outer, _)| outer.to_owned()));
                }
                ColumnName::Nothing => {}
            }
        }
        names.retain(|name| name != GROUPS);
        names.sort();
        names.dedup();
        Self(names)
    }

    /// As the API wants them named.
    pub(super) fn fields(&self) -> String {
        self.0.iter().map(String::as_str).chain([ORGANIZATION]).map(encoded).collect::<Vec<_>>().join("%20")
    }

    /// Whether a member of a record is among them, in any letter case, as a file is read.
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name.trim()))
    }
}

/// One user's record.
pub(super) struct Record {
    pub(super) id: String,
    /// Whose user it is, if it says so.
    pub(super) organization: Option<String>,
    /// The members that are kept, as JSON between braces.
    members: String,
}

impl Record {
    /// Reads one; a record without an id is an answer that cannot be read.
    pub(super) fn parse(text: &str, members: &Members) -> Result<Self, String> {
        let Object(found) = serde_json::from_str(text).map_err(|_| "a row is not an object".to_owned())?;
        let (mut id, mut organization, mut kept) = (None, None, String::with_capacity(text.len()));
        for (name, value) in found {
            if name == ID {
                id = serde_json::from_str::<String>(value.get()).ok();
            } else if name == ORGANIZATION {
                organization = serde_json::from_str::<String>(value.get()).ok();
            }
            if members.has(&name) && !name.trim().eq_ignore_ascii_case(GROUPS) {
                let _ = write!(kept, ",{}:{}", serde_json::Value::from(name.as_ref()), value.get());
            }
        }
        let id = id.filter(|id| !id.is_empty()).ok_or("a user has no _id")?;
        kept.shrink_to_fit();
        Ok(Self { id, organization, members: kept })
    }
}

/// The members of an object, in order, each as it stands.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((member.0.0, member.1));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The array of records that grows in the spool.
pub(super) struct Written<'s> {
    spool: &'s mut Spool,
    /// What is not written yet.
    pending: String,
    is_first: bool,
}

/// So many bytes are written at a time.
const PENDING_BYTES: usize = 64 << 10;

impl<'s> Written<'s> {
    pub(super) fn begin(spool: &'s mut Spool) -> Result<Self, ReadFailure> {
        Ok(Self { spool, pending: "[".to_owned(), is_first: true })
    }

    /// Appends a record that is in these groups. None: nobody can say, and a record that says nothing of its groups stands for
    /// a user who is there and is not removed.
    pub(super) fn record(&mut self, record: &Record, groups: Option<&[&str]>) -> Result<(), ReadFailure> {
        let separator = if std::mem::take(&mut self.is_first) { "\n" } else { ",\n" };
        let _ = match groups {
            Some(groups) => {
                let groups = serde_json::json!(groups);
                write!(self.pending, "{separator}{{\"groups\":{groups}{}}}", record.members)
            }
            None => write!(self.pending, "{separator}{{{}}}", record.members.trim_start_matches(',')),
        };
        if self.pending.len() > PENDING_BYTES { self.flush() } else { Ok(()) }
    }

    /// Closes the array: it is whole.
    pub(super) fn end(mut self) -> Result<(), ReadFailure> {
        self.pending.push_str("\n]\n");
        self.flush()
    }

    fn flush(&mut self) -> Result<(), ReadFailure> {
        let written = self.spool.write(self.pending.as_bytes()).map_err(ReadFailure::NotSpooled);
        self.pending.clear();
        written
    }
}
