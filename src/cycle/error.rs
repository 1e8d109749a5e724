//! Why a cycle has no plan.

use crate::source::SourceError;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The export cannot be read or is refused.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The state cannot be read.
    #[error("the state cannot be read")]
    State(#[from] rusqlite::Error),
    /// `--only` names nobody.
    #[error("nobody is known by `{0}`")]
    UnknownUser(String),
}

impl CompareError {
    /// How the reader can mend it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::State(_) => Some("look at the state's disk; nothing was sent".to_owned()),
            Self::UnknownUser(_) => {
                Some("a user is a directory id, a linked username, or a username of the export".to_owned())
            }
        }
    }
}
