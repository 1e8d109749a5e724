//! Makes a state, or brings an older one to this program's schema.

use super::database::{BUSY_TIMEOUT, OPEN_FLAGS, check_rights, connect, prepare, real};
use super::error::StateError;
use super::log;
use super::schema::{APPLICATION_ID, MIGRATIONS, is_untampered, schema};
use crate::event::{Draft, EventType, SealKey, Source};
use crate::files;
use crate::model::{Moment, hex};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// Upgrades an older state to this release's schema, in one transaction, after a backup beside it. Only the process
/// that may send calls it; what it says is sealed with `key`. `None` if there was nothing to do.
///
/// # Errors
/// The state cannot be read or written, or is not ours; it is then unchanged.
pub fn upgrade(path: &Path, now: Moment, key: Option<&SealKey>) -> Result<Option<Upgraded>, StateError> {
    check_rights(path)?;
    let mut connection = connect(path)?;
    let found = schema(&connection, path)?;
    let missing = MIGRATIONS.get(usize::try_from(found).unwrap_or(0)..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(None);
    }
    is_untampered(&connection, path, found)?;
    if let Some(key) = key {
        log::seal_with(&connection, key)?;
    }
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".schema-{found}-{}", now.0));
    let copy = PathBuf::from(copy);
    super::backup::backup(&connection, &copy)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    let before_count = approvals_count(&transaction, now)?;
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    let approvals_ended_count = before_count - approvals_count(&transaction, now)?;
    let upgraded = Upgraded { copy, approvals_ended_count };
    if let Some(said) = upgraded.approvals_ended() {
        let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, Source::Recovery);
        draft.response.details = said;
        log::append(&transaction, &[draft], now)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i32)?;
    transaction.commit()?;
    Ok(Some(upgraded))
}

/// What an upgrade did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgraded {
    /// Where the backup lies.
    pub copy: PathBuf,
    /// How many approvals ended with it.
    approvals_ended_count: i64,
}

impl Upgraded {
    /// That approvals ended, if any did.
    #[must_use]
    pub fn approvals_ended(&self) -> Option<String> {
        let count = self.approvals_ended_count;
        (count > 0).then(|| {
            format!(
                "{count} approvals ended with the upgrade: an earlier release recorded too little to prove them; approve \
                 what is held again"
            )
        })
    }
}

fn approvals_count(connection: &Connection, now: Moment) -> rusqlite::Result<i64> {
    let open = "SELECT count(*) FROM approvals WHERE NOT used AND expires_at > ?1";
    connection.query_row(open, [now.0], |row| row.get(0))
}

/// Creates a new state in one transaction. `random` becomes its two ids.
///
/// # Errors
/// A file already exists, or it cannot be created.
pub fn create(path: &Path, base_url: &str, now: Moment, random: [u8; 16]) -> Result<Connection, StateError> {
    if let Some(folder) = path.parent() {
        crate::folder::create(folder)?;
    }
    files::create_new(path)?;
    let mut connection = Connection::open_with_flags(real(path), OPEN_FLAGS)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    prepare(&connection, path)?;
    let second = (now.0.max(0) / 1000) as u32;
    let id = |random: &[u8]| format!("{second:08x}{}", hex(random));
    let transaction = connection.transaction()?;
    for migration in MIGRATIONS {
        transaction.execute_batch(migration)?;
    }
    transaction.execute(
        "INSERT INTO installation (one, installation_id, integration_id, base_url, active, created_at) VALUES (1, ?1, ?2, ?3, 1, ?4)",
        (id(&random[..8]), id(&random[8..]), base_url, now.0),
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i32)?;
    transaction.commit()?;
    Ok(connection)
}

/// An in-memory state, for commands that must not write anything.
pub fn scratch(now: Moment) -> Result<Connection, StateError> {
    let connection = Connection::open_in_memory()?;
    for migration in MIGRATIONS {
        connection.execute_batch(migration)?;
    }
    connection.execute(
        "INSERT INTO installation (one, installation_id, integration_id, base_url, active, created_at) VALUES (1, '', '', '', 1, ?1)",
        [now.0],
    )?;
    Ok(connection)
}
