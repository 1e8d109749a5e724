//! Walks JSON arrays and pages member by member, so that a page may be larger than the window.

use super::beside::{Beside, More};
use super::page::{Elements, PageShape, Shape, looks_like};
use super::parts::{after_comma, key_and_value, prefix};
use super::skip::Skip;
use super::{Progress, RecordsError, TakeRecord, Window, json_fault};
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// The member by which a page of a SCIM list names the next one (RFC 9865, section 2).
const NEXT_CURSOR: &str = "nextCursor";
/// The longest cursor, in bytes: it must fit into an address.
const CURSOR_BYTES_MAX: usize = 4096;

/// From this length on, a value that is not needed is passed over as it arrives, in bytes: shorter ones are also checked.
const STREAMED_FROM_BYTES: usize = 1 << 18;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Start,
    Outer {
        first: bool,
    },
    Page {
        first: bool,
    },
    Records {
        first: bool,
    },
    /// In a member's value that is passed over.
    Skipped,
    Tail,
}

/// Walks one JSON array of records, or pages: one page, an array of pages, or pages one after another.
#[derive(Debug)]
pub struct Documents {
    shape: PageShape,
    at: At,
    elements: Elements,
    in_array: bool,
    page_has_records: bool,
    page_count: u64,
    totals: Vec<u64>,
    records_count: u64,
    next_cursor: Option<String>,
    beside: Beside,
    skip: Skip,
}

/// Summary of a stream of documents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocumentsRead {
    /// Number of records.
    pub records_count: u64,
    /// The total of each page that has one.
    pub totals: Vec<u64>,
    /// The cursor of the next page of a SCIM list; `None` on the last page, or if pages go by index.
    pub next_cursor: Option<String>,
    /// What says that there are more records than these; nothing of a SCIM list.
    pub more: Option<More>,
    /// Whether one closed document encloses everything, so that nothing can be missing at its end.
    pub closed: bool,
}

enum Step {
    Advanced(usize),
    Hungry,
    Finished,
}

impl Documents {
    /// A walk that has not started.
    #[must_use]
    pub fn new(shape: PageShape) -> Self {
        Self {
            shape,
            at: At::Start,
            elements: Elements::Unknown,
            in_array: false,
            page_has_records: false,
            page_count: 0,
            totals: Vec::new(),
            records_count: 0,
            next_cursor: None,
            beside: Beside::default(),
            skip: Skip::default(),
        }
    }

    /// Passes on every record that is complete in the window.
    ///
    /// # Errors
    /// The stream is not such a document, or is truncated.
    pub fn advance(&mut self, window: &mut Window, record: &mut TakeRecord<'_>) -> Result<Progress, RecordsError> {
        let text = window.text()?;
        let mut used = 0;
        let result = loop {
            match self.step(&text[used..], window.ended, record) {
                Ok(Step::Advanced(count)) => used += count,
                Ok(Step::Finished) => break Ok(Progress::Done),
                Ok(Step::Hungry) if window.ended => {
                    let what = if self.at == At::Start { "empty" } else { "truncated" };
                    break Err(what.into());
                }
                Ok(Step::Hungry) => break Ok(Progress::NeedsMore),
                Err(what) => break Err(what),
            }
        };
        window.consume(used);
        result.map_err(|what| window.error(what))
    }

    /// The summary, once everything is read.
    #[must_use]
    pub fn finish(self) -> DocumentsRead {
        // A single page may be the first line of many, unless it announces a total.
        let alone = self.page_count == 1 && !self.totals.is_empty();
        let one_object = self.shape.documents == Shape::Wrapper;
        let closed = self.elements != Elements::Pages || self.in_array || alone || one_object;
        let (records_count, totals, next_cursor) = (self.records_count, self.totals, self.next_cursor);
        let more = self.beside.more_than(records_count);
        DocumentsRead { records_count, totals, next_cursor, more, closed }
    }

    /// The first total that was announced so far.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.totals.first().copied()
    }

    fn step(&mut self, text: &str, ended: bool, record: &mut TakeRecord<'_>) -> Result<Step, Cow<'static, str>> {
        if self.at == At::Skipped {
            let ends = self.skip.pass(text.as_bytes())?;
            if ends.is_some() {
                self.at = At::Page { first: false };
            }
            let count = ends.unwrap_or(text.len());
            return Ok(if count == 0 && ends.is_none() { Step::Hungry } else { Step::Advanced(count) });
        }
        // RFC 8259, section 8.1: a byte order mark may be ignored. An export's is passed over before it gets here.
        let marked = self.at == At::Start && self.shape.documents == Shape::OnePage;
        let unmarked = if marked { text.trim_start_matches('\u{feff}') } else { text };
        let rest = unmarked.trim_start_matches([' ', '\t', '\r', '\n']);
        let space = text.len() - rest.len();
        let Some(next) = rest.bytes().next() else {
            return Ok(if ended && self.at == At::Tail { Step::Finished } else { Step::Hungry });
        };
        let step = match self.at {
            At::Start => self.start(rest, next)?,
            At::Outer { first } => self.element(rest, next, first, record)?,
            At::Records { first } => self.page_record(rest, next, first, record)?,
            At::Page { first } => self.member(rest, next, first, ended)?,
            At::Skipped => Step::Hungry,
            At::Tail
                if next == b'{'
                    && self.elements == Elements::Pages
                    && !self.in_array
                    && self.shape.documents == Shape::ArrayOrPages =>
            {
                self.start(rest, next)?
            }
            At::Tail => return Err("trailing data after the end".into()),
        };
        Ok(match step {
            Step::Advanced(count) => Step::Advanced(space + count),
            Step::Hungry => Step::Hungry,
            Step::Finished => Step::Finished,
        })
    }

    fn start(&mut self, rest: &str, next: u8) -> Result<Step, Cow<'static, str>> {
        match next {
            b'[' if self.shape.documents != Shape::ArrayOrPages => {
                Err(format!("an array instead of an object with `{}`", self.shape.records).into())
            }
            b'[' => {
                self.in_array = true;
                self.at = At::Outer { first: true };
                Ok(Step::Advanced(1))
            }
            // Whether it is a page shows at its end: what stands before the records may be long.
            b'{' if self.shape.documents != Shape::ArrayOrPages => {
                self.elements = Elements::Pages;
                self.open_page();
                Ok(Step::Advanced(1))
            }
            b'{' => match looks_like(rest, &self.shape)? {
                Some(Elements::Pages) => {
                    self.elements = Elements::Pages;
                    self.open_page();
                    Ok(Step::Advanced(1))
                }
                Some(Elements::Records | Elements::Unknown) => Err("an object that is not a page".into()),
                None => Ok(Step::Hungry),
            },
            _ => Err("neither a JSON array nor a page".into()),
        }
    }

    fn open_page(&mut self) {
        self.page_count += 1;
        self.page_has_records = false;
        self.beside.next_page();
        self.at = At::Page { first: true };
    }

    fn element(
        &mut self,
        rest: &str,
        next: u8,
        first: bool,
        record: &mut TakeRecord<'_>,
    ) -> Result<Step, Cow<'static, str>> {
        if next == b']' {
            self.at = At::Tail;
            return Ok(Step::Advanced(1));
        }
        let Some((rest, skipped)) = after_comma(rest, next, first)? else { return Ok(Step::Hungry) };
        if self.elements == Elements::Unknown {
            match looks_like(rest, &self.shape)? {
                Some(elements) => self.elements = elements,
                None => return Ok(Step::Hungry),
            }
        }
        if self.elements == Elements::Pages {
            if !rest.starts_with('{') {
                return Err("an element that is not a page".into());
            }
            self.open_page();
            return Ok(Step::Advanced(skipped + 1));
        }
        let step = self.take_record(rest, skipped, record)?;
        if matches!(step, Step::Advanced(_)) {
            self.at = At::Outer { first: false };
        }
        Ok(step)
    }

    fn page_record(
        &mut self,
        rest: &str,
        next: u8,
        first: bool,
        record: &mut TakeRecord<'_>,
    ) -> Result<Step, Cow<'static, str>> {
        if next == b']' {
            self.at = At::Page { first: false };
            return Ok(Step::Advanced(1));
        }
        let Some((rest, skipped)) = after_comma(rest, next, first)? else { return Ok(Step::Hungry) };
        let step = self.take_record(rest, skipped, record)?;
        if matches!(step, Step::Advanced(_)) {
            self.at = At::Records { first: false };
        }
        Ok(step)
    }

    fn take_record(
        &mut self,
        rest: &str,
        skipped: usize,
        record: &mut TakeRecord<'_>,
    ) -> Result<Step, Cow<'static, str>> {
        if !rest.starts_with('{') {
            return Err("a record that is not an object".into());
        }
        match record(rest) {
            Ok(count) if count > super::RECORD_BYTES_MAX => Err(super::TOO_LONG.into()),
            Ok(count) => {
                self.records_count += 1;
                Ok(Step::Advanced(skipped + count))
            }
            Err(error) if error.is_eof() => Ok(Step::Hungry),
            Err(error) => Err(format!("record {}: {}", self.records_count + 1, json_fault(&error)).into()),
        }
    }

    fn member(&mut self, rest: &str, next: u8, first: bool, ended: bool) -> Result<Step, Cow<'static, str>> {
        if next == b'}' {
            let may_lack_records = self.shape.documents == Shape::OnePage && self.totals == [0];
            if !self.page_has_records && !may_lack_records {
                return Err(match self.shape.documents {
                    Shape::Wrapper => format!("an object without an array `{}`", self.shape.records).into(),
                    Shape::OnePage if self.totals.is_empty() => "an object that is not a page".into(),
                    Shape::ArrayOrPages | Shape::OnePage => format!("a page without `{}`", self.shape.records).into(),
                });
            }
            self.at = if self.in_array { At::Outer { first: false } } else { At::Tail };
            return Ok(Step::Advanced(1));
        }
        let Some((rest, skipped)) = after_comma(rest, next, first)? else { return Ok(Step::Hungry) };
        let Some((key, value)) = key_and_value(rest)? else { return Ok(Step::Hungry) };
        let before = skipped + (rest.len() - value.len());
        if self.shape.holds_records(&key) && value.starts_with('[') {
            if std::mem::replace(&mut self.page_has_records, true) {
                return Err(format!("a page with two `{}`", self.shape.records).into());
            }
            self.at = At::Records { first: true };
            return Ok(Step::Advanced(before + 1));
        }
        let count = if self.shape.holds_total(&key) {
            let Some((total, count)) = prefix::<u64>(value, ended, "a total that is not a number")? else {
                return Ok(Step::Hungry);
            };
            self.totals.push(total);
            count
        } else if self.shape.documents == Shape::OnePage && key.eq_ignore_ascii_case(NEXT_CURSOR) {
            let Some((cursor, count)) = prefix::<serde_json::Value>(value, ended, "not valid JSON")? else {
                return Ok(Step::Hungry);
            };
            self.next_cursor = cursor.as_str().filter(|cursor| !cursor.is_empty()).map(str::to_owned);
            if self.next_cursor.as_ref().is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX) {
                return Err("a cursor that is longer than 4 KiB".into());
            }
            count
        } else {
            let of_export = self.shape.documents != Shape::OnePage;
            let Some((_, count)) = prefix::<IgnoredAny>(value, ended, "not valid JSON")? else {
                if value.len() < STREAMED_FROM_BYTES || ended {
                    return Ok(Step::Hungry);
                }
                if of_export {
                    self.beside.note(&key, None);
                }
                (self.at, self.skip) = (At::Skipped, Skip::default());
                return Ok(Step::Advanced(before));
            };
            if of_export {
                self.beside.note(&key, Some(&value[..count]));
            }
            count
        };
        self.at = At::Page { first: false };
        Ok(Step::Advanced(before + count))
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::JUMPCLOUD_PAGE;
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct N {
        n: u32,
    }

    /// Feeds a text in pieces of `piece` bytes and renders what came out.
    fn read(text: &str, piece: usize) -> String {
        let mut window = Window::default();
        let mut documents = Documents::new(JUMPCLOUD_PAGE);
        let mut seen = Vec::new();
        let mut rest = text.as_bytes();
        loop {
            let count = piece.min(rest.len());
            window.spare().expect("room")[..count].copy_from_slice(&rest[..count]);
            window.filled(count);
            rest = &rest[count..];
            let mut record = |text: &str| {
                let mut values = serde_json::Deserializer::from_str(text).into_iter::<N>();
                let n = values.next().expect("not empty")?;
                seen.push(n.n);
                Ok(values.byte_offset())
            };
            match documents.advance(&mut window, &mut record) {
                Ok(Progress::NeedsMore) => {}
                Ok(Progress::Done) => break,
                Err(error) => return error.what.into_owned(),
            }
        }
        let read = documents.finish();
        format!("{seen:?} totals {:?} closed {}", read.totals, read.closed)
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        for piece in [1, 2, 3, 7, 4096] {
            assert_eq!(read(text, piece), expected, "{text} in pieces of {piece}");
        }
    }

    #[test]
    fn arrays_and_pages_are_cut_whatever_the_pieces() {
        check("[]", "[] totals [] closed true");
        check(" [ {\"n\":1} , {\"n\":2,\"x\":[{\"é\":\"\\\"}\"}]} ]\n", "[1, 2] totals [] closed true");
        check(r#"{"totalCount":2,"results":[{"n":1},{"n":2}]}"#, "[1, 2] totals [2] closed true");
        check(r#"{"next":"x","results":[{"n":1}],"totalCount":12}"#, "[1] totals [12] closed true");
        check(
            r#"[{"totalCount":2,"results":[{"n":1}]},{"results":[{"n":2}],"totalCount":2}]"#,
            "[1, 2] totals [2, 2] closed true",
        );
        check(
            "{\"totalCount\":2,\"results\":[{\"n\":1}]}\n{\"totalCount\":2,\"results\":[{\"n\":2}]}\n",
            "[1, 2] totals [2, 2] closed false",
        );
    }

    #[test]
    fn what_is_no_such_document_is_refused() {
        check("", "empty");
        check("  ", "empty");
        check("[{\"n\":1}", "truncated");
        check("[{\"n\":1},", "truncated");
        check("[{\"n\":1}{\"n\":2}]", "a comma is missing");
        check("[{\"n\":1},]", "a record that is not an object");
        check("[1,2]", "a record that is not an object");
        check("[{\"n\":1}] x", "trailing data after the end");
        check("[][]", "trailing data after the end");
        check("{\"n\":1}", "an object that is not a page");
        check("{\"totalCount\":1}", "a page without `results`");
        check("{\"totalCount\":\"1\",\"results\":[]}", "a total that is not a number");
        check("{\"results\":[],\"results\":[]}", "a page with two `results`");
        check("<html>", "neither a JSON array nor a page");
    }

    #[test]
    fn every_prefix_of_an_array_is_refused() {
        let whole = r#"[{"n":1},{"n":2}]"#;
        for cut in 0..whole.len() {
            let found = read(&whole[..cut], 5);
            assert!(found == "truncated" || found == "empty", "{cut}: {found}");
        }
    }
}
