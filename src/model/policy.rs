//! Choices of the configuration that several rooms act on, spelled as in the configuration.

use super::Removal;
use serde::{Deserialize, Serialize};

/// `[directory] source`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A local export file.
    File,
    /// An export behind an address.
    Url,
    /// JumpCloud's API.
    JumpCloud,
}

impl SourceKind {
    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Url => "url",
            Self::JumpCloud => "jumpcloud",
        }
    }
}

/// `[directory] format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Detected from the first byte that is not white space.
    Auto,
    /// An array of users, or pages.
    Json,
    /// One user per line.
    Ndjson,
    /// A header row, then one row per user.
    Csv,
}

/// `[rhombus] update_method`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpdateMethod {
    /// PATCH, one operation per attribute.
    Patch,
    /// PUT of the whole account.
    Put,
}

/// `[rhombus] existing_accounts`: what happens to accounts with the same username that we did not create.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExistingAccounts {
    /// They are linked.
    Adopt,
    /// They are refused.
    Refuse,
}

/// `[rhombus] on_drift`: what a refresh does about changed names and missing accounts at Rhombus.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// Sets the names and creates the account again.
    Repair,
    /// Only lists it.
    Report,
}

/// `[rhombus] on_suspended` and `on_removed`: what happens to users who are no longer wanted.
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
    /// How the account is removed; `None` if it is kept.
    #[must_use]
    pub const fn removal(self) -> Option<Removal> {
        match self {
            Self::Deactivate => Some(Removal::Deactivate),
            Self::Delete => Some(Removal::Delete),
            Self::Keep => None,
        }
    }
}
