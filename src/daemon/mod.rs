//! SHELL: the daemon. It acts on a tick each second, changes of the export, other commands and signals.
//!
//! Deliberately absent: any decision about users. This room decides when a cycle begins; `cycle` decides what it does.

mod aftermath;
mod backoff;
mod lead;
mod news;
mod opening;
mod reload;
mod run;
mod sending;
mod state_check;
mod systemd;
mod ticks;
mod triggers;
mod waits;
mod watch;
mod word;

pub(crate) use run::run;

use crate::cycle_thread::CycleThread;
use crate::deployment::{Deployment, Mode};
use crate::event::Source;
use crate::failure::Failure;
use crate::health::Health;
use crate::leading::Lead;
use crate::monitor::Monitor;
use crate::process::Task;
use crate::secret::Token;
use crate::store::JournalError;
use news::News;
use reload::Verification;
use sending::Sending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use systemd::ServiceManager;
use tokio::task::{JoinHandle, JoinSet};
use triggers::Triggers;
use word::Progress;

/// A cycle in progress.
struct Running {
    cycle: CycleThread,
    refresh: bool,
    progress: Arc<Progress>,
    /// How many events the sink that is furthest behind lacked when it began.
    pending_count: i64,
}

/// The state that is being opened, with its token; `source` then starts a cycle.
struct Opening {
    state: Task<Result<(Option<Token>, Sending), Failure>>,
    source: Source,
}

/// The daemon. Each file of this room adds the methods for one subject.
struct Daemon {
    config: PathBuf,
    mode: Mode,
    deployment: Deployment,
    token: Option<Token>,
    /// The last token on disk that failed its check too.
    refused_token: Option<Token>,
    manager: ServiceManager,
    /// Whether this host may send, if another stands by.
    lead: Option<Lead>,
    /// Why this host could not take the lead, the last time that it tried.
    could_not_lead: Option<String>,
    /// Whether this host stands by, and holds no more than that needs.
    is_at_rest: bool,
    triggers: Triggers,
    health: Health,
    monitor: Option<Monitor>,
    news: News,
    opening: Option<Opening>,
    /// `None`: idle, without lock and state.
    sending: Option<Sending>,
    closing: Option<JoinHandle<()>>,
    running: Option<Running>,
    /// The check of a reloaded configuration or a new token.
    verification: Option<Verification>,
    /// The daily check of the state.
    checking: Option<Task<Result<(), Failure>>>,
    noting: JoinSet<Result<(), JournalError>>,
    is_ready: bool,
    stopping_since: Option<Instant>,
}
