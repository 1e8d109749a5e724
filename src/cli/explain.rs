//! `explain USER`: why this user is, or is not, in Rhombus, step by step. Offline; it changes nothing.

use super::unknown::{WHO_IS_KNOWN, unknown_user};
use super::{Arguments, Output};
use crate::cycle::{CompareError, Compared, Refreshed, find_user, look_for};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{
    Change, Clock, DirectoryId, HoldId, Moment, OutstandingKind, OutstandingUser, ProvisionedUser, Reason, RecordFault,
    UserName, chain,
};
use crate::plan::mapping::{username_of, valid_id};
use crate::preview::plan_of;
use crate::process::SystemClock;
use crate::report::{ExportFacts, Facts, event_text, explain_document, explain_text};
use crate::store::{self, Access, InstallationRow};
use rusqlite::Connection;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// So many others with one username are named.
const NAMESAKES_MAX: usize = 10;

pub(super) fn run(arguments: &Arguments, user: &str) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (reader, installation) = deployment.state(Access::Read)?;
    let facts = gather(&deployment, &reader, &installation, user)?;
    if arguments.json {
        return Ok(Output::done(format!("{}\n", explain_document(&facts))));
    }
    Ok(Output::done(explain_text(&facts, SystemClock.now())))
}

fn gather(
    deployment: &Deployment,
    reader: &Connection,
    installation: &InstallationRow,
    user: &str,
) -> Result<Facts, Failure> {
    let settings = &deployment.config.settings;
    let opened = deployment.open_current_export(installation).map_err(CompareError::from);
    let looked = opened.and_then(|mut export| {
        let (id, facts) = look_for(user, reader, settings, &mut export)?;
        Ok((id, facts, export))
    });
    let (id, export, planned) = match looked {
        Ok((id, facts, mut export)) => {
            match (id, plan_of(deployment, reader, &mut export, &[], Refreshed::default())) {
                (Some(id), Ok(planned)) => (Some(id), Ok(facts), Some(planned)),
                (id, Err(failure)) => (id, Err(failure.error.join(": ")), None),
                (None, Ok(_)) => (None, Ok(facts), None),
            }
        }
        Err(error) => (None, Err(chain(&error).join(": ")), None),
    };
    let id = match id {
        Some(id) => id,
        // Whom the export does not have, the snapshot and the log may know.
        None => match find_user(user, reader, settings, || None)? {
            Some(id) => id,
            None => return Err(unknown_user(reader, "no user matches", user, WHO_IS_KNOWN)?),
        },
    };
    let (mut change, mut outstanding, mut hold) = (None, Vec::new(), None);
    if let Some((compared, of_plan)) = planned {
        change = compared.plan.changes().find(|change| *change.directory_id() == id).map(Cow::into_owned);
        outstanding = of_plan.into_iter().filter(|entry| entry.is_about(&id)).collect();
        if let Some(change) = &change {
            outstanding.extend(still_waiting(reader, &id, change)?);
        }
        hold = hold_of(reader, &compared, &id)?;
    }
    let name = export.as_ref().ok().and_then(|facts: &ExportFacts| facts.record.as_ref()?.username.clone());
    let namesakes = namesakes(deployment, installation, &id, name.as_ref(), &outstanding);
    let link = match store::link_by_id(reader, &id)? {
        Some(link) => Some(link),
        None => formerly_linked(reader, &outstanding)?,
    };
    let unmanaged = store::unmanaged(reader)?.into_iter().find(|entry| entry.is_about(&id));
    let lines = store::history(reader, &id)?;
    let last_line = lines.last();
    let protects = |name: &UserName| settings.scope.protects(name.as_str());
    let names = [link.as_ref().map(|link| link.user_name.clone()), name];
    let seen_name = || unmanaged.as_ref().and_then(|entry| entry.username.clone());
    Ok(Facts {
        protected: names.iter().flatten().any(protects),
        username: names.into_iter().flatten().next().or_else(|| logged_name(last_line?)).or_else(seen_name),
        called: called(reader, link.as_ref(), &id)?,
        unmanaged: unmanaged.filter(|_| link.is_none() && change.is_none()),
        in_doubt_since: in_doubt_since(reader, &id)?,
        id,
        export,
        groups: settings.scope.groups().map(str::to_owned).collect(),
        linked_at: link.as_ref().and_then(|link| linked_at(&lines, link)),
        link,
        change,
        outstanding,
        namesakes,
        hold,
        last_event: last_line.map(|line| event_text(line).trim_end().to_owned()),
        active: installation.active,
    })
}

/// When a request for this user left whose answer is not known.
fn in_doubt_since(reader: &Connection, id: &DirectoryId) -> Result<Option<Moment>, Failure> {
    let open = store::open_intents(reader)?.into_iter().find(|intent| intent.key.directory_id == *id);
    Ok(open.map(|intent| intent.stored_at))
}

/// Who else in the export has the username of a user who is refused for that; nobody, where the export cannot be read again.
fn namesakes(
    deployment: &Deployment,
    installation: &InstallationRow,
    id: &DirectoryId,
    name: Option<&UserName>,
    outstanding: &[OutstandingUser],
) -> Vec<DirectoryId> {
    let doubled = Reason::Unusable(RecordFault::DuplicateUsername);
    if !outstanding.iter().any(|entry| entry.reason == doubled) {
        return Vec::new();
    }
    let (Some(name), Ok(mut export)) = (name, deployment.open_current_export(installation)) else { return Vec::new() };
    let (name, mut found) = (name.casefolded(), BTreeSet::new());
    let read = export.read(&mut |user| {
        if let (Ok(of), Some(other)) = (valid_id(&user.id), username_of(user))
            && of != id.as_str()
            && other.casefolded() == name
            && found.len() < NAMESAKES_MAX
        {
            found.insert(DirectoryId::new(of));
        }
    });
    if read.is_ok() { found.into_iter().collect() } else { Vec::new() }
}

/// What the last cycle could not send stands until it goes on, though the plan has it again.
fn still_waiting(reader: &Connection, id: &DirectoryId, change: &Change) -> rusqlite::Result<Vec<OutstandingUser>> {
    let waits = |stored: &OutstandingUser| {
        stored.directory_id.as_ref() == Some(id)
            && stored.kind == OutstandingKind::Waiting
            && stored.action == Some(change.action())
            && stored.until.is_none_or(|until| until > SystemClock.now())
    };
    Ok(store::outstanding(reader)?.into_iter().filter(waits).collect())
}

/// What names a user in a command: the linked username, unless it is the directory id of somebody.
fn called(reader: &Connection, link: Option<&ProvisionedUser>, id: &DirectoryId) -> rusqlite::Result<String> {
    let Some(link) = link else { return Ok(id.as_str().to_owned()) };
    let name = DirectoryId::new(link.user_name.as_str());
    let is_an_id = store::link_by_id(reader, &name)?.is_some() || store::formerly(reader, &name)?.is_some();
    Ok(if is_an_id { id.as_str() } else { link.user_name.as_str() }.to_owned())
}

/// When the log first speaks of this account of the user with success.
fn linked_at(lines: &[String], link: &ProvisionedUser) -> Option<Moment> {
    lines.iter().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = event["resource"]["target_id"] == link.scim_id.as_str() && event["success"] == true;
        let at: jiff::Timestamp = event["timestamp"].as_str()?.parse().ok()?;
        ours.then(|| Moment(at.as_millisecond()))
    })
}

/// Of who is gone, the log still has the username.
fn logged_name(line: &str) -> Option<UserName> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event["resource"]["username"].as_str().map(UserName::of_account)
}

/// The link of a user whom the directory has under another id by now.
fn formerly_linked(reader: &Connection, outstanding: &[OutstandingUser]) -> rusqlite::Result<Option<ProvisionedUser>> {
    match outstanding.iter().find_map(|entry| entry.former_id.as_ref()) {
        Some(former_id) => store::link_by_id(reader, former_id),
        None => Ok(None),
    }
}

/// The hold by which this user's change can be approved; none for what only a plan showed.
fn hold_of(reader: &Connection, compared: &Compared, id: &DirectoryId) -> rusqlite::Result<Option<HoldId>> {
    let (Some(held), Some(current)) = (compared.plan.held_of(id), store::current_hold(reader)?) else {
        return Ok(None);
    };
    let stored = store::held_of(reader, &current)?.unwrap_or_default();
    Ok(stored.iter().any(|stored| stored.exact == held.exact).then_some(current))
}
