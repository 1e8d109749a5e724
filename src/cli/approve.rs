//! `approve`: look at what the guard holds; with a hold's id, release exactly that, for one hour. A running sender sees it
//! with its next cycle. A link that is held for the identity of its user moves at once (`identity`).

use super::identity::SameUser;
use super::{Arguments, Output, held};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{
    Action, Approval, ChangeKey, Clock, DirectoryId, Exit, HeldChange, HoldId, Moment, OutstandingKind, clean, command,
    folded, quoted, short,
};
use crate::process::{SystemClock, person};
use crate::report::{date, held_changes_document, released_lines};
use crate::store::{self, NamedHold};
use rusqlite::Connection;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn run(
    arguments: &Arguments,
    hold: Option<&str>,
    identity: SameUser,
    reason: Option<&str>,
) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    match hold {
        None => held::show(arguments, &deployment),
        Some(hold) => release(arguments, &deployment, hold, identity, reason.unwrap_or_default()),
    }
}

/// The hold that was named, or why there is none.
fn named(reader: &Connection, text: &str, now: Moment) -> Result<HoldId, Failure> {
    let fail = |what: String, hint: String| Err(Failure::new(Exit::Failed, what, Some(&hint)));
    let text = &*clean(text);
    match store::named_hold(reader, text, now)? {
        NamedHold::One(hold) => Ok(hold),
        NamedHold::Several(holds) => {
            let ids: Vec<_> = holds.iter().map(HoldId::as_str).collect();
            fail(
                format!("{} holds begin with {text}: {}", ids.len(), ids.join(", ")),
                "give more digits, or the whole id".to_owned(),
            )
        }
        NamedHold::NotAnId => fail(
            format!("`{text}` is not the id of a hold: that has 64 hex digits, of which the first 8 are enough"),
            held_now(reader)?,
        ),
        NamedHold::Unknown => fail(
            format!("no hold of the last 30 days begins with {text}"),
            format!("{}; what only `plan` has shown cannot be approved until a cycle has held it", held_now(reader)?),
        ),
    }
}

fn held_now(reader: &Connection) -> rusqlite::Result<String> {
    Ok(match store::current_hold(reader)? {
        Some(hold) => format!("the current hold is {}; to review it: {}", short(hold.as_str()), command("approve")),
        None => "nothing is held that could be approved".to_owned(),
    })
}

/// A hold of which nothing is held any more.
fn over(reader: &Connection, hold: &HoldId) -> Result<Failure, Failure> {
    let what = match store::approved_by(reader, hold)? {
        _ if !store::is_exact(reader, hold)? => format!(
            "hold {} ended with the upgrade: a hold of an earlier release did not record what would be sent",
            short(hold.as_str())
        ),
        Some((by, at)) => format!("hold {} is over: {} released it {}", short(hold.as_str()), clean(&by), date(at)),
        None => {
            format!("hold {} is over: its changes are no longer held, and nothing was released", short(hold.as_str()))
        }
    };
    Ok(Failure::new(Exit::Failed, what, Some(&held_now(reader)?)))
}

fn release(
    arguments: &Arguments,
    deployment: &Deployment,
    hold: &str,
    identity: SameUser,
    reason: &str,
) -> Result<Output, Failure> {
    let (mut connection, _) = deployment.command()?;
    let now = SystemClock.now();
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let hold = &named(&transaction, hold, now)?;
    let mut held = store::held_of(&transaction, hold)?.unwrap_or_default();
    if held.is_empty() {
        return Err(over(&transaction, hold)?);
    }
    without_clock(&transaction, hold, &mut held)?;
    let chosen = identity.fit(choose(&transaction, hold, held, &arguments.only)?)?;
    if chosen.is_empty() {
        return Err(Failure::new(Exit::Failed, "nothing in this hold is still held", Some(&held_now(&transaction)?)));
    }
    let approval = Approval { hold: hold.clone(), by: person(), reason: clean(reason.trim()).into_owned() };
    // Of those that are settled it tells a running sender that a cycle is wanted.
    store::approve(&transaction, &chosen, &approval, identity.details(), now)?;
    let settled_count = identity.settle(&transaction, &chosen, &approval, now)?;
    transaction.commit()?;
    store::note_beside(&deployment.state_path, &connection)?;
    let count = chosen.len();
    if arguments.json {
        let changes = held_changes_document(&chosen);
        let document =
            json!({"result": "done", "exit": 0, "hold": hold.as_str(), "approved": count, "changes": changes});
        return Ok(Output::done(format!("{document}\n")));
    }
    if count == settled_count {
        return Ok(Output::done(identity.text(settled_count)));
    }
    let (settled, count) = (identity.text(settled_count), count - settled_count);
    let what = if count == 1 { "1 change is".to_owned() } else { format!("{count} changes are") };
    let until = date(now.plus(crate::clock::APPROVAL));
    let next = match store::holder(&deployment.state_path) {
        Some(_) => "the daemon acts within seconds".to_owned(),
        None => format!("no daemon is running; to send now: {}", command("--reconcile")),
    };
    let changes = released_lines(&chosen);
    Ok(Output::done(format!("{settled}{what} released until {until}; {next}\n{changes}")))
}

/// Leaves out what waits for the clock: an approval would release nothing of it.
fn without_clock(reader: &Connection, hold: &HoldId, held: &mut Vec<HeldChange>) -> Result<(), Failure> {
    let mut doubts = BTreeMap::new();
    for entry in store::outstanding(reader)? {
        if let Some(doubt) = entry.reason.clock_doubt().filter(|_| entry.kind == OutstandingKind::Held) {
            doubts.extend(entry.directory_id.map(|id| (id, doubt)));
        }
    }
    held.retain(|change| {
        let key = &change.exact.key;
        !(key.action.removes() && doubts.contains_key(&key.directory_id))
    });
    match doubts.values().next() {
        Some(doubt) if held.is_empty() => {
            let what = format!("hold {} waits for the clock and cannot be approved: {doubt}", short(hold.as_str()));
            Err(Failure::new(Exit::Failed, what, Some(&doubt.hint())))
        }
        Some(_) | None => Ok(()),
    }
}

/// Of what is held, what was asked for; each text must mean one user: a directory id, else the username of a linked account,
/// else the username of a newcomer.
fn choose(
    reader: &Connection,
    hold: &HoldId,
    held: Vec<HeldChange>,
    only: &[String],
) -> Result<Vec<HeldChange>, Failure> {
    if only.is_empty() {
        return Ok(held);
    }
    let mut chosen = BTreeSet::new();
    for text in only {
        let former = store::link_by_id(reader, &DirectoryId::new(text.as_str()))?;
        let is_former = |key: &ChangeKey| {
            key.action == Action::Relink && key.scim_id == former.as_ref().map(|former| former.scim_id.clone())
        };
        let by_id = held.iter().find(|held| held.exact.key.directory_id.as_str() == text || is_former(&held.exact.key));
        let named = || held.iter().filter(|held| held.user_name.folded() == folded(text));
        let by_name = || named().find(|held| held.exact.key.scim_id.is_some()).or_else(|| named().next());
        match by_id.or_else(by_name) {
            Some(held) => drop(chosen.insert(held.exact.key.directory_id.clone())),
            None => return Err(not_held(reader, hold, text)?),
        }
    }
    Ok(held.into_iter().filter(|held| chosen.contains(&held.exact.key.directory_id)).collect())
}

/// Nothing of this user is held by this hold: not any more, or it never was.
fn not_held(reader: &Connection, hold: &HoldId, text: &str) -> Result<Failure, Failure> {
    let user = clean(text);
    let was_held =
        store::hold_users(reader, hold)?.iter().any(|(id, name)| id.as_str() == text || name.folded() == folded(text));
    let (what, hint) = match was_held {
        true => (
            format!("the change of `{user}` in this hold is over: it was released, or is not wanted any more"),
            format!("what was done: {}", command(&format!("history {}", quoted(&user)))),
        ),
        false => (
            format!("no change of `{user}` is part of this hold"),
            format!("`{}` shows who is held", command("approve")),
        ),
    };
    Ok(Failure::new(Exit::Failed, what, Some(&hint)))
}
