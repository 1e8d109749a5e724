//! SHELL: the daemon. What it lives by: a tick each second, the export's file, the service manager, other commands, signals.
//!
//! What is deliberately absent: any decision about users. When a cycle begins is decided here; what it does is `cycle`.

mod aftermath;
mod backoff;
mod reload;
mod run;
mod sending;
mod systemd;
mod ticks;
mod triggers;
mod watch;

pub(crate) use run::run;

use crate::cycle_thread::CycleThread;
use crate::deployment::{Deployment, Mode};
use crate::event::Source;
use crate::failure::Failure;
use crate::health::Health;
use crate::process::Aside;
use crate::secret::Token;
use crate::store::JournalError;
use reload::Proving;
use sending::Sending;
use std::path::PathBuf;
use systemd::ServiceManager;
use tokio::task::{JoinHandle, JoinSet};
use triggers::Triggers;

/// A cycle under way.
struct Running {
    cycle: CycleThread,
    refresh: bool,
}

/// The state being opened, and the token that goes with it.
struct Opening {
    state: Aside<Result<(Option<Token>, Sending), Failure>>,
    source: Source,
}

/// All that a daemon has. What happens to it stands in the files of this room.
struct Daemon {
    config: PathBuf,
    mode: Mode,
    deployment: Deployment,
    token: Option<Token>,
    /// The last token on disk that was no good either.
    refused_token: Option<Token>,
    manager: ServiceManager,
    /// When a cycle begins.
    triggers: Triggers,
    /// How it is.
    health: Health,
    opening: Option<Opening>,
    /// None: idle, with nothing to send to or by.
    sending: Option<Sending>,
    closing: Option<JoinHandle<()>>,
    running: Option<Running>,
    /// A reload, or a new token, being proven.
    proving: Option<Proving>,
    noting: JoinSet<Result<(), JournalError>>,
    is_ready: bool,
    stopping: bool,
}
