//! Asks a directory over HTTP. A secret belongs to one request, and goes to the address of that request alone: nothing is
//! followed, and nothing is sent twice. When to ask again is the caller's.

use super::client::{MASK, check_authority, date, hardened, http_date, in_words, not_built, retry_after};
use super::{ANSWER_BYTES_MAX, BodyMode, ClientError};
use crate::model::{Duration, Moment, clean};
use crate::outcome::{CallError, RetryAfter};
use crate::secret::Token;
use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED};
use std::path::Path;

/// An answer that says nothing for so long has ended.
const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(30);
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
        Ok(Self { inner })
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
        let headers = response.headers();
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Fetched {
            status: response.status().as_u16(),
            etag: text(&ETAG),
            last_modified: text(&LAST_MODIFIED).and_then(|text| http_date(&text)),
            total_count: headers.get(TOTAL_COUNT).and_then(|count| count.to_str().ok()?.trim().parse().ok()),
            retry_after: retry_after(headers),
            date: date(headers),
            body: body(response, take, ask.auth).await,
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
            Auth::Key(token) => match HeaderValue::try_from(token.expose()) {
                Ok(mut key) => {
                    key.set_sensitive(true);
                    builder.header(API_KEY, key)
                }
                // A token is printable; without its key the request is refused, not sent elsewhere.
                Err(_) => builder,
            },
        };
        let more =
            [(ORGANIZATION, ask.organization), (IF_NONE_MATCH, ask.known), (CREATION_SOURCE, ask.creation_source)];
        more.into_iter().fold(builder, |builder, (name, value)| match value {
            Some(value) => builder.header(name, value),
            None => builder,
        })
    }
}

async fn body(mut response: reqwest::Response, take: BodyMode<'_>, auth: Auth<'_>) -> Result<Vec<u8>, String> {
    let mut whole = Vec::new();
    let mut stream = match take {
        BodyMode::Stream(stream) if response.status() == reqwest::StatusCode::OK => Some(stream),
        BodyMode::Stream(_) | BodyMode::Whole => None,
    };
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(whole),
            Ok(Some(chunk)) => match &mut stream {
                Some(stream) => stream(&chunk)?,
                None if whole.len() + chunk.len() > ANSWER_BYTES_MAX => {
                    return Err("the answer is longer than 8 MiB".to_owned());
                }
                None => whole.extend_from_slice(&chunk),
            },
            Err(error) => return Err(said(error, auth)),
        }
    }
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
        Auth::Bearer(token) | Auth::Key(token) | Auth::Basic(_, token) => text.replace(token.expose(), MASK),
    };
    clean(&masked).into_owned()
}
