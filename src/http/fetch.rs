//! Asks a directory over HTTP. A secret belongs to one request, and goes to the address of that request alone: nothing is
//! followed, and nothing is sent twice. When to ask again is the caller's.

use super::authority::check_authority;
use super::body::Bodies;
use super::client::{MASK, hardened};
use super::error::{in_words, not_built};
use super::headers::{date, http_date, retry_after};
use super::{BodyMode, ClientError};
use crate::files::{self, Role};
use crate::model::{Duration, Moment, clean};
use crate::outcome::{CallError, RetryAfter};
use crate::secret::Token;
use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED,
};
use std::path::Path;

/// An answer that says nothing for so long has ended.
const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(30);
/// The longest certificate or key, in bytes.
const IDENTITY_BYTES_MAX: u64 = 1 << 20;
/// How many rows a list has, as JumpCloud says it.
const TOTAL_COUNT: &str = "x-total-count";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ORGANIZATION: HeaderName = HeaderName::from_static("x-org-id");
const CREATION_SOURCE: HeaderName = HeaderName::from_static("creation-source");

/// What a request is let in with.
#[derive(Clone, Copy)]
pub enum Auth<'a> {
    /// Nothing.
    Nothing,
    /// `Authorization: Bearer`.
    Bearer(&'a Token),
    /// `Authorization`, the token alone.
    Plain(&'a Token),
    /// `x-api-key`.
    Key(&'a Token),
    /// `Authorization: Basic`, of a name and a secret.
    Basic(&'a str, &'a Token),
}

/// One request.
pub struct Ask<'a> {
    /// The whole address.
    pub url: &'a str,
    /// What it is let in with.
    pub auth: Auth<'a>,
    /// Which media type is asked for.
    pub accept: &'static str,
    /// `x-org-id`.
    pub organization: Option<&'a str>,
    /// `If-None-Match`.
    pub known: Option<&'a str>,
    /// `creation-source`.
    pub creation_source: Option<&'static str>,
    /// A POST with this body of this media type; `None`: a GET.
    pub body: Option<(&'static str, Vec<u8>)>,
}

impl<'a> Ask<'a> {
    /// A GET.
    #[must_use]
    pub fn get(url: &'a str, auth: Auth<'a>, accept: &'static str) -> Self {
        Self { url, auth, accept, organization: None, known: None, creation_source: None, body: None }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Fetched {
    /// The HTTP status code.
    pub status: u16,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<Moment>,
    /// `x-total-count`.
    pub total_count: Option<u64>,
    /// `Retry-After`.
    pub retry_after: Option<RetryAfter>,
    /// `Date`.
    pub date: Option<Moment>,
    /// The body, or why it did not arrive whole; empty if it was streamed.
    pub body: Result<Vec<u8>, String>,
}

/// A client that asks one directory.
pub struct Fetcher {
    inner: reqwest::Client,
    bodies: Bodies,
}

impl Fetcher {
    /// Builds it. `timeout`: the deadline of a whole request.
    ///
    /// # Errors
    /// The certificate authority or the proxy cannot be used.
    pub fn new(timeout: Duration, ca_file: Option<&Path>, proxy: Option<&str>) -> Result<Self, ClientError> {
        if let Some(path) = ca_file {
            check_authority(path)?;
        }
        let builder = hardened(timeout, ca_file, proxy).map_err(ClientError::Other)?.read_timeout(SILENCE_MAX);
        let inner = builder.build().map_err(|error| ClientError::Other(not_built(error)))?;
        Ok(Self { inner, bodies: Bodies::default() })
    }

    /// One that shows a certificate of its own, if it has one, and waits for `wait` at most. `encrypted`: whether it asks by https.
    ///
    /// # Errors
    /// The certificate authority, the certificate or its key cannot be used.
    pub fn identified(
        (wait, encrypted): (std::time::Duration, bool),
        ca_file: Option<&Path>,
        identity: Option<(&Path, &Path)>,
    ) -> Result<Self, ClientError> {
        if let Some(path) = ca_file {
            check_authority(path)?;
        }
        let longest = Duration::from_seconds(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1));
        let builder = hardened(longest, ca_file, None).map_err(ClientError::Other)?;
        // Where nothing is encrypted, nothing needs to be trusted: the system's certificates take a megabyte.
        let builder = if encrypted { builder } else { builder.tls_certs_only([]) };
        let builder = match identity {
            Some((certificate, key)) => builder.identity(own_identity(certificate, key)?),
            None => builder,
        };
        let builder = builder.timeout(wait).connect_timeout(wait).read_timeout(wait);
        let inner = builder.build().map_err(|error| ClientError::Other(not_built(error)))?;
        Ok(Self { inner, bodies: Bodies::default() })
    }

    /// Sends one request and waits for the answer. Only the body of a 200 is streamed.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn ask(&self, ask: &Ask<'_>, take: BodyMode<'_>) -> Result<Fetched, CallError> {
        let response = match self.request(ask).send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Err(CallError::NotSent(said(error, ask.auth)));
            }
            Err(error) => return Err(CallError::Lost(said(error, ask.auth))),
        };
        let take = if response.status() == StatusCode::OK { take } else { BodyMode::Whole };
        let headers = response.headers();
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Fetched {
            status: response.status().as_u16(),
            etag: text(&ETAG),
            last_modified: text(&LAST_MODIFIED).and_then(|text| http_date(&text)),
            total_count: headers.get(TOTAL_COUNT).and_then(|count| count.to_str().ok()?.trim().parse().ok()),
            retry_after: retry_after(headers),
            date: date(headers),
            body: self.bodies.read(response, take, |error| said(error, ask.auth)).await,
        })
    }

    fn request(&self, ask: &Ask<'_>) -> reqwest::RequestBuilder {
        let mut builder = match &ask.body {
            None => self.inner.get(ask.url),
            Some((media_type, body)) => self.inner.post(ask.url).header(CONTENT_TYPE, *media_type).body(body.clone()),
        };
        builder = builder.header(ACCEPT, ask.accept);
        builder = match ask.auth {
            Auth::Nothing => builder,
            Auth::Bearer(token) => builder.bearer_auth(token.expose()),
            Auth::Basic(name, token) => builder.basic_auth(name, Some(token.expose())),
            Auth::Key(token) => with_secret(builder, API_KEY, token),
            Auth::Plain(token) => with_secret(builder, AUTHORIZATION, token),
        };
        let more =
            [(ORGANIZATION, ask.organization), (IF_NONE_MATCH, ask.known), (CREATION_SOURCE, ask.creation_source)];
        more.into_iter().fold(builder, |builder, (name, value)| match value {
            Some(value) => builder.header(name, value),
            None => builder,
        })
    }
}

/// A token is printable; without it the request is refused, not sent elsewhere.
fn with_secret(builder: reqwest::RequestBuilder, name: HeaderName, token: &Token) -> reqwest::RequestBuilder {
    match HeaderValue::try_from(token.expose()) {
        Ok(mut value) => {
            value.set_sensitive(true);
            builder.header(name, value)
        }
        Err(_) => builder,
    }
}

/// A certificate with its key, from two PEM files.
fn own_identity(certificate: &Path, key: &Path) -> Result<reqwest::Identity, ClientError> {
    let unread =
        |path: &Path, error: std::io::Error| ClientError::Other(format!("{} cannot be used: {error}", path.display()));
    let mut pem =
        files::read(certificate, Role::Certificate, IDENTITY_BYTES_MAX).map_err(|error| unread(certificate, error))?;
    pem.push(b'\n');
    pem.extend(files::read(key, Role::Secret, IDENTITY_BYTES_MAX).map_err(|error| unread(key, error))?);
    reqwest::Identity::from_pem(&pem).map_err(|_| {
        ClientError::Other(format!(
            "{} and {} are not a certificate and its key in PEM",
            certificate.display(),
            key.display()
        ))
    })
}

/// An error's chain of causes without its address, which may hold names, and without the secret.
fn said(error: reqwest::Error, auth: Auth<'_>) -> String {
    without_secret(&in_words(error), auth)
}

/// A text of the other side, fit for a message: without the secret that was sent, and without control characters.
#[must_use]
pub(crate) fn without_secret(text: &str, auth: Auth<'_>) -> String {
    let masked = match auth {
        Auth::Nothing => text.to_owned(),
        Auth::Bearer(token) | Auth::Plain(token) | Auth::Key(token) | Auth::Basic(_, token) => {
            text.replace(token.expose(), MASK)
        }
    };
    clean(&masked).into_owned()
}
