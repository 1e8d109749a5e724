//! `forget USER`: drop our link to an account and leave the account alone, so that it can be settled by hand. Whoever is still
//! wanted is looked up and linked anew by the next cycle.

use super::deployment::Deployment;
use super::failure::Failure;
use super::process::{SystemClock, user as operator};
use super::{Arguments, Said};
use crate::cycle::{Clock, look_for, open_file};
use crate::event::{Draft, EventType, Initiator, Resource, Source};
use crate::model::{DirectoryId, ProvisionedUser, folded};
use crate::store;
use rusqlite::Connection;
use serde_json::json;

pub(super) fn run(arguments: &Arguments, user: &str) -> Result<Said, Failure> {
    let deployment = Deployment::load(arguments)?;
    let (mut connection, _) = deployment.orders()?;
    let link = find(&deployment, &connection, user)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    store::forget(&transaction, &link.directory_id)?;
    let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, Source::Activate);
    draft.initiator = Initiator::Admin(operator());
    draft.response.details = "forgotten: the link ended, the account stays as it is".to_owned();
    draft.resource = Some(Resource {
        id: link.directory_id.clone(),
        username: Some(link.user_name.clone()),
        target_id: Some(link.scim_id.clone()),
    });
    store::append(&transaction, &[draft], SystemClock.now())?;
    transaction.commit()?;
    store::note_beside(&deployment.state_path, &connection)?;
    if arguments.json {
        let document = json!({
            "result": "done", "exit": 0, "id": link.directory_id.as_str(), "username": link.user_name.as_str(),
            "target_id": link.scim_id.as_str(),
        });
        return Ok(Said::done(format!("{document}\n")));
    }
    let (name, account) = (crate::model::clean(link.user_name.as_str()), crate::model::clean(link.scim_id.as_str()));
    Ok(Said::done(format!(
        "{name} is linked no more; account {account} stays as it is\n\
         next: a cycle links it again if the directory still wants the user\n"
    )))
}

/// A directory id, else a linked username, else one of the export.
fn find(deployment: &Deployment, connection: &Connection, user: &str) -> Result<ProvisionedUser, Failure> {
    let by_id = |id: &DirectoryId| store::link_by_id(connection, id);
    if let Some(link) = by_id(&DirectoryId::new(user))? {
        return Ok(link);
    }
    if let Some(link) = store::link_of(connection, &folded(user))? {
        return Ok(link);
    }
    let settings = &deployment.config.settings;
    let id = open_file(settings).ok().and_then(|mut export| look_for(user, connection, settings, &mut export).ok()?.0);
    match id.map(|id| by_id(&id)).transpose()?.flatten() {
        Some(link) => Ok(link),
        None => {
            let hint = "a user is a directory id, a linked username, or a username of the export; only a linked one can be forgotten";
            Err(Failure::new(1, format!("nobody is linked as `{}`", crate::model::clean(user)), Some(hint)))
        }
    }
}
