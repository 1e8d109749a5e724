//! Whether a log is complete and unchanged: each line's chain covers that line and everything before it, and a seal covers the
//! chain. What the lines are compared with beside that is up to the caller.

use super::approved::Given;
use super::chain::{SealKey, chained};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fmt;

/// A sink repeats at most what it had not noted as delivered; so many lines are remembered to recognise a repetition.
const REMEMBERED_MAX: usize = 1_000_000;

/// No event has a number from here on: JSON readers lose digits of a larger one.
pub const SEQUENCE_END: i64 = 1 << 53;

/// What is wrong with an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlawKind {
    /// Not JSON, or without a sequence.
    NotAnEvent,
    /// A sequence that no event has.
    NoSequence,
    /// No chain at its end.
    NoChain,
    /// The chain does not cover the line and what was before it.
    Chain,
    /// It should stand here, and does not.
    Missing,
    /// It comes again with other bytes.
    Repeated,
    /// A line that is too long for an event.
    TooLong,
    /// The file ends within the line.
    Torn,
    /// The state has another event of this number.
    Rewritten,
    /// The state's log ends before it.
    BeyondHead,
    /// The end is missing.
    CutOff,
    /// The head of the log is another one.
    Head,
    /// The lock file remembers another event.
    LockNote,
    /// A sink has events that the state lacks.
    SinkAhead,
    /// Events are there that were pruned, or are missing and were not.
    PruneMark,
    /// No seal, although the event before it has one, or no event has one.
    Unsealed,
    /// The seal was not made with this key.
    Seal,
    /// It names an approval that no event before it gave.
    Unapproved,
    /// Not the event that was named as the head.
    Anchor,
    /// The log does not reach the event that was named as the head.
    AnchorMissing,
    /// The log begins after the event that was named as the head.
    AnchorBefore,
    /// The file of the sink is missing.
    NoFile,
}

impl FlawKind {
    const fn words(self) -> &'static str {
        match self {
            Self::NotAnEvent => "the line is not an event",
            Self::NoSequence => "the line has a sequence that is not valid",
            Self::NoChain => "the line has no chain",
            Self::Chain => "the line does not match its chain",
            Self::Missing => "events are missing",
            Self::Repeated => "the event is repeated with different content",
            Self::TooLong => "the line is longer than an event can be",
            Self::Torn => "the line is torn",
            Self::Rewritten => "the log was rewritten: the state has a different event here",
            Self::BeyondHead => "the log was continued by somebody else: the state's log ends before it",
            Self::CutOff => "its end is cut off",
            Self::Head => "the head of the log is a different event",
            Self::LockNote => "the lock file names a different event, or a later one",
            Self::SinkAhead => "a sink has it, and the state does not",
            Self::PruneMark => "the mark of what was pruned does not match",
            Self::Unsealed => "the line has no seal",
            Self::Seal => "the seal was not made with this key",
            Self::Unapproved => "it names an approval that no event before it gave",
            Self::Anchor => "it is not the event that was named as the head",
            Self::AnchorMissing => "the log does not reach the event that was named as the head",
            Self::AnchorBefore => "the log begins after the event that was named as the head",
            Self::NoFile => "the file is missing, and events were delivered to it",
        }
    }
}

impl fmt::Display for FlawKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// The first flaw of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flaw {
    /// Sequence of the event.
    pub sequence: i64,
    /// What is wrong.
    pub what: FlawKind,
}

/// What precedes the first line of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChainStart {
    /// Nothing: the log starts with the first event.
    Nothing,
    /// The chain of the previous event, from the state.
    Known(String),
    /// Unknown: the first line is taken on trust.
    Trusted,
}

impl ChainStart {
    fn chain(self) -> Option<String> {
        match self {
            Self::Nothing => Some(String::new()),
            Self::Known(chain) => Some(chain),
            Self::Trusted => None,
        }
    }
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The next event.
    Next(i64),
    /// A repetition, byte for byte.
    Again(i64),
}

/// Verifies a log line by line. A repeated line is skipped if it is identical.
pub struct Verifier {
    next: i64,
    /// The chain of the event before the next one; `None`: the next line is taken on trust.
    before: Option<String>,
    /// Hashes of the last lines.
    lines: VecDeque<[u8; 32]>,
    key: Option<SealKey>,
    sealed_from: Option<i64>,
    given: Given,
}

impl Verifier {
    /// A line's sequence, to ask the state for the chain before it.
    #[must_use]
    pub fn sequence_of(line: &str) -> Option<i64> {
        /// Nothing else of it is kept: a line that somebody else wrote may hold anything.
        #[derive(serde::Deserialize)]
        struct Numbered {
            sequence: i64,
        }
        serde_json::from_str::<Numbered>(line).ok().map(|event| event.sequence)
    }

    /// Starts at a line with this sequence.
    #[must_use]
    pub fn begin(first: i64, before: ChainStart) -> Self {
        let given = Given::begin(before == ChainStart::Nothing);
        Self { next: first, before: before.chain(), lines: VecDeque::new(), key: None, sealed_from: None, given }
    }

    /// Also verifies the seals.
    #[must_use]
    pub fn with_key(self, key: Option<SealKey>) -> Self {
        Self { key, ..self }
    }

    /// Goes on behind a hole whose reason is known.
    pub fn go_on_at(&mut self, next: i64, before: ChainStart) {
        (self.next, self.before) = (next, before.chain());
        self.given.pass_hole();
        self.lines.clear();
    }

    /// The sequence of the next event.
    #[must_use]
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Verifies the next line.
    ///
    /// # Errors
    /// It is not an event, not the next one, or does not match its chain or seal.
    pub fn verify(&mut self, line: &str) -> Result<Step, Flaw> {
        let flaw = |sequence, what| Err(Flaw { sequence, what });
        let Some(sequence) = Self::sequence_of(line) else { return flaw(self.next, FlawKind::NotAnEvent) };
        if !(1..SEQUENCE_END).contains(&sequence) {
            return flaw(self.next, FlawKind::NoSequence);
        }
        let Some(Parts { body, chain, seal }) = split(line) else { return flaw(sequence, FlawKind::NoChain) };
        let hash: [u8; 32] = Sha256::digest(line.as_bytes()).into();
        if sequence < self.next {
            let back = usize::try_from(self.next - sequence).unwrap_or(usize::MAX);
            let known = self.lines.len().checked_sub(back).and_then(|place| self.lines.get(place));
            return match known {
                Some(known) if *known == hash => Ok(Step::Again(sequence)),
                Some(_) | None => flaw(sequence, FlawKind::Repeated),
            };
        }
        if sequence > self.next {
            return flaw(self.next, FlawKind::Missing);
        }
        if self.before.as_ref().is_some_and(|before| chained(before, &body) != chain) {
            return flaw(sequence, FlawKind::Chain);
        }
        self.verify_seal(sequence, chain, seal).map_err(|what| Flaw { sequence, what })?;
        if !self.given.take(line) {
            return flaw(sequence, FlawKind::Unapproved);
        }
        self.before = Some(chain.to_owned());
        self.next = sequence + 1;
        if self.lines.len() == REMEMBERED_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(hash);
        Ok(Step::Next(sequence))
    }

    /// Events of before the key have no seal; behind a sealed one all have.
    fn verify_seal(&mut self, sequence: i64, chain: &str, seal: Option<&str>) -> Result<(), FlawKind> {
        match (&self.key, seal) {
            (Some(key), Some(seal)) if key.seal_of(chain) != seal => return Err(FlawKind::Seal),
            (Some(_), None) if self.sealed_from.is_some() => return Err(FlawKind::Unsealed),
            (Some(_) | None, Some(_)) => drop(self.sealed_from.get_or_insert(sequence)),
            (Some(_) | None, None) => {}
        }
        Ok(())
    }

    /// How many changes name an approval that may have stood among missing events.
    #[must_use]
    pub fn unproven_approvals_count(&self) -> u64 {
        self.given.unproven_count()
    }

    /// The first event with a seal.
    #[must_use]
    pub fn sealed_from(&self) -> Option<i64> {
        self.sealed_from
    }

    /// The last event's sequence and chain; `None` before the first.
    #[must_use]
    pub fn last(&self) -> Option<(i64, &str)> {
        if self.lines.is_empty() {
            return None;
        }
        Some((self.next - 1, self.before.as_deref()?))
    }
}

/// A line, cut at its chain.
struct Parts<'a> {
    /// The line without chain and seal.
    body: String,
    chain: &'a str,
    seal: Option<&'a str>,
}

fn split(line: &str) -> Option<Parts<'_>> {
    let (body, rest) = line.rsplit_once(",\"chain\":\"")?;
    let rest = rest.strip_suffix("\"}")?;
    let (chain, seal) = match rest.split_once("\",\"seal\":\"") {
        Some((chain, seal)) => (chain, Some(seal)),
        None => (rest, None),
    };
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_digest(chain) && seal.is_none_or(is_digest)).then(|| Parts { body: format!("{body}}}"), chain, seal })
}

/// A line's chain.
#[must_use]
pub fn chain_of(line: &str) -> Option<&str> {
    split(line).map(|parts| parts.chain)
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

    fn verify(lines: &[String], before: ChainStart) -> Result<i64, i64> {
        let first = lines.first().and_then(|line| Verifier::sequence_of(line)).unwrap_or(1);
        let mut verifier = Verifier::begin(first, before);
        lines.iter().try_for_each(|line| verifier.verify(line).map(|_| ())).map_err(|flaw| flaw.sequence)?;
        Ok(verifier.last().map_or(0, |(sequence, _)| sequence))
    }

    #[test]
    fn every_change_of_any_byte_is_found_at_its_event() {
        let whole = log(6);
        assert_eq!(verify(&whole, ChainStart::Nothing), Ok(6));
        for (place, line) in whole.iter().enumerate() {
            for at in 0..line.len() {
                let mut bytes = line.clone().into_bytes();
                bytes[at] ^= 1;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let mut lines = whole.clone();
                lines[place] = changed;
                let found = verify(&lines, ChainStart::Nothing);
                assert!(found.is_err(), "line {place}, byte {at}");
            }
        }
    }

    #[test]
    fn missing_moved_and_repeated_lines_are_told_apart() {
        let whole = log(6);
        let of = |places: &[usize]| places.iter().map(|place| whole[*place].clone()).collect::<Vec<_>>();
        assert_eq!(verify(&of(&[0, 1, 3]), ChainStart::Nothing), Err(3), "one is missing");
        assert_eq!(verify(&of(&[0, 2, 1]), ChainStart::Nothing), Err(2), "two are swapped");
        assert_eq!(verify(&of(&[0, 1, 2, 1, 2, 3]), ChainStart::Nothing), Ok(4), "repeated to the byte");
        let mut forged = of(&[0, 1, 2]);
        forged.push(whole[1].replace("14", "15"));
        assert_eq!(verify(&forged, ChainStart::Nothing), Err(2), "repeated with another content");
        let chain = chain_of(&whole[2]).expect("a chain").to_owned();
        assert_eq!(verify(&of(&[3, 4]), ChainStart::Known(chain)), Ok(5));
        assert_eq!(verify(&of(&[3, 4]), ChainStart::Known("0".to_owned())), Err(4));
        assert_eq!(verify(&of(&[3, 4]), ChainStart::Trusted), Ok(5));
    }

    #[test]
    fn a_sequence_that_no_event_has_is_a_flaw_and_no_panic() {
        for sequence in ["9223372036854775807", "9007199254740992", "0", "-5", "1.5", "\"1\""] {
            let body = format!("{{\"sequence\":{sequence}}}");
            let line = format!("{},\"chain\":\"{}\"}}", &body[..body.len() - 1], chained("", &body));
            let flaw = Verifier::begin(1, ChainStart::Nothing).verify(&line).expect_err(sequence);
            assert_eq!(flaw.sequence, 1, "{sequence}");
        }
    }

    #[test]
    fn a_seal_is_verified_with_the_key_and_cannot_be_left_out() {
        let key = SealKey::new("k");
        let sealed: Vec<_> = log(4)
            .into_iter()
            .map(|line| {
                let seal = key.seal_of(chain_of(&line).expect("a chain"));
                format!("{},\"seal\":\"{seal}\"}}", &line[..line.len() - 1])
            })
            .collect();
        let verify = |lines: &[String], key: &str| {
            let mut verifier = Verifier::begin(1, ChainStart::Nothing).with_key(Some(SealKey::new(key)));
            lines
                .iter()
                .try_for_each(|line| verifier.verify(line).map(|_| ()))
                .map_err(|flaw| (flaw.sequence, flaw.what))?;
            Ok(verifier.sealed_from())
        };
        let plain = log(4);
        assert_eq!(verify(&sealed, "k"), Ok(Some(1)));
        assert_eq!(verify(&sealed, "other"), Err((1, FlawKind::Seal)));
        assert_eq!(verify(&plain, "k"), Ok(None), "said by the caller");
        let begun_later = [&plain[..2], &sealed[2..]].concat();
        assert_eq!(verify(&begun_later, "k"), Ok(Some(3)));
        let left_out = [&sealed[..2], &plain[2..]].concat();
        assert_eq!(verify(&left_out, "k"), Err((3, FlawKind::Unsealed)));
    }
}
