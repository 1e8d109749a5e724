//! `history USER`: what was done for one user, oldest first: a story for people, the events as they are with `--json`.

use super::unknown::{WHO_IS_KNOWN, unknown_user};
use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::Clock;
use crate::process::SystemClock;
use crate::report::{History, history_text};
use crate::store::{self, Access};

pub(super) fn run(arguments: &Arguments, user: &str) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (reader, _) = deployment.state(Access::Read)?;
    let known = deployment.find_user(&reader, user)?;
    let lines = known.as_ref().map(|id| store::history(&reader, id)).transpose()?.unwrap_or_default();
    let Some(id) = known.filter(|_| !lines.is_empty()) else {
        return Err(unknown_user(&reader, "no audit events for", user, WHO_IS_KNOWN)?);
    };
    if arguments.json {
        return Ok(Output::done(format!("[{}]\n", lines.join(","))));
    }
    let link = store::link_by_id(&reader, &id)?;
    let account = link.as_ref().map(|link| &link.scim_id);
    Ok(Output::done(history_text(&History { id: &id, lines: &lines, account, now: SystemClock.now() })))
}
