//! Folding, escaping, cutting and hashing of texts, in one place, so that all rooms agree.

use sha2::{Digest, Sha256};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// Texts from outside are cut to this length, in bytes, before they go anywhere.
const FOREIGN_TEXT_BYTES_MAX: usize = 512;

/// NFC, then Unicode lower case.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfc().collect::<String>().to_lowercase() }
}

/// NFKC case folding (Unicode, D146 without the removal of ignorables).
pub(super) fn casefold(text: &str) -> String {
    use caseless::Caseless;
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfd().default_case_fold().nfkd().default_case_fold().nfkc().collect()
}

/// Whether two texts are one name: Unicode writes some letters in two ways.
#[must_use]
pub fn is_same_name(a: &str, b: &str) -> bool {
    a == b || (!a.is_ascii() && !b.is_ascii() && a.nfc().eq(b.nfc()))
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The first half of a SHA-256 over the parts, as 32 hex digits. Each part has its length in front, so that no two
/// lists of parts collide.
#[must_use]
pub fn short_digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize()[..16])
}

/// Makes a text from outside fit to be shown: cut to 512 bytes, with line ends and control characters as spaces.
///
/// `http` has already removed known secrets.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    let mut end = text.len().min(FOREIGN_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = &text[..end];
    let harmful = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || is_invisible(c);
    if cut.chars().any(harmful) {
        Cow::Owned(cut.chars().map(|c| if harmful(c) { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(cut)
    }
}

/// Whether nobody sees this character, or it changes how others are shown: format characters (Cf), bidi controls, and what
/// Unicode calls ignorable by default (`DerivedCoreProperties.txt`, Default_Ignorable_Code_Point, 16.0).
#[must_use]
pub const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether the first and last byte of a text are visible ASCII, so that nothing is to be cut off: nearly every text is such.
#[inline]
fn has_visible_ends(text: &str) -> bool {
    match text.as_bytes() {
        [] => false,
        [only] => only.is_ascii_graphic(),
        [first, .., last] => first.is_ascii_graphic() && last.is_ascii_graphic(),
    }
}

/// A text without blanks at its ends.
#[must_use]
#[inline]
pub fn trimmed(text: &str) -> &str {
    if has_visible_ends(text) { text } else { text.trim() }
}

/// A text without blanks and invisible letters at its ends.
#[must_use]
#[inline]
pub fn bare(text: &str) -> &str {
    if has_visible_ends(text) { text } else { text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c)) }
}

/// Whether a path, a distinguished name or an address stands for something of this name: `/Staff/Rhombus`, `staff:Rhombus`,
/// `CN=Rhombus,OU=G`, `EXAMPLE\Rhombus`, `rhombus@example.com`; or the name in quotes: `b'Rhombus'`. Letter case does not matter.
#[must_use]
pub fn leads_to(text: &str, name: &str) -> bool {
    let text = unquoted(bare(text));
    let leaf = text.trim_end_matches(['/', '\\', ':']).rsplit(['/', '\\', ':']).next().unwrap_or_default();
    let rdn = [text, leaf].map(|text| text.split_once('=').and_then(|(_, rest)| rest.split([',', ';', '+']).next()));
    let address = leaf.split_once('@').map(|(local, _)| local);
    let is = |part: &str| !name.is_empty() && unquoted(bare(part)).eq_ignore_ascii_case(name);
    is(leaf) || address.is_some_and(is) || rdn.into_iter().flatten().any(is)
}

/// A text without quotes around it, as programs write them into a text; Python's `b'…'` too.
fn unquoted(text: &str) -> &str {
    const QUOTES: [char; 7] = ['"', '\'', '`', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'];
    let inside = text.strip_prefix('b').filter(|rest| rest.starts_with(['\'', '"'])).unwrap_or(text);
    inside.trim_matches(QUOTES)
}

/// Whether a word may be meant by another: a letter in three may be wrong, or one is the beginning of the other.
#[must_use]
pub fn is_near(given: &str, known: &str) -> bool {
    let begins = given.len() >= 3 && (known.starts_with(given) || given.starts_with(known));
    begins || strsim::damerau_levenshtein(given, known) <= (given.chars().count() / 3).max(1)
}

/// An error and its causes, one string each.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(next) = cause {
        let sentence = next.to_string();
        // Two layers may have the same words for it.
        if causes.last() != Some(&sentence) {
            causes.push(sentence);
        }
        cause = next.source();
    }
    causes
}
