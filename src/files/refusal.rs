//! Why a file is refused, and what to do about it.

use crate::model::quoted;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// A file, or its folder, that is not used as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The file or folder that is to blame.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a file or folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// A pipe, a folder, a device, a socket.
    NotRegular,
    /// The last step of something that we write.
    Link,
    /// It has more names than one, and we write to it.
    Linked {
        /// How many.
        count: u64,
    },
    /// Anybody may write to it.
    OthersWrite {
        /// Its mode.
        mode: u32,
    },
    /// Anybody may read it, and it has names and addresses in it.
    OthersRead {
        /// Its mode.
        mode: u32,
    },
    /// A group may write to it in which others are.
    GroupWrites {
        /// Its mode.
        mode: u32,
        /// Which group.
        gid: u32,
    },
    /// It belongs to somebody else, and lies where anybody may write.
    InTheOpen {
        /// The folder.
        folder: PathBuf,
        /// Whom.
        uid: u32,
    },
    /// It belongs to somebody who is neither root nor us.
    Owner {
        /// Whom.
        uid: u32,
    },
    /// A file and a folder on the way to it belong to two strangers.
    Owners {
        /// Whom the file belongs to, or its first folder.
        uid: u32,
        /// Whom the other one belongs to.
        other: u32,
    },
}

impl Refusal {
    pub(super) fn new(path: &Path, why: Why) -> Self {
        Self { path: path.to_owned(), why }
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let path = quoted(&self.path.display().to_string());
        match &self.why {
            Why::NotRegular => format!("{path} must be a regular file, not a pipe, folder or device"),
            Why::Link => format!("name the file that {path} leads to, or put the file itself there"),
            Why::Linked { .. } => {
                format!("give it one name: cp -p {path} {path}.copy && mv {path}.copy {path} (while nothing runs)")
            }
            Why::OthersWrite { .. } => format!("chmod o-w {path}"),
            Why::OthersRead { .. } => format!("chmod o-r {path}"),
            Why::GroupWrites { .. } => format!("chmod g-w {path}"),
            Why::InTheOpen { .. } => "put it into a folder to which only one user may write".to_owned(),
            Why::Owner { .. } => format!("chown root {path}, or give it to the service's user"),
            Why::Owners { .. } => {
                format!("let one user own the file and its folder: chown the one or the other; {path}")
            }
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::NotRegular => write!(f, "it is not a regular file"),
            Why::Link => write!(f, "{path} is a link, which is not followed for what is written"),
            Why::Linked { count } => write!(f, "{path} has {count} names (hard links)"),
            Why::OthersWrite { mode } => write!(f, "{path} is writable by others (mode {:04o})", mode & 0o7777),
            Why::OthersRead { mode } => write!(f, "{path} is readable by others (mode {:04o})", mode & 0o7777),
            Why::GroupWrites { mode, gid } => {
                write!(f, "{path} is writable by the group {gid} (mode {:04o})", mode & 0o7777)
            }
            Why::InTheOpen { folder, uid } => {
                write!(f, "{path} belongs to uid {uid} and lies in {}, where anybody may write", folder.display())
            }
            Why::Owner { uid } => write!(f, "{path} belongs to uid {uid}, not to root or to our user"),
            Why::Owners { uid, other } => {
                write!(f, "{path} belongs to uid {other}, and what lies there to uid {uid}: two users can change it")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = if refusal.why == Why::NotRegular { ErrorKind::InvalidInput } else { ErrorKind::PermissionDenied };
        Self::new(kind, refusal)
    }
}

/// Why a file was refused, if that is why it could not be opened.
#[must_use]
pub fn refusal_of(error: &Error) -> Option<&Refusal> {
    error.get_ref()?.downcast_ref()
}
