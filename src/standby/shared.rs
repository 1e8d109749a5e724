//! What the lease's thread knows and is told, and how it stands for everybody else.

use super::fence::LeaseFence;
use super::keys::{Left, Note};
use crate::model::Duration;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc as answers};
use tokio::sync::Notify;

/// When a host asks for the lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asks {
    /// Whenever it is free.
    Always,
    /// Only if no other host led last.
    IfItLedLast,
}

/// What this host is to the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// Nobody has answered yet.
    Unknown,
    /// Another host leads, or nobody does.
    Standby {
        /// Who leads.
        leader: Option<String>,
        /// When that lease was renewed, by `fence::steady_ms`.
        renewed_ms: Option<i64>,
        /// It handed over, and waits until another host has led.
        resigned: bool,
    },
    /// The lease is ours; the state is not open yet.
    TakingOver,
    /// The lease is ours, and the log is noted under it.
    Leading,
}

/// How it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// What this host is.
    pub role: Role,
    /// The head of the log, as the last leader noted it.
    pub note: Option<Note>,
    /// Why etcd does not do what it is asked.
    pub trouble: Option<String>,
    /// Whether the lead is to be handed over.
    pub hands_over: bool,
    /// Whether requests may start now.
    pub may_send: bool,
    /// When this was so, by `fence::steady_ms`.
    pub at_ms: i64,
}

/// What the thread knows, for everybody.
pub(super) struct Shared {
    pub(super) fence: LeaseFence,
    /// Whether this host has anything to lead with.
    pub(super) has_state: AtomicBool,
    /// Told whenever the role changes.
    pub(super) changed: Notify,
    seen: Mutex<(Role, Option<Note>, Option<String>)>,
}

impl Shared {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            fence: LeaseFence::new(timeout),
            has_state: AtomicBool::new(false),
            changed: Notify::new(),
            seen: Mutex::new((Role::Unknown, None, None)),
        }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, (Role, Option<Note>, Option<String>)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_role(&self, role: Role) {
        let leader_of = |role: &Role| match role {
            Role::Standby { leader, .. } => leader.clone(),
            Role::Unknown | Role::TakingOver | Role::Leading => None,
        };
        let (new, of) = (std::mem::discriminant(&role), leader_of(&role));
        let before = std::mem::replace(&mut self.seen().0, role);
        if (std::mem::discriminant(&before), leader_of(&before)) != (new, of) {
            self.changed.notify_one();
        }
    }

    pub(super) fn set_note(&self, note: Option<Note>) {
        self.seen().1 = note;
    }

    /// Says once what is wrong, and once that it is right again.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        let mut seen = self.seen();
        match (&seen.2, &trouble) {
            (None, Some(why)) => tracing::warn!(why, "the lease cannot be asked for or renewed"),
            (Some(_), None) => tracing::info!("etcd answers again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        seen.2 = trouble;
    }

    pub(super) fn note(&self) -> Option<Note> {
        self.seen().1.clone()
    }
}

/// A head of the log to be noted, and the number that the fence knows it by.
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) note: Note,
}

/// What the thread is told.
pub(super) enum Order {
    /// Note this head of the log.
    Note(Numbered, answers::Sender<bool>),
    /// Give the lease back.
    Release(Option<Left>, answers::Sender<()>),
}
