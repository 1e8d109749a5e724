//! The barrier of a host that leads by a lease: a commit is at the replica, and then its head is noted in etcd, before anything
//! leaves on its strength. What another host finds noted is what may have left.

use super::agent::Agent;
use super::keys::Note;
use crate::model::{Barrier, Behind, Committed};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The replica, and the note of it.
pub struct Noted {
    replica: Arc<dyn Barrier>,
    agent: Agent,
    installation: String,
    last: Mutex<Note>,
    /// Up to which event the log is noted.
    noted: AtomicI64,
    /// The process ends.
    hurries: AtomicBool,
}

impl Noted {
    /// `last`: what was noted when the state was opened.
    #[must_use]
    pub fn new(replica: Arc<dyn Barrier>, agent: Agent, last: Note) -> Self {
        let (installation, noted) = (last.installation.clone(), AtomicI64::new(last.sequence));
        Self { replica, agent, installation, last: Mutex::new(last), noted, hurries: AtomicBool::new(false) }
    }
}

impl Barrier for Noted {
    fn pass(&self, committed: &Committed) {
        self.replica.pass(committed);
        if self.hurries.load(Ordering::SeqCst) && !self.agent.view().may_send {
            // Nothing leaves any more, and whoever leads next finds what is noted.
            return;
        }
        // What did not wait, because the process ends, may not be there either.
        let behind = self.replica.behind().is_some() || self.replica.leaves_up_to() < committed.sequence;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let note = Note {
            host: self.agent.host().to_owned(),
            installation: self.installation.clone(),
            reign: committed.reign,
            sequence: committed.sequence,
            chain: committed.chain.clone(),
            // The copy of this reign is there once the replica has answered.
            replica: if behind { last.replica } else { Some(committed.reign) },
            behind,
            left: None,
        };
        // Also where the head is the same: a commit of intents, too, is worth a request only in our own term.
        if self.agent.note(note.clone()) {
            self.noted.fetch_max(note.sequence, Ordering::SeqCst);
            *last = note;
        }
    }

    fn leaves_up_to(&self) -> i64 {
        self.replica.leaves_up_to().min(self.noted.load(Ordering::SeqCst))
    }

    fn behind(&self) -> Option<Behind> {
        self.replica.behind()
    }

    fn hurry(&self) {
        self.hurries.store(true, Ordering::SeqCst);
        self.replica.hurry();
    }
}
