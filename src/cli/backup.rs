//! `backup FILE`: a consistent copy of the state, even while another process writes to it.

use super::{Arguments, Output};
use crate::config::Places;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::Exit;
use crate::store::{self, Access};
use serde_json::json;
use std::path::Path;

pub(super) fn run(arguments: &Arguments, file: &Path) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let places = Places::of(&deployment.config, &arguments.config, &deployment.state_path);
    places.check_written("the backup", &std::path::absolute(file)?)?;
    let (reader, installation) = deployment.state(Access::Read)?;
    store::backup(&reader, file).map_err(|error| {
        let hint = "name a file that does not exist yet, in a folder that you can write to";
        let causes = crate::model::chain(&error).join(": ");
        Failure::new(Exit::Failed, format!("cannot write the backup: {causes}"), Some(hint))
    })?;
    let count = installation.provisioned_count;
    if arguments.json {
        return Ok(Output::done(format!(
            "{}\n",
            json!({"result": "done", "exit": 0, "file": file, "provisioned": count})
        )));
    }
    Ok(Output::done(format!("{}: a backup of the state, with {count} provisioned users\n", file.display())))
}
