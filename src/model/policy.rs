//! Choices of the configuration that several rooms act on, by the names that they have there.

use super::Removal;
use serde::{Deserialize, Serialize};

/// Where users come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A file.
    File,
}

/// How an export is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Decided by the first byte that is no white space.
    Auto,
    /// An array of users, or pages.
    Json,
    /// One user a line.
    Ndjson,
    /// A header row and a row a user.
    Csv,
}

/// How names are updated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpdateMethod {
    /// PATCH, one operation an attribute.
    Patch,
    /// PUT of the whole account.
    Put,
}

/// Whether accounts with the same username that we did not make are taken over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExistingAccounts {
    /// Linked.
    Adopt,
    /// Refused.
    Refuse,
}

/// What a refresh does about names changed and accounts gone at Rhombus.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// Sets the names again, and makes the account again.
    Repair,
    /// Lists it.
    Report,
}

/// What is done with a user who should not be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removals {
    /// `active=false`; Rhombus then removes the account.
    Deactivate,
    /// DELETE.
    Delete,
    /// Nothing; the user is listed as kept.
    Keep,
}

impl Removals {
    /// How the account is taken away; none where it is kept.
    #[must_use]
    pub const fn removal(self) -> Option<Removal> {
        match self {
            Self::Deactivate => Some(Removal::Deactivate),
            Self::Delete => Some(Removal::Delete),
            Self::Keep => None,
        }
    }
}
