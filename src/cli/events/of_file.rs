//! A file of events: its chain, and beside the state each line against the state's. A file that is missing, empty or begins later
//! is explained by the neighbour that rotation left, or it is a flaw.

use super::neighbour::{Neighbour, neighbour_that_ends_at};
use super::of_state::{is_anchor, pass_hole};
use super::verified::{Asked, Fault, Verified};
use super::witnesses::Witnesses;
use crate::event::{ChainStart, Flaw, FlawKind, SEQUENCE_END, Step, Verifier};
use crate::failure::Failure;
use crate::files::{self, Role};
use crate::model::Exit;
use crate::store;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// No event is longer, in bytes: an approval with a hundred long names stays far below.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How archives begin that people would ask to verify as they are.
const ARCHIVES: [(&[u8], &str); 3] =
    [(&[0x1f, 0x8b], "gzip -dc"), (&[0x28, 0xb5, 0x2f, 0xfd], "zstd -dc"), (&[0xfd, b'7', b'z', b'X', b'Z'], "xz -dc")];

/// A file, and what is known beside it.
pub(super) struct Asking<'a> {
    pub(super) path: &'a Path,
    pub(super) asked: &'a Asked,
    pub(super) witnesses: Option<&'a Witnesses>,
    /// The sink that writes it: its place in the state, if it is one of ours.
    pub(super) place: Option<String>,
}

impl Asking<'_> {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn flaw(&self, sequence: i64, what: FlawKind) -> Fault {
        Fault::Flaw(self.name(), Flaw { sequence, what })
    }

    fn unreadable(&self, error: &std::io::Error) -> Fault {
        Failure::new(Exit::Failed, format!("{} cannot be read: {error}", self.name()), None).into()
    }

    /// The last event that was delivered to it.
    fn delivered(&self) -> i64 {
        self.witnesses.zip(self.place.as_ref()).and_then(|(known, place)| known.delivered(place)).unwrap_or(0)
    }

    /// Verifies the file.
    /// A sink's file is a file; what a person names may come through a pipe.
    fn open(&self) -> std::io::Result<File> {
        match self.place {
            Some(_) => files::open(self.path, Role::Named),
            None => File::open(self.path),
        }
    }

    pub(super) fn verify(&self) -> Result<Verified, Fault> {
        if self.path == Path::new("-") {
            let hint = "to verify what comes through a pipe, name /dev/stdin";
            return Err(Failure::new(Exit::Failed, "`-` is not an event file", Some(hint)).into());
        }
        let file = match self.open() {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.place.is_some() => {
                return self.without_lines();
            }
            Err(error) => return Err(self.unreadable(&error)),
        };
        let length = self.witnesses.and_then(|known| known.length(self.path)).unwrap_or(u64::MAX);
        let mut lines = BufReader::new(file.take(length));
        self.is_plain(lines.fill_buf().map_err(|error| self.unreadable(&error))?)?;
        let Some(first_line) = self.line(&mut lines, 1)? else { return self.without_lines() };
        let first = Verifier::sequence_of(&first_line).filter(|first| (1..SEQUENCE_END).contains(first)).unwrap_or(1);
        let before = self.before(first)?;
        let mut checked = Checked::begin(first, &before, self.asked);
        checked.follows_anchor = self.follows_anchor(first);
        self.take(&mut checked, &first_line)?;
        while let Some(line) = self.line(&mut lines, checked.verifier.next())? {
            self.take(&mut checked, &line)?;
        }
        self.ended(&checked)?;
        self.verified(checked, first, before)
    }

    fn is_plain(&self, begins: &[u8]) -> Result<(), Fault> {
        let Some((_, unpack)) = ARCHIVES.iter().find(|(magic, _)| begins.starts_with(magic)) else { return Ok(()) };
        let (name, verify) = (self.name(), crate::model::command("events verify /dev/stdin"));
        let hint = format!("{unpack} {} | {verify}", crate::model::quoted(&name));
        Err(Failure::new(Exit::Failed, format!("{name} is compressed"), Some(&hint)).into())
    }

    /// The next line; none at the end.
    fn line(&self, lines: &mut impl BufRead, next: i64) -> Result<Option<String>, Fault> {
        let mut bytes = Vec::new();
        lines.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes).map_err(|error| self.unreadable(&error))?;
        match bytes.pop() {
            None => return Ok(None),
            Some(b'\n') => {}
            Some(last) => {
                bytes.push(last);
                let what = if bytes.len() as u64 == LINE_BYTES_MAX { FlawKind::TooLong } else { FlawKind::Torn };
                // A sender may be writing it at this moment; a line that stays torn is written again.
                return if what == FlawKind::Torn && self.is_being_written(&bytes, next)? {
                    Ok(None)
                } else {
                    Err(self.flaw(next, what))
                };
            }
        }
        String::from_utf8(bytes).map(Some).map_err(|_| self.flaw(next, FlawKind::NotAnEvent))
    }

    /// Whether a torn line is the beginning of the state's next event, which this sink does not have yet.
    fn is_being_written(&self, torn: &[u8], next: i64) -> Result<bool, Fault> {
        let Some(known) = self.witnesses.filter(|_| next > self.delivered()) else { return Ok(false) };
        Ok(store::event_line(&known.reader, next)?.is_some_and(|line| line.as_bytes().starts_with(torn)))
    }

    /// What precedes the first event.
    fn before(&self, first: i64) -> Result<ChainStart, Fault> {
        if first == 1 {
            return Ok(ChainStart::Nothing);
        }
        let known = self.witnesses.map(|known| known.chain(first - 1)).transpose()?.flatten();
        is_anchor(self.asked, first - 1, known.as_deref()).map_err(|_| self.flaw(first - 1, FlawKind::Anchor))?;
        let anchor = self.asked.anchor.as_ref().filter(|_| self.follows_anchor(first)).map(|(_, chain)| chain.clone());
        let known = known.or(anchor);
        Ok(known.map_or(ChainStart::Trusted, ChainStart::Known))
    }

    /// Whether the event that was named as the head is the one before this.
    fn follows_anchor(&self, first: i64) -> bool {
        self.asked.anchor.as_ref().is_some_and(|(anchor, _)| *anchor == first - 1)
    }

    fn take(&self, checked: &mut Checked, line: &str) -> Result<(), Fault> {
        if let Some(known) = self.witnesses
            && let Some(sequence) = Verifier::sequence_of(line).filter(|sequence| *sequence > checked.verifier.next())
        {
            checked.notes.extend(pass_hole(known, &mut checked.verifier, sequence)?);
        }
        let step = checked.verifier.verify(line).map_err(|flaw| Fault::Flaw(self.name(), flaw))?;
        let (Step::Next(sequence) | Step::Again(sequence)) = step;
        if let Some(known) = self.witnesses {
            match store::event_line(&known.reader, sequence)? {
                Some(ours) if ours == line => checked.compared_count += u64::from(step == Step::Next(sequence)),
                Some(_) => return Err(self.flaw(sequence, FlawKind::Rewritten)),
                None if sequence > known.head.sequence => return Err(self.flaw(sequence, FlawKind::BeyondHead)),
                None => {
                    // The state no longer has it; where it knows its chain, that must fit.
                    let chain = checked.verifier.last().filter(|(last, _)| *last == sequence).map(|(_, chain)| chain);
                    if known.chain(sequence)?.is_some_and(|ours| Some(&*ours) != chain) {
                        return Err(self.flaw(sequence, FlawKind::Rewritten));
                    }
                }
            }
        }
        let chain = checked.verifier.last().map(|(_, chain)| chain);
        let named = is_anchor(self.asked, sequence, chain.filter(|_| step == Step::Next(sequence)));
        checked.holds_anchor |= named.map_err(|_| self.flaw(sequence, FlawKind::Anchor))?;
        Ok(())
    }

    /// No event that this sink received may be missing.
    fn ended(&self, checked: &Checked) -> Result<(), Fault> {
        let last = checked.verifier.last().map_or(0, |(sequence, _)| sequence);
        if last < self.delivered() {
            return Err(self.flaw(last + 1, FlawKind::CutOff));
        }
        if self.asked.key.is_some() && checked.verifier.sealed_from().is_none() {
            return Err(self.flaw(last, FlawKind::Unsealed));
        }
        Ok(())
    }

    fn verified(&self, checked: Checked, first: i64, before: ChainStart) -> Result<Verified, Fault> {
        let rests_on = match before {
            ChainStart::Nothing => "from the first event",
            ChainStart::Known(_) if checked.follows_anchor => "first event verified against the head you gave",
            ChainStart::Known(_) => "first event verified against the state",
            ChainStart::Trusted => "first event not verifiable: it is taken on trust",
        };
        let Checked { verifier, compared_count, holds_anchor, follows_anchor, notes } = checked;
        let holds_anchor = holds_anchor || follows_anchor;
        let (last, chain) = verifier.last().unwrap_or_default();
        let last_chain = chain.to_owned();
        let compared_count = self.witnesses.map(|_| compared_count);
        let mut verified =
            Verified { what: self.name(), first, last, last_chain, rests_on, compared_count, holds_anchor, notes };
        if first > 1 {
            verified.notes.push(match neighbour_that_ends_at(self.path, first - 1, None) {
                Some(Neighbour { path, .. }) => {
                    format!("events up to {} are in {}, which was not verified", first - 1, path.display())
                }
                None => format!("events 1 to {} are not in this file", first - 1),
            });
        }
        if let Some(known) = self.witnesses {
            let pending_count = known.head.sequence.saturating_sub(last);
            if pending_count > 0 {
                verified.notes.push(format!("{pending_count} events of the state are not in it yet"));
            }
        }
        verified.note_seals(verifier.sealed_from(), self.asked.key.as_ref());
        verified.note_unproven_approvals(verifier.unproven_approvals_count());
        Ok(verified)
    }

    /// Missing or empty: no flaw where nothing was delivered to it, or rotation has just taken the lines away.
    fn without_lines(&self) -> Result<Verified, Fault> {
        let delivered = self.delivered();
        let mut verified = Verified {
            what: self.name(),
            first: 1,
            last: 0,
            last_chain: String::new(),
            rests_on: "nothing was delivered to it",
            compared_count: None,
            holds_anchor: false,
            notes: Vec::new(),
        };
        if delivered == 0 {
            return Ok(verified);
        }
        let expected = self.witnesses.map(|known| store::event_line(&known.reader, delivered)).transpose()?.flatten();
        match neighbour_that_ends_at(self.path, delivered, expected.as_deref()) {
            Some(Neighbour { path, .. }) => {
                verified.rests_on = "rotated away";
                verified.notes.push(format!(
                    "{} ends with event {delivered}, the last one delivered; to verify it: {}",
                    path.display(),
                    crate::model::command(&format!(
                        "events verify {}",
                        crate::model::quoted(&path.display().to_string())
                    ))
                ));
                Ok(verified)
            }
            None if self.path.exists() => Err(self.flaw(1, FlawKind::CutOff)),
            None => Err(self.flaw(1, FlawKind::NoFile)),
        }
    }
}

/// How far a file is verified.
struct Checked {
    verifier: Verifier,
    compared_count: u64,
    holds_anchor: bool,
    /// Its first event comes right after the one that was named as the head.
    follows_anchor: bool,
    notes: Vec<String>,
}

impl Checked {
    fn begin(first: i64, before: &ChainStart, asked: &Asked) -> Self {
        let verifier = Verifier::begin(first, before.clone()).with_key(asked.key.clone());
        Self { verifier, compared_count: 0, holds_anchor: false, follows_anchor: false, notes: Vec::new() }
    }
}
