//! What a command wrote to the log is delivered by the command itself if nobody else does: who switches the sync off, or
//! releases removals, goes to the sinks at once, also if a timer or nobody runs the cycles.

use super::{Arguments, Output, sinks};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{Clock, Moment};
use crate::process::SystemClock;
use crate::ship::{PATIENCE, Shipping};
use crate::store::{self, Access, Journal, Lock, LockError, SinkPlace};
use std::time::Instant;

/// What a command wrote to the log is delivered, too. It is done by then: what goes wrong now is said, and no more.
pub(super) fn and_deliver(arguments: &Arguments, output: Result<Output, Failure>) -> Result<Output, Failure> {
    let output = output?;
    if let Err(failure) = deliver(arguments) {
        tracing::warn!(error = failure.in_one_line(), "the event of this command is delivered with the next cycle");
    }
    Ok(output)
}

/// Delivers what waits, for ten seconds at most. A running sender does it on its own; what is left stays queued, is said, and
/// changes no exit code.
fn deliver(arguments: &Arguments) -> Result<(), Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    if deployment.config.standby.is_some() {
        // What leaves is noted under the lease first: whoever leads delivers.
        return Ok(());
    }
    let began = SystemClock.now();
    let lock = match Lock::acquire(&deployment.state_path) {
        Ok(lock) => lock,
        Err(LockError::Held(_)) => return Ok(()),
        Err(error @ LockError::Io { .. }) => return Err(error.into()),
    };
    let writer = store::open(&deployment.state_path, Access::Write)?;
    let journal = Journal::start_behind(deployment.barrier()?, writer, Some(lock), None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let behind = runtime.block_on(async {
        let mut shipping = Shipping::start(&sinks(&deployment, arguments), &deployment.state_path, journal.clone())?;
        Ok::<_, Failure>(shipping.end(Instant::now() + PATIENCE).await)
    })?;
    journal.hurry();
    journal.end();
    say_who_is_behind(&behind, began);
    Ok(())
}

/// Names the sinks that are behind. One that got stuck since the command began was named when it did.
pub(super) fn say_who_is_behind(behind: &[SinkPlace], began: Moment) {
    for sink in behind.iter().filter(|sink| sink.error.is_none() || sink.since.is_none_or(|since| since < began)) {
        let error = sink.why_stuck().unwrap_or_default();
        tracing::warn!(sink = %sink.name, delivered = sink.delivered, error, "a sink is behind; its events stay queued");
    }
}
