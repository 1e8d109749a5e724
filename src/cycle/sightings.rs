//! Who was missing from files that cannot prove that they are whole, and when those were written.

use super::compare::Compared;
use crate::model::{DirectoryId, Moment};
use crate::store;
use rusqlite::Transaction;

/// What one reading missed.
pub(super) struct Sightings {
    missing: Vec<DirectoryId>,
    written_at: Moment,
    /// Users whom the members file lists in no scoped group, and when it was written; none without one.
    unlisted: Vec<DirectoryId>,
    pub(super) memberships_written_at: Option<Moment>,
}

impl Sightings {
    pub(super) fn of(compared: &Compared) -> Self {
        Self {
            missing: compared.sightings.clone(),
            written_at: compared.export.written_at,
            unlisted: compared.unlisted.clone(),
            memberships_written_at: compared.export.memberships.as_ref().map(|read| read.written_at),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unlisted.is_empty()
    }

    /// Who is not among them starts anew when missing again.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        store::replace_absences(transaction, &self.missing, self.written_at)?;
        store::replace_unlisted(transaction, &self.unlisted, self.memberships_written_at.unwrap_or(self.written_at))
    }
}
