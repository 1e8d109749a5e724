//! Whether etcd says who leads, and whether the replica of the state answers, for `check --online`.

use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::leading::who_leads;
use crate::model::{Clock, Exit};
use crate::process::SystemClock;
use crate::report::LeadStanding;
use crate::standby::Socket;
use std::time::Duration;

/// Nobody waits longer than this for a check, whatever `lag_max` is.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it. Fails if etcd does not say who leads, or if this host does and the replica does not have what is in the state; without a state there
/// is nothing to ask for.
pub(super) fn ask(deployment: &Deployment) -> Result<&'static str, Failure> {
    let Some(standby) = &deployment.config.standby else { return Ok("") };
    match who_leads(deployment, SystemClock.now()) {
        Some(LeadStanding::Unknown { why }) => {
            let hint = "look at [standby] etcd; nothing is sent unless it says that this host leads";
            return Err(Failure::new(Exit::Failed, why, Some(hint)));
        }
        // What lies here is an old state.
        Some(lead) if !lead.is_here() => return Ok(", not asked: this host does not lead"),
        Some(_) | None => {}
    }
    let state = deployment.state_path.display();
    if deployment.state_path.try_exists().is_ok_and(|exists| !exists) {
        return Ok("");
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
    })?;
    Ok(", which answers")
}

/// What `check` says of it.
pub(super) fn text(deployment: &Deployment, asked: &str) -> String {
    let Some(standby) = &deployment.config.standby else { return String::new() };
    format!("  replica: {}, by Litestream at {}{asked}\n", standby.replica, standby.litestream.display())
}
