//! Whether two pairs of names are alike: the same but for letter case, accents, transliteration, signs and blanks, or the other
//! way round. Enough to ask a person whether two records are one user; never enough to decide it.

use super::Names;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// How a letter without an accent of its own is written in ASCII.
const LETTERS: [(char, &str); 12] = [
    ('\u{df}', "ss"),
    ('\u{e6}', "ae"),
    ('\u{153}', "oe"),
    ('\u{f8}', "o"),
    ('\u{142}', "l"),
    ('\u{111}', "d"),
    ('\u{f0}', "d"),
    ('\u{fe}', "th"),
    ('\u{131}', "i"),
    ('\u{127}', "h"),
    ('\u{14b}', "n"),
    ('\u{138}', "k"),
];
/// Letters that some write with a second letter instead of without their accent.
const WIDE_LETTERS: [(char, &str); 5] =
    [('\u{e4}', "ae"), ('\u{f6}', "oe"), ('\u{fc}', "ue"), ('\u{e5}', "aa"), ('\u{f8}', "oe")];

/// How accents are written in ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Left out.
    Bare,
    /// With a second letter, as in German and Danish.
    Wide,
}

/// Whether the wanted names are like the carried ones. A name that is not managed is like any other.
#[must_use]
pub fn are_alike(carried: &Names, wanted: &Names) -> bool {
    let like = |carried: &Option<Box<str>>, wanted: &Option<Box<str>>| match (carried.as_deref(), wanted.as_deref()) {
        (_, None) => true,
        (carried, Some(wanted)) => {
            carried.unwrap_or_default() == wanted || is_like(carried.unwrap_or_default(), wanted)
        }
    };
    let straight = like(&carried.given, &wanted.given) && like(&carried.family, &wanted.family);
    let is_whole = wanted.given.is_some() && wanted.family.is_some();
    straight || (is_whole && like(&carried.given, &wanted.family) && like(&carried.family, &wanted.given))
}

/// Whether one name is the other, in either way to write it.
fn is_like(a: &str, b: &str) -> bool {
    const WAYS: [Way; 2] = [Way::Bare, Way::Wide];
    let of = |text: &str| WAYS.map(|way| plain(text, way));
    let (a, b) = (of(a), of(b));
    a.iter().any(|a| !a.is_empty() && b.contains(a))
}

/// A name's letters and digits in lower case, without accents.
fn plain(text: &str, way: Way) -> String {
    let letters: String = text.nfc().flat_map(char::to_lowercase).collect();
    let mut out = String::new();
    for letter in letters.nfc() {
        let of = |list: &[(char, &'static str)]| list.iter().find(|(from, _)| *from == letter).map(|(_, to)| *to);
        let wide = if way == Way::Wide { of(&WIDE_LETTERS) } else { None };
        match wide.or_else(|| of(&LETTERS)) {
            Some(ascii) => out.push_str(ascii),
            None => {
                out.extend(std::iter::once(letter).nfkd().filter(|c| !is_combining_mark(*c) && c.is_alphanumeric()))
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(given: Option<&str>, family: Option<&str>) -> Names {
        Names { given: given.map(Into::into), family: family.map(Into::into) }
    }

    #[test]
    fn another_spelling_is_alike_and_another_name_is_not() {
        let carried = names(Some("B\u{e9}la"), Some("M\u{fc}ller"));
        for (given, family, alike) in [
            (Some("B\u{c9}LA"), Some("M\u{dc}LLER"), true),
            (Some("Bela"), Some("Muller"), true),
            (Some("Bela"), Some("Mueller"), true),
            (Some("Be\u{301}la"), Some("mu\u{308}ller"), true),
            (Some("M\u{fc}ller"), Some("B\u{e9}la"), true),
            (Some("MUELLER"), Some("BELA"), true),
            (Some(""), Some(""), false),
            (None, Some("Muller"), true),
            (Some("B\u{e9}la"), Some("Other"), false),
            (Some("B\u{e9}la"), Some("Miller"), false),
            (Some("M\u{fc}ller"), Some(""), false),
            (Some("Cy"), Some(""), false),
        ] {
            assert_eq!(are_alike(&carried, &names(given, family)), alike, "{given:?} {family:?}");
        }
        for (before, after) in [
            ("O\u{2019}Neil", "ONeil"),
            ("Stra\u{df}e", "STRASSE"),
            ("\u{141}\u{f3}d\u{17a}", "Lodz"),
            ("S\u{f8}ren", "Soeren"),
        ] {
            assert!(is_like(before, after) && is_like(after, before), "{before} {after}");
        }
        assert!(!is_like("\u{674e}", "\u{738b}") && !is_like("...", "-"));
    }
}
