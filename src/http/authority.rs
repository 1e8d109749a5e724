//! Files of certificates of private authorities.

use super::error::{AuthorityFault, ClientError};
use crate::files::{self, Role};
use crate::model::chain;
use std::path::Path;

/// The longest file of certificates, in bytes: a system's whole bundle has a quarter of a MiB.
const AUTHORITIES_BYTES_MAX: u64 = 8 << 20;
/// The first byte of a certificate in DER.
const DER_SEQUENCE: u8 = 0x30;

/// Whether a file holds certificates that a client can be built with.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn check_authority(path: &Path) -> Result<(), ClientError> {
    let fault = |what| ClientError::Authority { path: path.to_owned(), what };
    let built = reqwest::Client::builder().no_proxy().tls_certs_merge(authorities(path).map_err(fault)?).build();
    built.map(|_| ()).map_err(|error| fault(AuthorityFault::Damaged(chain(&error).join(": "))))
}

/// Only looks at a file of certificates; one that is not there is missed when it is needed.
///
/// # Errors
/// It is refused.
pub fn refuse_exposed(path: &Path) -> Result<(), ClientError> {
    let refusal = files::look(path, Role::Certificate).err().and_then(|error| files::refusal_of(&error).cloned());
    refusal.map_or(Ok(()), |refusal| {
        Err(ClientError::Authority { path: path.to_owned(), what: AuthorityFault::Refused(refusal) })
    })
}

pub(super) fn authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, AuthorityFault> {
    let file = files::read(path, Role::Certificate, AUTHORITIES_BYTES_MAX).map_err(|error| {
        let refusal = files::refusal_of(&error).cloned();
        refusal.map_or_else(|| AuthorityFault::Unreadable(error.to_string()), AuthorityFault::Refused)
    })?;
    let pem = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&file);
    let found =
        reqwest::Certificate::from_pem_bundle(pem).map_err(|error| AuthorityFault::Damaged(error.to_string()))?;
    match pem.first() {
        _ if !found.is_empty() => Ok(found),
        Some(&DER_SEQUENCE) => Err(AuthorityFault::Der),
        Some(_) | None => Err(AuthorityFault::Empty),
    }
}
