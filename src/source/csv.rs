//! CSV with a header row, by RFC 4180 to the letter: a quote that stands where none may, or is never closed, refuses the
//! file, because everything behind it would be swallowed into one field and its users would look absent.

use crate::model::{DirectoryUser, RawGroups, RawValue};
use crate::records::RECORD_BYTES_MAX;
use std::borrow::Cow;
use std::ops::Range;

/// The columns that are known, by their place in [`Reader::columns`].
const COLUMNS: [&str; 8] = ["username", "firstname", "lastname", "state", "activated", "suspended", "groups", "id"];

/// Reads rows; the first one names the columns.
pub(super) struct Reader {
    id_attribute: String,
    header: Option<Header>,
    rows_count: u64,
    cells: Vec<Cell>,
}

struct Header {
    width: usize,
    columns: [Option<usize>; COLUMNS.len()],
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

impl Reader {
    pub(super) fn new(id_attribute: &str) -> Self {
        Self { id_attribute: id_attribute.to_lowercase(), header: None, rows_count: 0, cells: Vec::new() }
    }

    /// Hands on every whole row of the text.
    pub(super) fn rows(
        &mut self,
        text: &str,
        ended: bool,
        take: &mut super::TakeUser<'_>,
    ) -> (usize, Result<(), Cow<'static, str>>) {
        let mut used = 0;
        loop {
            let rest = &text[used..];
            if rest.is_empty() {
                let whole = !ended || self.header.is_some();
                return (used, if whole { Ok(()) } else { Err("nothing in it".into()) });
            }
            let count = match self.cut(rest) {
                Ok(Row::Whole(count)) if count > RECORD_BYTES_MAX => {
                    return (used, Err(self.at_row("it is longer than 1 MiB")));
                }
                Ok(Row::Whole(count)) => count,
                Ok(Row::Cut) if ended => {
                    return (used, Err("the last line has no line end, or a quote is never closed".into()));
                }
                Ok(Row::Cut) => return (used, Ok(())),
                Err(what) => return (used, Err(self.at_row(what))),
            };
            if let Err(what) = self.row(rest, take) {
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
                while let Some(byte) = bytes.get(at) {
                    match byte {
                        b',' | b'\n' => break,
                        b'\r' if bytes.get(at + 1) == Some(&b'\n') => break,
                        b'"' => return Err("a quote in a cell that does not begin with one"),
                        _ => at += 1,
                    }
                }
                Cell { range: start..at, doubled_quotes: false }
            };
            self.cells.push(cell);
            match (bytes.get(at), bytes.get(at + 1)) {
                (None, _) | (Some(b'\r'), None) => return Ok(Row::Cut),
                (Some(b','), _) => at += 1,
                (Some(b'\n'), _) => return Ok(Row::Whole(at + 1)),
                (Some(b'\r'), Some(b'\n')) => return Ok(Row::Whole(at + 2)),
                (Some(_), _) => return Err("something follows a closing quote"),
            }
        }
    }

    fn row(&mut self, text: &str, take: &mut super::TakeUser<'_>) -> Result<(), Cow<'static, str>> {
        self.rows_count += 1;
        if let [only] = self.cells.as_slice()
            && only.range.is_empty()
        {
            return Ok(());
        }
        let Some(header) = &self.header else {
            let names: Vec<_> = self.cells.iter().map(|cell| text_of(text, cell).to_lowercase()).collect();
            self.header = Some(read_header(&names, &self.id_attribute)?);
            return Ok(());
        };
        if self.cells.len() != header.width {
            return Err(
                format!("row {}: {} cells under {} columns", self.rows_count, self.cells.len(), header.width).into()
            );
        }
        let cell = |place: usize| header.columns[place].map(|column| text_of(text, &self.cells[column]));
        let plain = |place: usize| cell(place).map_or(RawValue::Absent, RawValue::Text);
        let filled =
            |place: usize| cell(place).filter(|text| !text.is_empty()).map_or(RawValue::Absent, RawValue::Text);
        let flag = |place: usize| match filled(place) {
            RawValue::Text(text) if text.eq_ignore_ascii_case("true") => RawValue::Flag(true),
            RawValue::Text(text) if text.eq_ignore_ascii_case("false") => RawValue::Flag(false),
            RawValue::Text(_) => RawValue::Other,
            other @ (RawValue::Absent | RawValue::Null | RawValue::Flag(_) | RawValue::Other) => other,
        };
        let blank = self.cells.iter().all(|cell| cell.range.is_empty());
        take(&DirectoryUser {
            id: plain(7),
            username: plain(0),
            firstname: plain(1),
            lastname: plain(2),
            state: filled(3),
            activated: flag(4),
            suspended: flag(5),
            email: RawValue::Absent,
            // A row of empty cells says nothing, not even that it is out of scope.
            groups: cell(6).filter(|_| !blank).map_or(RawGroups::Absent, groups),
        });
        Ok(())
    }
}

fn text_of<'t>(text: &'t str, cell: &Cell) -> Cow<'t, str> {
    let raw = &text[cell.range.clone()];
    if cell.doubled_quotes { Cow::Owned(raw.replace("\"\"", "\"")) } else { Cow::Borrowed(raw) }
}

fn groups(cell: Cow<'_, str>) -> RawGroups<'_> {
    let names = |text: &str| {
        text.split(';').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    RawGroups::Listed(names(&cell).into_iter().map(Cow::Owned).collect())
}

fn read_header(names: &[String], id_attribute: &str) -> Result<Header, Cow<'static, str>> {
    let place = |wanted: &str| -> Result<Option<usize>, Cow<'static, str>> {
        let mut places = names.iter().enumerate().filter(|(_, name)| name.as_str() == wanted).map(|(place, _)| place);
        match (places.next(), places.next()) {
            (Some(_), Some(_)) => Err(format!("two columns `{wanted}`").into()),
            (first, _) => Ok(first),
        }
    };
    let mut columns = [None; COLUMNS.len()];
    for (slot, name) in columns.iter_mut().zip(COLUMNS) {
        *slot = place(name)?;
    }
    let second = columns[7].filter(|_| id_attribute == "_id");
    columns[7] = place(id_attribute)?.or(second);
    if columns[7].is_none() {
        return Err(format!("no column `{id_attribute}` in the header").into());
    }
    if columns[0].is_none() {
        return Err("no column `username` in the header".into());
    }
    Ok(Header { width: names.len(), columns })
}
