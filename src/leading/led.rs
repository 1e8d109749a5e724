//! What may be done now on a host with a standby beside it, and what it sends from once it may.

use crate::deployment::Deployment;
use crate::model::Barrier;
use crate::store::{InstallationRow, Lock};
use rusqlite::Connection;
use std::sync::Arc;

/// What may be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Nothing: another host leads, or may.
    Wait,
    /// Open the state, and send.
    Send,
    /// Nothing is sent, and the state stays open: it may go on.
    CutOff,
    /// End what was begun, then give the lead back.
    HandOver,
}

/// A state that this host may send from.
pub(crate) struct Led {
    pub(crate) lock: Lock,
    pub(crate) writer: Connection,
    pub(crate) installation: InstallationRow,
    /// What each commit has to pass.
    pub(crate) barrier: Option<Arc<dyn Barrier>>,
}

/// Whether there is certainly no state here: one that this user may not look at may be there.
pub(super) fn has_no_state(deployment: &Deployment) -> bool {
    deployment.state_path.try_exists().is_ok_and(|exists| !exists)
}
