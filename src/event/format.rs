//! How an event is written down for a sink. Only the first format can be verified line by line.

use serde::{Deserialize, Serialize};

/// The shape of a line.
#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum EventFormat {
    /// JumpCloud Directory Insights, as the state holds it.
    #[default]
    DirectoryInsights,
}
