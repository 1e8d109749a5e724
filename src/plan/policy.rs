//! What the configuration decides about users who are not wanted.

use crate::model::{OnDrift, Removals};
use serde::Serialize;

/// The policies of `[rhombus]` that a plan depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Policy {
    /// For suspended and staged users.
    pub on_suspended: Removals,
    /// For users gone from the export or from its groups.
    pub on_removed: Removals,
    /// For accounts changed or gone at Rhombus.
    pub on_drift: OnDrift,
}
