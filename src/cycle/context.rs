//! What a cycle touches, and what is asked of it.

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

/// Everything that a cycle touches.
pub struct CycleContext<'w, T> {
    /// What the configuration says.
    pub settings: &'w Settings,
    /// Rhombus.
    pub target: ScimTarget<T>,
    /// The state, for writing.
    pub journal: Journal,
    /// The state, for reading.
    pub reader: Connection,
    /// The wall clock.
    pub clock: &'w dyn Clock,
    /// Chance, for backoff.
    pub random: fn() -> u64,
    /// No request is sent after this is cancelled.
    pub stop: CancellationToken,
    /// Set before `stop` if an administrator deactivated the integration.
    pub deactivated: Arc<AtomicBool>,
    /// The id of this cycle.
    pub cycle: CycleId,
    /// What started it.
    pub source: Source,
    /// The fingerprint of the token in use, to notice a new one; none in a rehearsal.
    pub token_fingerprint: Option<String>,
    /// What was asked of it.
    pub options: CycleOptions,
    /// Told how many users of how many are done.
    pub progress: &'w dyn Fn(u64, u64),
}

/// What is asked of one cycle, beyond the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CycleOptions {
    /// Only these users; empty: everybody.
    pub only: Vec<String>,
    /// Only if the plan has this digest.
    pub expect: Option<String>,
    /// First compare the snapshot with what Rhombus really holds.
    pub refresh: bool,
}

impl<T: Transport> CycleContext<'_, T> {
    /// The talk with the endpoint in this cycle.
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
