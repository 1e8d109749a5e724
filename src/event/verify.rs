//! Whether a log is whole and unchanged: the chain of each line covers the line and everything before it.

use crate::model::hex;
use sha2::{Digest, Sha256};

/// The first thing that is wrong with a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaw {
    /// At which event.
    pub sequence: i64,
    /// In words.
    pub what: &'static str,
}

/// What stands before the first line of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Before {
    /// Nothing: it begins with the first event.
    Nothing,
    /// The chain of the event before, from the state.
    Known(String),
    /// Nobody knows: the first line is taken on trust.
    Trusted,
}

/// Verifies lines one by one. A repeated line is skipped where it is byte for byte the same.
#[derive(Debug, Default)]
pub struct Verifier {
    first: i64,
    /// The chain before the first line, and that of each line since; none where the first line is taken on trust.
    chains: Vec<Option<String>>,
}

impl Verifier {
    /// The sequence of a line, to ask the state for what stands before it.
    #[must_use]
    pub fn sequence_of(line: &str) -> Option<i64> {
        serde_json::from_str::<serde_json::Value>(line).ok()?.get("sequence")?.as_i64()
    }

    /// A verifier of a log whose first line has this sequence.
    #[must_use]
    pub fn begin(first: i64, before: Before) -> Self {
        let before = match before {
            Before::Nothing => Some(String::new()),
            Before::Known(chain) => Some(chain),
            Before::Trusted => None,
        };
        Self { first, chains: vec![before] }
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// It is no event, not the next one, or not what its chain says.
    pub fn take(&mut self, line: &str) -> Result<(), Flaw> {
        let next = self.first + self.chains.len() as i64 - 1;
        let flaw = |sequence, what| Flaw { sequence, what };
        let sequence = Self::sequence_of(line).ok_or_else(|| flaw(next, "a line that is no event"))?;
        let Some((body, chain)) = split(line) else { return Err(flaw(sequence, "a line without its chain")) };
        if sequence < self.first || sequence > next {
            return Err(flaw(next, "events are missing"));
        }
        let place = usize::try_from(sequence - self.first).unwrap_or(0);
        let fits = match &self.chains[place] {
            Some(before) => chained(before, &body) == chain,
            None => true,
        };
        if !fits {
            return Err(flaw(sequence, "the line is not what its chain says"));
        }
        match self.chains.get(place + 1) {
            None => self.chains.push(Some(chain.to_owned())),
            Some(known) if known.as_deref() == Some(chain) => {}
            Some(_) => return Err(flaw(sequence, "the event is repeated with another content")),
        }
        Ok(())
    }

    /// The last event's sequence and chain; none before the first.
    #[must_use]
    pub fn last(&self) -> Option<(i64, &str)> {
        let chain = self.chains[1..].last()?.as_deref()?;
        Some((self.first + self.chains.len() as i64 - 2, chain))
    }
}

/// The chain that a line carries, and the line without it.
fn split(line: &str) -> Option<(String, &str)> {
    let (body, rest) = line.rsplit_once(",\"chain\":\"")?;
    let chain = rest.strip_suffix("\"}")?;
    Some((format!("{body}}}"), chain))
}

/// The chain of a line behind another chain.
#[must_use]
pub(super) fn chained(before: &str, line: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(b"\n");
    hash.update(line.as_bytes());
    hex(&hash.finalize())
}

/// The chain that a line carries.
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
