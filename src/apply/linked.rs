//! Whether an account that answers a create was linked before. A select for each answer costs more than all that is stored for
//! it, so a cycle with many creates reads the ids of all links once, as hashes.

use crate::model::ScimId;
use crate::session::hash_of;
use crate::store;
use rusqlite::Connection;

/// So many links cost about as much to read as one select.
const LINKS_PER_SELECT: u64 = 8;

/// The accounts that were linked when the creates of a cycle began: only the cycle itself links any from then on.
#[derive(Debug, Default)]
pub(super) enum LinkedBefore {
    /// Not read: the snapshot is asked for each.
    #[default]
    Unread,
    /// Hashes of their ids, sorted: one that is not here was not linked.
    Hashes(Vec<u64>),
}

impl LinkedBefore {
    /// Reads them, if so many creates are worth that. What was linked before must be on the disk.
    pub(super) fn read(reader: &Connection, creates_count: usize) -> rusqlite::Result<Self> {
        let links_count = store::links_count(reader)?;
        if links_count > LINKS_PER_SELECT * creates_count as u64 {
            return Ok(Self::Unread);
        }
        let mut hashes = Vec::with_capacity(usize::try_from(links_count).unwrap_or(0));
        store::each_linked_account(reader, &mut |scim_id| hashes.push(hash_of(scim_id)))?;
        hashes.sort_unstable();
        Ok(Self::Hashes(hashes))
    }

    /// Whether an account may have been linked; if so, the snapshot decides.
    pub(super) fn may_have(&self, scim_id: &ScimId) -> bool {
        match self {
            Self::Unread => true,
            Self::Hashes(hashes) => hashes.binary_search(&hash_of(scim_id.as_str())).is_ok(),
        }
    }
}
