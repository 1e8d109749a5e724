//! Passes over a JSON value as it streams, whatever its length: nothing of it is kept. Of what is passed over only brackets
//! and strings are checked, and how deep it is nested.

use std::borrow::Cow;

/// How deep a value that is passed over may be nested: as deep as serde_json reads.
const DEPTH_MAX: usize = 128;

/// A value of which a part was passed over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Skip {
    /// The closing brackets that it still needs.
    open: Vec<u8>,
    text: Text,
}

/// Where it stands to a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

impl Skip {
    /// Passes over the next bytes. Returns how many of them belong to the value if it ends here; `None` if all do.
    ///
    /// # Errors
    /// It is not JSON, or is nested too deeply.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<Option<usize>, Cow<'static, str>> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.text {
                Text::Escaped => {
                    self.text = Text::Inside;
                    at += 1;
                }
                Text::Inside => {
                    let end = bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'));
                    let Some(end) = end.map(|end| at + end) else { return Ok(None) };
                    self.text = if bytes[end] == b'"' { Text::Outside } else { Text::Escaped };
                    at = end + 1;
                    if self.text == Text::Outside && self.open.is_empty() {
                        return Ok(Some(at));
                    }
                }
                Text::Outside => match self.outside(byte)? {
                    Step::Goes => at += 1,
                    Step::EndsBehind => return Ok(Some(at + 1)),
                    Step::EndsBefore => return Ok(Some(at)),
                },
            }
        }
        Ok(None)
    }

    fn outside(&mut self, byte: u8) -> Result<Step, Cow<'static, str>> {
        match byte {
            b'"' => self.text = Text::Inside,
            b'{' | b'[' if self.open.len() >= DEPTH_MAX => return Err("it is nested too deeply".into()),
            b'{' => self.open.push(b'}'),
            b'[' => self.open.push(b']'),
            b',' if self.open.is_empty() => return Ok(Step::EndsBefore),
            b'}' | b']' => match self.open.pop() {
                // It closes what the value stands in.
                None => return Ok(Step::EndsBefore),
                Some(expected) if expected != byte => return Err("not valid JSON".into()),
                Some(_) if self.open.is_empty() => return Ok(Step::EndsBehind),
                Some(_) => {}
            },
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'-' | b'+' | b'.' => {}
            byte if byte.is_ascii_alphanumeric() => {}
            _ => return Err("not valid JSON".into()),
        }
        Ok(Step::Goes)
    }
}

enum Step {
    Goes,
    EndsBehind,
    EndsBefore,
}
