//! `forget USER`: drop our link to an account and leave the account alone, so that it can be settled by hand. Whoever is still
//! wanted is looked up and linked anew by the next cycle.

use super::unknown::unknown_user;
use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::event::{Draft, EventType, Initiator, Resource, Source};
use crate::failure::Failure;
use crate::model::{Clock, DirectoryId, ProvisionedUser, folded};
use crate::process::{SystemClock, person};
use crate::store;
use rusqlite::Connection;
use serde_json::json;

pub(super) fn run(arguments: &Arguments, user: &str) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (mut connection, _) = deployment.command()?;
    let id = deployment.find_user(&connection, user)?;
    let link = id.map(|id| store::link_by_id(&connection, &id)).transpose()?.flatten();
    let link = match link {
        Some(link) => Some(link),
        None => formerly_linked(&connection, user)?,
    };
    let stranded = match link {
        Some(_) => None,
        None => store::stranded(&connection)?.into_iter().find(|account| is_named(account, user)),
    };
    let Some(link) = link.or(stranded) else {
        let hint = "a user is a directory id, a linked username, or a username in the export; only a linked one can \
                    be forgotten";
        return Err(unknown_user(&connection, "no linked user matches", user, hint)?);
    };
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    store::forget(&transaction, &link.directory_id)?;
    store::leave_alone(&transaction, &link.directory_id)?;
    let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, Source::Forget);
    draft.initiator = Initiator::Admin(person());
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
        return Ok(Output::done(format!("{document}\n")));
    }
    let (name, account) = (crate::model::clean(link.user_name.as_str()), crate::model::clean(link.scim_id.as_str()));
    Ok(Output::done(format!(
        "{name} is no longer linked; account {account} stays as it is\n\
         next: a cycle links it again if the directory still wants the user\n"
    )))
}

/// Whether this is the account of a lost log that is meant.
fn is_named(account: &ProvisionedUser, user: &str) -> bool {
    account.directory_id.as_str() == user || account.user_name.folded() == folded(user)
}

/// The link of a user whom the directory has under another id by now, by that id.
fn formerly_linked(connection: &Connection, id: &str) -> rusqlite::Result<Option<ProvisionedUser>> {
    let id = DirectoryId::new(id);
    let held = store::outstanding(connection)?.into_iter().find(|entry| entry.is_about(&id));
    match held.and_then(|entry| entry.former_id) {
        Some(former_id) => store::link_by_id(connection, &former_id),
        None => Ok(None),
    }
}
