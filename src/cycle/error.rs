//! Why a cycle has no plan.

use crate::model::Exit;
use crate::source::SourceError;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The export cannot be read, or is refused.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The state cannot be read.
    #[error("the state cannot be read")]
    State(#[from] rusqlite::Error),
    /// `--only` matches no user.
    #[error("no user matches `{0}`")]
    UnknownUser(String),
}

impl CompareError {
    /// The exit code of a cycle or a command that ends with it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Source(error) => error.exit(),
            Self::State(_) | Self::UnknownUser(_) => Exit::Failed,
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::State(_) => Some("check the disk that holds the state; nothing was sent".to_owned()),
            Self::UnknownUser(_) => {
                Some("name a user by directory id, linked username, or username in the export".to_owned())
            }
        }
    }
}
