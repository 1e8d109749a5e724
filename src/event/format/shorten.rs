//! Makes an event fit where a receiver takes only so many bytes: of an approval what would be set goes first, then its last users,
//! and then the longest values of any event are cut. Names of members, ids, times, sequence and chain stay whole.

use super::record::Record;
use super::targets::fewer;

/// Stands at the end of a value that was cut.
const MARK: &str = "...[cut]";
/// No value is cut to less: ids and the chain are no longer than this.
const VALUE_BYTES_MIN: usize = 64;
/// Where the search begins: nothing that we write is longer than this many bytes and still fits.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The line with as little left out as `fits` needs.
pub(super) fn to_fit(line: &str, fits: impl Fn(&str) -> Option<String>) -> Option<String> {
    let Some(targets) = Record::of(line)?.targets else { return with_values_cut(line, fits) };
    let with = |array: &str, left_out: usize| {
        let count = if left_out > 0 { format!(",\"targets_left_out\":{left_out}") } else { String::new() };
        line.replacen(targets.get(), &format!("{array}{count}"), 1)
    };
    if let Some(fitting) = fewer(targets.get(), |array, left_out| fits(&with(array, left_out))) {
        return Some(fitting);
    }
    let with_cut_values = |line: String| with_values_cut(&line, &fits);
    fewer(targets.get(), |array, left_out| with_cut_values(with(array, left_out)))
}

/// The line with its longest values cut as little as `fits` needs.
fn with_values_cut(line: &str, fits: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut best = fits(&with_values_of(line, VALUE_BYTES_MIN))?;
    let (mut short, mut long) = (VALUE_BYTES_MIN, VALUE_BYTES_MAX);
    while long - short > 1 {
        let middle = short.midpoint(long);
        match fits(&with_values_of(line, middle)) {
            Some(fitting) => (best, short) = (fitting, middle),
            None => long = middle,
        }
    }
    Some(best)
}

/// The line with no string longer than so many bytes, as it is written in JSON.
fn with_values_of(line: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find('"') {
        let (before, string) = rest.split_at(start + 1);
        out.push_str(before);
        let length = string_length(string);
        let (value, after) = string.split_at(length);
        if value.len() > bytes_max {
            out.push_str(&value[..cut(value, bytes_max.saturating_sub(MARK.len()))]);
            out.push_str(MARK);
        } else {
            out.push_str(value);
        }
        let quote = after.len().min(1);
        out.push_str(&after[..quote]);
        rest = &after[quote..];
    }
    out.push_str(rest);
    out
}

/// How many bytes stand before the quote that ends this string.
fn string_length(string: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in string.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    string.len()
}

/// The largest place to cut at that is no more than `bytes_max` and inside neither a character nor an escape.
fn cut(value: &str, bytes_max: usize) -> usize {
    let mut at = 0;
    while at < value.len() {
        let rest = &value[at..];
        let characters = match rest.as_bytes() {
            // A pair of escapes is one character. What follows a backslash may be anything: somebody else may have written the line.
            [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => 12,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => 1,
        };
        let unit = rest.char_indices().nth(characters).map_or(rest.len(), |(end, _)| end);
        if at + unit > bytes_max {
            break;
        }
        at += unit;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_between_characters_and_escapes_and_says_so() {
        for (value, bytes_max, expected) in [
            ("abcdef", 3, "abc"),
            ("aäb", 2, "a"),
            (r"a\nb", 2, "a"),
            (r"a\u2028b", 6, "a"),
            (r"a\u2028b", 7, r"a\u2028"),
            (r"\ud83d\ude00x", 11, ""),
            (r"a\äb", 3, "a"),
            (r"a\äb", 4, r"a\ä"),
            (r"a\uä", 4, "a"),
            ("a\\", 2, "a\\"),
            (r#"\"\"\""#, 5, r#"\"\""#),
        ] {
            assert_eq!(&value[..cut(value, bytes_max)], expected, "{value}");
        }
        let line = format!(r#"{{"a\"":"{}","b":"short","c":["{}"]}}"#, r"x\\".repeat(100), "y".repeat(100));
        let cut = with_values_of(&line, 70);
        let value: serde_json::Value = serde_json::from_str(&cut).expect("still JSON");
        assert!(value["a\""].as_str().is_some_and(|text| text.ends_with(MARK) && text.starts_with(r"x\x\")), "{cut}");
        assert!(value["b"] == "short" && value["c"][0].as_str().is_some_and(|text| text.len() == 70), "{cut}");
    }
}
