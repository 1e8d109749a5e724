//! What binds an event to all before it: its chain, and where there is a key the seal of the chain.

use crate::model::hex;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The chain of a line that follows another chain.
#[must_use]
pub(super) fn chained(before: &str, line: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(b"\n");
    hash.update(line.as_bytes());
    hex(&hash.finalize())
}

/// A key that only the service and those who verify know: whoever can write the log, but lacks the key, cannot seal it anew.
#[derive(Clone)]
pub struct SealKey(SecretString);

impl SealKey {
    /// Takes the key as it stands in its file.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(SecretString::from(text))
    }

    /// The seal of a chain: its HMAC-SHA-256, as hex.
    #[must_use]
    pub fn seal_of(&self, chain: &str) -> String {
        match Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()) {
            Ok(mut mac) => {
                mac.update(chain.as_bytes());
                hex(&mac.finalize().into_bytes())
            }
            // An HMAC takes a key of any length.
            Err(_) => String::new(),
        }
    }

    /// The key, for the connection that seals.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}
