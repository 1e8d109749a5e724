//! Event formats of sinks. Only the first one can be verified line by line.

use serde::{Deserialize, Serialize};

/// The format of a line.
#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum EventFormat {
    /// JumpCloud Directory Insights, as stored in the state.
    #[default]
    DirectoryInsights,
}
