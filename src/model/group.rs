//! A group of `[scope]` that the export does not name.

use super::Moment;

/// A group of `[scope]` that no record of the last export names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnnamedGroup {
    /// Its name.
    pub name: String,
    /// When the export was written that named it last; `None` if no export ever did.
    pub named_at: Option<Moment>,
}
