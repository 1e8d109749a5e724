//! Cuts records out of a byte stream: an export file, or a SCIM list as it arrives. PURE.
//!
//! A [`Window`] holds what has arrived and is not used yet, filled in place or block by block. [`Documents`] walks JSON
//! arrays and pages, [`lines`] walks NDJSON. Both call back for each record with the text from its first byte on, and
//! learn how long the record was: serde_json thus parses each byte once, and only the window is held. Before a SCIM list
//! goes a [`Sieve`], because an account may hold more than the window. What a record means is up to the caller.

mod beside;
mod documents;
mod marks;
mod page;
mod parts;
mod sieve;
mod skip;

pub use beside::More;
pub use documents::{Documents, DocumentsRead};
pub use page::{JUMPCLOUD_PAGE, PageShape, SCIM_LIST, Shape};
pub use sieve::Sieve;

use std::borrow::Cow;

/// The longest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Free bytes at the start of a block: the rest of the previous block is copied there.
pub const BLOCK_HEADROOM_BYTES: usize = RECORD_BYTES_MAX;

/// Size of a block: its free start, plus what is read at a time, which fits into a core's own cache.
pub const BLOCK_BYTES: usize = BLOCK_HEADROOM_BYTES + (1 << 19);

/// A new, empty block.
#[must_use]
pub fn new_block() -> Vec<u8> {
    vec![0; BLOCK_BYTES]
}

const TOO_LONG: &str = "a record is longer than 1 MiB";

/// Why a stream was refused. The text never repeats the stream's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct RecordsError {
    /// What is wrong.
    pub what: Cow<'static, str>,
    /// Offset in the stream, in bytes.
    pub offset: u64,
    /// Whether the stream ended where it may not: whoever wrote it was probably cut short.
    pub at_end: bool,
}

/// What has arrived and is not used yet.
#[derive(Debug)]
pub struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self { buffer: vec![0; RECORD_BYTES_MAX], start: 0, end: 0, offset: 0, ended: false }
    }
}

impl Window {
    /// A window that is filled with [`Window::exchange`].
    #[must_use]
    pub fn of_blocks() -> Self {
        Self { buffer: new_block(), ..Self::default() }
    }

    /// Room for more bytes; fill a part of it, then call [`Window::filled`].
    ///
    /// # Errors
    /// The window is full: one record is longer than the window.
    pub fn spare(&mut self) -> Result<&mut [u8], RecordsError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            return Err(self.error(TOO_LONG));
        }
        Ok(&mut self.buffer[self.end..])
    }

    /// Tells how many bytes of the room were filled; 0 means that the stream has ended.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        self.ended = count == 0;
    }

    /// Takes a block in which `count` bytes from [`BLOCK_HEADROOM_BYTES`] on were filled; 0 means that the stream has
    /// ended. Returns the previous block for reuse.
    ///
    /// # Errors
    /// The unused rest does not fit in front: one record is longer than the limit.
    pub fn exchange(&mut self, mut block: Vec<u8>, count: usize) -> Result<Vec<u8>, RecordsError> {
        let left = self.end - self.start;
        let Some(start) = BLOCK_HEADROOM_BYTES.checked_sub(left) else { return Err(self.error(TOO_LONG)) };
        block[start..BLOCK_HEADROOM_BYTES].copy_from_slice(&self.buffer[self.start..self.end]);
        (self.start, self.end) = (start, BLOCK_HEADROOM_BYTES + count);
        self.ended = count == 0;
        Ok(std::mem::replace(&mut self.buffer, block))
    }

    /// Skips a byte order mark at the start of the stream; some programs write two.
    pub fn skip_byte_order_mark(&mut self) {
        while self.buffer[self.start..self.end].starts_with(b"\xef\xbb\xbf") {
            self.consume(3);
        }
    }

    /// The first byte that is not white space.
    #[must_use]
    pub fn first_byte(&self) -> Option<u8> {
        self.buffer[self.start..self.end].iter().copied().find(|byte| !byte.is_ascii_whitespace())
    }

    /// Whether the text so far begins with a page.
    #[must_use]
    pub fn begins_with_a_page(&self, shape: &PageShape) -> bool {
        let text = self.text().unwrap_or_default().trim_start();
        shape.opens(text)
    }

    /// Everything in the window as text; a character cut at the end waits for its remaining bytes.
    fn text(&self) -> Result<&str, RecordsError> {
        let bytes = &self.buffer[self.start..self.end];
        if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
            return Ok(text);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) if error.error_len().is_none() && !self.ended => {
                Ok(std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default())
            }
            Err(error) => Err(RecordsError {
                what: "not UTF-8".into(),
                offset: self.offset + error.valid_up_to() as u64,
                at_end: error.error_len().is_none(),
            }),
        }
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    fn error(&self, what: impl Into<Cow<'static, str>>) -> RecordsError {
        RecordsError { what: what.into(), offset: self.offset, at_end: self.ended }
    }
}

/// Whether more is to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Fill the window and call again.
    NeedsMore,
    /// The stream ended at a valid point.
    Done,
}

/// Parses one record at the start of a text and returns its length in bytes. It must act only on a complete record:
/// after an error of kind "end of file" it is called again with more text.
pub type TakeRecord<'a> = dyn FnMut(&str) -> Result<usize, serde_json::Error> + 'a;

/// Parses all complete rows of a text; the flag says whether more text will come. Returns how many bytes it used, and
/// the error after them, if any.
pub type ParseRows<'a> = dyn FnMut(&str, bool) -> (usize, Result<(), Cow<'static, str>>) + 'a;

/// Passes on every complete line of the window that is not blank. The last line must end with a newline.
///
/// # Errors
/// A line is not a record, or the last one has no newline.
pub fn lines(window: &mut Window, line_count: &mut u64, record: &mut TakeRecord<'_>) -> Result<Progress, RecordsError> {
    let text = window.text()?;
    let mut used = 0;
    let mut fault: Option<Cow<'static, str>> = None;
    while let Some(length) = text[used..].find('\n') {
        let line = text[used..used + length].trim_matches([' ', '\t', '\r']);
        *line_count += 1;
        if length > RECORD_BYTES_MAX {
            fault = Some(TOO_LONG.into());
        } else if !line.is_empty() {
            match record(line) {
                Ok(count) if line[count..].trim().is_empty() => {}
                Ok(_) => fault = Some(format!("line {line_count}: trailing data after the record").into()),
                Err(error) => fault = Some(format!("line {line_count}: {}", json_fault(&error)).into()),
            }
        }
        if fault.is_some() {
            break;
        }
        used += length + 1;
    }
    let left = used < text.len();
    window.consume(used);
    match fault {
        Some(what) => Err(window.error(what)),
        None if window.ended && left => Err(window.error("the last line has no newline")),
        None if window.ended => Ok(Progress::Done),
        None => Ok(Progress::NeedsMore),
    }
}

/// Calls a parser with all the text there is, for formats other than JSON.
///
/// # Errors
/// The parser's error, at the position that it returned.
pub fn rows(window: &mut Window, parse: &mut ParseRows<'_>) -> Result<Progress, RecordsError> {
    let ended = window.ended;
    let (used, result) = parse(window.text()?, ended);
    window.consume(used);
    result.map_err(|what| window.error(what))?;
    Ok(if ended { Progress::Done } else { Progress::NeedsMore })
}

/// Names the fault of a JSON text without quoting it: serde_json repeats values, and they may be personal.
#[must_use]
pub fn json_fault(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "truncated",
        serde_json::error::Category::Syntax => "not valid JSON",
        serde_json::error::Category::Data if error.to_string().starts_with("doubled key") => "duplicate key",
        serde_json::error::Category::Data | serde_json::error::Category::Io => "not of the expected shape",
    }
}
