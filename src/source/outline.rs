//! The shape of a JSON text, as far as its beginning shows it: for messages only, once an export is refused.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// How deep members are named.
const DEPTH_MAX: usize = 3;

/// What a JSON text begins with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Outline {
    /// Whether it is an object, not an array.
    pub(super) object: bool,
    /// The members of the object, or of the array's first object; those inside with a dot.
    pub(super) members: Vec<String>,
    /// Members of the object that hold an array of objects, each with the members of its first one.
    pub(super) arrays: Vec<(String, Vec<String>)>,
}

/// Looks at a text that may end anywhere.
pub(super) fn outline(text: &str) -> Outline {
    let mut found = Outline::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // It ends in an error where the text does, or where enough is known.
    let _ = Top(&mut found).deserialize(&mut deserializer);
    found
}

struct Top<'o>(&'o mut Outline);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut arrays = Vec::new();
        seq.next_element_seed(Names { prefix: "", names: &mut self.0.members, arrays: &mut arrays })?;
        Err(A::Error::custom("enough"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.object = true;
        Names { prefix: "", names: &mut self.0.members, arrays: &mut self.0.arrays }.visit_map(map)
    }
}

/// The names of an object's members.
struct Names<'o> {
    prefix: &'o str,
    names: &'o mut Vec<String>,
    arrays: &'o mut Vec<(String, Vec<String>)>,
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (mut names, mut inner) = (Vec::new(), Vec::new());
        let first = seq.next_element_seed(Names { prefix: "", names: &mut names, arrays: &mut inner });
        if !names.is_empty() {
            self.arrays.push((self.prefix.to_owned(), names));
        }
        first?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inwards = self.prefix.split('.').count() < DEPTH_MAX;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let name = if self.prefix.is_empty() { key.into_owned() } else { format!("{}.{key}", self.prefix) };
            self.names.push(name.clone());
            if inwards {
                map.next_value_seed(Names { prefix: &name, names: self.names, arrays: self.arrays })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_shows_in_its_beginning() {
        let of = |text: &str| {
            let Outline { object, members, arrays } = outline(text);
            let arrays: Vec<_> =
                arrays.into_iter().map(|(name, names)| format!("{name}[{}]", names.join(" "))).collect();
            format!("{} {} | {}", if object { "{}" } else { "[]" }, members.join(" "), arrays.join(" "))
        };
        assert_eq!(of(r#"[{"a":1,"p":{"b":null,"c":[{"x":1}]}},{"z":"#), "[] a p p.b p.c | ");
        assert_eq!(of(r#"{"realm":"x","users":[{"id":"1","n"#), "{} realm users | users[id]");
        assert_eq!(
            of(r#"{"users":[{"id":"1"}],"r":{"realm":[{"q":1}]}}"#),
            "{} users r r.realm | users[id] r.realm[q]"
        );
        assert_eq!(of("x"), "[]  | ");
    }
}
