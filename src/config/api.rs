//! `[directory]` with a source that is asked over HTTP: the keys of `source = "url"` and `source = "jumpcloud"`, which of them
//! go together, and where their secrets may go.

use super::TokenPlace;
use super::address::{Query, Reach, address, proxy};
use super::error::Problem;
use crate::model::Duration;
use serde::Serialize;
use std::path::PathBuf;

/// JumpCloud's own address of its API.
pub(super) const JUMPCLOUD: &str = "https://console.jumpcloud.com";
/// JumpCloud's own address for the tokens of service accounts.
const JUMPCLOUD_TOKENS: &str = "https://admin-oauth.id.jumpcloud.com/oauth2/token";
/// The deadline of one request to JumpCloud.
const TIMEOUT: Duration = Duration::from_seconds(30);

/// `source = "url"`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct UrlConfig {
    /// As configured.
    pub url: String,
    /// Where the token lies, if one is sent.
    pub token: Option<TokenPlace>,
    /// A private certificate authority.
    pub ca_file: Option<PathBuf>,
    /// The only proxy.
    pub proxy: Option<String>,
}

impl UrlConfig {
    /// What people call it: the address without its query, which may hold what not everybody should read.
    #[must_use]
    pub fn described(&self) -> String {
        self.url.split('?').next().unwrap_or_default().to_owned()
    }
}

/// `source = "jumpcloud"`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JumpCloudConfig {
    /// Without a slash at its end.
    pub api_url: String,
    /// Where a service account gets its tokens.
    pub token_url: String,
    /// What JumpCloud is asked with.
    pub credential: ApiCredential,
    /// The organisation, if the administrator has several.
    pub organization_id: Option<String>,
    /// Users bound to it are wanted; `None`: the members of the groups of `[scope]`.
    pub application_id: Option<String>,
    /// A private certificate authority.
    pub ca_file: Option<PathBuf>,
    /// The only proxy.
    pub proxy: Option<String>,
    /// The deadline of one request.
    pub timeout: Duration,
}

impl JumpCloudConfig {
    /// What people call it.
    #[must_use]
    pub fn described(&self) -> String {
        self.api_url.clone()
    }

    /// The group that stands for the application in the records that are read.
    #[must_use]
    pub fn application_group(&self) -> Option<String> {
        self.application_id.as_deref().map(application_group)
    }
}

/// What JumpCloud is asked with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum ApiCredential {
    /// An administrator's API key.
    Key(TokenPlace),
    /// A service account.
    Service {
        /// Its client id, which is not a secret.
        client_id: String,
        /// Where its secret lies.
        secret: TokenPlace,
    },
}

impl ApiCredential {
    /// Where the secret lies.
    #[must_use]
    pub fn secret(&self) -> &TokenPlace {
        match self {
            Self::Key(place) | Self::Service { secret: place, .. } => place,
        }
    }
}

/// The group that stands for an application.
pub(super) fn application_group(id: &str) -> String {
    format!("application {id}")
}

/// Without slashes at its end.
pub(super) fn trimmed(url: &str) -> &str {
    url.trim().trim_end_matches('/')
}

/// Checks the keys of `source = "url"`.
pub(super) fn url(
    url: Option<&str>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    proxy: Option<&str>,
) -> Result<UrlConfig, Problem> {
    let Some(url) = url.map(str::trim).filter(|url| !url.is_empty()) else {
        return Err(Problem::plain("[directory] url is missing"));
    };
    reachable(&[(url, "[directory] url", Query::Allowed)], proxy)?;
    Ok(UrlConfig {
        url: url.to_owned(),
        token: token_file.map(TokenPlace::File),
        ca_file,
        proxy: proxy.map(str::to_owned),
    })
}

/// The keys of `source = "jumpcloud"`, as they stand in the file.
pub(super) struct RawApi<'r> {
    pub(super) api_url: Option<&'r str>,
    pub(super) token_url: Option<&'r str>,
    pub(super) key: (Option<PathBuf>, Option<String>),
    pub(super) client_id: Option<&'r str>,
    pub(super) client_secret: (Option<PathBuf>, Option<String>),
    pub(super) organization_id: Option<&'r str>,
    pub(super) application_id: Option<&'r str>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) proxy: Option<&'r str>,
    pub(super) timeout: Option<Duration>,
}

/// Checks the keys of `source = "jumpcloud"`.
pub(super) fn jumpcloud(raw: RawApi<'_>, by_groups: bool) -> Result<JumpCloudConfig, Problem> {
    let api_url = trimmed(raw.api_url.unwrap_or(JUMPCLOUD)).to_owned();
    let token_url = raw.token_url.unwrap_or(JUMPCLOUD_TOKENS).trim().to_owned();
    let credential = credential(&raw)?;
    let mut addresses = vec![(api_url.as_str(), "[directory] api_url", Query::Refused)];
    if matches!(credential, ApiCredential::Service { .. }) {
        addresses.push((token_url.as_str(), "[directory] token_url", Query::Refused));
    } else if raw.token_url.is_some() {
        return Err(Problem::plain("[directory] token_url goes with client_id"));
    }
    reachable(&addresses, raw.proxy)?;
    let application_id = id(raw.application_id, "application_id")?;
    match (&application_id, by_groups) {
        (Some(_), true) => {
            return Err(Problem::plain(
                "[directory] application_id and [scope] groups both say who is wanted: remove one",
            ));
        }
        (None, false) => {
            return Err(Problem::plain("[directory] application_id is missing (or [scope] groups): who is wanted?"));
        }
        (Some(_), false) | (None, true) => {}
    }
    if raw.timeout == Some(Duration::from_seconds(0)) {
        return Err(Problem::plain("[directory] timeout is 0"));
    }
    Ok(JumpCloudConfig {
        credential,
        organization_id: id(raw.organization_id, "organization_id")?,
        application_id,
        ca_file: raw.ca_file,
        proxy: raw.proxy.map(str::to_owned),
        timeout: raw.timeout.unwrap_or(TIMEOUT),
        api_url,
        token_url,
    })
}

/// Exactly one of the two ways to be let in.
fn credential(raw: &RawApi<'_>) -> Result<ApiCredential, Problem> {
    let key = place(&raw.key, "api_key")?;
    let secret = place(&raw.client_secret, "client_secret")?;
    let client_id = raw.client_id.map(str::trim).filter(|id| !id.is_empty());
    match (key, client_id, secret) {
        (Some(key), None, None) => Ok(ApiCredential::Key(key)),
        (None, Some(client_id), Some(secret)) => Ok(ApiCredential::Service { client_id: client_id.to_owned(), secret }),
        (Some(_), _, _) => {
            Err(Problem::plain("[directory] has both api_key_file and client_id with its secret: remove one"))
        }
        (None, Some(_), None) => {
            Err(Problem::plain("[directory] client_secret_file (or client_secret_credential) is missing"))
        }
        (None, None, Some(_)) => Err(Problem::plain("[directory] client_id is missing")),
        (None, None, None) => {
            Err(Problem::plain("[directory] api_key_file is missing (or client_id and client_secret_file)"))
        }
    }
}

/// A secret's place: a file or a credential of systemd, not both.
fn place((file, credential): &(Option<PathBuf>, Option<String>), what: &str) -> Result<Option<TokenPlace>, Problem> {
    match (file, credential) {
        (Some(_), Some(_)) => Err(Problem::owned(format!("[directory] has both {what}_file and {what}_credential"))),
        (Some(path), None) => Ok(Some(TokenPlace::File(path.clone()))),
        (None, Some(name)) if name.is_empty() || name.contains('/') => {
            Err(Problem::owned(format!("[directory] {what}_credential is the name of a credential, not a path")))
        }
        (None, Some(name)) => Ok(Some(TokenPlace::Credential(name.clone()))),
        (None, None) => Ok(None),
    }
}

/// An id of JumpCloud's, which becomes part of an address or a header.
fn id(text: Option<&str>, key: &str) -> Result<Option<String>, Problem> {
    match text.map(str::trim) {
        None => Ok(None),
        Some(id) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) => {
            Ok(Some(id.to_owned()))
        }
        Some(_) => Err(Problem::owned(format!("[directory] {key} is not an id, such as 5f0c2a9b8e1d4c3b2a190807"))),
    }
}

/// Addresses to which a secret may go, and a proxy that may carry it there.
fn reachable(addresses: &[(&str, &str, Query)], through: Option<&str>) -> Result<(), Problem> {
    for (text, key, query) in addresses {
        let reach = address(text, key, *query)?;
        if reach == Reach::Loopback && through.is_some() {
            return Err(Problem::owned(format!(
                "[directory] proxy cannot reach {}, which is on loopback; remove one of them",
                key.trim_start_matches("[directory] ")
            )));
        }
    }
    through.map_or(Ok(()), |through| proxy(through, "[directory] proxy"))
}
