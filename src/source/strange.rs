//! What a refused file is that is neither JSON nor CSV with commas, or not quite, and how to get one that is. For messages only.

use super::failed::markup;
use super::shapes::BEGINNINGS;

/// So many zero bytes among the first 200 are not an accident.
const ZEROS_MIN: usize = 10;
/// A header stands in one of the first lines.
const LINES_SEEN_MAX: usize = 12;
/// Words of those who say why there is no export.
const FAILURES: [&str; 15] = [
    "error",
    "unauthorized",
    "forbidden",
    "denied",
    "not found",
    "failed",
    "exception",
    "traceback",
    "rate limit",
    "too many requests",
    "unavailable",
    "bad gateway",
    "timed out",
    "timeout",
    "no such file",
];

/// The beginning of a file.
pub(super) struct Strange<'s> {
    /// Its first bytes.
    pub(super) start: &'s [u8],
    /// As text, without blanks in front.
    pub(super) text: &'s str,
    pub(super) json: bool,
    pub(super) utf8: bool,
}

/// Whether a file begins as one does whose characters have four bytes each, most of them zero.
fn is_utf32(start: &[u8]) -> bool {
    const LOOKED_AT: usize = 4;
    let (units, _) = start.as_chunks::<4>();
    let mut first = units.iter().take(LOOKED_AT);
    let is_wide = |unit: &[u8; 4]| {
        matches!(unit, [0xff, 0xfe, 0, 0] | [0, 0, 0xfe, 0xff] | [1..=0xff, _, 0, 0] | [0, 0, _, 1..=0xff])
    };
    units.len() >= LOOKED_AT && first.all(is_wide)
}

/// What it looks like and what to do about it, if anything is known.
pub(super) fn other_format(found: &Strange<'_>) -> Option<String> {
    if found.text.starts_with('<')
        && let Some(what) = markup(found.text)
    {
        return Some(what);
    }
    let trimmed = found.text.as_bytes();
    let begins = |mark: &[u8]| {
        let at = |start: &[u8]| start.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
        at(found.start) || at(trimmed)
    };
    if let Some((_, what, how)) = BEGINNINGS.iter().find(|(mark, _, _)| begins(mark)) {
        return Some(format!("this looks like {what}: {how}"));
    }
    if is_utf32(found.start) {
        return Some("this looks like UTF-32: write UTF-8".to_owned());
    }
    if trimmed.iter().take(200).filter(|byte| **byte == 0).count() > ZEROS_MIN {
        return Some("this looks like UTF-16 without a byte order mark: write UTF-8".to_owned());
    }
    if !found.utf8 {
        return Some(
            "it is not UTF-8: save it as \"CSV UTF-8\" (Excel), with -Encoding utf8 (PowerShell), or under a UTF-8 locale \
             (LibreOffice)"
                .to_owned(),
        );
    }
    if found.json {
        let python = found.text.starts_with("[{'") || found.text.starts_with("{'");
        if python {
            return Some("this looks like Python's own notation: write it with `json.dumps`".to_owned());
        }
        let not_json = ["NaN", "Infinity", "undefined"].into_iter().find(|word| {
            let after_colon = |at: usize| found.text[..at].trim_end().ends_with(':');
            found.text.match_indices(word).any(|(at, _)| after_colon(at))
        });
        return not_json.map(|word| format!("`{word}` is not JSON: have the job write null"));
    }
    of_lines(found.text).map(str::to_owned)
}

/// What its first lines show.
fn of_lines(text: &str) -> Option<&'static str> {
    let mut lines = text.lines().skip_while(|line| line.starts_with("#TYPE ") || line.trim().is_empty());
    let line = lines.next().unwrap_or_default();
    let count = |sign: char| line.matches(sign).count();
    let (commas, lower) = (count(','), line.to_lowercase());
    if lower.starts_with("sep=") {
        return Some("the first line tells Excel the separator: leave it out, and use commas");
    }
    if text.contains('\r') && !text.contains('\n') {
        return Some("its lines end in a carriage return alone: end them in a line feed");
    }
    if is_ruled(text) {
        return Some("this looks like a table for reading: have the job write CSV (`Export-Csv`, `psql --csv`)");
    }
    let of_a_tool = ["curl: (", "wget: ", "bash: ", "sh: "].iter().any(|start| lower.starts_with(start));
    if of_a_tool || (commas == 0 && FAILURES.iter().any(|word| lower.contains(word))) {
        return Some("this looks like the message of a command that failed: fix the export job");
    }
    if text.lines().skip(1).take(LINES_SEEN_MAX).any(|line| line.starts_with(['[', '{'])) {
        return Some("something stands above the JSON: have the job write only the JSON");
    }
    if line.split_once(" : ").is_some_and(|(name, _)| !name.contains(',')) {
        return Some("this looks like a PowerShell list for reading: have the job write CSV (`Export-Csv`) or JSON");
    }
    if line.starts_with("---") || line.starts_with("- ") || (line.contains(": ") && commas == 0) {
        return Some("this looks like YAML: have the job write JSON or CSV");
    }
    if count(';') > commas {
        return Some("its columns are separated by `;`: use commas");
    }
    if count('\t') > commas {
        return Some("its columns are separated by tabs: use commas");
    }
    if count('|') > commas {
        return Some("its columns are separated by `|`: use commas");
    }
    if header_is_below(text) {
        return Some("the header is not on the first line: remove what is above it");
    }
    if has_blanks_after_commas(line) && lines.next().is_some_and(has_blanks_after_commas) {
        return Some("there are spaces after the commas: remove them, or quoted names cannot be read");
    }
    None
}

/// Whether a blank stands behind a comma, outside quoted cells.
fn has_blanks_after_commas(line: &str) -> bool {
    line.split('"').enumerate().any(|(at, part)| at % 2 == 0 && (part.contains(", ") || part.ends_with(", ")))
}

/// Whether a line of dashes stands below the first line.
fn is_ruled(text: &str) -> bool {
    let second = text.lines().nth(1).unwrap_or_default();
    second.contains("--") && second.chars().all(|sign| matches!(sign, '-' | '+' | '|' | ':' | ' '))
}

/// Whether a later line looks like a header, and the first one does not.
fn header_is_below(text: &str) -> bool {
    let is_header = |line: &str| {
        let mut names = line.split(',').map(|cell| cell.trim().trim_matches('"').to_lowercase());
        names.any(|name| matches!(name.as_str(), "_id" | "id" | "username" | "userprincipalname" | "primaryemail"))
    };
    // What Windows PowerShell writes above a header is passed over.
    let mut lines = text.lines().skip_while(|line| line.trim().is_empty()).take(LINES_SEEN_MAX).peekable();
    lines.next_if(|line| line.starts_with("#TYPE "));
    !lines.next().is_some_and(is_header) && lines.any(is_header)
}
