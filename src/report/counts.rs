//! What was done at the endpoint, counted: the same numbers while a cycle works, in its report, in the log and in texts.

/// Accounts that a change was accepted for, by what was done. One line a count here, and one in [`Counts::named`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// New accounts.
    pub created_count: u64,
    /// Updated accounts.
    pub updated_count: u64,
    /// Accounts that were there and are ours now.
    pub linked_count: u64,
    /// Accounts deactivated.
    pub deactivated_count: u64,
    /// Accounts deleted.
    pub deleted_count: u64,
}

impl Counts {
    /// Each by its name in documents, texts and the log.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Self { created_count, updated_count, linked_count, deactivated_count, deleted_count } = *self;
        [
            ("created", created_count),
            ("updated", updated_count),
            ("linked", linked_count),
            ("deactivated", deactivated_count),
            ("deleted", deleted_count),
        ]
        .into_iter()
    }

    /// Whether anything was accepted.
    #[must_use]
    pub fn any(&self) -> bool {
        self.named().any(|(_, count)| count > 0)
    }
}
