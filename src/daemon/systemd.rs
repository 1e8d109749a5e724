//! What systemd is told: ready, one line of status, and that the work loop lives. Without it (no `NOTIFY_SOCKET`) nothing is.

use sd_notify::NotifyState;
use std::time::Duration;

/// The service manager, if there is one.
#[derive(Debug)]
pub(super) struct ServiceManager {
    watchdog: bool,
    status: String,
}

impl ServiceManager {
    /// Finds out whether a watchdog wants to be fed.
    #[must_use]
    pub(super) fn find() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled().is_some_and(|every: Duration| !every.is_zero()),
            status: String::new(),
        }
    }

    /// Configuration, state and lock are good.
    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// It ends.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// The work loop lives; only that loop calls this.
    pub(super) fn alive(&self) {
        if self.watchdog {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// One line for `systemctl status`, told where it is another one. The answer says whether it was.
    pub(super) fn status(&mut self, status: &str) -> bool {
        if self.status == status {
            return false;
        }
        tell(&[NotifyState::Status(status)]);
        status.clone_into(&mut self.status);
        true
    }
}

/// Nobody may be there to hear it.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
