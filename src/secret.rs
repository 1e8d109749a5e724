//! BASE: secrets, on their way from a private file to the one request that needs them. They have no `Debug` and are
//! wiped on drop. Deliberately absent: any way to pass one as an argument, in the configuration or in the environment.

use crate::files::{self, Refusal, Role};
use crate::model::{hex, quoted};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The longest secret, in bytes.
const SECRET_BYTES_MAX: u64 = 16 * 1024;
/// Whatever a file lets others do.
const OTHERS: u32 = 0o007;

/// Where the shipped units look for the token.
const SHIPPED_TOKEN: &str = "/etc/rhombus-sync/token";

/// Whether a secret lies where systemd puts what it passes to this process.
fn is_credential(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| path.starts_with(folder))
}

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("the secret {path} cannot be read")]
    Unreadable {
        /// Path of the secret.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        cause: std::io::Error,
    },
    /// Other users may read it.
    #[error("the secret {0} is readable by others")]
    Exposed(PathBuf),
    /// It is not a file, or somebody else may write to it.
    #[error("the secret {path} cannot be used")]
    Refused {
        /// Path of the secret.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        refusal: Refusal,
    },
    /// Empty, or not allowed in a header.
    #[error("the secret {0} is empty, too long, or not printable text")]
    Unfit(PathBuf),
    /// systemd did not pass any credentials.
    #[error("systemd passed no credentials (CREDENTIALS_DIRECTORY is not set)")]
    NoCredentials,
}

impl SecretError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { path, .. } | Self::Unfit(path) if is_credential(path) => format!(
                "put it into the file that LoadCredential= of the unit names (as shipped: {SHIPPED_TOKEN}) and restart the service"
            ),
            Self::Unreadable { path, cause } if cause.kind() == std::io::ErrorKind::PermissionDenied => {
                format!(
                    "run this as the user that owns {} (the service's user), or give it to that user",
                    path.display()
                )
            }
            Self::Unreadable { .. } => "put the token that the Rhombus console shows into this file".to_owned(),
            Self::Exposed(path) => format!("chmod o-rwx {}", quoted(&path.display().to_string())),
            Self::Refused { refusal, .. } => refusal.hint(),
            Self::Unfit(_) => "the file must hold the token and nothing else".to_owned(),
            Self::NoCredentials => format!(
                "systemd passes it to the service alone; this command gets it by: systemd-run -P -E SUDO_USER \
                 -p LoadCredential=rhombus-token:{SHIPPED_TOKEN} {}; or use token_file",
                crate::model::command("COMMAND")
            ),
        }
    }
}

/// Only looks at a file: a secret that others may read or write is refused before it is needed. One that is not there is missed
/// when it is.
///
/// # Errors
/// Others may read it, or it is refused.
pub fn refuse_exposed(path: &Path) -> Result<(), SecretError> {
    match files::open_to_look(path, Role::Secret) {
        Ok(file) => is_private(path, &file),
        Err(error) if files::refusal_of(&error).is_some() => Err(of_file(path, error)),
        Err(_) => Ok(()),
    }
}

/// Reads a file that nobody but its owner and its group may read, and nobody but us and root may write.
///
/// # Errors
/// It cannot be read, others may read or write it, or it is too long.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let file = files::open_unjudged(path, Role::Secret).map_err(|error| of_file(path, error))?;
    is_private(path, &file)?;
    match files::read_whole(&file, SECRET_BYTES_MAX) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(SecretError::Unfit(path.to_owned())),
        Err(error) => Err(of_file(path, error)),
    }
}

fn is_private(path: &Path, file: &File) -> Result<(), SecretError> {
    let found = file.metadata().map_err(|error| of_file(path, error))?;
    if found.mode() & OTHERS != 0 {
        return Err(SecretError::Exposed(path.to_owned()));
    }
    files::admit(path, file, Role::Secret).map_err(|error| of_file(path, error))
}

fn of_file(path: &Path, cause: std::io::Error) -> SecretError {
    match files::refusal_of(&cause) {
        Some(refusal) => SecretError::Refused { path: path.to_owned(), refusal: refusal.clone() },
        None => SecretError::Unreadable { path: path.to_owned(), cause },
    }
}

/// A bearer token.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Reads a token from a file that only its owner and group may read.
    ///
    /// # Errors
    /// It cannot be read, others may read or write it, or it is not a token.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let bytes = read_private(path)?;
        let text = std::str::from_utf8(&bytes).ok();
        text.and_then(|text| Self::from_text(text.trim())).ok_or_else(|| SecretError::Unfit(path.to_owned()))
    }

    /// Makes a token from text (the sandbox does); `None` if it is not allowed in a header.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let fit = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fit.then(|| Self(SecretString::from(text)))
    }

    /// HMAC-SHA-256(token, key) as hex: enough to notice a change, useless to anybody else.
    #[must_use]
    pub fn fingerprint(&self, key: &str) -> String {
        match Hmac::<Sha256>::new_from_slice(key.as_bytes()) {
            Ok(mut mac) => {
                mac.update(self.0.expose_secret().as_bytes());
                hex(&mac.finalize().into_bytes())
            }
            Err(_) => String::new(),
        }
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}
