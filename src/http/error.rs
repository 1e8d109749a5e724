//! Why a client cannot be built, and what the reader can do about it.

use crate::files::Refusal;
use crate::model::chain;
use std::error::Error;
use std::path::PathBuf;

/// Why the client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificate authority cannot be read.
    #[error("ca_file {path} cannot be used: {what}")]
    Authority {
        /// Path of the PEM file.
        path: PathBuf,
        /// What is wrong with it.
        what: AuthorityFault,
    },
    /// Any other cause, such as a bad proxy URL.
    #[error("cannot build the HTTP client: {0}")]
    Other(String),
}

/// What is wrong with a file of certificates.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthorityFault {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It is not a file, or somebody else may write to it.
    #[error("{0}")]
    Refused(Refusal),
    /// It is in DER.
    #[error("it is in DER format, not PEM")]
    Der,
    /// There is none in it.
    #[error("it contains no certificate")]
    Empty,
    /// One of them cannot be used.
    #[error("a certificate in it is damaged: {0}")]
    Damaged(String),
}

impl ClientError {
    /// How the reader can mend it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Authority { what: AuthorityFault::Unreadable(_), .. } => {
                "set ca_file to a file that the service's user can read".to_owned()
            }
            Self::Authority { what: AuthorityFault::Refused(refusal), .. } => refusal.hint(),
            Self::Authority { path, what: AuthorityFault::Der } => format!(
                "`openssl x509 -inform der -in {} -out ca.pem` makes PEM of it; set ca_file to that",
                path.display()
            ),
            Self::Authority { what: AuthorityFault::Empty | AuthorityFault::Damaged(_), .. } => {
                "ca_file holds certificates in PEM (`-----BEGIN CERTIFICATE-----`)".to_owned()
            }
            Self::Other(why) if why == NO_AUTHORITIES => NO_AUTHORITIES_HINT.to_owned(),
            Self::Other(_) => "look at `proxy`".to_owned(),
        }
    }
}

/// What is said where nothing can be trusted: without certificate authorities no https server can be verified.
const NO_AUTHORITIES: &str = "there are no trusted CA certificates on this system";
/// What to do about that.
const NO_AUTHORITIES_HINT: &str = "install ca-certificates, or set ca_file";
/// How the library below us says it.
const NO_ROOTS: &str = "No CA certificates were loaded";

/// Why a client, or a verifier of certificates, could not be built.
#[must_use]
pub fn not_trusting(error: &dyn Error) -> String {
    let text = chain(error).join(": ");
    if text.contains(NO_ROOTS) { NO_AUTHORITIES.to_owned() } else { text }
}

pub(super) fn not_built(error: reqwest::Error) -> String {
    not_trusting(&error.without_url())
}

/// The layers of the library below us, each with a cause that says more.
const LAYERS: [&str; 2] = ["error sending request", "client error ("];

/// An error's chain of causes without its address, which may hold names.
pub(super) fn in_words(error: reqwest::Error) -> String {
    let causes = chain(&error.without_url());
    let is_layer = |at: usize| at + 1 < causes.len() && LAYERS.iter().any(|layer| causes[at].starts_with(layer));
    let said: Vec<_> = (0..causes.len()).filter(|at| !is_layer(*at)).map(|at| causes[at].as_str()).collect();
    said.join(": ")
}
