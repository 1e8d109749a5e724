//! The log in the state: every event, from the mark of what was pruned to the head, and what the other witnesses say of its end.

use super::pruning::Pruning;
use super::verified::{Asked, Fault, Verified};
use super::witnesses::Witnesses;
use crate::event::{ChainStart, Flaw, FlawKind, Verifier};
use crate::store;

/// How many events are read from the state at a time.
const EVENTS_AT_A_TIME: u32 = 1_000;
const NAME: &str = "the state";

fn flaw(sequence: i64, what: FlawKind) -> Fault {
    Fault::Flaw(NAME.to_owned(), Flaw { sequence, what })
}

/// Verifies the state's log.
pub(super) fn verify(witnesses: &Witnesses, asked: &Asked) -> Result<Verified, Fault> {
    let Witnesses { reader, head, pruned, .. } = witnesses;
    let (mark, mark_chain) = pruned.clone().unwrap_or_default();
    let mut notes = Vec::new();
    if pruned.is_none() {
        return Err(flaw(1, FlawKind::PruneMark));
    }
    let before = match (mark, mark_chain.is_empty()) {
        (0, _) => ChainStart::Nothing,
        (_, true) => ChainStart::Trusted,
        (_, false) => ChainStart::Known(mark_chain),
    };
    let next = mark.checked_add(1).filter(|next| *next > 0).ok_or_else(|| flaw(1, FlawKind::PruneMark))?;
    let rests_on = match before {
        ChainStart::Nothing => "from the first event",
        ChainStart::Known(_) => "first event verified against the mark of what was pruned",
        ChainStart::Trusted => "first event not verifiable: older ones were pruned",
    };
    let mut verifier = Verifier::begin(next, before).with_key(asked.key.clone());
    let (mut first, mut after, mut count) = (None, 0, 0_u64);
    let mut pruning = Pruning::default();
    let mut holds_anchor = is_anchor(asked, mark, witnesses.chain(mark)?.as_deref())?;
    loop {
        let events = store::pending(reader, after, EVENTS_AT_A_TIME)?;
        let Some(last) = events.last() else { break };
        after = last.sequence;
        for event in &events {
            if event.sequence <= mark {
                return Err(flaw(event.sequence, FlawKind::PruneMark));
            }
            if event.sequence > verifier.next() {
                notes.extend(pass_hole(witnesses, &mut verifier, event.sequence)?);
            }
            let taken = verifier.verify(&event.line).map_err(|found| Fault::Flaw(NAME.to_owned(), found))?;
            if taken != crate::event::Step::Next(event.sequence) {
                return Err(flaw(event.sequence, FlawKind::Rewritten));
            }
            let chain = verifier.last().map(|(_, chain)| chain);
            holds_anchor |= is_anchor(asked, event.sequence, chain)?;
            first.get_or_insert(event.sequence);
            pruning.take(event);
            count += 1;
        }
    }
    if mark > 0 {
        notes.extend(pruning.judge(&witnesses.terms).map_err(|what| flaw(mark, what))?);
    }
    ended(witnesses, &verifier, mark)?;
    let first = first.unwrap_or(next);
    let mut verified = Verified {
        what: NAME.to_owned(),
        first,
        last: head.sequence,
        last_chain: head.chain.clone(),
        rests_on,
        compared_count: None,
        holds_anchor,
        notes,
    };
    if asked.key.is_some() && count > 0 && verifier.sealed_from().is_none() {
        return Err(flaw(first, FlawKind::Unsealed));
    }
    verified.note_seals(verifier.sealed_from(), asked.key.as_ref());
    verified.note_unproven_approvals(verifier.unproven_approvals_count());
    verified.notes.extend(lock_note(witnesses));
    Ok(verified)
}

/// What the lock file says nothing about.
fn lock_note(witnesses: &Witnesses) -> Option<String> {
    let Witnesses { head, noted, is_sending, .. } = witnesses;
    let Some(noted) = noted else {
        let what = "the state has no usable lock file beside it: one witness is missing";
        return (head.sequence > 0).then(|| what.to_owned());
    };
    (noted.sequence < head.sequence && !is_sending).then(|| {
        format!(
            "the lock file notes event {} as the last one: it says nothing about the events after it (a crash leaves that behind, and so \
             does whoever continues the log)",
            noted.sequence
        )
    })
}

/// Whether this is the event that was named as the head; a flaw if it should be and is not.
pub(super) fn is_anchor(asked: &Asked, sequence: i64, chain: Option<&str>) -> Result<bool, Fault> {
    let (Some((anchor, expected)), Some(chain)) = (&asked.anchor, chain) else { return Ok(false) };
    if *anchor != sequence || sequence == 0 {
        return Ok(false);
    }
    if expected == chain { Ok(true) } else { Err(flaw(sequence, FlawKind::Anchor)) }
}

/// A hole that only a restoration explains is said.
pub(super) fn pass_hole(
    witnesses: &Witnesses,
    verifier: &mut Verifier,
    sequence: i64,
) -> rusqlite::Result<Option<String>> {
    let Some(chain) = store::chain_before(&witnesses.reader, sequence)? else { return Ok(None) };
    let (from, to) = (verifier.next(), sequence - 1);
    let note = if store::was_skipped(&witnesses.reader, sequence)? {
        format!(
            "events {from} to {to} were skipped: the state was restored before event {sequence}, and nobody knows how far its \
             log had gone; another copy of the log may have the first of them"
        )
    } else {
        format!(
            "events {from} to {to} are missing: they were lost with a state that was restored or replaced before event \
             {sequence}; another copy of the log may have them"
        )
    };
    verifier.go_on_at(sequence, ChainStart::Known(chain));
    Ok(Some(note))
}

/// What head, lock file and sinks say of the end.
fn ended(witnesses: &Witnesses, verifier: &Verifier, mark: i64) -> Result<(), Fault> {
    let Witnesses { head, noted, places, pruned, .. } = witnesses;
    match verifier.last() {
        Some(_) if head.sequence == 0 => return Err(flaw(1, FlawKind::Head)),
        Some((sequence, _)) if sequence < head.sequence => return Err(flaw(sequence + 1, FlawKind::CutOff)),
        Some((sequence, _)) if sequence > head.sequence => return Err(flaw(head.sequence + 1, FlawKind::BeyondHead)),
        Some((sequence, chain)) if chain != head.chain => return Err(flaw(sequence, FlawKind::Head)),
        Some(_) => {}
        None if head.sequence > mark => {
            // A state that goes on with a lost one's log may have said nothing yet.
            let explained = store::chain_before(&witnesses.reader, head.sequence + 1)?;
            if explained.as_ref() != Some(&head.chain) {
                return Err(flaw(mark + 1, FlawKind::CutOff));
            }
        }
        None if head.sequence < mark => return Err(flaw(head.sequence + 1, FlawKind::Head)),
        None => {
            let is_marked = pruned.as_ref().is_some_and(|(_, chain)| chain.is_empty() || *chain == head.chain);
            if !is_marked {
                return Err(flaw(head.sequence, FlawKind::Head));
            }
        }
    }
    if let Some(noted) = noted {
        let known = witnesses.chain(noted.sequence)?;
        if noted.sequence > head.sequence || known.is_some_and(|known| !noted.chain.is_empty() && known != noted.chain)
        {
            return Err(flaw(noted.sequence.min(head.sequence.saturating_add(1)), FlawKind::LockNote));
        }
    }
    match places.iter().find(|place| place.delivered > head.sequence) {
        Some(_) => Err(flaw(head.sequence.saturating_add(1), FlawKind::SinkAhead)),
        None => Ok(()),
    }
}
