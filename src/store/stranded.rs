//! Accounts of the users that a lost log had made: they carry a directory id, and since the state was restored no link knows them.
//! What becomes of them a person says.

use crate::model::{
    ChangeKey, DirectoryId, LinkedExternalId, Names, ProvisionedUser, ScimId, ScopeVersionId, UserName,
};
use rusqlite::{Connection, Transaction};

/// Those that are still linked to nobody, as if they were; one without a userName is only listed.
///
/// # Errors
/// The state cannot be read.
pub fn stranded(connection: &Connection) -> rusqlite::Result<Vec<ProvisionedUser>> {
    let sql = "SELECT directory_id, scim_id, username FROM unmanaged u WHERE stranded AND username IS NOT NULL AND NOT EXISTS
               (SELECT 1 FROM links l WHERE l.scim_id = u.scim_id OR l.directory_id = u.directory_id) ORDER BY directory_id";
    connection
        .prepare(sql)?
        .query_map([], |row| {
            Ok(ProvisionedUser {
                row: 0,
                directory_id: DirectoryId::new(row.get_ref(0)?.as_str()?),
                scim_id: ScimId::new(row.get_ref(1)?.as_str()?),
                user_name: UserName::of_account(row.get_ref(2)?.as_str()?),
                names: Names::default(),
                active: true,
                foreign: false,
                scope_version: ScopeVersionId::default(),
                futile_count: 0,
                futile_wanted: None,
                wanted_by: 0,
                external_id: LinkedExternalId::Unknown,
            })
        })?
        .collect()
}

/// Whether a removal is about one of them.
pub(super) fn is_stranded(connection: &Connection, key: &ChangeKey) -> rusqlite::Result<bool> {
    let scim_id = key.scim_id.as_ref().map(ScimId::as_str);
    connection
        .prepare_cached("SELECT 1 FROM unmanaged WHERE directory_id = ?1 AND scim_id = ?2 AND stranded")?
        .exists((key.directory_id.as_str(), scim_id))
}

/// It is gone.
pub(super) fn end(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM unmanaged WHERE directory_id = ?1 AND stranded")?.execute([id]).map(drop)
}

/// It stays as it is, and is only listed from now on. Returns whether there was one.
///
/// # Errors
/// The state cannot be written.
pub fn leave_alone(transaction: &Transaction<'_>, id: &DirectoryId) -> rusqlite::Result<bool> {
    let left =
        transaction.execute("UPDATE unmanaged SET stranded = 0 WHERE directory_id = ?1 AND stranded", [id.as_str()])?;
    transaction.execute("DELETE FROM outstanding_users WHERE directory_id = ?1", [id.as_str()])?;
    Ok(left > 0)
}
