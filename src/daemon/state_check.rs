//! The daily check of the whole state for damage, on its own thread: cycles only check what they rest on.

use super::Daemon;
use super::sending::Sending;
use crate::failure::Failure;
use crate::model::{Clock, Exit};
use crate::process::{SystemClock, Task, spawn};
use crate::store::{self, Access};
use std::future::pending;
use std::time::{Duration, Instant};

/// How often. Before a day is over: then no cycle has to do it while a removal waits.
const CHECK_PAUSE: Duration = Duration::from_secs(23 * 3_600);

impl Daemon {
    /// Begins the check if it is due.
    pub(super) fn check_state_if_due(&mut self, now: Instant) -> Result<(), Failure> {
        let is_due = |sending: &Sending| now.saturating_duration_since(sending.checked_at) >= CHECK_PAUSE;
        if self.checking.is_some() || !self.sending.as_ref().is_some_and(is_due) {
            return Ok(());
        }
        self.sending.iter_mut().for_each(|sending| sending.checked_at = now);
        let deployment = self.deployment.clone();
        self.checking = Some(spawn("check", move || {
            let (reader, _) = deployment.state(Access::Read)?;
            Ok(store::quick_check(&reader)?)
        })?);
        Ok(())
    }

    /// Called when it has ended. Nothing is sent from a damaged state: the process ends, as after a cycle that finds it.
    pub(super) fn state_checked(&mut self, checked: Result<(), Failure>) -> Result<(), Failure> {
        self.checking = None;
        match checked {
            Ok(()) => {
                let now = SystemClock.now();
                self.note(move |transaction| store::note_check(transaction, Some(now)));
                Ok(())
            }
            // It was released, removed or replaced in the meantime.
            Err(_) if self.sending.is_none() || self.rest_if_moved() => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

/// Waits for the check; for ever if there is none.
pub(super) async fn checked(checking: &mut Option<Task<Result<(), Failure>>>) -> Result<(), Failure> {
    match checking {
        Some(checking) => {
            let crashed = || Err(Failure::new(Exit::Failed, "checking the state crashed (this is a bug)", None));
            checking.done().await.unwrap_or_else(crashed)
        }
        None => pending().await,
    }
}
