//! `deactivate`: stop managing users, at once. They stay as they are. A running sender obeys within a second.

use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::failure::Failure;
use crate::model::{Clock, command};
use crate::process::{SystemClock, person};
use crate::store;
use serde_json::json;

pub(super) fn run(arguments: &Arguments) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (mut connection, installation) = deployment.command()?;
    if installation.active {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        store::set_active(&transaction, false, &installation.base_url, None)?;
        let mut draft = Draft::new(EventType::IdmIntegrationDelete, true, Source::Deactivate);
        draft.initiator = Initiator::Admin(person());
        store::append(&transaction, &[draft], SystemClock.now())?;
        transaction.commit()?;
        store::note_beside(&deployment.state_path, &connection)?;
    }
    let count = installation.provisioned_count;
    if arguments.json {
        return Ok(Output::done(format!(
            "{}\n",
            json!({"result": "done", "exit": 0, "active": false, "provisioned": count})
        )));
    }
    let users = match store::holder(&deployment.state_path) {
        Some(_) => format!("{count} users, and those whose requests are on their way, stay as they are in Rhombus"),
        None => format!("{count} users stay as they are in Rhombus"),
    };
    let was = if installation.active { "deactivated" } else { "already deactivated" };
    Ok(Output::done(format!("{was}; {users}\nto begin again: {}\n", command("activate"))))
}
