//! `backup FILE`: a consistent copy of the state, also while another process writes to it.

use super::deployment::Deployment;
use super::failure::Failure;
use super::{Arguments, Said};
use crate::store::{self, Access};
use serde_json::json;
use std::path::Path;

pub(super) fn run(arguments: &Arguments, file: &Path) -> Result<Said, Failure> {
    let deployment = Deployment::load(arguments)?;
    let (reader, installation) = deployment.state(Access::Read)?;
    store::backup(&reader, file).map_err(|error| {
        let hint = "name a file that is not there yet, in a folder that can be written";
        let said = crate::model::chain(&error).join(": ");
        Failure::new(1, format!("the backup {} cannot be made: {said}", file.display()), Some(hint))
    })?;
    let count = installation.provisioned_count;
    if arguments.json {
        return Ok(Said::done(format!(
            "{}\n",
            json!({"result": "done", "exit": 0, "file": file, "provisioned": count})
        )));
    }
    Ok(Said::done(format!("{} holds the state with {count} provisioned users\n", file.display())))
}
