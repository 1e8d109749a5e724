//! CSV with a header row, by RFC 4180 to the letter: a stray or unclosed quote refuses the file,
//! because everything behind it would be swallowed into one field and its users would look absent.

use super::census::Census;
use super::header::{Header, HeaderFault};
use super::value::state_of;
use crate::model::{Column, DirectoryUser, Layout, RawGroups, RawState, RawValue, bare, is_null_word, trimmed};
use crate::records::RECORD_BYTES_MAX;
use std::borrow::Cow;
use std::ops::Range;

/// No row has more cells: as many as the widest sheet of a spreadsheet has columns.
const CELLS_MAX: usize = 16_384;

/// What Windows PowerShell writes above a header.
const TYPE_LINE: &str = "#TYPE ";

/// Reads rows; the first one names the columns.
pub(super) struct Reader<'l> {
    layout: &'l Layout,
    header: Option<Header>,
    /// What is wrong with the header, which no place in the file says better.
    pub(super) header_fault: Option<HeaderFault>,
    rows_count: u64,
    cells: Vec<Cell>,
}

#[derive(Clone)]
struct Cell {
    range: Range<usize>,
    /// It holds doubled quotes, each of which stands for one.
    doubled_quotes: bool,
}

enum Row {
    /// So many bytes, line end included.
    Whole(usize),
    Cut,
}

impl<'l> Reader<'l> {
    pub(super) fn new(layout: &'l Layout) -> Self {
        Self { layout, header: None, header_fault: None, rows_count: 0, cells: Vec::new() }
    }

    /// The header, once it was read.
    pub(super) fn header(self) -> Option<Header> {
        self.header
    }

    /// Hands on every whole row of the text.
    pub(super) fn rows(
        &mut self,
        text: &str,
        ended: bool,
        census: &mut Census<'_>,
    ) -> (usize, Result<(), Cow<'static, str>>) {
        let mut used = 0;
        loop {
            let rest = &text[used..];
            if rest.is_empty() {
                let whole = !ended || self.header.is_some();
                return (used, if whole { Ok(()) } else { Err("nothing in it".into()) });
            }
            if self.rows_count == 0 && rest.starts_with(TYPE_LINE) {
                let Some(length) = rest.find('\n') else { return (used, Ok(())) };
                self.rows_count += 1;
                used += length + 1;
                continue;
            }
            if self.header.is_some()
                && let Some(count) = census.known(rest)
            {
                self.rows_count += 1;
                used += count;
                continue;
            }
            let count = match self.cut(rest) {
                Ok(Row::Whole(count)) if count > RECORD_BYTES_MAX => {
                    return (used, Err(self.at_row("it is longer than 1 MiB")));
                }
                Ok(Row::Whole(count)) => count,
                Ok(Row::Cut) if ended => {
                    return (used, Err("the last line has no newline, or a quote is not closed".into()));
                }
                Ok(Row::Cut) => return (used, Ok(())),
                Err(what) => return (used, Err(self.at_row(what))),
            };
            if let Err(what) = self.row(&rest[..count], census) {
                return (used, Err(what));
            }
            used += count;
        }
    }

    fn at_row(&self, what: &str) -> Cow<'static, str> {
        format!("row {}: {what}", self.rows_count + 1).into()
    }

    /// Cuts the row at the start of the text into cells.
    fn cut(&mut self, text: &str) -> Result<Row, &'static str> {
        let bytes = text.as_bytes();
        self.cells.clear();
        let mut at = 0;
        loop {
            let cell = if bytes.get(at) == Some(&b'"') {
                let mut doubled_quotes = false;
                let start = at + 1;
                let mut end = start;
                loop {
                    end = first_up_to(b'"', bytes, end);
                    match bytes.get(end) {
                        None => return Ok(Row::Cut),
                        Some(b'"') if bytes.get(end + 1) == Some(&b'"') => {
                            doubled_quotes = true;
                            end += 2;
                        }
                        Some(b'"') => break,
                        Some(_) => end += 1,
                    }
                }
                at = end + 1;
                Cell { range: start..end, doubled_quotes }
            } else {
                let start = at;
                loop {
                    at = first_up_to(b',', bytes, at);
                    match bytes.get(at) {
                        None | Some(b',' | b'\n') => break,
                        Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => break,
                        Some(b'"') => return Err("a quote in a cell that does not begin with one"),
                        Some(_) => at += 1,
                    }
                }
                Cell { range: start..at, doubled_quotes: false }
            };
            if self.cells.len() == CELLS_MAX {
                return Err("it has more than 16,384 cells");
            }
            self.cells.push(cell);
            match (bytes.get(at), bytes.get(at + 1)) {
                (None, _) | (Some(b'\r'), None) => return Ok(Row::Cut),
                (Some(b','), _) => at += 1,
                (Some(b'\n'), _) => return Ok(Row::Whole(at + 1)),
                (Some(b'\r'), Some(b'\n')) => return Ok(Row::Whole(at + 2)),
                (Some(_), _) => return Err("there is text after a closing quote"),
            }
        }
    }

    fn row<'t>(&mut self, row: &'t str, census: &mut Census<'_>) -> Result<(), Cow<'static, str>> {
        self.rows_count += 1;
        if self.cells.iter().all(|cell| trimmed(&row[cell.range.clone()]).is_empty()) {
            return Ok(());
        }
        let Some(header) = &self.header else {
            let names: Vec<_> = self.cells.iter().map(|cell| bare(&text_of(row, cell)).to_owned()).collect();
            match Header::read(&names, self.layout) {
                Ok(header) => {
                    self.header = Some(header);
                    census.begins(row.as_bytes());
                }
                Err(what) => {
                    self.header_fault = Some(what);
                    return Err("the header".into());
                }
            }
            return Ok(());
        };
        if self.cells.len() != header.width {
            return Err(
                format!("row {}: {} cells under {} columns", self.rows_count, self.cells.len(), header.width).into()
            );
        }
        let cell = |column: Column| header.place(column).map(|place| text_of(row, &self.cells[place]));
        let id = cell(Column::Id);
        if header.comes_again(self.layout.rows, id.as_deref(), &cell) {
            return Err(format!("row {}: the header is repeated", self.rows_count).into());
        }
        let filled = |column| cell(column).filter(|text| !trimmed(text).is_empty());
        let text = |column| cell(column).map_or(RawValue::Absent, RawValue::Text);
        let flag = |column| cell(column).map_or(RawValue::Absent, flag);
        let names = [cell(Column::Firstname), cell(Column::Lastname)];
        let [no_first, no_last] = names.each_ref().map(|name| name.as_deref().is_some_and(is_null_word));
        let null_word = match (no_first, no_last) {
            (true, _) => Some(Column::Firstname),
            (false, true) => Some(Column::Lastname),
            (false, false) => None,
        };
        let name = |name: Option<Cow<'t, str>>, is_null: bool| match name {
            Some(name) if !is_null => RawValue::Text(name),
            Some(_) | None => RawValue::Absent,
        };
        let [first, last] = names;
        let user = DirectoryUser {
            id: id.map_or(RawValue::Absent, RawValue::Text),
            username: text(Column::Username),
            firstname: name(first, no_first),
            lastname: name(last, no_last),
            state: filled(Column::State).map_or(RawState::Absent, |word| state_of(word, self.layout)),
            activated: flag(Column::Activated),
            suspended: flag(Column::Suspended),
            email: text(Column::Email),
            groups: cell(Column::Groups)
                .map_or(RawGroups::Absent, |cell| RawGroups::Cell(cell, self.layout.group_separator)),
            null_word,
        };
        // A status is looked for in the header.
        census.record(user, row, true);
        Ok(())
    }
}

/// The place of the first byte from `at` on that is not above a sign, or the end. Line ends, quotes and commas are among the
/// few low ones, so that eight bytes are looked at together.
#[inline]
fn first_up_to(sign: u8, bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH_BITS: u64 = ONES << 7;
    let above = ONES * u64::from(sign + 1);
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        // The lowest bit that is set is the first such byte's; a borrow may set others above it only.
        let found = word.wrapping_sub(above) & !word & HIGH_BITS;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| *byte > sign) {
        at += 1;
    }
    at
}

fn text_of<'t>(text: &'t str, cell: &Cell) -> Cow<'t, str> {
    let raw = &text[cell.range.clone()];
    if cell.doubled_quotes { Cow::Owned(raw.replace("\"\"", "\"")) } else { Cow::Borrowed(raw) }
}

/// A cell that says yes or no, in one of the ways in which programs write that, or nothing.
fn flag(cell: Cow<'_, str>) -> RawValue<'_> {
    let cell = trimmed(&cell);
    let is = |words: [&str; 3]| words.iter().any(|word| cell.eq_ignore_ascii_case(word));
    match cell {
        "" => RawValue::Null,
        "true" => RawValue::Flag(true),
        "false" => RawValue::Flag(false),
        _ if is(["false", "0", "no"]) => RawValue::Flag(false),
        _ if is(["true", "1", "yes"]) => RawValue::Flag(true),
        _ => RawValue::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::first_up_to;

    #[test]
    fn eight_bytes_at_once_show_the_same_as_one_by_one() {
        let signs = [b',', b'"', b'\n', b'\r', b' ', b'+', b'-', 0, 0x7f, 0x80, 0xac, 0xff];
        for length in 0..20 {
            for (at, sign) in (0..length).flat_map(|at| signs.map(|sign| (at, sign))) {
                for after in [b'x', b'-', b',', 0xff] {
                    let mut text = vec![b'a'; length];
                    text[at] = sign;
                    text[at + 1..].fill(after);
                    for wanted in [b',', b'"'] {
                        let plain = text.iter().position(|byte| *byte <= wanted).unwrap_or(length);
                        assert_eq!(first_up_to(wanted, &text, 0), plain, "{text:?}");
                    }
                }
            }
        }
    }
}
