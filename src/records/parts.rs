//! The parts of a JSON object or array, one at a time, from the start of a text that may go on.

use std::borrow::Cow;

/// The text after the comma that the next part needs, and how many bytes that took; `None` if more text is needed.
pub(super) fn after_comma(rest: &str, next: u8, first: bool) -> Result<Option<(&str, usize)>, Cow<'static, str>> {
    if first {
        return Ok(Some((rest, 0)));
    }
    if next != b',' {
        return Err("a comma is missing".into());
    }
    let after = rest[1..].trim_start_matches([' ', '\t', '\r', '\n']);
    Ok((!after.is_empty()).then_some((after, rest.len() - after.len())))
}

/// The key at the start of a text and the text from its value's first byte on; `None` if more text is needed.
pub(super) fn key_and_value(rest: &str) -> Result<Option<(Cow<'_, str>, &str)>, Cow<'static, str>> {
    if !rest.starts_with('"') {
        return Err("a key is missing".into());
    }
    let Some((key, count)) = prefix::<Cow<'_, str>>(rest, true, "not valid JSON")? else { return Ok(None) };
    let after = rest[count..].trim_start_matches([' ', '\t', '\r', '\n']);
    let Some(value) = after.strip_prefix(':') else {
        return if after.is_empty() { Ok(None) } else { Err("a colon is missing".into()) };
    };
    let value = value.trim_start_matches([' ', '\t', '\r', '\n']);
    Ok((!value.is_empty()).then_some((key, value)))
}

/// Parses one value at the start of a text; `None` if the value may continue.
pub(super) fn prefix<'a, T: serde::Deserialize<'a>>(
    text: &'a str,
    ended: bool,
    fault: &'static str,
) -> Result<Option<(T, usize)>, Cow<'static, str>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    match values.next() {
        Some(Ok(value)) => {
            let count = values.byte_offset();
            Ok((ended || count < text.len()).then_some((value, count)))
        }
        Some(Err(error)) if error.is_eof() => Ok(None),
        Some(Err(_)) => Err(fault.into()),
        None => Ok(None),
    }
}
