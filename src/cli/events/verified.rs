//! What the verification of a log found, and how it is told: what was compared, with what, and no more.

use crate::event::{Flaw, SealKey};
use crate::failure::Failure;
use crate::model::Exit;
use serde_json::{Value, json};

/// What the reader names beside the log.
#[derive(Clone, Default)]
pub(super) struct Asked {
    /// The sequence and chain of an event that somebody else keeps.
    pub(super) anchor: Option<(i64, String)>,
    /// The key of the seals.
    pub(super) key: Option<SealKey>,
}

/// Why a log does not verify.
pub(super) enum Fault {
    /// A flaw in this log.
    Flaw(String, Flaw),
    /// It cannot be read.
    Failed(Failure),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Failed(failure) => failure,
            Fault::Flaw(name, Flaw { sequence, what }) => {
                let hint = "compare it with another sink's copy, and with the head that a receiver keeps";
                Self::new(Exit::Failed, format!("{name} does not verify: event {sequence}: {what}"), Some(hint))
            }
        }
    }
}

/// A log that was verified.
pub(super) struct Verified {
    pub(super) what: String,
    pub(super) first: i64,
    pub(super) last: i64,
    /// The last event's chain; empty before the first.
    pub(super) last_chain: String,
    /// What the first event rests on.
    pub(super) rests_on: &'static str,
    /// How many of the events were compared with the state's, byte for byte; none where there is no state beside it.
    pub(super) compared_count: Option<u64>,
    /// Whether it holds the event that was named as the head.
    pub(super) holds_anchor: bool,
    pub(super) notes: Vec<String>,
}

impl Verified {
    /// Adds what there is to say of the seals.
    pub(super) fn note_seals(&mut self, sealed_from: Option<i64>, key: Option<&SealKey>) {
        match (sealed_from, key) {
            (Some(from), Some(_)) => {
                self.notes.push(format!("sealed from event {from} on: the seals were verified with the key"))
            }
            (Some(from), None) => {
                self.notes.push(format!("sealed from event {from} on: no key was given to verify the seals"))
            }
            (None, Some(_)) | (None, None) => {}
        }
    }

    /// Adds what was released by approvals that cannot be met here.
    pub(super) fn note_unproven_approvals(&mut self, count: u64) {
        if count > 0 {
            self.notes.push(format!(
                "{count} changes name an approval that is not in it: the approval may stand among the events that are missing here"
            ));
        }
    }

    fn text(&self) -> String {
        let Self { what, first, last, rests_on, compared_count, .. } = self;
        let compared = match compared_count {
            Some(count) => format!("; {count} compared with the state, byte for byte"),
            None => String::new(),
        };
        let mut text = if last < first {
            format!("{what}: no events ({rests_on})\n")
        } else {
            format!("{what}: events {first} to {last} verified ({rests_on}{compared})\n")
        };
        for note in &self.notes {
            text.push_str(&format!("  {note}\n"));
        }
        text
    }

    fn document(&self) -> Value {
        let Self { what, first, last, last_chain: _, rests_on, compared_count, holds_anchor, notes } = self;
        json!({
            "log": what, "first": first, "last": last, "rests_on": rests_on, "compared": compared_count,
            "holds_head": holds_anchor, "notes": notes,
        })
    }
}

/// What all of it proves, for people.
pub(super) fn text(logs: &[Verified], head: Option<(i64, &str)>, asked: &Asked) -> String {
    let mut text: String = logs.iter().map(Verified::text).collect();
    if let Some((sequence, chain)) = head.filter(|(sequence, _)| *sequence > 0) {
        text.push_str(&format!("head {sequence}:{chain}\n"));
    }
    match (&asked.anchor, &asked.key) {
        (Some((sequence, _)), _) if logs.iter().all(|log| log.first > *sequence) => {
            text.push_str(&format!("this log follows event {sequence}, the head you gave\n"))
        }
        (Some((sequence, _)), _) => {
            text.push_str(&format!("up to event {sequence} this is the log with the head you gave\n"))
        }
        (None, Some(_)) => text.push_str(
            "only somebody with the key can have written it; only --head proves that nothing is missing at its end\n",
        ),
        (None, None) => text.push_str(
            "anyone who can write to all of these could have rewritten the log: keep the head elsewhere, and pass \
             it with --head\n",
        ),
    }
    text
}

/// The same as a document.
pub(super) fn document(logs: &[Verified], head: Option<(i64, &str)>, asked: &Asked) -> Value {
    let head = head.map(|(sequence, chain)| json!({"sequence": sequence, "chain": chain}));
    let anchor = asked.anchor.as_ref().map(|(sequence, _)| sequence);
    json!({
        "result": "done", "exit": 0, "head": head, "proven_to": anchor,
        "logs": logs.iter().map(Verified::document).collect::<Vec<_>>(),
    })
}
