//! `activate`: verify endpoint and token, create or re-bind the state, start managing. Nothing else creates a real state.

use super::clocks;
use super::progress::Progress;
use super::start_over::StartOver;
use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::failure::Failure;
use crate::http::Client;
use crate::model::{Clock, Exit, Moment, RawValue, clean, command, put_token};
use crate::probe::{Holdings, NotProven, holdings, is_linked, prove_organisation};
use crate::process::{SystemClock, person, random};
use crate::report::count;
use crate::scim::{Account, ScimTarget};
use crate::store::{self, Access, Carriers, InstallationRow, JournalError, Lock, StateError, Unmanaged};
use rusqlite::Connection;
use serde_json::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// How many accounts that nobody manages are named; `status --all` names all.
const NAMES_SHOWN_MAX: usize = 10;

/// Whether the links stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Links {
    Stay,
    /// `--start-over`.
    End,
}

pub(super) fn run(arguments: &Arguments, links: Links) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let endpoint = deployment.endpoint()?;
    let target = deployment.target()?;
    let token = if deployment.is_sandbox { None } else { Some(deployment.token()?) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let known = store::open(&deployment.state_path, Access::Read).ok();
    let is_known = |account: &Account| known.as_ref().is_some_and(|known| is_linked(known, account));
    let asking = Progress::asking(arguments.json);
    let holdings = runtime.block_on(holdings(&target, &is_known))?;
    drop((asking, known));
    let Opened { mut connection, moved_to, made } = open_or_make(&deployment, &endpoint)?;
    let installation = store::installation(&connection)?;
    let fingerprint = token.map(|token| token.fingerprint(&installation.installation_id));
    let start_over = match links {
        Links::Stay => {
            runtime.block_on(recognise(&target, &connection, &installation, &endpoint, fingerprint.as_deref()))?;
            None
        }
        Links::End => {
            let now = SystemClock.now();
            Some(runtime.block_on(StartOver::prepare(&deployment, &target, &connection, &holdings, now))?)
        }
    };
    let Exported { unmanaged, unknown, organization } = unmanaged(&deployment, &connection, &holdings.carriers)?;
    let now = SystemClock.now();
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    store::go_on_after(&transaction, made.as_ref().and_then(Lock::noted))?;
    let clocks = clocks::settle(&transaction, target.date(), now)?;
    if let Some(start_over) = &start_over {
        start_over.write(&transaction, now)?;
    }
    if let Some(fingerprint) = &fingerprint {
        store::note_token(&transaction, fingerprint, (Source::Activate, Initiator::Admin(person())), now)?;
    }
    store::set_active(&transaction, true, &endpoint, fingerprint.as_deref())?;
    if let Some(organization) = &organization {
        store::bind_organization(&transaction, organization)?;
    }
    store::begin_health(&transaction, now)?;
    store::replace_unmanaged(&transaction, &mut unmanaged.iter(), now)?;
    let mut draft = Draft::new(EventType::IdmIntegrationActivate, true, Source::Activate);
    draft.initiator = Initiator::Admin(person());
    draft.response.details = format!("accounts={}", holdings.accounts_count);
    store::append(&transaction, &[draft], now)?;
    transaction.commit()?;
    match made {
        Some(mut lock) => lock.note(&connection).map_err(JournalError::from)?,
        None => store::note_beside(&deployment.state_path, &connection)?,
    }
    let links_count = store::installation(&connection)?.provisioned_count;
    let done = Done { holdings, unmanaged, unknown, moved_to, start_over, clocks, links_count };
    Ok(if arguments.json { done.document() } else { done.text() })
}

/// Another token, or another address, must show accounts of ours; an address without any of them is another organisation's.
async fn recognise(
    target: &ScimTarget<Client>,
    state: &Connection,
    installation: &InstallationRow,
    endpoint: &str,
    fingerprint: Option<&str>,
) -> Result<(), Failure> {
    let is_elsewhere = installation.base_url != endpoint;
    let token_is_new = fingerprint.is_some_and(|fingerprint| fingerprint != installation.token_fingerprint);
    if !is_elsewhere && !token_is_new {
        return Ok(());
    }
    prove_organisation(target, state).await.map_err(|why| match why {
        NotProven::Bad(failure) if is_elsewhere => {
            let start_over = command("activate --start-over");
            let bound = &installation.base_url;
            let put = put_token("a token of the same organisation");
            let hint =
                format!("set [rhombus] base_url back to {bound}, or {put}; to drop all links for good: {start_over}");
            let mut error = vec![format!("the state belongs to {bound}, and {endpoint} does not show its accounts")];
            error.extend(failure.error);
            Failure { exit: Exit::Failed, error, hint: Some(hint) }
        }
        why @ (NotProven::Bad(_) | NotProven::Unknown(_)) => why.into(),
    })
}

/// A state that is ready to be activated.
struct Opened {
    connection: Connection,
    /// Where an unusable old state was moved to.
    moved_to: Option<PathBuf>,
    /// The lock, if the state was created: its log continues after the position noted there.
    made: Option<Lock>,
}

/// Opens the state, or creates it. An unusable one is moved aside, never overwritten.
fn open_or_make(deployment: &Deployment, endpoint: &str) -> Result<Opened, Failure> {
    let path = &*deployment.state_path;
    let now = SystemClock.now();
    match usable(path) {
        Ok(mut connection) => {
            deployment.seal(&connection)?;
            deployment.notice_restored(&mut connection)?;
            return Ok(Opened { connection, moved_to: None, made: None });
        }
        Err(StateError::Older { .. }) => {
            let _lock = Lock::acquire(path)?;
            deployment.upgrade()?;
            let connection = usable(path)?;
            deployment.seal(&connection)?;
            return Ok(Opened { connection, moved_to: None, made: None });
        }
        Err(error) if !can_be_replaced(&error) => return Err(error.into()),
        Err(_) => {}
    }
    if let Some(folder) = path.parent() {
        crate::folder::create(folder)?;
    }
    // Checked again under the lock: two processes must not move each other's new state aside.
    let lock = Lock::acquire(path)?;
    let moved_to = match usable(path) {
        Ok(connection) => {
            deployment.seal(&connection)?;
            return Ok(Opened { connection, moved_to: None, made: None });
        }
        Err(StateError::Missing(_)) => None,
        Err(error) if can_be_replaced(&error) => Some(put_aside(path, now)?),
        Err(error) => return Err(error.into()),
    };
    let connection = store::create(path, endpoint, now, random())?;
    store::take_name(&connection, lock.noted())?;
    deployment.seal(&connection)?;
    Ok(Opened { connection, moved_to, made: Some(lock) })
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
        | StateError::Refused { .. }
        | StateError::Denied { .. }
        | StateError::LockNote { .. }
        | StateError::Tampered { .. }
        | StateError::OtherEndpoint { .. }
        | StateError::Unusable { .. }
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
    let moved_to = beside(&format!(".unusable-{}", now.0 / 1000));
    // The WAL and its index are moved too: they may contain committed data.
    for suffix in ["-wal", "-shm", ""] {
        let mut to = moved_to.as_os_str().to_owned();
        to.push(suffix);
        match std::fs::rename(beside(suffix), to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound || suffix.is_empty() => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(moved_to)
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
fn unmanaged(deployment: &Deployment, connection: &Connection, carriers: &Carriers<bool>) -> Result<Exported, Failure> {
    let mut ids = HashSet::new();
    let export = deployment.open_export_to_bind().and_then(|mut export| {
        export.read(&mut |user| {
            if let RawValue::Text(id) = &user.id {
                ids.insert(id.as_ref().to_owned());
            }
        })?;
        Ok(export.organization().map(str::to_owned))
    });
    let unknown_to_it = |(carrier, _): &&(Unmanaged, bool)| !ids.contains(carrier.directory_id.as_str());
    let carriers: Vec<_> = carriers.kept().iter().filter(unknown_to_it).collect();
    let (unknown, organization) = match export {
        Ok(organization) => (Ok(carriers.len()), organization),
        Err(error) => (Err(crate::model::chain(&error).join(": ")), None),
    };
    same_people(connection, organization.as_deref(), &ids)?;
    let mut unmanaged = Vec::new();
    for (carrier, active) in carriers {
        if *active && store::link_by_scim_id(connection, &carrier.scim_id)?.is_none() {
            unmanaged.push(carrier.clone());
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
            "use the key of that organisation again; if the directory really has changed, move the state away and \
             activate again",
        ),
    ))
}

/// What was done.
struct Done {
    holdings: Holdings,
    unmanaged: Vec<Unmanaged>,
    unknown: Result<usize, String>,
    moved_to: Option<PathBuf>,
    start_over: Option<StartOver>,
    /// What was found of the clocks.
    clocks: Option<String>,
    links_count: i64,
}

impl Done {
    fn document(&self) -> Output {
        let start_over = self.start_over.as_ref().map(|start_over| start_over.members(&self.holdings));
        let document = json!({
            "result": "done", "exit": 0, "active": true, "accounts": self.holdings.accounts_count,
            "unknown_directory_ids": self.unknown.as_ref().ok(), "source": self.unknown.as_ref().err(),
            "put_aside": self.moved_to, "clock": self.clocks, "start_over": start_over,
        });
        Output::done(format!("{document}\n"))
    }

    fn text(&self) -> Output {
        let accounts_count = usize::try_from(self.holdings.accounts_count).unwrap_or(usize::MAX);
        let mut text = format!("activated; Rhombus has {}", count(accounts_count, "account"));
        match &self.unknown {
            Ok(count) => {
                text.push_str(&format!("; {count} of them carry a directory id that the export lacks\n"));
                text.push_str(&names(&self.unmanaged));
                text.push_str(&self.left_out());
            }
            Err(source) => text.push_str(&format!("\nthe export cannot be read yet: {source}\n")),
        }
        if let Some(clocks) = &self.clocks {
            text.push_str(&format!("{clocks}\n"));
        }
        if let Some(start_over) = &self.start_over {
            text.push_str(&start_over.text(&self.holdings));
        } else if self.links_count > 0 && self.holdings.linked_count == 0 {
            let start_over = command("activate --start-over");
            text.push_str(&format!(
                "none of the {} linked accounts is among them\n  hint: check the Rhombus console; if the \
                 organisation was emptied: {start_over}\n",
                self.links_count
            ));
        }
        if let Some(moved_to) = &self.moved_to {
            text.push_str(&format!("the old state could not be used and was moved to {}\n", moved_to.display()));
        }
        text.push_str(&format!("to preview: {}; to send: {}\n", command("plan"), command("--reconcile")));
        Output::done(text)
    }

    /// Those that were not compared with the export: there are more than fit into memory.
    fn left_out(&self) -> String {
        match self.holdings.carriers.left_out_count() {
            0 => String::new(),
            count => format!(
                "{count} more accounts carry a directory id and were not compared with the export: they are too many\n"
            ),
        }
    }
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
        text.push_str("rhombus-sync does not manage these: remove whoever has left by hand, in Rhombus\n");
    }
    text
}
