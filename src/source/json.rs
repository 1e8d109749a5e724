//! One JSON record, borrowed: members of ours are kept with whatever type they have, others are passed over.

use super::members::{Entry, Found, Node};
use crate::model::{Column, DirectoryUser, Layout, RawGroups, RawState, RawValue};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Reads records of one export.
pub(super) struct Reader<'l> {
    layout: &'l Layout,
    node: &'l Node,
    /// Whether members called like a status are looked for.
    pub(super) statuses: bool,
    status: Option<String>,
}

impl<'l> Reader<'l> {
    pub(super) fn new(layout: &'l Layout, node: &'l Node) -> Self {
        Self { layout, node, statuses: true, status: None }
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
        let mut found = Members::default();
        ObjectSeed { node: self.node, found: &mut found, statuses: self.statuses }.deserialize(&mut deserializer)?;
        if let Some(status) = found.status.take() {
            self.status.get_or_insert(status);
        }
        Ok((self.user(found), deserializer.into_iter::<IgnoredAny>().byte_offset()))
    }

    fn user<'a>(&self, found: Members<'a>) -> DirectoryUser<'a> {
        let [id, username, email, firstname, lastname, state, activated, suspended, groups] =
            found.values.map(|value| value.map(|(_, value)| value));
        DirectoryUser {
            id: id.map_or(RawValue::Absent, Value::id),
            username: username.map_or(RawValue::Absent, Value::text),
            email: email.map_or(RawValue::Absent, Value::text),
            firstname: firstname.map_or(RawValue::Absent, Value::text),
            lastname: lastname.map_or(RawValue::Absent, Value::text),
            state: state.map_or(RawState::Absent, |state| state.state(self.layout)),
            activated: activated.map_or(RawValue::Absent, Value::flag),
            suspended: suspended.map_or(RawValue::Absent, Value::flag),
            groups: groups.map_or(RawGroups::Absent, Value::groups),
            null_word: None,
        }
    }
}

/// What was found of a record so far: each value with how far behind other places it stands.
#[derive(Default)]
struct Members<'de> {
    values: [Option<(u8, Value<'de>)>; Column::COUNT],
    status: Option<String>,
}

impl<'de> Members<'de> {
    fn take(&mut self, entry: &Entry, value: Value<'de>) {
        let [rest @ .., last] = entry.columns.as_slice() else { return };
        for (column, place) in rest {
            self.set(*column, *place, value.clone());
        }
        self.set(last.0, last.1, value);
    }

    fn set(&mut self, column: Column, place: u8, value: Value<'de>) {
        let slot = &mut self.values[column as usize];
        if slot.as_ref().is_none_or(|(before, _)| place < *before) {
            *slot = Some((place, value));
        }
    }
}

/// A JSON value as far as it can be of use.
#[derive(Clone)]
enum Value<'de> {
    Null,
    Text(Cow<'de, str>),
    Flag(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    /// A list of names, or of objects with a `name`.
    Names(Vec<Cow<'de, str>>),
    Other,
}

impl<'de> Value<'de> {
    fn text(self) -> RawValue<'de> {
        match self {
            Self::Null => RawValue::Null,
            Self::Text(text) => RawValue::Text(text),
            Self::Flag(flag) => RawValue::Flag(flag),
            Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) | Self::Names(_) | Self::Other => RawValue::Other,
        }
    }

    /// An integer is its digits.
    fn id(self) -> RawValue<'de> {
        match self {
            Self::Unsigned(number) => RawValue::Text(number.to_string().into()),
            Self::Signed(number) => RawValue::Text(number.to_string().into()),
            Self::Null | Self::Text(_) | Self::Flag(_) | Self::Float(_) | Self::Names(_) | Self::Other => self.text(),
        }
    }

    fn flag(self) -> RawValue<'de> {
        match self {
            Self::Unsigned(number @ (0 | 1)) => RawValue::Flag(number == 1),
            Self::Null
            | Self::Text(_)
            | Self::Flag(_)
            | Self::Unsigned(_)
            | Self::Signed(_)
            | Self::Float(_)
            | Self::Names(_)
            | Self::Other => self.text(),
        }
    }

    fn state(self, layout: &Layout) -> RawState {
        let word: Cow<'_, str> = match &self {
            Self::Null => return RawState::Absent,
            Self::Text(word) => (&**word).into(),
            Self::Flag(flag) if layout.state_is_mapped() => flag.to_string().into(),
            Self::Unsigned(number) if layout.state_is_mapped() => number.to_string().into(),
            Self::Signed(number) if layout.state_is_mapped() => number.to_string().into(),
            Self::Float(number) if layout.state_is_mapped() => number.to_string().into(),
            Self::Flag(_) | Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) | Self::Names(_) | Self::Other => {
                return RawState::Other;
            }
        };
        state_of(&word, layout)
    }

    fn groups(self) -> RawGroups<'de> {
        match self {
            Self::Null => RawGroups::Absent,
            Self::Names(names) => RawGroups::Listed(names),
            Self::Text(_) | Self::Flag(_) | Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) | Self::Other => {
                RawGroups::Other
            }
        }
    }
}

/// What a word says of a user's state.
pub(super) fn state_of(word: &str, layout: &Layout) -> RawState {
    match word {
        "" => RawState::Absent,
        word => layout.state(word).map_or(RawState::Unknown, RawState::Said),
    }
}

/// An object of which some members are looked at.
struct ObjectSeed<'s, 'n, 'de> {
    node: &'n Node,
    found: &'s mut Members<'de>,
    statuses: bool,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = [false; 4 * Column::COUNT];
        debug_assert!(self.node.len() <= seen.len(), "each column has one entry in a node, and `id` another");
        while let Some(found) = map.next_key_seed(KeySeed { node: self.node, statuses: self.statuses })? {
            match found {
                Member::Entry(at) => {
                    if std::mem::replace(&mut seen[at], true) {
                        return Err(A::Error::custom("doubled key"));
                    }
                    let entry = self.node.at(at);
                    let value = map.next_value_seed(ValueSeed { entry, found: self.found })?;
                    self.found.take(entry, value);
                }
                Member::Status(name) => {
                    self.found.status.get_or_insert(name);
                    map.next_value::<IgnoredAny>()?;
                }
                Member::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

enum Member {
    Entry(usize),
    Status(String),
    Unknown,
}

struct KeySeed<'n> {
    node: &'n Node,
    statuses: bool,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Member;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Member, E> {
        Ok(match self.node.find(key, self.statuses) {
            Found::Entry(at) => Member::Entry(at),
            Found::Status => Member::Status(key.trim().to_owned()),
            Found::Unknown => Member::Unknown,
        })
    }
}

/// The value of a member; what stands inside it is found on the way.
struct ValueSeed<'s, 'n, 'de> {
    entry: &'n Entry,
    found: &'s mut Members<'de>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_, 'de> {
    type Value = Value<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The values that are the same wherever they stand.
macro_rules! plain_values {
    () => {
        fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Value::Text(Cow::Borrowed(text)))
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Value::Text(Cow::Owned(text.to_owned())))
        }
        fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
            Ok(Value::Flag(flag))
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Value::Null)
        }
        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Value::Unsigned(number))
        }
        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Value::Signed(number))
        }
        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            Ok(Value::Float(number))
        }
    };
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_, 'de> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    plain_values!();

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
            Some(node) => ObjectSeed { node, found: self.found, statuses: false }.visit_map(map)?,
            None => while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {},
        }
        Ok(Value::Other)
    }
}

/// A name, or an object's member `name`.
#[derive(Clone, Copy)]
struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Value<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NameSeed {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    plain_values!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut name = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if !key.trim().eq_ignore_ascii_case("name") {
                map.next_value::<IgnoredAny>()?;
            } else if name.replace(map.next_value_seed(self)?).is_some() {
                return Err(A::Error::custom("doubled key"));
            }
        }
        Ok(name.unwrap_or(Value::Other))
    }
}
