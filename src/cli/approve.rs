//! `approve`: look at what the guard holds; with a hold's id, release exactly that, for one hour. A running sender sees it
//! with its next cycle. A link that is held for the identity of its user moves at once (`identity`).

use super::identity::SameUser;
use super::{Arguments, Output, held};
use crate::deployment::Deployment;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::failure::Failure;
use crate::model::{Action, ChangeKey, Clock, DirectoryId, Exit, HoldId, UserName, clean, command, folded, short};
use crate::process::{SystemClock, user};
use crate::report::date;
use crate::store::{self, NamedHold};
use rusqlite::Connection;
use serde_json::json;
use std::collections::BTreeSet;

pub(super) fn run(arguments: &Arguments, hold: Option<&str>, identity: SameUser) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    match hold {
        None => held::show(arguments, &deployment),
        Some(hold) => release(arguments, &deployment, hold, identity),
    }
}

/// The hold that was named, or why there is none.
fn named(reader: &Connection, text: &str) -> Result<HoldId, Failure> {
    let fail = |what: String, hint: String| Err(Failure::new(Exit::Failed, what, Some(&hint)));
    let text = &*clean(text);
    match store::named_hold(reader, text)? {
        NamedHold::One(hold) => Ok(hold),
        NamedHold::Several(holds) => {
            let ids: Vec<_> = holds.iter().map(HoldId::as_str).collect();
            fail(format!("{} holds begin with {text}: {}", ids.len(), ids.join(", ")), "name one whole".to_owned())
        }
        NamedHold::NotAnId => fail(
            format!("`{text}` is not the id of a hold: that is 64 hex digits, of which the first 8 are enough"),
            held_now(reader)?,
        ),
        NamedHold::Unknown => fail(
            format!("no hold of the last 30 days begins with {text}"),
            format!("{}; what only `plan` showed cannot be approved before a cycle held it", held_now(reader)?),
        ),
    }
}

fn held_now(reader: &Connection) -> rusqlite::Result<String> {
    Ok(match store::current_hold(reader)? {
        Some(hold) => format!("held now is {}; to look: {}", short(hold.as_str()), command("approve")),
        None => "nothing that can be approved is held now".to_owned(),
    })
}

/// A hold of which nothing is held any more.
fn over(reader: &Connection, hold: &HoldId) -> Result<Failure, Failure> {
    let what = match store::approved_by(reader, hold)? {
        Some((by, at)) => format!("hold {} is over: {} released it {}", short(hold.as_str()), clean(&by), date(at)),
        None => format!(
            "hold {} is over: nothing of it is held any more, and nobody had to release it",
            short(hold.as_str())
        ),
    };
    Ok(Failure::new(Exit::Failed, what, Some(&held_now(reader)?)))
}

fn release(arguments: &Arguments, deployment: &Deployment, hold: &str, identity: SameUser) -> Result<Output, Failure> {
    let (mut connection, _) = deployment.command()?;
    let now = SystemClock.now();
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let hold = &named(&transaction, hold)?;
    let held = store::held_of(&transaction, hold)?.unwrap_or_default();
    if held.is_empty() {
        return Err(over(&transaction, hold)?);
    }
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
    let until = date(now.plus(store::APPROVAL));
    let next = match store::holder(&deployment.state_path) {
        Some(_) => "the daemon sends within seconds".to_owned(),
        None => format!("no daemon runs; to send: {}", command("--reconcile")),
    };
    Ok(Output::done(format!("{settled}{what} released until {until}; {next}\n")))
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
                let unknown = clean(text);
                let hint = format!("`{}` shows who is held", command("approve"));
                return Err(Failure::new(
                    Exit::Failed,
                    format!("nothing of `{unknown}` is held under this id"),
                    Some(&hint),
                ));
            }
        }
    }
    Ok(held.into_iter().filter(|(key, _)| chosen.contains(&key.directory_id)).collect())
}
