//! Which records are silent on who may not come in, and whether that counts: a record is compared with the others of its
//! export, and with the export before. Whoever a silent record stands for is not let in, and never removed because of it.

use super::comparison::Comparison;
use super::mapping::{MappedUser, Requested};
use crate::model::{Column, DirectoryId, DirectoryUser, ProvisionedUser, RawState, RawValue};
use std::collections::BTreeMap;

/// How a record is silent in a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsaid {
    /// The cell is empty, or the member is null.
    Blank,
    /// There is none.
    Absent,
}

/// What an export as a whole is silent on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Silence {
    /// The columns that had values before and are empty in every record now: nobody is let in.
    pub of_all: Vec<Column>,
    /// The columns with a value in at least half of the records: an empty cell among them counts.
    pub filled: Vec<Column>,
    /// The columns that had values in at least half of the records before, and have some in fewer now: each record that is
    /// silent in one counts.
    pub thinned: Vec<Column>,
}

impl Silence {
    /// Those of the users who are not let in, each with the column that decides it.
    #[must_use]
    pub fn of_users(&self, users: Vec<(DirectoryId, Column, Unsaid)>) -> BTreeMap<DirectoryId, Column> {
        let counts = |column: &Column, how: Unsaid| {
            self.thinned.contains(column) || (how == Unsaid::Blank && self.filled.contains(column))
        };
        users.into_iter().filter(|(_, column, how)| counts(column, *how)).map(|(id, column, _)| (id, column)).collect()
    }
}

impl Comparison {
    /// Notes in which columns the record of somebody who may be let in is silent.
    pub(super) fn note_unsaid(
        &mut self,
        user: &DirectoryUser<'_>,
        mapped: &MappedUser<'_>,
        row: Option<&ProvisionedUser>,
    ) {
        let may_arrive = row.is_none_or(|row| !row.active || self.inputs.seen.contains_key(&row.directory_id));
        if may_arrive && mapped.requested == Requested::Provision {
            let unsaid = unsaid(user, &self.inputs.filled_before);
            self.plan.unsaid.extend(unsaid.map(|(column, how)| (DirectoryId::new(mapped.id), column, how)));
        }
    }
}

/// The columns that decide about a record and in which it is silent. `before`: those with a value in at least half of the
/// records of the last export; in others, a member that is not there says nothing.
fn unsaid(user: &DirectoryUser<'_>, before: &[Column]) -> impl Iterator<Item = (Column, Unsaid)> {
    let how = |value: &RawValue<'_>| match value {
        RawValue::Absent => Some(Unsaid::Absent),
        RawValue::Null => Some(Unsaid::Blank),
        RawValue::Text(_) | RawValue::Flag(_) | RawValue::Other => None,
    };
    let no_state = user.state == RawState::Absent;
    let state = no_state.then_some(Unsaid::Absent);
    let activated = how(&user.activated).filter(|_| no_state);
    let suspended = how(&user.suspended).filter(|how| *how == Unsaid::Blank);
    let all = [(Column::State, state), (Column::Activated, activated), (Column::Suspended, suspended)];
    let known = all.map(|(column, how)| {
        let how = how.filter(|how| *how == Unsaid::Blank || before.contains(&column));
        how.map(|how| (column, how))
    });
    known.into_iter().flatten()
}
