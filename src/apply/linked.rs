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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Moment;

    /// A state with links to accounts 0, 1 and so on.
    fn state(links_count: u32) -> Connection {
        let state = store::scratch(Moment(0)).expect("a state");
        let fill = format!(
            "INSERT INTO settings VALUES (1, '{{}}'); UPDATE counts SET provisioned = {links_count};
             WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n)
             INSERT INTO links (directory_id, row, user_name, settings, scim_id, folded, linked_at)
             SELECT n, n, n, 1, n, n, 0 FROM n LIMIT {links_count}"
        );
        state.execute_batch(&fill).expect("links");
        state
    }

    #[test]
    fn whoever_was_linked_may_have_been_and_nobody_is_asked_for_without_cause() {
        let linked = LinkedBefore::read(&state(80), 10).expect("read");
        assert!((0..80).all(|id| linked.may_have(&ScimId::new(id.to_string()))));
        assert!((80..200).all(|id| !linked.may_have(&ScimId::new(id.to_string()))));
    }

    #[test]
    fn many_links_are_not_read_for_a_few_creates() {
        let linked = LinkedBefore::read(&state(81), 10).expect("read");
        assert!(linked.may_have(&ScimId::new("never linked")), "the snapshot is asked");
        assert!(!LinkedBefore::read(&state(0), 0).expect("read").may_have(&ScimId::new("1")));
    }
}
