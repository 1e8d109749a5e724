//! Accounts that carry a directory id and are linked to nobody: an endpoint shows them, and nobody manages them.

use crate::model::{
    AccountState, DIRECTORY_ID_BYTES_MAX, DirectoryId, Moment, OutstandingKind, OutstandingUser, ScimId,
    USER_NAME_BYTES_MAX, UserName,
};
use rusqlite::{Connection, Transaction};

/// So much memory they may take, in bytes, whatever an endpoint shows: some 200,000 usual ones.
const CARRIERS_BYTES_MAX: usize = 48 << 20;
/// What each takes beside its texts, in bytes.
const CARRIER_BYTES: usize = 160;

/// An account that carries a directory id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmanaged {
    /// The account.
    pub scim_id: ScimId,
    /// The directory id that it carries.
    pub directory_id: DirectoryId,
    /// The username that it carries.
    pub username: Option<UserName>,
}

impl Unmanaged {
    /// An account with this id, `externalId` and username. What is too long for a directory id is none, and no name is kept that is
    /// too long for a username.
    #[must_use]
    pub fn of(scim_id: Option<ScimId>, external_id: Option<DirectoryId>, username: Option<UserName>) -> Option<Self> {
        let directory_id = external_id.filter(|id| id.as_str().len() <= DIRECTORY_ID_BYTES_MAX)?;
        let username = username.filter(|name| name.as_str().len() <= USER_NAME_BYTES_MAX);
        Some(Self { scim_id: scim_id?, directory_id, username })
    }

    fn bytes(&self) -> usize {
        let name = self.username.as_ref().map_or(0, |name| name.as_str().len());
        CARRIER_BYTES + self.scim_id.as_str().len() + self.directory_id.as_str().len() + name
    }
}

/// Accounts that carry a directory id, with what is noted of each: as many as the memory for them holds. The others are counted.
#[derive(Debug)]
pub struct Carriers<T> {
    kept: Vec<(Unmanaged, T)>,
    bytes_count: usize,
    left_out_count: u64,
}

impl<T> Default for Carriers<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), bytes_count: 0, left_out_count: 0 }
    }
}

impl<T> Carriers<T> {
    /// Keeps one, if there is room.
    pub fn note(&mut self, carrier: Unmanaged, what: T) {
        let bytes_count = self.bytes_count + carrier.bytes();
        if bytes_count > CARRIERS_BYTES_MAX {
            self.left_out_count += 1;
        } else {
            self.bytes_count = bytes_count;
            self.kept.push((carrier, what));
        }
    }

    /// Those that were kept.
    #[must_use]
    pub fn kept(&self) -> &[(Unmanaged, T)] {
        &self.kept
    }

    /// How many there was no room for.
    #[must_use]
    pub fn left_out_count(&self) -> u64 {
        self.left_out_count
    }
}

/// Notes the accounts that carry a directory id and are linked to nobody: all that there are. Those that were not known when the
/// state was restored may come from the lost part of the log.
///
/// # Errors
/// The state cannot be written.
pub fn replace_unmanaged(
    transaction: &Transaction<'_>,
    found: &mut dyn Iterator<Item = &Unmanaged>,
    now: Moment,
) -> rusqlite::Result<()> {
    transaction.execute("CREATE TEMP TABLE before AS SELECT scim_id, since, stranded FROM unmanaged", [])?;
    transaction.execute("DELETE FROM unmanaged", [])?;
    let mut insert = transaction.prepare(
        "INSERT INTO unmanaged (scim_id, directory_id, username, since, stranded)
         VALUES (?1, ?2, ?3, ifnull((SELECT since FROM temp.before WHERE scim_id = ?1), ?4),
         ifnull((SELECT stranded FROM temp.before WHERE scim_id = ?1), (SELECT restored FROM installation))) ON CONFLICT DO NOTHING",
    )?;
    for one in found {
        let username = one.username.as_ref().map(UserName::as_str);
        insert.execute((one.scim_id.as_str(), one.directory_id.as_str(), username, now.0))?;
    }
    drop(insert);
    transaction.execute_batch("DROP TABLE temp.before")
}

/// Those that are still linked to nobody, by username.
///
/// # Errors
/// The state cannot be read.
pub fn unmanaged(connection: &Connection) -> rusqlite::Result<Vec<OutstandingUser>> {
    connection
        .prepare(
            "SELECT scim_id, directory_id, username, since FROM unmanaged u
             WHERE NOT EXISTS (SELECT 1 FROM links l WHERE l.scim_id = u.scim_id) ORDER BY username, directory_id",
        )?
        .query_map([], |row| {
            let id = DirectoryId::new(row.get_ref(1)?.as_str()?);
            let username = row.get_ref(2)?.as_str_or_null()?.map(UserName::of_account);
            let mut entry =
                OutstandingUser::new(OutstandingKind::Drift, Some(&id), username.as_ref(), AccountState::Unmanaged)
                    .account(&ScimId::new(row.get_ref(0)?.as_str()?));
            entry.since = Some(Moment(row.get(3)?));
            Ok(entry)
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_kept_as_there_is_room_for() {
        let carrier = |number: u32| {
            let (id, name) = (format!("{number:01024}"), format!("p{number}@x.example"));
            Unmanaged::of(
                Some(ScimId::new(id)),
                Some(DirectoryId::new(number.to_string())),
                Some(UserName::of_account(&name)),
            )
        };
        let mut carriers = Carriers::default();
        (0..100_000).filter_map(carrier).for_each(|carrier| carriers.note(carrier, ()));
        let kept_count = carriers.kept().len() as u64;
        assert!(kept_count > 30_000 && carriers.left_out_count() == 100_000 - kept_count, "{kept_count}");
        let long = |length: usize| Some(DirectoryId::new("i".repeat(length)));
        assert!(Unmanaged::of(Some(ScimId::new("1")), long(DIRECTORY_ID_BYTES_MAX + 1), None).is_none());
        let name = Some(UserName::of_account(&"n".repeat(USER_NAME_BYTES_MAX + 1)));
        assert_eq!(Unmanaged::of(Some(ScimId::new("1")), long(9), name).and_then(|one| one.username), None);
    }
}
