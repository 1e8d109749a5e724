//! Whether a log is complete and unchanged: each line's chain covers that line and everything before it.

use crate::model::hex;
use sha2::{Digest, Sha256};

/// The first flaw of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaw {
    /// Sequence of the event.
    pub sequence: i64,
    /// What is wrong.
    pub what: &'static str,
}

/// What precedes the first line of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Before {
    /// Nothing: the log starts with the first event.
    Nothing,
    /// The chain of the previous event, from the state.
    Known(String),
    /// Unknown: the first line is taken on trust.
    Trusted,
}

/// Verifies a log line by line. A repeated line is skipped if it is identical.
#[derive(Debug, Default)]
pub struct Verifier {
    first: i64,
    /// The chain before the first line, and that of each line since; `None` if the first line is taken on trust.
    chains: Vec<Option<String>>,
}

impl Verifier {
    /// A line's sequence, to ask the state for the chain before it.
    #[must_use]
    pub fn sequence_of(line: &str) -> Option<i64> {
        serde_json::from_str::<serde_json::Value>(line).ok()?.get("sequence")?.as_i64()
    }

    /// Starts at a line with this sequence.
    #[must_use]
    pub fn begin(first: i64, before: Before) -> Self {
        let before = match before {
            Before::Nothing => Some(String::new()),
            Before::Known(chain) => Some(chain),
            Before::Trusted => None,
        };
        Self { first, chains: vec![before] }
    }

    /// Verifies the next line.
    ///
    /// # Errors
    /// It is not an event, not the next one, or does not match its chain.
    pub fn take(&mut self, line: &str) -> Result<(), Flaw> {
        let next = self.first + self.chains.len() as i64 - 1;
        let flaw = |sequence, what| Flaw { sequence, what };
        let sequence = Self::sequence_of(line).ok_or_else(|| flaw(next, "the line is not an event"))?;
        let Some((body, chain)) = split(line) else { return Err(flaw(sequence, "the line has no chain")) };
        if sequence < self.first || sequence > next {
            return Err(flaw(next, "events are missing"));
        }
        let place = usize::try_from(sequence - self.first).unwrap_or(0);
        let fits = match &self.chains[place] {
            Some(before) => chained(before, &body) == chain,
            None => true,
        };
        if !fits {
            return Err(flaw(sequence, "the line does not match its chain"));
        }
        match self.chains.get(place + 1) {
            None => self.chains.push(Some(chain.to_owned())),
            Some(known) if known.as_deref() == Some(chain) => {}
            Some(_) => return Err(flaw(sequence, "the event is repeated with different content")),
        }
        Ok(())
    }

    /// The last event's sequence and chain; `None` before the first.
    #[must_use]
    pub fn last(&self) -> Option<(i64, &str)> {
        let chain = self.chains[1..].last()?.as_deref()?;
        Some((self.first + self.chains.len() as i64 - 2, chain))
    }
}

/// A line's chain, and the line without it.
fn split(line: &str) -> Option<(String, &str)> {
    let (body, rest) = line.rsplit_once(",\"chain\":\"")?;
    let chain = rest.strip_suffix("\"}")?;
    Some((format!("{body}}}"), chain))
}

/// The chain of a line that follows another chain.
#[must_use]
pub(super) fn chained(before: &str, line: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(b"\n");
    hash.update(line.as_bytes());
    hex(&hash.finalize())
}

/// A line's chain.
#[must_use]
pub fn chain_of(line: &str) -> Option<&str> {
    split(line).map(|(_, chain)| chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(count: i64) -> Vec<String> {
        let mut chain = String::new();
        (1..=count)
            .map(|sequence| {
                let body = format!("{{\"x\":\"{}\",\"sequence\":{sequence}}}", sequence * 7);
                chain = chained(&chain, &body);
                format!("{},\"chain\":\"{chain}\"}}", &body[..body.len() - 1])
            })
            .collect()
    }

    fn verify(lines: &[String], before: Before) -> Result<i64, i64> {
        let first = lines.first().and_then(|line| Verifier::sequence_of(line)).unwrap_or(1);
        let mut verifier = Verifier::begin(first, before);
        lines.iter().try_for_each(|line| verifier.take(line)).map_err(|flaw| flaw.sequence)?;
        Ok(verifier.last().map_or(0, |(sequence, _)| sequence))
    }

    #[test]
    fn every_change_of_any_byte_is_found_at_its_event() {
        let whole = log(6);
        assert_eq!(verify(&whole, Before::Nothing), Ok(6));
        for (place, line) in whole.iter().enumerate() {
            for at in 0..line.len() {
                let mut bytes = line.clone().into_bytes();
                bytes[at] ^= 1;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let mut lines = whole.clone();
                lines[place] = changed;
                let found = verify(&lines, Before::Nothing);
                assert!(found.is_err(), "line {place}, byte {at}");
            }
        }
    }

    #[test]
    fn missing_moved_and_repeated_lines_are_told_apart() {
        let whole = log(6);
        let of = |places: &[usize]| places.iter().map(|place| whole[*place].clone()).collect::<Vec<_>>();
        assert_eq!(verify(&of(&[0, 1, 3]), Before::Nothing), Err(3), "one is missing");
        assert_eq!(verify(&of(&[0, 2, 1]), Before::Nothing), Err(2), "two are swapped");
        assert_eq!(verify(&of(&[0, 1, 2, 1, 2, 3]), Before::Nothing), Ok(4), "repeated to the byte");
        let mut forged = of(&[0, 1, 2]);
        forged.push(whole[1].replace("14", "15"));
        assert_eq!(verify(&forged, Before::Nothing), Err(2), "repeated with another content");
        let chain = chain_of(&whole[2]).expect("a chain").to_owned();
        assert_eq!(verify(&of(&[3, 4]), Before::Known(chain)), Ok(5));
        assert_eq!(verify(&of(&[3, 4]), Before::Known("0".to_owned())), Err(4));
        assert_eq!(verify(&of(&[3, 4]), Before::Trusted), Ok(5));
    }
}
