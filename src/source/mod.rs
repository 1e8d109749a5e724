//! EDGE: reads the users that should exist. Records are handed over one by one, borrowed; what they mean is `plan`'s.
//!
//! A read ends with "whole" or allows no conclusion at all: every doubt is an error that refuses the export.

mod blocks;
mod census;
mod checksum;
mod csv;
mod file;
mod header;
mod json;
mod lead;
mod members;
mod memberships;
mod outline;
mod pair;
mod parse;
mod refusal;
mod seen;
mod shapes;
mod status;
mod strange;
mod utf16;
mod value;

pub use blocks::FileDigest;
pub use file::Export;
pub use lead::Trouble;
pub use memberships::{MembershipsRead, OfNobody};

use crate::config::{Settings, SourceConfig};
use crate::model::{Column, DirectoryUser, Moment, Proof, Spoken};
use tokio_util::sync::CancellationToken;

/// Takes one record. It may not fail: what cannot be used is remembered and refused by name.
pub type TakeUser<'a> = dyn FnMut(&DirectoryUser<'_>) + 'a;

/// Opens the export that the configuration names. Once `stop` is cancelled nothing of it is waited for or read any more.
///
/// # Errors
/// It cannot be read, or its checksum does not fit.
pub fn open(settings: &Settings, stop: &CancellationToken) -> Result<Export, SourceError> {
    match &settings.source {
        SourceConfig::File { path, members_path: None } => {
            Export::open(path, &settings.layout, settings.checksum_patience, stop)
        }
        SourceConfig::File { path, members_path: Some(members_path) } => pair::open(settings, path, members_path, stop),
    }
}

/// What one reading of an export held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportRead {
    /// How many records.
    pub users_count: u64,
    /// How many of them said what speaks for or against access.
    pub spoken: Spoken,
    /// How many of them have groups, if only an empty list.
    pub with_groups_count: u64,
    /// How many of them said a state that is known.
    pub known_states_count: u64,
    /// A column that is called like a status and is none of those that are read.
    pub status: Option<String>,
    /// Mapped columns that the header of a CSV does not have.
    pub lacking: Vec<Column>,
    /// What "the same file as last time" goes by; never a proof.
    pub digest: FileDigest,
    /// Whether an absence counts.
    pub proof: Proof,
    /// When it was written.
    pub written_at: Moment,
    /// What the members file beside it came to, if there is one.
    pub memberships: Option<MembershipsRead>,
}

/// Why an export is refused whole.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened or read.
    #[error("the export {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// Somebody who asked to stop did not want to wait for the rest of it.
    #[error("reading the export {path} was stopped")]
    Stopped {
        /// Which file.
        path: String,
    },
    /// It was read, but cannot be trusted.
    #[error("the export {path} is refused whole")]
    Refused {
        /// Which file.
        path: String,
        /// What is wrong with it.
        #[source]
        cause: Doubt,
    },
}

/// What is wrong with an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Doubt {
    /// In words, without a value of the export.
    pub what: String,
    /// How the reader can mend it.
    pub hint: Option<String>,
}

impl SourceError {
    /// How the reader can mend it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => Some(
                "set [directory] path (and members_path) to the file that the export job writes; nothing was sent"
                    .to_owned(),
            ),
            Self::Unreadable { cause, .. } if cause.kind() == std::io::ErrorKind::InvalidInput => Some(
                "set [directory] path (and members_path) to a file that is written beside and renamed, not to a pipe or folder; \
                 nothing was sent"
                    .to_owned(),
            ),
            Self::Unreadable { .. } => Some("the service's user must be able to read it; nothing was sent".to_owned()),
            Self::Stopped { .. } => None,
            Self::Refused { cause, .. } => cause.hint.clone(),
        }
    }
}
