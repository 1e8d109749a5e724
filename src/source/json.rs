//! One JSON record, borrowed: known members are kept with whatever type they have, unknown ones are passed over.

use crate::model::{DirectoryUser, RawGroups, RawValue};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Parses the record at the start of a text and says how many bytes it was.
///
/// # Errors
/// The text is no JSON object, names a known member twice, or ends inside it (kind "end of file").
pub(super) fn parse<'a>(text: &'a str, id_attribute: &str) -> Result<(DirectoryUser<'a>, usize), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let user = Record { id_attribute }.deserialize(&mut deserializer)?;
    Ok((user, deserializer.into_iter::<IgnoredAny>().byte_offset()))
}

#[derive(Clone, Copy)]
struct Record<'k> {
    id_attribute: &'k str,
}

enum Key {
    Id,
    SecondId,
    Username,
    Email,
    Firstname,
    Lastname,
    State,
    Activated,
    Suspended,
    Groups,
    Unknown,
}

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = DirectoryUser<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = DirectoryUser<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        fn set<'de, A: MapAccess<'de>>(slot: &mut Option<RawValue<'de>>, map: &mut A) -> Result<(), A::Error> {
            if slot.is_some() {
                return Err(A::Error::custom("doubled key"));
            }
            *slot = Some(map.next_value_seed(LooseValue { object: Object::Skip })?);
            Ok(())
        }
        let [
            mut id,
            mut second,
            mut username,
            mut email,
            mut firstname,
            mut lastname,
            mut state,
            mut activated,
            mut suspended,
        ] = [const { None }; 9];
        let mut groups = None;
        while let Some(key) = map.next_key_seed(KeyOf { id_attribute: self.id_attribute })? {
            match key {
                Key::Id => set(&mut id, &mut map)?,
                Key::SecondId => set(&mut second, &mut map)?,
                Key::Username => set(&mut username, &mut map)?,
                Key::Email => set(&mut email, &mut map)?,
                Key::Firstname => set(&mut firstname, &mut map)?,
                Key::Lastname => set(&mut lastname, &mut map)?,
                Key::State => set(&mut state, &mut map)?,
                Key::Activated => set(&mut activated, &mut map)?,
                Key::Suspended => set(&mut suspended, &mut map)?,
                Key::Groups if groups.is_some() => return Err(A::Error::custom("doubled key")),
                Key::Groups => groups = Some(map.next_value_seed(GroupsValue)?),
                Key::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(DirectoryUser {
            id: id.or(second).unwrap_or_default(),
            username: username.unwrap_or_default(),
            email: email.unwrap_or_default(),
            firstname: firstname.unwrap_or_default(),
            lastname: lastname.unwrap_or_default(),
            state: state.unwrap_or_default(),
            activated: activated.unwrap_or_default(),
            suspended: suspended.unwrap_or_default(),
            groups: groups.unwrap_or_default(),
        })
    }
}

struct KeyOf<'k> {
    id_attribute: &'k str,
}

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = Key;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyOf<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            _ if key == self.id_attribute => Key::Id,
            "id" if self.id_attribute == "_id" => Key::SecondId,
            "username" => Key::Username,
            "email" => Key::Email,
            "firstname" => Key::Firstname,
            "lastname" => Key::Lastname,
            "state" => Key::State,
            "activated" => Key::Activated,
            "suspended" => Key::Suspended,
            "groups" => Key::Groups,
            _ => Key::Unknown,
        })
    }
}

/// What an object comes to where a plain value is looked for.
#[derive(Clone, Copy)]
enum Object {
    /// Nothing of use.
    Skip,
    /// Its member `name`, as in the groups of some exports.
    Name,
}

#[derive(Clone, Copy)]
struct LooseValue {
    object: Object,
}

impl<'de> DeserializeSeed<'de> for LooseValue {
    type Value = RawValue<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LooseValue {
    type Value = RawValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(RawValue::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(RawValue::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(RawValue::Flag(flag))
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(RawValue::Null)
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(RawValue::Other)
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(RawValue::Other)
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(RawValue::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RawValue::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut name = RawValue::Absent;
        while let Some(key) = map.next_key_seed(KeyOf { id_attribute: "name" })? {
            match (self.object, key) {
                (Object::Name, Key::Id) if name != RawValue::Absent => return Err(A::Error::custom("doubled key")),
                (Object::Name, Key::Id) => name = map.next_value_seed(self)?,
                (Object::Name | Object::Skip, _) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(match self.object {
            Object::Name => name,
            Object::Skip => RawValue::Other,
        })
    }
}

/// A list of names, or of objects with a `name`.
struct GroupsValue;

impl<'de> DeserializeSeed<'de> for GroupsValue {
    type Value = RawGroups<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for GroupsValue {
    type Value = RawGroups<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("groups")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        let mut usable = true;
        while let Some(name) = seq.next_element_seed(LooseValue { object: Object::Name })? {
            match name {
                RawValue::Text(name) => names.push(name),
                RawValue::Absent | RawValue::Null | RawValue::Flag(_) | RawValue::Other => usable = false,
            }
        }
        Ok(if usable { RawGroups::Listed(names) } else { RawGroups::Other })
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(RawGroups::Absent)
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(RawGroups::Other)
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(RawGroups::Other)
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(RawGroups::Other)
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(RawGroups::Other)
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(RawGroups::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(RawGroups::Other)
    }
}
