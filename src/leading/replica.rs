//! Where the state is replicated to: each reign has a place of its own, so that two hosts never write to one.

use super::refusals::no_standby;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::Barrier;
use crate::standby::{Socket, forget_replication};
use std::sync::Arc;

/// From now on the state is replicated to the place of this reign, beginning with a whole copy. If Litestream does not hear it, it is
/// told again whenever it does not know the state.
pub(super) fn begin(deployment: &Deployment, reign: i64) {
    end(deployment);
    if let Err(error) = forget_replication(&deployment.state_path) {
        tracing::warn!(error = %error, "what Litestream keeps beside the state cannot be removed");
    }
    let registered = socket(deployment, Some(reign)).map(|socket| socket.register());
    if let Some(Err(error)) = registered {
        tracing::warn!(error = %error, "Litestream does not replicate the state yet");
    }
}

/// The state here is replicated no more: it is about to be replaced.
pub(super) fn end(deployment: &Deployment) {
    // A Litestream that does not run replicates nothing.
    if let Some(Err(error)) = socket(deployment, None).map(|socket| socket.unregister()) {
        tracing::debug!(error = %error, "Litestream did not know the state");
    }
}

/// What each commit has to pass while this reign lasts.
pub(super) fn barrier(deployment: &Deployment) -> Result<Arc<dyn Barrier>, Failure> {
    deployment.barrier()?.ok_or_else(no_standby)
}

fn socket(deployment: &Deployment, reign: Option<i64>) -> Option<Socket> {
    let standby = deployment.config.standby.as_ref()?;
    let socket = Socket::new(&standby.litestream, &deployment.state_path);
    Some(match reign {
        Some(reign) => socket.replicating_to(format!("{}/{reign}", standby.replica)),
        None => socket,
    })
}
