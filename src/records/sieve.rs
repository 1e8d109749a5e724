//! Takes out of a SCIM list, as it streams, what nobody here needs: an account may carry a photo of any length, and that must
//! not make the list unreadable. What is left is JSON of the same shape.
//!
//! Of a value that is taken out only brackets and strings are checked; everything that is left is parsed as before.

use super::json_fault;
use std::borrow::Cow;

/// The longest name of a member that is looked at, in bytes as they are written; ours are shorter, even if every letter is
/// escaped.
const KEY_BYTES_MAX: usize = 256;
/// How deep a value that is taken out may be nested: as deep as serde_json reads.
const DEPTH_MAX: usize = 128;

/// An object or array of the list whose members or elements are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Level {
    Page,
    Records,
    Record,
    Name,
}

/// What becomes of a member's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keep {
    Nothing,
    /// Unless it is an object or an array.
    Scalar,
    /// If it opens with this bracket.
    Open(u8, Level),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// Before the page.
    Start,
    /// Between the parts of an object or array that is looked at.
    Between,
    /// In the name of a member.
    Key { escaped: bool },
    /// Before a member's value.
    Value(Keep),
    /// In a string that is kept.
    Text { escaped: bool },
    /// In a string of a value that is taken out.
    SkippedText { escaped: bool },
    /// In a value that is taken out.
    Skipped,
    /// After the page, or in what is not one.
    Tail,
}

/// A sieve for one list.
#[derive(Debug)]
pub struct Sieve {
    mode: Mode,
    levels: Vec<Level>,
    key_is_next: bool,
    key: Vec<u8>,
    /// The closing brackets that a value that is taken out still needs.
    open: Vec<u8>,
}

impl Default for Sieve {
    fn default() -> Self {
        Self { mode: Mode::Start, levels: Vec::new(), key_is_next: false, key: Vec::new(), open: Vec::new() }
    }
}

impl Sieve {
    /// Appends what is needed of the next bytes of a list.
    ///
    /// # Errors
    /// What is taken out is not JSON.
    pub fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Cow<'static, str>> {
        while let Some(&byte) = bytes.first() {
            let used = match self.mode {
                Mode::Text { escaped } => {
                    let (count, mode) = text(bytes, escaped, Mode::Between, |escaped| Mode::Text { escaped });
                    out.extend_from_slice(&bytes[..count]);
                    self.mode = mode;
                    count
                }
                Mode::SkippedText { escaped } => {
                    let after = if self.open.is_empty() { Mode::Between } else { Mode::Skipped };
                    let (count, mode) = text(bytes, escaped, after, |escaped| Mode::SkippedText { escaped });
                    self.mode = mode;
                    count
                }
                Mode::Key { escaped } => self.key(byte, escaped, out)?,
                Mode::Value(keep) => self.value(byte, keep, out)?,
                Mode::Skipped => self.skipped(byte)?,
                Mode::Start => {
                    self.start(byte);
                    out.push(byte);
                    1
                }
                Mode::Between => {
                    self.between(byte, out);
                    1
                }
                Mode::Tail => {
                    out.extend_from_slice(bytes);
                    bytes.len()
                }
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    fn start(&mut self, byte: u8) {
        match byte {
            b'{' => self.enter(Level::Page),
            // White space, and the three bytes of a byte order mark.
            b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => {}
            _ => self.mode = Mode::Tail,
        }
    }

    fn enter(&mut self, level: Level) {
        self.levels.push(level);
        self.key_is_next = level != Level::Records;
        self.mode = Mode::Between;
    }

    fn between(&mut self, byte: u8, out: &mut Vec<u8>) {
        let in_records = self.levels.last() == Some(&Level::Records);
        match byte {
            b'"' if self.key_is_next => {
                self.key.clear();
                self.mode = Mode::Key { escaped: false };
                return;
            }
            b'"' => self.mode = Mode::Text { escaped: false },
            b'{' if in_records => self.enter(Level::Record),
            b',' => self.key_is_next = !in_records,
            b'}' | b']' => {
                self.levels.pop();
                self.key_is_next = false;
                if self.levels.is_empty() {
                    self.mode = Mode::Tail;
                }
            }
            _ => {}
        }
        out.push(byte);
    }

    fn key(&mut self, byte: u8, escaped: bool, out: &mut Vec<u8>) -> Result<usize, Cow<'static, str>> {
        if byte == b'"' && !escaped {
            let keep = self.keep()?;
            match keep {
                Keep::Nothing => out.extend_from_slice(b"\"\""),
                Keep::Scalar | Keep::Open(..) => {
                    out.push(b'"');
                    out.extend_from_slice(&self.key);
                    out.push(b'"');
                }
            }
            self.key_is_next = false;
            self.mode = Mode::Value(keep);
            return Ok(1);
        }
        if self.key.len() <= KEY_BYTES_MAX {
            self.key.push(byte);
        }
        self.mode = Mode::Key { escaped: byte == b'\\' && !escaped };
        Ok(1)
    }

    /// What becomes of the value of the member whose name was just read.
    fn keep(&self) -> Result<Keep, Cow<'static, str>> {
        if self.key.len() > KEY_BYTES_MAX {
            return Ok(Keep::Nothing);
        }
        let quoted = [b"\"", self.key.as_slice(), b"\""].concat();
        let name: Cow<'_, str> = match serde_json::from_slice::<String>(&quoted) {
            Ok(name) => name.to_ascii_lowercase().into(),
            Err(error) => return Err(json_fault(&error).into()),
        };
        Ok(match (self.levels.last(), &*name) {
            (Some(Level::Page), "resources") => Keep::Open(b'[', Level::Records),
            (Some(Level::Page), "totalresults" | "nextcursor")
            | (Some(Level::Record), "id" | "username" | "externalid" | "active")
            | (Some(Level::Name), "givenname" | "familyname") => Keep::Scalar,
            (Some(Level::Record), "name") => Keep::Open(b'{', Level::Name),
            (Some(Level::Page | Level::Records | Level::Record | Level::Name) | None, _) => Keep::Nothing,
        })
    }

    fn value(&mut self, byte: u8, keep: Keep, out: &mut Vec<u8>) -> Result<usize, Cow<'static, str>> {
        match (byte, keep) {
            (b' ' | b'\t' | b'\r' | b'\n' | b':', _) => {
                out.push(byte);
                return Ok(1);
            }
            (_, Keep::Open(bracket, level)) if byte == bracket => {
                out.push(byte);
                self.enter(level);
                return Ok(1);
            }
            (b'{' | b'[', _) | (_, Keep::Nothing | Keep::Open(..)) => {}
            (_, Keep::Scalar) => {
                out.push(byte);
                self.mode = if byte == b'"' { Mode::Text { escaped: false } } else { Mode::Between };
                return Ok(1);
            }
        }
        out.extend_from_slice(b"null");
        self.mode = Mode::Skipped;
        match byte {
            b',' | b'}' | b']' => Err("a value is missing".into()),
            _ => self.skipped(byte),
        }
    }

    /// One byte of a value that is taken out, which is not in a string.
    fn skipped(&mut self, byte: u8) -> Result<usize, Cow<'static, str>> {
        match byte {
            b'"' => self.mode = Mode::SkippedText { escaped: false },
            b'{' | b'[' if self.open.len() >= DEPTH_MAX => return Err("it is nested too deeply".into()),
            b'{' => self.open.push(b'}'),
            b'[' => self.open.push(b']'),
            b',' if self.open.is_empty() => {
                self.mode = Mode::Between;
                return Ok(0);
            }
            b'}' | b']' => match self.open.pop() {
                // It closes what the value stands in.
                None => {
                    self.mode = Mode::Between;
                    return Ok(0);
                }
                Some(expected) if expected != byte => return Err("not valid JSON".into()),
                Some(_) if self.open.is_empty() => self.mode = Mode::Between,
                Some(_) => {}
            },
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'-' | b'+' | b'.' => {}
            byte if byte.is_ascii_alphanumeric() => {}
            _ => return Err("not valid JSON".into()),
        }
        Ok(1)
    }
}

/// How many of these bytes belong to a string, and the mode after them.
fn text(bytes: &[u8], escaped: bool, after: Mode, within: impl Fn(bool) -> Mode) -> (usize, Mode) {
    if escaped {
        return (1, within(false));
    }
    match bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        None => (bytes.len(), within(false)),
        Some(at) if bytes[at] == b'"' => (at + 1, after),
        Some(at) => (at + 1, within(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sieve(text: &str, piece: usize) -> String {
        let (mut sieve, mut out) = (Sieve::default(), Vec::new());
        for bytes in text.as_bytes().chunks(piece) {
            if let Err(what) = sieve.pass(bytes, &mut out) {
                return what.into_owned();
            }
        }
        String::from_utf8(out).expect("UTF-8")
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        for piece in [1, 2, 3, 7, 4096] {
            assert_eq!(sieve(text, piece), expected, "{text} in pieces of {piece}");
        }
    }

    #[test]
    fn what_nobody_needs_is_taken_out_whatever_the_pieces() {
        check(
            r#"{"schemas":["a","}"],"totalResults": 2,"Resources":[{"id":"1","photos":[{"value":"\"]}"}],"x":-1.5e3,"active":true}]}"#,
            r#"{"":null,"totalResults": 2,"Resources":[{"id":"1","":null,"":null,"active":true}]}"#,
        );
        check(
            r#"{"RESOURCES":[{"name":{"formatted":"A B","givenname":"A"},"\u0069d":7,"Name":"x","userName":{"a":1}}],"nextCursor":"c"}"#,
            r#"{"RESOURCES":[{"name":{"":null,"givenname":"A"},"\u0069d":7,"Name":null,"userName":null}],"nextCursor":"c"}"#,
        );
        check(r#"{"a" : "b" , "Resources" : [ ] } "#, r#"{"" : null , "Resources" : [ ] } "#);
        check(r#"{"a":true}"#, r#"{"":null}"#);
        check("\u{feff} {\"Resources\":[]}", "\u{feff} {\"Resources\":[]}");
        let long_key = "k".repeat(100_000);
        check(&format!(r#"{{"{long_key}":"{long_key}","totalResults":0}}"#), r#"{"":null,"totalResults":0}"#);
    }

    #[test]
    fn what_is_not_json_stays_so() {
        for text in ["<html>", "[1,2]", "{", r#"{"Resources":[1,"{"]}"#, r#"{"Resources":[{"id":}]}"#, "{} x"] {
            check(text, text);
        }
        check(r#"{"a":[}"#, "not valid JSON");
        check(r#"{"a":,"b":1}"#, "a value is missing");
        check(r#"{"a":<}"#, "not valid JSON");
        check("{\"a\\x\":1}", "not valid JSON");
        check(&format!(r#"{{"a":{}"#, "[".repeat(200)), "it is nested too deeply");
    }

    #[test]
    fn every_prefix_of_a_list_is_a_prefix_of_what_is_left() {
        let whole = r#"{"a":{"b":[1,"x"]},"Resources":[{"id":"é","photos":[{}]}],"totalResults":1}"#;
        let left = sieve(whole, 4096);
        for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
            assert!(left.starts_with(&sieve(&whole[..cut], 5)), "{cut}");
        }
    }
}
