//! `activate`: prove endpoint and token, make or re-bind the state, begin managing. Only this makes a state.

use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::failure::Failure;
use crate::http::Client;
use crate::model::{Clock, Exit, Moment, ProvisionedUser, RawValue};
use crate::probe::{Holdings, holdings};
use crate::process::{SystemClock, random, user};
use crate::scim::ScimTarget;
use crate::store::{self, Access, JournalError, Lock, StateError, Unnoted};
use rusqlite::Connection;
use serde_json::json;
use std::path::{Path, PathBuf};

/// How many linked accounts are tried before another endpoint counts as a stranger's.
const WITNESSES_MAX: u32 = 20;

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
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    store::go_on_after(&transaction, made.as_ref().and_then(Lock::noted))?;
    let fingerprint = fingerprint_of(&installation.installation_id)?;
    store::set_active(&transaction, true, &endpoint, fingerprint.as_deref())?;
    let mut draft = Draft::new(EventType::IdmIntegrationActivate, true, Source::Activate);
    draft.initiator = Initiator::Admin(user());
    draft.response.details = format!("accounts={}", holdings.accounts_count);
    store::append(&transaction, &[draft], SystemClock.now())?;
    transaction.commit()?;
    match made {
        Some(mut lock) => lock.note(&connection).map_err(JournalError::from)?,
        None => store::note_beside(&deployment.state_path, &connection)?,
    }
    Ok(said(arguments, &deployment, &holdings, aside))
}

/// A state may only be bound anew to an endpoint that holds its accounts.
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
        "none of the linked accounts is at this endpoint",
        Some("set base_url back; or move the state away and activate anew, if this really is another organisation"),
    ))
}

/// A state that is ready to be activated.
struct Opened {
    connection: Connection,
    /// Where the old one lies, which could not be used.
    aside: Option<PathBuf>,
    /// The lock, where the state was made: its log goes on after the one that was noted there.
    made: Option<Lock>,
}

/// The state, made where there is none. One that cannot be used is put aside, never overwritten.
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
    // Looked at again under the lock: two of us must not put each other's new state aside.
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

/// The state, where it is whole too.
fn usable(path: &Path) -> Result<Connection, StateError> {
    let connection = store::open(path, Access::Write)?;
    store::quick_check(&connection)?;
    Ok(connection)
}

/// Whether a new state may take its place; the old one is kept aside.
fn can_be_replaced(error: &StateError) -> bool {
    match error {
        StateError::Missing(_)
        | StateError::Empty(_)
        | StateError::Foreign(_)
        | StateError::Newer { .. }
        | StateError::Damaged { .. } => true,
        StateError::Older { .. }
        | StateError::Exposed(_)
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
    // Its log and its index go with it: what was committed may be in them.
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

fn said(arguments: &Arguments, deployment: &Deployment, holdings: &Holdings, aside: Option<PathBuf>) -> Output {
    let mut unknown = holdings.directory_ids.clone();
    let export = deployment.open_export().and_then(|mut export| {
        export.read(&mut |user| {
            if let RawValue::Text(id) = &user.id {
                unknown.remove(id.as_ref());
            }
        })
    });
    let source = export.as_ref().err().map(|error| crate::model::chain(error).join(": "));
    let unknown_count = source.is_none().then_some(unknown.len());
    if arguments.json {
        let document = json!({
            "result": "done", "exit": 0, "active": true, "accounts": holdings.accounts_count,
            "unknown_directory_ids": unknown_count, "source": source, "put_aside": aside,
        });
        return Output::done(format!("{document}\n"));
    }
    let mut text = format!("activated; Rhombus holds {} accounts", holdings.accounts_count);
    match (unknown_count, source) {
        (Some(count), _) => text.push_str(&format!(", {count} of them carry a directory id that the export lacks\n")),
        (None, source) => text.push_str(&format!("\nthe export cannot be read yet: {}\n", source.unwrap_or_default())),
    }
    if let Some(aside) = aside {
        text.push_str(&format!("the old state could not be used and lies at {}\n", aside.display()));
    }
    text.push_str("next: look at `rhombus-sync plan`, then run `rhombus-sync --reconcile`\n");
    Output::done(text)
}
