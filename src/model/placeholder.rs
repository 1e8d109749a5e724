//! What programs write where there is no value: words for nothing, errors of a spreadsheet, the names of types, and lists that
//! are not written to their end.

use super::text::trimmed;

/// What programs write in a CSV cell where there is nothing, and no person or group is called.
const NULL_WORDS: [&str; 13] =
    ["null", "None", "nan", "<nil>", "NULL", "NaN", "NaT", "<NA>", "\\N", "(null)", "<null>", "#N/A", "undefined"];

/// What programs and people write in the cell of a list where there is none, in any letter case.
const NO_LIST_WORDS: [&str; 11] = ["n/a", "-", "--", "?", "0", "false", "none", "null", "nil", "unknown", "empty"];

/// Whether the cell of a list of groups says that there is none, or that it is not known: not the same as "in another group".
#[must_use]
pub fn is_no_list(text: &str) -> bool {
    NO_LIST_WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a CSV cell is the word for "nothing" of some program, an error of a spreadsheet, or the name of a type.
#[must_use]
#[inline]
pub fn is_null_word(text: &str) -> bool {
    let text = trimmed(text);
    // Nearly no text begins like one of them.
    match text.as_bytes() {
        [b'n' | b'u' | b'<' | b'\\' | b'(', ..] => NULL_WORDS.contains(&text),
        [b'N', ..] => NULL_WORDS.contains(&text) || is_type_name(text),
        [b'#' | b'E', ..] => NULL_WORDS.contains(&text) || is_error_word(text),
        [b'S' | b'M' | b'm' | b'j' | b'@' | b'[', ..] => is_type_name(text),
        _ => false,
    }
}

/// How the names of types begin that programs write instead of a list or an object.
const TYPES: [&str; 7] = ["System.", "Microsoft.", "Newtonsoft.", "java.util.", "map[", "@{", "[object "];

/// Whether a text is what programs write for a list or an object that they do not write out: the name of its type.
#[must_use]
pub fn is_type_name(text: &str) -> bool {
    TYPES.iter().any(|start| text.starts_with(start)) || text.ends_with("[]") || text == "Array"
}

/// Whether programs write this for something that they do not write out, or not to its end: the name of a type, dots, `3 more`.
#[must_use]
pub fn is_left_out(text: &str) -> bool {
    let (Some(first), Some(last)) = (text.as_bytes().first(), text.as_bytes().last()) else { return false };
    // Nearly no text begins or ends like one of them.
    let by_its_beginning = match first {
        b'<' => true,
        b'S' | b'M' | b'N' | b'm' | b'j' | b'@' | b'[' | b'A' => is_type_name(text),
        b'(' | b'+' | b'0'..=b'9' => says_more(text),
        b'a' => text.starts_with("and ") && says_more(text),
        b'e' | b'E' => text.len() <= "etc.".len() && says_more(text),
        _ => false,
    };
    by_its_beginning
        || match last {
            b']' => text.ends_with("[]"),
            b'.' => text.ends_with("..."),
            b')' => text.contains("...("),
            0xa6 => text.ends_with('\u{2026}'),
            _ => false,
        }
}

/// "+3 more", "and 3 others", "etc."
fn says_more(text: &str) -> bool {
    let text = text.trim_start_matches(['(', '+']).trim_end_matches([')', '.']);
    let counted = text.strip_prefix("and ").unwrap_or(text);
    let rest = counted.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_more = ["more", "other", "others"].iter().any(|word| rest.trim().eq_ignore_ascii_case(word));
    text.eq_ignore_ascii_case("etc") || (rest.len() < counted.len() && is_more)
}

/// Where programs and databases cut a text off, in characters or bytes.
const TEXT_LIMITS: [usize; 8] = [255, 256, 1_024, 2_000, 4_000, 8_000, 32_767, 65_535];

/// Whether a text is exactly as long as some program lets one be: its end may be missing.
#[must_use]
pub fn is_at_a_limit(text: &str) -> bool {
    TEXT_LIMITS.contains(&text.len()) || (!text.is_ascii() && TEXT_LIMITS.contains(&text.chars().count()))
}

/// Whether a value is what a spreadsheet writes for a formula that failed: `#REF!`, `#N/A`, `#NAME?`, `#BEZUG!`, `Err:502`.
#[must_use]
pub fn is_error_word(text: &str) -> bool {
    let text = trimmed(text);
    if let Some(word) = text.strip_prefix('#') {
        let letter = |c: char| c.is_uppercase() || c.is_ascii_digit() || matches!(c, '/' | '_');
        let marked = word.strip_suffix(['!', '?']).is_some_and(|word| word.len() > 1 && word.chars().all(letter));
        return marked || ["N/A", "NV", "N/D", "N/B"].contains(&word);
    }
    text.strip_prefix("Err:").is_some_and(|number| number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_nothing_is_known_and_no_name_is() {
        for word in [
            "null",
            "None",
            "(null)",
            "\\N",
            "#N/A",
            "#REF!",
            "Err:502",
            "System.Object[]",
            "[object Object]",
            "@{a=1}",
            "map[a:b]",
            "Newtonsoft.Json.Linq.JValue",
        ] {
            assert!(is_null_word(word), "{word}");
        }
        for name in ["Null", "Nan", "none", "Err", "#1", "Systems", "Microsoft", "Array", "Undine"] {
            assert!(!is_null_word(name), "{name}");
        }
        for text in [
            "String[]",
            "Array",
            "<unknown>",
            "a...",
            "a\u{2026}",
            "...(24)",
            "3 more",
            "(+3 more)",
            "and 2 others",
            "etc.",
        ] {
            assert!(is_left_out(text), "{text}");
        }
        for text in ["", "More", "3rd floor", "and more", "others", "Sales (EU)", "R.", "[R]", "3", "Arrays", "\u{e6}"]
        {
            assert!(!is_left_out(text), "{text}");
        }
    }
}
