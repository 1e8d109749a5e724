//! Cuts records out of a byte stream, whatever carries it: an export file or a SCIM list as it arrives. PURE.
//!
//! A [`Window`] holds what has arrived and is not yet used, filled in place or block by block; [`Documents`] walks through
//! JSON arrays and pages, [`lines`] through NDJSON. Both call back for each record with the text from its first byte on, and are told
//! how much of it the record was: so serde_json parses each byte once, and nothing is held but the window
//! (the figures are in the benchmark). What a record means is left to the caller.

mod documents;

pub use documents::{Documents, DocumentsRead, JUMPCLOUD_PAGE, PageShape, SCIM_LIST, Shape};

use std::borrow::Cow;

/// The longest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// So many bytes at the start of a block are left free: the rest of the block before it is laid there.
pub const BLOCK_HEADROOM_BYTES: usize = RECORD_BYTES_MAX;

/// The length of a block: its free start, and what is read at a time, which fits a core's own cache.
pub const BLOCK_BYTES: usize = BLOCK_HEADROOM_BYTES + (1 << 19);

/// A block that nothing was read into yet.
#[must_use]
pub fn new_block() -> Vec<u8> {
    vec![0; BLOCK_BYTES]
}

const TOO_LONG: &str = "a record is longer than 1 MiB";

/// Why a stream was refused. The text never repeats what the stream held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct RecordsError {
    /// What is wrong.
    pub what: Cow<'static, str>,
    /// Where, counted from the start of the stream.
    pub offset: u64,
}

/// What has arrived and is not yet used.
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
    /// A window that is filled by [`Window::exchange`].
    #[must_use]
    pub fn of_blocks() -> Self {
        Self { buffer: new_block(), ..Self::default() }
    }

    /// The room for more bytes; fill some of it, then call [`Window::filled`].
    ///
    /// # Errors
    /// No room is left: one record is longer than the window.
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

    /// So many bytes of the room were filled; none means that the stream ended.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        self.ended = count == 0;
    }

    /// Takes a block whose bytes from [`BLOCK_HEADROOM_BYTES`] on were filled, `count` of them; none means that the stream
    /// ended. Hands back the block before it, to be filled again.
    ///
    /// # Errors
    /// What is not yet used has no room before it: one record is longer than it may be.
    pub fn exchange(&mut self, mut block: Vec<u8>, count: usize) -> Result<Vec<u8>, RecordsError> {
        let left = self.end - self.start;
        let Some(start) = BLOCK_HEADROOM_BYTES.checked_sub(left) else { return Err(self.error(TOO_LONG)) };
        block[start..BLOCK_HEADROOM_BYTES].copy_from_slice(&self.buffer[self.start..self.end]);
        (self.start, self.end) = (start, BLOCK_HEADROOM_BYTES + count);
        self.ended = count == 0;
        Ok(std::mem::replace(&mut self.buffer, block))
    }

    /// Passes over a byte order mark at the start of the stream.
    pub fn skip_byte_order_mark(&mut self) {
        if self.buffer[self.start..self.end].starts_with(b"\xef\xbb\xbf") {
            self.take(3);
        }
    }

    /// The first byte that is no white space.
    #[must_use]
    pub fn first_byte(&self) -> Option<u8> {
        self.buffer[self.start..self.end].iter().copied().find(|byte| !byte.is_ascii_whitespace())
    }

    /// Whether a page opens what has arrived so far.
    #[must_use]
    pub fn begins_with_a_page(&self, shape: &PageShape) -> bool {
        let text = self.text().unwrap_or_default().trim_start();
        documents::opens_a_page(text, shape)
    }

    /// Everything that is here, as text; a character cut at the end waits for its rest.
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
            Err(error) => {
                Err(RecordsError { what: "not UTF-8".into(), offset: self.offset + error.valid_up_to() as u64 })
            }
        }
    }

    fn take(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    fn error(&self, what: impl Into<Cow<'static, str>>) -> RecordsError {
        RecordsError { what: what.into(), offset: self.offset }
    }
}

/// Whether there is more to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Fill the window and call again.
    NeedsMore,
    /// The stream ended where it may end.
    Done,
}

/// Parses one record from the start of a text and says how many bytes it was. It acts only once it has the whole
/// record: on an error of kind "end of file" it is called again with more text.
pub type TakeRecord<'a> = dyn FnMut(&str) -> Result<usize, serde_json::Error> + 'a;

/// Parses as many rows as a text holds whole, told whether more will come: how many bytes it used, and what was wrong
/// after them.
pub type ParseRows<'a> = dyn FnMut(&str, bool) -> (usize, Result<(), Cow<'static, str>>) + 'a;

/// Hands on every whole line of the window that is not blank. The last line must have its line end.
///
/// # Errors
/// A line is no record, or the last one has no line end.
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
                Ok(_) => fault = Some(format!("line {line_count}: something follows the record").into()),
                Err(error) => fault = Some(format!("line {line_count}: {}", json_fault(&error)).into()),
            }
        }
        if fault.is_some() {
            break;
        }
        used += length + 1;
    }
    let left = used < text.len();
    window.take(used);
    match fault {
        Some(what) => Err(window.error(what)),
        None if window.ended && left => Err(window.error("the last line has no line end")),
        None if window.ended => Ok(Progress::Done),
        None => Ok(Progress::NeedsMore),
    }
}

/// Calls a parser with as much text as there is, for formats that are not JSON.
///
/// # Errors
/// Those of the parser, which says how many bytes it used and what was wrong after them.
pub fn rows(window: &mut Window, parse: &mut ParseRows<'_>) -> Result<Progress, RecordsError> {
    let ended = window.ended;
    let (used, result) = parse(window.text()?, ended);
    window.take(used);
    result.map_err(|what| window.error(what))?;
    Ok(if ended { Progress::Done } else { Progress::NeedsMore })
}

/// The fault of a JSON text without the text: serde_json repeats values of a wrong type, and they may be a person's.
#[must_use]
pub fn json_fault(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "it ends in the middle",
        serde_json::error::Category::Syntax => "no valid JSON",
        serde_json::error::Category::Data if error.to_string().starts_with("doubled key") => {
            "a key twice in one object"
        }
        serde_json::error::Category::Data | serde_json::error::Category::Io => "not of the expected shape",
    }
}
