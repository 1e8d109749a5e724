//! `approve`: look at what the guard holds; with a hold's id, release exactly that, for one hour. A running sender sees it
//! with its next cycle. A link that is held for the identity of its user moves at once (`identity`).

use super::identity::SameUser;
use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::failure::Failure;
use crate::model::{Action, ChangeKey, Clock, DirectoryId, Exit, HoldId, OutstandingKind, UserName, folded};
use crate::process::{SystemClock, user};
use crate::report::{outstanding_text, users_of};
use crate::store::{self, Access};
use rusqlite::Connection;
use serde_json::json;
use std::collections::BTreeSet;

pub(super) fn run(arguments: &Arguments, hold: Option<&str>, identity: SameUser) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    match hold {
        None => show(arguments, &deployment),
        Some(hold) => release(arguments, &deployment, &HoldId::new(hold), identity),
    }
}

fn show(arguments: &Arguments, deployment: &Deployment) -> Result<Output, Failure> {
    let (reader, _) = deployment.state(Access::Read)?;
    let hold = store::current_hold(&reader)?;
    let mut outstanding = store::outstanding(&reader)?;
    outstanding.retain(|entry| entry.kind == OutstandingKind::Held);
    if arguments.json {
        let hold = hold.as_ref().map(HoldId::as_str);
        let document = json!({"hold": hold, "held": users_of(&outstanding, OutstandingKind::Held)});
        return Ok(Output::done(format!("{document}\n")));
    }
    let mut text = String::new();
    outstanding_text(&mut text, &outstanding, SystemClock.now());
    match hold {
        Some(hold) => {
            text.push_str(&format!("  next: `rhombus-sync approve {hold}` releases exactly these, for one hour\n"))
        }
        None if outstanding.is_empty() => text.push_str("nothing is held\n"),
        None => text.push_str("  these are held because of what Rhombus shows, and cannot be approved\n"),
    }
    Ok(Output::done(text))
}

fn release(
    arguments: &Arguments,
    deployment: &Deployment,
    hold: &HoldId,
    identity: SameUser,
) -> Result<Output, Failure> {
    let (mut connection, _) = deployment.command()?;
    let now = SystemClock.now();
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let Some(held) = store::held_of(&transaction, hold)? else {
        let hint = "`rhombus-sync approve` shows what is held; what only `plan` showed cannot be approved before a cycle held it";
        return Err(Failure::new(Exit::Failed, "no cycle stored a hold with this id", Some(hint)));
    };
    let chosen = identity.fit(choose(&transaction, held, &arguments.only)?)?;
    if chosen.is_empty() {
        return Err(Failure::new(Exit::Failed, "nothing of this hold is held any more", None));
    }
    let by = user();
    let mut draft = Draft::new(EventType::ReconcileApproved, true, Source::Approve);
    draft.initiator = Initiator::Admin(by.clone());
    draft.response.details = format!("hold={hold} changes={}{}", chosen.len(), identity.details());
    store::append(&transaction, &[draft], now)?;
    let settled_count = identity.settle(&transaction, &chosen, &Initiator::Admin(by.clone()), now)?;
    // Of those that are settled it tells a running sender that a cycle is wanted.
    store::approve(&transaction, hold, &chosen, &by, now)?;
    transaction.commit()?;
    store::note_beside(&deployment.state_path, &connection)?;
    let count = chosen.len();
    if arguments.json {
        let document = json!({"result": "done", "exit": 0, "hold": hold.as_str(), "approved": count});
        return Ok(Output::done(format!("{document}\n")));
    }
    if count == settled_count {
        return Ok(Output::done(identity.text(settled_count)));
    }
    let (settled, count) = (identity.text(settled_count), count - settled_count);
    let what = if count == 1 { "1 change is".to_owned() } else { format!("{count} changes are") };
    Ok(Output::done(format!("{settled}{what} released for one hour; the next cycle sends them\n")))
}

/// Of what is held, what was asked for; each text must mean one user: a directory id, else the username of a linked account,
/// else the username of a newcomer.
fn choose(
    reader: &Connection,
    held: Vec<(ChangeKey, UserName)>,
    only: &[String],
) -> Result<Vec<(ChangeKey, UserName)>, Failure> {
    if only.is_empty() {
        return Ok(held);
    }
    let mut chosen = BTreeSet::new();
    for text in only {
        let former = store::link_by_id(reader, &DirectoryId::new(text.as_str()))?;
        let is_former = |key: &ChangeKey| {
            key.action == Action::Relink && key.scim_id == former.as_ref().map(|former| former.scim_id.clone())
        };
        let by_id = held.iter().find(|(key, _)| key.directory_id.as_str() == text || is_former(key));
        let named = || held.iter().filter(|(_, name)| name.folded() == folded(text));
        let by_name = || named().find(|(key, _)| key.scim_id.is_some()).or_else(|| named().next());
        match by_id.or_else(by_name) {
            Some((key, _)) => drop(chosen.insert(key.directory_id.clone())),
            None => {
                let unknown = crate::model::clean(text);
                let hint = "`rhombus-sync approve` shows who is held";
                return Err(Failure::new(
                    Exit::Failed,
                    format!("nothing of `{unknown}` is held under this id"),
                    Some(hint),
                ));
            }
        }
    }
    Ok(held.into_iter().filter(|(key, _)| chosen.contains(&key.directory_id)).collect())
}
