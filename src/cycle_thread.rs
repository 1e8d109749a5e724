//! SHELL: runs a cycle on its own thread and runtime, so that its caller can listen while the cycle parses, waits for a
//! checksum or checks the state.

use crate::cycle::{CycleContext, CycleOptions, reconcile};
use crate::deployment::{Deployment, inactive};
use crate::event::Source;
use crate::failure::Failure;
use crate::model::{Exit, Fence};
use crate::process::{SystemClock, Task, chance, cycle_id, spawn};
use crate::report::CycleReport;
use crate::secret::Token;
use crate::store::{Access, Journal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// What a cycle is started with.
pub(crate) struct CycleStart {
    pub(crate) deployment: Deployment,
    pub(crate) journal: Journal,
    /// `None`: it is read from the disk.
    pub(crate) token: Option<Token>,
    /// What allows each request, on a host with a standby beside it.
    pub(crate) fence: Option<Arc<dyn Fence>>,
    pub(crate) source: Source,
    pub(crate) options: CycleOptions,
    pub(crate) progress: Box<dyn Fn(u64, u64) + Send>,
}

/// How a cycle ended.
pub(crate) enum CycleEnded {
    /// It ran to its end, successful or not; with the token that it used.
    Reported(Box<CycleReport>, Option<Token>),
    /// Something that it needs is missing: nothing was sent.
    NotStarted(Failure),
    /// The state cannot be written, or the cycle crashed.
    Broken(Failure),
}

/// A cycle in progress.
pub(crate) struct CycleThread {
    ended: Task<CycleEnded>,
    stop: CancellationToken,
    deactivated: Arc<AtomicBool>,
}

impl CycleThread {
    pub(crate) fn start(start: CycleStart) -> std::io::Result<Self> {
        let (stop, deactivated) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let (stopped, off) = (stop.clone(), deactivated.clone());
        let ended = spawn("cycle", move || run(start, stopped, off))?;
        Ok(Self { ended, stop, deactivated })
    }

    /// Sends no new request; the cycle ends once those in flight have ended.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// The same, because of `deactivate`.
    pub(crate) fn deactivate(&self) {
        self.deactivated.store(true, Ordering::SeqCst);
        self.stop.cancel();
    }

    /// Waits for the end of the cycle.
    pub(crate) async fn ended(&mut self) -> CycleEnded {
        self.ended.done().await.unwrap_or_else(|| {
            CycleEnded::Broken(Failure::new(Exit::Failed, "the sync cycle crashed (this is a bug)", None))
        })
    }
}

fn run(start: CycleStart, stop: CancellationToken, deactivated: Arc<AtomicBool>) -> CycleEnded {
    let CycleStart { deployment, journal, token, fence, source, options, progress } = start;
    let prepared = || {
        let token = match token {
            Some(token) => Some(token),
            None if deployment.is_sandbox => None,
            None => Some(deployment.token()?),
        };
        let target = deployment.target_with(token.clone())?.fenced_by(fence);
        let (reader, installation) = deployment.state(Access::Read)?;
        if !installation.active {
            return Err(inactive());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok((token, target, reader, installation.installation_id, runtime))
    };
    let (token, target, reader, installation_id, runtime) = match prepared() {
        Ok(prepared) => prepared,
        Err(failure) => return CycleEnded::NotStarted(failure),
    };
    let context = CycleContext {
        settings: &deployment.config.settings,
        target,
        journal,
        reader,
        clock: &SystemClock,
        random: chance,
        stop,
        deactivated,
        cycle: cycle_id(),
        source,
        token_fingerprint: token.as_ref().map(|token| token.fingerprint(&installation_id)),
        progress: &progress,
        options,
    };
    match runtime.block_on(reconcile(&context)) {
        Ok(report) => CycleEnded::Reported(Box::new(report), token),
        Err(error) => CycleEnded::Broken(error.into()),
    }
}
