//! Whether the replica of the state answers, for `check --online`.

use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::Exit;
use crate::standby::Socket;
use std::time::Duration;

/// Nobody waits longer than this for a check, whatever `lag_max` is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fails if the replica does not have what is in the state; without a state there is nothing to ask for.
pub(super) fn ask(deployment: &Deployment) -> Result<(), Failure> {
    let Some(standby) = &deployment.config.standby else { return Ok(()) };
    let state = deployment.state_path.display();
    if deployment.state_path.try_exists().is_ok_and(|exists| !exists) {
        return Ok(());
    }
    let socket = Socket::new(&standby.litestream, &deployment.state_path);
    socket.sync(standby.lag_max.std().min(PATIENCE)).map_err(|error| {
        let path = standby.litestream.display();
        let hint = format!(
            "Litestream 0.5 must run with `socket: {{enabled: true, path: {path}}}` and replicate {state}; without an answer the \
             sync goes on alone after lag_max ({})",
            standby.lag_max
        );
        Failure::new(Exit::Failed, format!("the replica does not answer at {path}: {error}"), Some(&hint))
    })
}

/// What `check` says of it.
pub(super) fn text(deployment: &Deployment, online: bool) -> String {
    let Some(standby) = &deployment.config.standby else { return String::new() };
    let answers = if online { ", which answers" } else { "" };
    format!("  replica: {}, by Litestream at {}{answers}\n", standby.replica, standby.litestream.display())
}
