//! JSON of the other side, before it becomes a tree: a body of a few MiB can hold a million objects, and each of them takes hundreds
//! of bytes of memory.

use serde_json::Value;

/// The most values that an answer may hold: a report on each of 500 events takes some 10,000. As many of the costliest, objects of
/// one member, take 35 MiB.
const VALUES_MAX: usize = 100_000;

/// Whether a JSON text holds no more values than an answer needs. Only brackets and commas outside of strings are counted.
#[must_use]
pub fn is_small_json(text: &[u8]) -> bool {
    let (mut count, mut is_string, mut is_escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'"' => is_string = !is_string,
            b'\\' => is_escaped = is_string,
            b'{' | b'[' | b',' if !is_string => count += 1,
            _ => {}
        }
    }
    count <= VALUES_MAX
}

/// A JSON text as a tree; `None` if it is not JSON, or holds more values than an answer needs.
#[must_use]
pub fn small_json(text: &[u8]) -> Option<Value> {
    if is_small_json(text) { serde_json::from_slice(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_many_values_becomes_no_tree() {
        let list = |element: &str, count: usize| format!("[{}{element}]", format!("{element},").repeat(count - 1));
        assert!(small_json(list("0", VALUES_MAX - 1).as_bytes()).is_some());
        assert!(small_json(list("0", VALUES_MAX + 1).as_bytes()).is_none());
        assert!(small_json(list("{\"a\":0}", VALUES_MAX / 2 + 1).as_bytes()).is_none());
        let text = format!("{{\"detail\":\"{}\"}}", ",[{\\\"\\\\".repeat(2 * VALUES_MAX));
        assert!(small_json(text.as_bytes()).is_some(), "what a string holds is no value");
        assert!(small_json(b"<html>").is_none());
    }
}
