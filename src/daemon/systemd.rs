//! Notifies systemd: ready, one line of status, and that the loop is alive. Without `NOTIFY_SOCKET` it does nothing.

use sd_notify::NotifyState;
use std::time::Duration;

/// The service manager, if there is one.
#[derive(Debug)]
pub(super) struct ServiceManager {
    watchdog: bool,
    status: String,
}

impl ServiceManager {
    /// Finds out whether systemd's watchdog is on.
    #[must_use]
    pub(super) fn find() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled().is_some_and(|every: Duration| !every.is_zero()),
            status: String::new(),
        }
    }

    /// The daemon is up, managing users or idle.
    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// The daemon is stopping.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// It still waits for what it has begun: do not kill it before this has passed.
    pub(super) fn wait_for(&self, time: Duration) {
        tell(&[NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))]);
    }

    /// Feeds the watchdog. Only the loop calls this, so that a loop that hangs is noticed.
    pub(super) fn alive(&self) {
        if self.watchdog {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// Sets the line that `systemctl status` shows. Returns whether it differs from the last one.
    pub(super) fn status(&mut self, status: &str) -> bool {
        if self.status == status {
            return false;
        }
        tell(&[NotifyState::Status(status)]);
        status.clone_into(&mut self.status);
        true
    }
}

/// The last word of a process that cannot run: what is shown would be that of the living.
pub(super) fn last_word(word: &str) {
    tell(&[NotifyState::Status(word)]);
}

/// Ignores errors: there may be no service manager.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
