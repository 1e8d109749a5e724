//! Event formats of sinks. Only the first one can be verified line by line.

use super::Sealed;
use serde::{Deserialize, Serialize};

/// The format of a line.
#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum EventFormat {
    /// JumpCloud Directory Insights, as stored in the state.
    #[default]
    DirectoryInsights,
}

impl EventFormat {
    /// An event of the state in this format.
    #[must_use]
    pub fn write(self, event: Sealed) -> Sealed {
        match self {
            Self::DirectoryInsights => event,
        }
    }

    /// Whether the chain can be verified line by line.
    #[must_use]
    pub const fn can_be_verified(self) -> bool {
        match self {
            Self::DirectoryInsights => true,
        }
    }
}
