//! How a change stands in rows of several tables.

use crate::model::{Action, ChangeKey, Content, DirectoryId, ExactChange, ScimId};
use rusqlite::Row;

/// Reads action, directory id and SCIM id from three adjacent columns.
pub(super) fn key(row: &Row<'_>, first: usize) -> rusqlite::Result<ChangeKey> {
    let scim_id = row.get_ref(first + 2)?.as_str_or_null()?.filter(|id| !id.is_empty()).map(ScimId::new);
    Ok(ChangeKey {
        action: Action::from_name(row.get_ref(first)?.as_str()?).ok_or(rusqlite::Error::InvalidQuery)?,
        directory_id: DirectoryId::new(row.get_ref(first + 1)?.as_str()?),
        scim_id,
    })
}

/// Reads action, directory id, SCIM id and content from four adjacent columns.
pub(super) fn exact(row: &Row<'_>, first: usize) -> rusqlite::Result<ExactChange> {
    let content = Content::stored(row.get_ref(first + 3)?.as_str()?);
    Ok(ExactChange { key: key(row, first)?, content })
}
