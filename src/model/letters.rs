//! Whether a new name is the old one with its non-ASCII letters lost on the way: written as ASCII, escaped, or UTF-8 that was
//! read in another encoding. Exact: a name that is one letter off is another name.

use super::{Names, is_same_name};
use unicode_normalization::UnicodeNormalization;

/// Windows-1252 from 0x80 to 0x9f (WHATWG, encoding standard); the rest of it is Latin-1.
const WINDOWS_1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}', '\u{2030}',
    '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}',
    '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}',
    '\u{17e}', '\u{178}',
];

/// The upper halves of encodings that spreadsheets and consoles still write: code pages 437 and 850, Mac OS Roman.
const UPPER_HALVES: [&str; 3] = [
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}",
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}",
    "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø¿¡¬√ƒ≈∆«»…\u{a0}ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\u{f8ff}ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ",
];
/// How often a text may have been read in the wrong encoding.
const READINGS_MAX: usize = 2;

/// An encoding in which each letter is one byte.
#[derive(Clone, Copy)]
enum Encoding {
    Latin1,
    Windows1252,
    /// By place in the list of upper halves.
    Other(usize),
}

const ENCODINGS: [Encoding; 5] =
    [Encoding::Latin1, Encoding::Windows1252, Encoding::Other(0), Encoding::Other(1), Encoding::Other(2)];

impl Encoding {
    fn letter(self, byte: u8) -> char {
        match (self, byte) {
            (_, 0..0x80) => char::from(byte),
            (Self::Windows1252, 0x80..=0x9f) => WINDOWS_1252[usize::from(byte - 0x80)],
            (Self::Latin1 | Self::Windows1252, _) => char::from(byte),
            (Self::Other(at), _) => {
                UPPER_HALVES[at].chars().nth(usize::from(byte - 0x80)).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
        }
    }

    fn read(self, bytes: &[u8]) -> String {
        bytes.iter().map(|byte| self.letter(*byte)).collect()
    }

    /// The bytes of a text; `None` if it has a letter that the encoding lacks.
    fn write(self, text: &str) -> Option<Vec<u8>> {
        let byte = |c: char| (0..=u8::MAX).find(|byte| self.letter(*byte) == c);
        text.chars().map(byte).collect()
    }
}

/// Whether one of the wanted names is the carried one with its letters lost.
#[must_use]
pub fn letters_lost(carried: &Names, wanted: &Names) -> bool {
    let lost = |carried: &Option<Box<str>>, wanted: &Option<Box<str>>| match (carried, wanted) {
        (Some(carried), Some(wanted)) => is_without_letters(carried, wanted),
        (None, _) | (_, None) => false,
    };
    lost(&carried.given, &wanted.given) || lost(&carried.family, &wanted.family)
}

/// Whether the wanted names are the carried ones, if only with letters lost; a name that is not managed is left out.
#[must_use]
pub fn are_same_without_letters(carried: &Names, wanted: &Names) -> bool {
    let same = |carried: &Option<Box<str>>, wanted: &Option<Box<str>>| match (carried.as_deref(), wanted.as_deref()) {
        (_, None) => true,
        (carried, Some(wanted)) => {
            let carried = carried.unwrap_or_default();
            is_same_name(carried, wanted) || is_without_letters(carried, wanted)
        }
    };
    same(&carried.given, &wanted.given) && same(&carried.family, &wanted.family)
}

fn is_without_letters(before: &str, after: &str) -> bool {
    if before.is_ascii() || before == after {
        return false;
    }
    let forms = [before.to_owned(), before.nfc().collect(), before.nfd().collect()];
    let is_lost =
        |before: &String| is_replaced(before, after) || is_escaped(before, after) || is_misread(before, after);
    is_dropped(&forms[1], after) || forms.iter().any(is_lost)
}

/// How programs escape a letter.
const ESCAPES: [fn(char) -> String; 9] = [
    |c| format!("&#{};", u32::from(c)),
    |c| format!("&#x{:x};", u32::from(c)),
    |c| format!("<u+{:04x}>", u32::from(c)),
    |c| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    |c| of_bytes(c, |byte| format!("%{byte:02x}")),
    |c| of_bytes(c, |byte| format!("={byte:02x}")),
    |c| of_bytes(c, |byte| format!("\\x{byte:02x}")),
    |c| of_bytes(c, |byte| format!("\\{byte:03o}")),
    |c| format!("\\x{:02x}", u32::from(c)),
];

fn of_bytes(letter: char, escape: fn(u8) -> String) -> String {
    letter.encode_utf8(&mut [0; 4]).bytes().map(escape).collect()
}

/// Whether each non-ASCII letter was escaped, for a page, an address, a mail or a program's text.
fn is_escaped(before: &str, after: &str) -> bool {
    let escaped = |escape: fn(char) -> String| -> String {
        before.chars().map(|c| if c.is_ascii() { c.to_string() } else { escape(c) }).collect()
    };
    after.contains(['&', '<', '\\', '%', '='])
        && ESCAPES.into_iter().any(|way| escaped(way).eq_ignore_ascii_case(after))
}

/// Whether each non-ASCII letter became a sign, or as many as it has units.
fn is_replaced(before: &str, after: &str) -> bool {
    let counts: [fn(char) -> usize; 3] = [|_| 1, char::len_utf16, char::len_utf8];
    let replaced = |sign: &str, count: fn(char) -> usize| -> String {
        let letter = |c: char| if c.is_ascii() { c.to_string() } else { sign.repeat(count(c)) };
        before.chars().map(letter).collect()
    };
    ["?", "\u{fffd}"].into_iter().any(|sign| counts.into_iter().any(|count| replaced(sign, count) == after))
}

/// Whether the non-ASCII letters are gone, and no whole word with them: somebody may drop a name in another script.
fn is_dropped(before: &str, after: &str) -> bool {
    let dropped: String = before.chars().filter(char::is_ascii).collect();
    dropped.trim() == after && before.split_whitespace().count() == after.split_whitespace().count()
}

/// Whether it was written in one encoding and read in another one, perhaps twice. Names lose blanks at their ends, and a
/// non-breaking space is the second byte of some letters.
fn is_misread(before: &str, after: &str) -> bool {
    let mut texts = vec![before.to_owned()];
    for _ in 0..READINGS_MAX {
        texts = texts.iter().flat_map(|text| ENCODINGS.map(|encoding| encoding.read(text.as_bytes()))).collect();
        if texts.iter().any(|text| text.trim() == after) {
            return true;
        }
    }
    // What is no letter shows that the old name was broken: then the new one mends it.
    let is_whole = before.chars().all(|c| c.is_ascii() || c.is_alphabetic());
    let written = ENCODINGS.iter().filter_map(|encoding| encoding.write(before)).collect::<Vec<_>>();
    let read = |bytes: &Vec<u8>| ENCODINGS.iter().any(|encoding| encoding.read(bytes).trim() == after);
    is_whole && written.iter().any(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_in_two_normal_forms_is_no_difference() {
        assert!(is_same_name("Müller", "Mu\u{308}ller"));
        assert!(!is_same_name("Müller", "Muller") && !is_same_name("é", "è"));
    }

    #[test]
    fn a_name_without_its_letters_is_known_and_no_other_is() {
        for (before, after, lost) in [
            ("Béla", "B?la", true),
            ("Be\u{301}la", "B?la", true),
            ("Müller", "M??ller", true),
            ("😀", "??", true),
            ("Béla", "BÃ©la", true),
            ("Nicolà", "NicolÃ", true),
            ("Šime", "Å\u{a0}ime", true),
            ("Dvořák–Œ", "DvoÅ™Ã¡kâ€“Å’", true),
            ("Žan", "Å½an", true),
            ("Müller", "M\u{fffd}ller", true),
            ("Müller", "Mller", true),
            ("Müller", "M³ller", true),
            ("Müller", "Mⁿller", true),
            ("Müller", "M├╝ller", true),
            ("Müller", "M\u{81}ller", true),
            ("Béla", "B‚la", true),
            ("Müller", "M√ºller", true),
            ("Müller", "MÃƒÂ¼ller", true),
            ("Mu\u{308}ller", "MÃ¼ller", true),
            ("Béla", "B&#233;la", true),
            ("Béla", "B&#xE9;la", true),
            ("Béla", "B<U+00E9>la", true),
            ("Béla", "B\\u00e9la", true),
            ("Be\u{301}la", "B%C3%A9la", true),
            ("Béla", "B=C3=A9la", true),
            ("Béla", "B\\303\\251la", true),
            ("Béla", "B\\xe9la", true),
            ("Béla", "B&#232;la", false),
            ("ZoÃ«", "Zoë", false),
            ("M³ller", "Müller", false),
            ("M├╝ller", "Müller", false),
            ("李明 Li", "Li", false),
            ("李明", "", false),
            ("Müller", "Mueller", false),
            ("Müller", "Miller", false),
            ("Müller", "Möller", false),
            ("Béla", "Bela", false),
            ("Béla", "B?l?", false),
            ("Béla", "?", false),
            ("Béla", "Béla", false),
            ("B?la", "Béla", false),
            ("Ann", "Anna", false),
            ("Ann", "???", false),
        ] {
            assert_eq!(is_without_letters(before, after), lost, "{before:?} -> {after:?}");
        }
    }
}
