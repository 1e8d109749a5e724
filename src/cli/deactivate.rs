//! `deactivate`: stop managing, at once. Users stay as they are. A running sender sees it within a second.

use super::deployment::Deployment;
use super::failure::Failure;
use super::process::{SystemClock, user};
use super::{Arguments, Said};
use crate::cycle::Clock;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::store;
use serde_json::json;

pub(super) fn run(arguments: &Arguments) -> Result<Said, Failure> {
    let deployment = Deployment::load(arguments)?;
    let (mut connection, installation) = deployment.orders()?;
    if installation.active {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        store::set_active(&transaction, false, &installation.base_url, None)?;
        let mut draft = Draft::new(EventType::IdmIntegrationDelete, true, Source::Activate);
        draft.initiator = Initiator::Admin(user());
        store::append(&transaction, &[draft], SystemClock.now())?;
        transaction.commit()?;
        store::note_beside(&deployment.state_path, &connection)?;
    }
    let count = installation.provisioned_count;
    if arguments.json {
        return Ok(Said::done(format!(
            "{}\n",
            json!({"result": "done", "exit": 0, "active": false, "provisioned": count})
        )));
    }
    let was = if installation.active { "deactivated" } else { "was deactivated already" };
    Ok(Said::done(format!("{was}; {count} users stay as they are at Rhombus\n")))
}
