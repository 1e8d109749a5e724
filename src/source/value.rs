//! A value of a JSON record, borrowed, as far as it can be of use.

use crate::model::{Layout, RawGroups, RawState, RawValue, trimmed};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A JSON value as far as it can be of use.
#[derive(Clone)]
pub(super) enum Value<'de> {
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
    pub(super) fn text(self) -> RawValue<'de> {
        match self {
            Self::Null => RawValue::Null,
            Self::Text(text) => RawValue::Text(text),
            Self::Flag(flag) => RawValue::Flag(flag),
            Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) | Self::Names(_) | Self::Other => RawValue::Other,
        }
    }

    /// An integer is its digits.
    pub(super) fn id(self) -> RawValue<'de> {
        match self {
            Self::Unsigned(number) => RawValue::Text(number.to_string().into()),
            Self::Signed(number) => RawValue::Text(number.to_string().into()),
            Self::Null | Self::Text(_) | Self::Flag(_) | Self::Float(_) | Self::Names(_) | Self::Other => self.text(),
        }
    }

    pub(super) fn flag(self) -> RawValue<'de> {
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

    pub(super) fn state(self, layout: &Layout) -> RawState<'de> {
        let word: Cow<'de, str> = match self {
            Self::Null => return RawState::Absent,
            Self::Text(word) => word,
            Self::Flag(flag) if layout.state_is_mapped() => flag.to_string().into(),
            Self::Unsigned(number) if layout.state_is_mapped() => number.to_string().into(),
            Self::Signed(number) if layout.state_is_mapped() => number.to_string().into(),
            Self::Float(number) if layout.state_is_mapped() => number.to_string().into(),
            Self::Flag(_) | Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) | Self::Names(_) | Self::Other => {
                return RawState::Other;
            }
        };
        state_of(word, layout)
    }

    pub(super) fn groups(self) -> RawGroups<'de> {
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
pub(super) fn state_of<'w>(word: Cow<'w, str>, layout: &Layout) -> RawState<'w> {
    let bare = trimmed(&word);
    if bare.is_empty() {
        return RawState::Absent;
    }
    match layout.state(bare) {
        Some(state) => RawState::Said(state),
        None => RawState::Unknown(word),
    }
}

/// What a number is where a plain value is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Numbers {
    /// Of another type.
    Other,
    /// An integer is its digits.
    Digits,
    /// 1 and 0 are yes and no.
    Flags,
}

/// A value that is of use only if it is plain.
#[derive(Clone, Copy)]
pub(super) struct Scalar {
    pub(super) numbers: Numbers,
}

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = RawValue<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar {
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
    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(match (self.numbers, number) {
            (Numbers::Digits, _) => RawValue::Text(number.to_string().into()),
            (Numbers::Flags, 0 | 1) => RawValue::Flag(number == 1),
            (Numbers::Flags | Numbers::Other, _) => RawValue::Other,
        })
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(match self.numbers {
            Numbers::Digits => RawValue::Text(number.to_string().into()),
            Numbers::Flags | Numbers::Other => RawValue::Other,
        })
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(RawValue::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RawValue::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(RawValue::Other)
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

pub(super) use plain_values;

/// A name, or an object's member `name`.
#[derive(Clone, Copy)]
pub(super) struct NameSeed;

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
