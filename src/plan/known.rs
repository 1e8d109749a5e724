//! Records that are known by their bytes: what they add to a comparison without being compared.

use super::comparison::Comparison;
use crate::model::{DirectoryUser, RowView};
use std::collections::BTreeSet;

impl Comparison {
    /// Counts a record that is known to meet its row.
    pub fn met_as_before(&mut self) {
        self.plan.unchanged_count += 1;
        self.usability.wanted_count += 1;
    }

    /// Notes the scoped groups that such records name.
    pub fn named_as_before(&mut self, groups: &BTreeSet<String>) {
        self.groups.note_names(groups);
    }

    /// The scoped groups that a record names that its row meets; none if something is to be remembered of them that the row does
    /// not say.
    #[must_use]
    pub fn groups_as_before<'u>(&self, user: &'u DirectoryUser<'_>, row: &RowView<'_>) -> Option<BTreeSet<&'u str>> {
        self.groups.as_before(&user.groups, &self.inputs.scope, row.wanted_by)
    }

    /// Whether it was told of ids that stand in more than one record.
    #[must_use]
    pub fn has_doubled_ids(&self) -> bool {
        !self.inputs.doubled.ids.is_empty()
    }
}
