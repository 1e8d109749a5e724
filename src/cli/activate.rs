//! `activate`: verify endpoint and token, create or re-bind the state, start managing. Nothing else creates a real state.

use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::failure::Failure;
use crate::http::Client;
use crate::model::{Clock, Exit, Moment, ProvisionedUser, RawValue, clean, command};
use crate::probe::holdings;
use crate::process::{SystemClock, random, user};
use crate::scim::ScimTarget;
use crate::store::{self, Access, JournalError, Lock, StateError, Unmanaged, Unnoted};
use rusqlite::Connection;
use serde_json::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// How many linked accounts are looked for before the endpoint counts as another organisation's.
const WITNESSES_MAX: u32 = 20;
/// How many accounts that nobody manages are named; `status --all` names all.
const NAMES_SHOWN_MAX: usize = 10;

pub(super) fn run(arguments: &Arguments) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let endpoint = deployment.endpoint()?;
    let target = deployment.target()?;
    let fingerprint_of = |id: &str| {
        if deployment.is_sandbox { Ok(None) } else { deployment.token().map(|token| Some(token.fingerprint(id))) }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let holdings = runtime.block_on(holdings(&target))?;
    let Opened { mut connection, aside, made } = open_or_make(&deployment.state_path, &endpoint)?;
    let installation = store::installation(&connection)?;
    if installation.base_url != endpoint {
        let linked = store::witnesses(&connection, WITNESSES_MAX)?;
        runtime.block_on(recognise(&target, &linked))?;
    }
    let Exported { unmanaged, unknown, organization } = unmanaged(&deployment, &connection, holdings.carriers)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    store::go_on_after(&transaction, made.as_ref().and_then(Lock::noted))?;
    let fingerprint = fingerprint_of(&installation.installation_id)?;
    store::set_active(&transaction, true, &endpoint, fingerprint.as_deref())?;
    if let Some(organization) = &organization {
        store::bind_organization(&transaction, organization)?;
    }
    store::begin_health(&transaction, SystemClock.now())?;
    store::replace_unmanaged(&transaction, &unmanaged, SystemClock.now())?;
    let mut draft = Draft::new(EventType::IdmIntegrationActivate, true, Source::Activate);
    draft.initiator = Initiator::Admin(user());
    draft.response.details = format!("accounts={}", holdings.accounts_count);
    store::append(&transaction, &[draft], SystemClock.now())?;
    transaction.commit()?;
    match made {
        Some(mut lock) => lock.note(&connection).map_err(JournalError::from)?,
        None => store::note_beside(&deployment.state_path, &connection)?,
    }
    Ok(said(arguments, holdings.accounts_count, &unmanaged, &unknown, aside))
}

/// A state may only be re-bound to an endpoint that has one of its linked accounts.
async fn recognise(target: &ScimTarget<Client>, linked: &[ProvisionedUser]) -> Result<(), Failure> {
    for user in linked {
        let permit = target.permit().await;
        if let Some(account) = target.read(&user.scim_id, permit).await.value
            && account.id.as_ref() == Some(&user.scim_id)
            && crate::scim::carries(&account, &user.user_name)
        {
            return Ok(());
        }
    }
    if linked.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        "none of the linked accounts exists at this endpoint",
        Some("restore base_url; if this really is another organisation, move the state away and activate again"),
    ))
}

/// A state that is ready to be activated.
struct Opened {
    connection: Connection,
    /// Where an unusable old state was moved to.
    aside: Option<PathBuf>,
    /// The lock, if the state was created: its log continues after the position noted there.
    made: Option<Lock>,
}

/// Opens the state, or creates it. An unusable one is moved aside, never overwritten.
fn open_or_make(path: &Path, endpoint: &str) -> Result<Opened, Failure> {
    let now = SystemClock.now();
    match usable(path) {
        Ok(mut connection) => {
            store::continue_log(&mut connection, store::noted_beside(path).as_ref(), Unnoted::IsUnknown, now)?;
            return Ok(Opened { connection, aside: None, made: None });
        }
        Err(StateError::Older { .. }) => {
            let _lock = Lock::take(path)?;
            store::upgrade(path, now)?;
            return Ok(Opened { connection: usable(path)?, aside: None, made: None });
        }
        Err(error) if !can_be_replaced(&error) => return Err(error.into()),
        Err(_) => {}
    }
    if let Some(folder) = path.parent() {
        crate::folder::create(folder)?;
    }
    // Checked again under the lock: two processes must not move each other's new state aside.
    let lock = Lock::take(path)?;
    let aside = match usable(path) {
        Ok(connection) => return Ok(Opened { connection, aside: None, made: None }),
        Err(StateError::Missing(_)) => None,
        Err(error) if can_be_replaced(&error) => Some(put_aside(path, now)?),
        Err(error) => return Err(error.into()),
    };
    let connection = store::create(path, endpoint, now, random())?;
    Ok(Opened { connection, aside, made: Some(lock) })
}

/// The state, if it also passes SQLite's check.
fn usable(path: &Path) -> Result<Connection, StateError> {
    let connection = store::open(path, Access::Write)?;
    store::quick_check(&connection)?;
    Ok(connection)
}

/// Whether a new state may replace it; the old one is kept.
fn can_be_replaced(error: &StateError) -> bool {
    match error {
        StateError::Missing(_)
        | StateError::Empty(_)
        | StateError::Foreign(_)
        | StateError::Newer { .. }
        | StateError::Damaged { .. } => true,
        StateError::Older { .. }
        | StateError::Exposed(_)
        | StateError::Denied { .. }
        | StateError::OtherEndpoint { .. }
        | StateError::Io(_)
        | StateError::Copy { .. }
        | StateError::Sqlite(_) => false,
    }
}

fn put_aside(path: &Path, now: Moment) -> std::io::Result<PathBuf> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = beside(&format!(".unusable-{}", now.0 / 1000));
    // The WAL and its index are moved too: they may contain committed data.
    for suffix in ["-wal", "-shm", ""] {
        let mut to = aside.as_os_str().to_owned();
        to.push(suffix);
        match std::fs::rename(beside(suffix), to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound || suffix.is_empty() => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

/// What the export says of the accounts that carry a directory id.
struct Exported {
    /// Those that are active and linked to nobody.
    unmanaged: Vec<Unmanaged>,
    /// How many carry an id that the export lacks; or why the export cannot be read.
    unknown: Result<usize, String>,
    /// The organisation whose users the export has.
    organization: Option<String>,
}

/// Compares the accounts that carry a directory id with the export.
fn unmanaged(
    deployment: &Deployment,
    connection: &Connection,
    mut carriers: Vec<(Unmanaged, bool)>,
) -> Result<Exported, Failure> {
    let mut ids = HashSet::new();
    let export = deployment.open_export_to_bind().and_then(|mut export| {
        export.read(&mut |user| {
            if let RawValue::Text(id) = &user.id {
                ids.insert(id.as_ref().to_owned());
            }
        })?;
        Ok(export.organization().map(str::to_owned))
    });
    carriers.retain(|(carrier, _)| !ids.contains(carrier.directory_id.as_str()));
    let (unknown, organization) = match export {
        Ok(organization) => (Ok(carriers.len()), organization),
        Err(error) => (Err(crate::model::chain(&error).join(": ")), None),
    };
    same_people(connection, organization.as_deref(), &ids)?;
    let mut unmanaged = Vec::new();
    for (carrier, active) in carriers {
        if active && store::link_by_scim_id(connection, &carrier.scim_id)?.is_none() {
            unmanaged.push(carrier);
        }
    }
    Ok(Exported { unmanaged, unknown, organization })
}

/// A state may only be bound to another organisation of the directory if that has one of its linked users.
fn same_people(connection: &Connection, organization: Option<&str>, ids: &HashSet<String>) -> Result<(), Failure> {
    let bound = store::installation(connection)?.directory_organization;
    let (Some(bound), Some(found)) = (bound, organization) else { return Ok(()) };
    let linked = store::linked_ids(connection)?;
    if bound == found || linked.is_empty() || linked.iter().any(|id| ids.contains(id.as_str())) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!("none of the linked users is in the organisation {found}; the state belongs to {bound}"),
        Some(
            "put back the key of that organisation; if this really is another one, move the state away and activate again",
        ),
    ))
}

fn said(
    arguments: &Arguments,
    accounts_count: u64,
    unmanaged: &[Unmanaged],
    unknown: &Result<usize, String>,
    aside: Option<PathBuf>,
) -> Output {
    if arguments.json {
        let document = json!({
            "result": "done", "exit": 0, "active": true, "accounts": accounts_count,
            "unknown_directory_ids": unknown.as_ref().ok(), "source": unknown.as_ref().err(), "put_aside": aside,
        });
        return Output::done(format!("{document}\n"));
    }
    let mut text = format!("activated; Rhombus holds {accounts_count} accounts");
    match unknown {
        Ok(count) => {
            text.push_str(&format!(", {count} of them carry a directory id that the export lacks\n"));
            text.push_str(&names(unmanaged));
        }
        Err(source) => text.push_str(&format!("\nthe export cannot be read yet: {source}\n")),
    }
    if let Some(aside) = aside {
        text.push_str(&format!("the old state could not be used and was moved to {}\n", aside.display()));
    }
    text.push_str(&format!("to look: {}; then: {}\n", command("plan"), command("--reconcile")));
    Output::done(text)
}

fn names(unmanaged: &[Unmanaged]) -> String {
    let name = |one: &Unmanaged| {
        let name = one.username.as_ref().map_or(one.directory_id.as_str(), |name| name.as_str());
        format!("{} (account {})", clean(name), clean(one.scim_id.as_str()))
    };
    let mut text: String = unmanaged.iter().take(NAMES_SHOWN_MAX).map(|one| format!("  {}\n", name(one))).collect();
    if unmanaged.len() > NAMES_SHOWN_MAX {
        text.push_str(&format!("  and {} more: {}\n", unmanaged.len() - NAMES_SHOWN_MAX, command("status --all")));
    }
    if !unmanaged.is_empty() {
        text.push_str("nobody manages these here: who has left is yours to remove at Rhombus\n");
    }
    text
}
