//! JSON with its numbers to the digit: a client may send a number that fits no type of ours, and gets back what it sent. Such a
//! number is kept as a marked string; what a document means is left to others.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// Marks a string that stands for a number; U+FFFE is not a character.
const MARK: &str = "\u{fffe}number:";

/// Parses a document.
pub(super) fn read<V: DeserializeOwned>(text: &[u8]) -> serde_json::Result<V> {
    let (mut marked, mut rest, mut in_string) = (Vec::with_capacity(text.len()), text, false);
    while let Some(&byte) = rest.first() {
        let length = match byte {
            b'\\' if in_string => rest.len().min(2),
            b'-' | b'0'..=b'9' if !in_string => rest.iter().position(|byte| !is_of_number(*byte)).unwrap_or(rest.len()),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        in_string ^= byte == b'"';
        match std::str::from_utf8(token) {
            Ok(number) if is_of_number(byte) && !in_string && loses_digits(number) => {
                marked.extend_from_slice(Value::from(format!("{MARK}{number}")).to_string().as_bytes());
            }
            Ok(_) | Err(_) => marked.extend_from_slice(token),
        }
        rest = after;
    }
    serde_json::from_slice(&marked)
}

/// The text of a document.
pub(super) fn write(document: &Value) -> String {
    let (text, opening) = (document.to_string(), format!("\"{MARK}"));
    let (mut written, mut rest) = (String::with_capacity(text.len()), text.as_str());
    while let Some(place) = rest.find(&opening) {
        let (before, marked) = rest.split_at(place);
        written.push_str(before);
        let inside = &marked[opening.len()..];
        let end = inside.bytes().position(|byte| !is_of_number(byte)).unwrap_or(inside.len());
        rest = match inside[end..].strip_prefix('"') {
            Some(after) => {
                written.push_str(&inside[..end]);
                after
            }
            None => {
                written.push_str(&opening);
                inside
            }
        };
    }
    written.push_str(rest);
    written
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Whether it is a number that comes back with other digits.
fn loses_digits(number: &str) -> bool {
    let kept = serde_json::from_str::<Value>(number).map(|value| value.to_string());
    serde_json::from_str::<&RawValue>(number).is_ok() && kept.map_or(true, |kept| kept != number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_to_the_digit() {
        for text in [
            r#"{"a":[1,-0.5,89014103211118510720,12345678901234567890123456789],"b":1e400,"c":0.10,"d":1.0E+5}"#,
            r#"{"a":"1e400 and \"89014103211118510720\"","b":"\\"}"#,
            "[true,null,9007199254740993]",
        ] {
            let value: Value = read(text.as_bytes()).expect("JSON");
            assert_eq!(write(&value), text);
        }
        assert_eq!(read::<Value>(b"[1,2]").expect("JSON"), serde_json::json!([1, 2]));
        for text in ["1e", "--1", "[01]", "[1 2]", "\"1e400"] {
            assert!(read::<Value>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
