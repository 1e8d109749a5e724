//! How the reader gives the program another token: in one sentence for every hint, by where the token comes from.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether systemd passes the token; noted with each configuration that comes into force.
static IS_CREDENTIAL: AtomicBool = AtomicBool::new(false);

/// Notes where the token comes from: from a file, or from systemd.
pub fn note_token_comes_from_systemd(is_credential: bool) {
    IS_CREDENTIAL.store(is_credential, Ordering::SeqCst);
}

/// What to do with a token, such as `a valid token`.
#[must_use]
pub fn put_token(token: &str) -> String {
    words(token, IS_CREDENTIAL.load(Ordering::SeqCst))
}

/// Where the token comes from, as a part of a sentence.
#[must_use]
pub fn token_place() -> &'static str {
    if IS_CREDENTIAL.load(Ordering::SeqCst) { "the token from systemd" } else { "the token file" }
}

fn words(token: &str, is_credential: bool) -> String {
    match is_credential {
        false => format!("put {token} into the token file"),
        true => format!(
            "put {token} into the file that LoadCredential= of the unit names (as shipped: /etc/rhombus-sync/token) and \
             restart the service"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_needs_a_restart_and_a_file_does_not() {
        assert_eq!(words("a valid token", false), "put a valid token into the token file");
        let credential = words("a valid token", true);
        assert!(credential.contains("LoadCredential=") && credential.ends_with("restart the service"), "{credential}");
    }
}
