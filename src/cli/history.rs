//! `history USER`: what the log says of one user, oldest first.

use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::Exit;
use crate::report::event_text;
use crate::store::{self, Access};

pub(super) fn run(arguments: &Arguments, user: &str) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (reader, _) = deployment.state(Access::Read)?;
    let id = deployment.find_user(&reader, user)?;
    let lines = id.map(|id| store::history(&reader, &id)).transpose()?.unwrap_or_default();
    if lines.is_empty() {
        let hint = "a user is a directory id, or a username that is linked, in the export, or in the log";
        let said = format!("no audit events for `{}`", crate::model::clean(user));
        return Err(Failure::new(Exit::Failed, said, Some(hint)));
    }
    if arguments.json {
        return Ok(Output::done(format!("[{}]\n", lines.join(","))));
    }
    Ok(Output::done(lines.iter().map(|line| event_text(line)).collect::<String>()))
}
