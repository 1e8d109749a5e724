//! One reading of an export, block by block: decoded, cut into records, counted.

use super::blocks::blocks;
use super::census::{Census, Parsed};
use super::header::HeaderFault;
use super::refusal::Broken;
use super::utf16::Decoder;
use super::{Export, SourceError, csv, json};
use crate::model::{Format, clean};
use crate::records::{
    self, BLOCK_HEADROOM_BYTES, Documents, DocumentsRead, JUMPCLOUD_PAGE, More, PageShape, RecordsError, Window,
};

/// What records that are JSON objects begin with: nothing that they depend on.
const OBJECTS: &[u8] = b"{";

enum Walk<'l> {
    Documents(Documents),
    Lines,
    Rows(csv::Reader<'l>),
}

/// Why a parse ended early.
enum Stop {
    Unreadable(std::io::Error),
    Refused(SourceError),
}

impl From<std::io::Error> for Stop {
    fn from(cause: std::io::Error) -> Self {
        Self::Unreadable(cause)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Refused(error)
    }
}

/// Parses and counts the JSON object at the start of a text, and says how long it is.
fn parse_object(
    records: &mut json::Reader<'_>,
    census: &mut Census<'_>,
    text: &str,
) -> Result<usize, serde_json::Error> {
    records.statuses = census.is_silent();
    let (user, count) = records.parse(text)?;
    census.record(user, &text[..count], records.has_no_status);
    Ok(count)
}

impl Export {
    /// Parses the whole file.
    pub(super) fn parse(&mut self, census: &mut Census<'_>) -> Result<Parsed, SourceError> {
        self.rewind()?;
        let mut window = Window::of_blocks();
        let (mut walk, mut line_count, mut read_bytes) = (None, 0, 0);
        let (mut decoder, mut text) = (None, Vec::new());
        let mut records = json::Reader::new(&self.layout, &self.node);
        let digest = blocks(&self.file, self.opened.len(), |block, count| {
            self.go_on()?;
            let bytes = &block[BLOCK_HEADROOM_BYTES..BLOCK_HEADROOM_BYTES + count];
            if read_bytes == 0 {
                decoder = Decoder::of_mark(bytes);
            }
            read_bytes += count as u64;
            let emptied = match &mut decoder {
                None => window.exchange(block, count).map_err(|error| self.malformed(&error, Broken::Inside, None))?,
                Some(decoder) => {
                    text.resize(BLOCK_HEADROOM_BYTES, 0);
                    let broken = if bytes.is_empty() { Broken::AtTheEnd } else { Broken::Inside };
                    decoder.decode(bytes, &mut text).map_err(|what| self.misread(what, broken, None))?;
                    let length = text.len() - BLOCK_HEADROOM_BYTES;
                    if length == 0 && count > 0 {
                        return Ok(block);
                    }
                    let full = std::mem::take(&mut text);
                    text =
                        window.exchange(full, length).map_err(|error| self.malformed(&error, Broken::Inside, None))?;
                    block
                }
            };
            if walk.is_none() {
                window.skip_byte_order_mark();
            }
            let walk = match &mut walk {
                Some(walk) => walk,
                none => none.insert(self.begin(&window, read_bytes == 0, census)?),
            };
            let mut record = |text: &str| match census.known(text) {
                Some(count) => Ok(count),
                None => parse_object(&mut records, census, text),
            };
            let progress = match walk {
                Walk::Documents(documents) => documents.advance(&mut window, &mut record),
                Walk::Lines => records::lines(&mut window, &mut line_count, &mut record),
                Walk::Rows(reader) => records::rows(&mut window, &mut |text, ended| reader.rows(text, ended, census)),
            };
            progress.map_err(|error| self.not_walked(walk, &error, line_count))?;
            Ok::<_, Stop>(emptied)
        });
        let digest = digest.map_err(|stop| match stop {
            Stop::Unreadable(cause) => self.unreadable(cause),
            Stop::Refused(error) => error,
        })?;
        self.unchanged(read_bytes)?;
        let (mut status, mut lacking) = (records.status(), Vec::new());
        let closed = match walk {
            Some(Walk::Documents(documents)) => self.totals(&documents.finish())?,
            Some(Walk::Rows(reader)) => {
                if let Some(header) = reader.header() {
                    (status, lacking) = (header.status, header.lacking);
                }
                false
            }
            Some(Walk::Lines) | None => false,
        };
        Ok(Parsed { closed, digest, status, lacking })
    }

    /// Why the file cannot be read to its end.
    fn not_walked(&self, walk: &Walk<'_>, error: &RecordsError, line_count: u64) -> SourceError {
        match walk {
            Walk::Rows(csv::Reader { header_fault: Some(HeaderFault::Lacks(what)), .. }) => {
                self.misread(what, Broken::Header, None)
            }
            Walk::Rows(csv::Reader { header_fault: Some(HeaderFault::Doubled(what)), .. }) => self.refuse(
                what,
                "names of columns compare without letter case: have the export job write this one once; nothing was sent",
            ),
            Walk::Rows(_) => self.malformed(error, Broken::Row, None),
            Walk::Lines => self.malformed(error, Broken::Inside, Some(line_count)),
            Walk::Documents(_) => self.malformed(error, Broken::Inside, None),
        }
    }

    fn begin(&self, window: &Window, empty: bool, census: &mut Census<'_>) -> Result<Walk<'_>, SourceError> {
        if empty {
            return Err(
                self.refuse("it is empty", "an empty file is never taken for \"everybody left\"; nothing was sent")
            );
        }
        let shape = self.layout.records.as_deref().map_or(JUMPCLOUD_PAGE, PageShape::wrapper);
        let wrapped = self.layout.records.is_some();
        let walk = match self.layout.format {
            Format::Json => Walk::Documents(Documents::new(shape)),
            Format::Ndjson => Walk::Lines,
            Format::Csv => Walk::Rows(csv::Reader::new(&self.layout)),
            Format::Auto => match window.first_byte() {
                Some(b'[') => Walk::Documents(Documents::new(shape)),
                Some(b'{') if wrapped || window.begins_with_a_page(&shape) => Walk::Documents(Documents::new(shape)),
                Some(b'{') => Walk::Lines,
                Some(_) => Walk::Rows(csv::Reader::new(&self.layout)),
                None => return Err(self.refuse("it contains only white space", "nothing was sent")),
            },
        };
        if !matches!(walk, Walk::Rows(_)) {
            census.begins(OBJECTS);
        }
        Ok(walk)
    }

    fn totals(&self, read: &DocumentsRead) -> Result<bool, SourceError> {
        if let Some(total) = read.totals.iter().find(|total| **total != read.records_count) {
            return Err(self.refuse(
                format!("declares {total} users but contains {}", read.records_count),
                "the export job was cut short; nothing was sent",
            ));
        }
        const PAGES: &str = "have the export job fetch all pages and write all users into one array; nothing was sent";
        let (what, hint) = match &read.more {
            None => return Ok(read.closed || !read.totals.is_empty()),
            Some(More::Error(name)) => {
                (format!("its `{}` says that it is not complete", clean(name)), "fix the export job; nothing was sent")
            }
            Some(More::Page(name)) => (format!("this is only one page of several (it has `{}`)", clean(name)), PAGES),
            Some(More::Total(total)) => {
                (format!("this is only one page of several: {} of {total} users are in it", read.records_count), PAGES)
            }
        };
        Err(self.refuse(what, hint))
    }
}
