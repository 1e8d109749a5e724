//! What a cycle works with, and its options.

use crate::apply::window;
use crate::config::Settings;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{Clock, CycleId};
use crate::scim::ScimTarget;
use crate::session::{Session, SessionContext};
use crate::store::Journal;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio_util::sync::CancellationToken;

/// What a cycle works with.
pub struct CycleContext<'w, T> {
    /// The `[directory]`, `[scope]`, `[guard]` and policy settings.
    pub settings: &'w Settings,
    /// The SCIM endpoint.
    pub target: ScimTarget<T>,
    /// The state's writing connection.
    pub journal: Journal,
    /// A reading connection to the state.
    pub reader: Connection,
    /// The wall clock.
    pub clock: &'w dyn Clock,
    /// Randomness, for backoff.
    pub random: fn() -> u64,
    /// Once this is cancelled, no request is sent.
    pub stop: CancellationToken,
    /// Set before `stop` if an administrator deactivated the integration.
    pub deactivated: Arc<AtomicBool>,
    /// The id of this cycle.
    pub cycle: CycleId,
    /// What started it.
    pub source: Source,
    /// The fingerprint of the token in use, to notice a new one; `None` in a sandbox run.
    pub token_fingerprint: Option<String>,
    /// The options of this cycle.
    pub options: CycleOptions,
    /// Gets the number of changes done and their total.
    pub progress: &'w dyn Fn(u64, u64),
}

/// Options of one cycle, beyond the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CycleOptions {
    /// Only these users; empty: everybody.
    pub only: Vec<String>,
    /// `--expect`: go on only if the plan has this digest.
    pub expect: Option<String>,
    /// `--refresh`: first compare the snapshot with what Rhombus holds.
    pub refresh: bool,
}

impl<T: Transport> CycleContext<'_, T> {
    /// The session of this cycle.
    pub(super) fn session(&self) -> Session<'_, T> {
        Session::new(SessionContext {
            target: &self.target,
            journal: &self.journal,
            reader: &self.reader,
            clock: self.clock,
            random: self.random,
            stop: &self.stop,
            deactivated: &self.deactivated,
            window: window(self.settings),
        })
    }
}
