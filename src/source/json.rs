//! One JSON record, borrowed: members of ours are kept with whatever type they have, others are passed over.

use super::members::{Entry, Last, MemberIs, Node};
use super::value::{self, NameSeed, Numbers, Scalar, Value};
use crate::model::{Column, DirectoryUser, Layout, RawValue};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A shorter integer fits into 64 bits.
const LONG_INTEGER_BYTES_MIN: usize = 19;

/// Reads records of one export.
pub(super) struct Reader<'l> {
    layout: &'l Layout,
    node: &'l Node,
    /// Whether members called like a status are looked for.
    pub(super) statuses: bool,
    status: Option<String>,
    /// Whether the last record was looked at for such members, and has none.
    pub(super) has_no_status: bool,
    /// What the first members of the last record were.
    order: [Last; MEMBERS_IN_ORDER],
}

/// How many members of a record are expected where the last one had them; the others are looked up.
const MEMBERS_IN_ORDER: usize = 64;

impl<'l> Reader<'l> {
    pub(super) fn new(layout: &'l Layout, node: &'l Node) -> Self {
        let order = [Last::NAMELESS; MEMBERS_IN_ORDER];
        Self { layout, node, statuses: true, status: None, has_no_status: false, order }
    }

    /// A member that is called like a status and is none of those that are read.
    pub(super) fn status(self) -> Option<String> {
        self.status
    }

    /// Parses the record at the start of a text and says how many bytes it was.
    ///
    /// # Errors
    /// The text is no JSON object, names a known member twice, or ends inside it (kind "end of file").
    pub(super) fn parse<'a>(&mut self, text: &'a str) -> Result<(DirectoryUser<'a>, usize), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let mut found = Members::new(self.layout);
        let (node, statuses, order) = (self.node, self.statuses, self.order.as_mut_slice());
        ObjectSeed { node, found: &mut found, statuses, order }.deserialize(&mut deserializer)?;
        self.has_no_status = statuses && found.status.is_none();
        if let Some(status) = found.status.take() {
            self.status.get_or_insert(status);
        }
        let count = deserializer.into_iter::<IgnoredAny>().byte_offset();
        if found.user.id == RawValue::Other
            && let Some(id) = self.long_id(&text[..count])
        {
            found.user.id = id;
        }
        Ok((found.user, count))
    }
}

impl Reader<'_> {
    /// The id of a record whose id has more digits than a number can hold here: its digits, as of any other integer.
    fn long_id(&self, record: &str) -> Option<RawValue<'static>> {
        let text = with_quoted_integers(record);
        let mut found = Members::new(self.layout);
        let seed = ObjectSeed { node: self.node, found: &mut found, statuses: false, order: &mut [] };
        seed.deserialize(&mut serde_json::Deserializer::from_str(&text)).ok()?;
        match found.user.id {
            RawValue::Text(digits) => Some(RawValue::Text(Cow::Owned(digits.into_owned()))),
            RawValue::Absent | RawValue::Null | RawValue::Flag(_) | RawValue::Other => None,
        }
    }
}

/// A JSON text with its long integers as strings.
fn with_quoted_integers(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    let (mut rest, mut in_string) = (text, false);
    while let Some(first) = rest.chars().next() {
        let number = if in_string { 0 } else { rest.find(|c: char| !is_of_number(c)).unwrap_or(rest.len()) };
        let count = if number > 0 { number } else { first.len_utf8() + usize::from(in_string && first == '\\') };
        let (part, behind) = rest.split_at_checked(count).unwrap_or((rest, ""));
        let digits = part.strip_prefix('-').unwrap_or(part);
        let long = number >= LONG_INTEGER_BYTES_MIN && digits.bytes().all(|byte| byte.is_ascii_digit());
        in_string ^= first == '"';
        let mark = if long { "\"" } else { "" };
        quoted.extend([mark, part, mark]);
        rest = behind;
    }
    quoted
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')
}

/// What was found of a record so far.
struct Members<'l, 'de> {
    layout: &'l Layout,
    user: DirectoryUser<'de>,
    /// How far behind other places for the same each value stands.
    places: [u8; Column::COUNT],
    status: Option<String>,
}

impl<'l, 'de> Members<'l, 'de> {
    fn new(layout: &'l Layout) -> Self {
        Self { layout, user: DirectoryUser::default(), places: [u8::MAX; Column::COUNT], status: None }
    }

    /// Where the value of a member goes that may only be plain; nowhere if another place for the same came before.
    #[inline]
    fn slot(&mut self, column: Column, place: u8) -> Option<(&mut RawValue<'de>, Numbers)> {
        let before = &mut self.places[column as usize];
        if place >= *before {
            return None;
        }
        let user = &mut self.user;
        let found = match column {
            Column::Id => (&mut user.id, Numbers::Digits),
            Column::Username => (&mut user.username, Numbers::Other),
            Column::Email => (&mut user.email, Numbers::Other),
            Column::Firstname => (&mut user.firstname, Numbers::Other),
            Column::Lastname => (&mut user.lastname, Numbers::Other),
            Column::Activated => (&mut user.activated, Numbers::Flags),
            Column::Suspended => (&mut user.suspended, Numbers::Flags),
            Column::State | Column::Groups => return None,
        };
        *before = place;
        Some(found)
    }

    fn take(&mut self, entry: &Entry, value: Value<'de>) {
        let [rest @ .., last] = entry.columns.as_slice() else { return };
        for (column, place) in rest {
            self.set(*column, *place, value.clone());
        }
        self.set(last.0, last.1, value);
    }

    fn set(&mut self, column: Column, place: u8, value: Value<'de>) {
        let before = &mut self.places[column as usize];
        if place >= *before {
            return;
        }
        *before = place;
        let user = &mut self.user;
        match column {
            Column::Id => user.id = value.id(),
            Column::Username => user.username = value.text(),
            Column::Email => user.email = value.text(),
            Column::Firstname => user.firstname = value.text(),
            Column::Lastname => user.lastname = value.text(),
            Column::State => user.state = value.state(self.layout),
            Column::Activated => user.activated = value.flag(),
            Column::Suspended => user.suspended = value.flag(),
            Column::Groups => user.groups = value.groups(),
        }
    }
}

/// An object of which some members are looked at.
struct ObjectSeed<'s, 'n, 'l, 'de> {
    node: &'n Node,
    found: &'s mut Members<'l, 'de>,
    statuses: bool,
    /// Its members in the last record, if it is the record itself.
    order: &'s mut [Last],
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, '_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, '_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = 0_u64;
        let Self { node, found, statuses, order } = self;
        let mut order = order.iter_mut();
        debug_assert!(node.len() <= 64, "each column has two entries in a node at the most, and `id` another");
        while let Some(member) =
            map.next_key_seed(KeySeed { node, statuses, status: &mut found.status, last: order.next() })?
        {
            match member {
                MemberIs::Entry(at) => {
                    if seen & (1 << at) != 0 {
                        return Err(A::Error::custom("doubled key"));
                    }
                    seen |= 1 << at;
                    let entry = node.at(at);
                    let slot = match entry.plain {
                        Some((column, place)) => found.slot(column, place),
                        None => None,
                    };
                    if let Some((slot, numbers)) = slot {
                        *slot = map.next_value_seed(Scalar { numbers })?;
                    } else {
                        let value = map.next_value_seed(ValueSeed { entry, found })?;
                        found.take(entry, value);
                    }
                }
                MemberIs::Status | MemberIs::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct KeySeed<'s> {
    node: &'s Node,
    statuses: bool,
    /// Takes the first name that is called like a status.
    status: &'s mut Option<String>,
    last: Option<&'s mut Last>,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = MemberIs;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<MemberIs, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = MemberIs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<MemberIs, E> {
        let found = match self.last {
            Some(last) => self.node.find_after(last, key, self.statuses),
            None => self.node.find(key, self.statuses),
        };
        if found == MemberIs::Status {
            self.status.get_or_insert_with(|| key.trim().to_owned());
        }
        Ok(found)
    }
}

/// The value of a member; what stands inside it is found on the way.
struct ValueSeed<'s, 'n, 'l, 'de> {
    entry: &'n Entry,
    found: &'s mut Members<'l, 'de>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_, '_, 'de> {
    type Value = Value<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_, '_, 'de> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    value::plain_values!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        if !self.entry.columns.iter().any(|(column, _)| *column == Column::Groups) {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Other);
        }
        let (mut names, mut usable) = (Vec::new(), true);
        while let Some(name) = seq.next_element_seed(NameSeed)? {
            match name {
                Value::Text(name) => names.push(name),
                Value::Null
                | Value::Flag(_)
                | Value::Unsigned(_)
                | Value::Signed(_)
                | Value::Float(_)
                | Value::Names(_)
                | Value::Other => usable = false,
            }
        }
        Ok(if usable { Value::Names(names) } else { Value::Other })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        match &self.entry.inner {
            Some(node) => ObjectSeed { node, found: self.found, statuses: false, order: &mut [] }.visit_map(map)?,
            None => while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {},
        }
        Ok(Value::Other)
    }
}
