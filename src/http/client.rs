//! The HTTP client. By default reqwest follows redirects, retries, takes proxies from the environment and waits for
//! ever; all of that is switched off here.

use super::{ANSWER_BYTES_MAX, BodyMode, Method, Request, Transport};
use crate::files::{self, Refusal, Role};
use crate::model::{Duration, Moment, chain};
use crate::outcome::{Answer, CallError, RetryAfter};
use crate::secret::Token;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use serde_json::Value;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::error::Error;
use std::path::{Path, PathBuf};

const USER_AGENT: &str = concat!("rhombus-sync/", env!("CARGO_PKG_VERSION"));
const SCIM: &str = "application/scim+json";
/// Timeout of connecting, in seconds.
const CONNECT_SECONDS_MAX: u64 = 10;
/// The longest `Retry-After` that is believed, in seconds: a day.
const RETRY_AFTER_SECONDS_MAX: u64 = 86_400;

/// The longest file of certificates, in bytes: a system's whole bundle has a quarter of a MiB.
const AUTHORITIES_BYTES_MAX: u64 = 8 << 20;
/// The first byte of a certificate in DER.
const DER_SEQUENCE: u8 = 0x30;

/// How the requests of a protocol look.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// What stands before the token: `Bearer`.
    pub scheme: &'static str,
    /// The type of the bodies that are sent.
    pub media_type: &'static str,
    /// The type of the answers that are asked for.
    pub accept: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

impl Dialect {
    /// SCIM 2.0.
    #[must_use]
    pub const fn scim() -> Self {
        Self { scheme: "Bearer", media_type: SCIM, accept: SCIM, headers: Vec::new() }
    }
}

/// What a client is built from.
pub struct ClientSettings {
    /// The base URL, without a slash at its end.
    pub base_url: String,
    /// The token; some receivers of events need none.
    pub token: Option<Token>,
    /// How requests look.
    pub dialect: Dialect,
    /// PEM file of a private certificate authority.
    pub ca_file: Option<PathBuf>,
    /// The only proxy that is used; `None`: a direct connection.
    pub proxy: Option<String>,
    /// The deadline of a whole request.
    pub timeout: Duration,
}

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

/// A client of one endpoint. Connection pool and trust store are built at the first request.
pub struct Client {
    settings: ClientSettings,
    inner: OnceCell<Result<reqwest::Client, String>>,
}

impl Client {
    /// Builds nothing yet and does not connect.
    #[must_use]
    pub fn new(settings: ClientSettings) -> Self {
        Self { settings, inner: OnceCell::new() }
    }

    /// Builds the pool now, to learn of a bad certificate authority or proxy before the first request.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn prepare(&self) -> Result<(), ClientError> {
        if let Some(path) = &self.settings.ca_file {
            check_authority(path)?;
        }
        self.inner().map(|_| ()).map_err(|what| ClientError::Other(what.to_owned()))
    }

    fn inner(&self) -> Result<&reqwest::Client, &str> {
        self.inner.get_or_init(|| build(&self.settings)).as_ref().map_err(String::as_str)
    }

    /// Masks the token in a text, and anything that would reveal a part of it.
    fn cleaned(&self, text: &str) -> String {
        let text = without_secret(text, self.secret()).map_or(Cow::Borrowed(text), Cow::Owned);
        crate::model::clean(&text).into_owned()
    }

    fn secret(&self) -> &str {
        self.settings.token.as_ref().map_or("", Token::expose)
    }

    /// An error's chain of causes without URLs: a filter contains a person's name.
    fn in_words(&self, error: reqwest::Error) -> String {
        self.cleaned(&in_words(error))
    }

    async fn body(&self, mut response: reqwest::Response, mode: BodyMode<'_>) -> Result<Vec<u8>, String> {
        let mut whole = Vec::new();
        let mut stream = match mode {
            BodyMode::Stream(stream) if response.status().is_success() => Some(stream),
            BodyMode::Stream(_) | BodyMode::Whole => None,
        };
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) => match &mut stream {
                    Some(stream) => stream(&chunk)?,
                    None if whole.len() + chunk.len() > ANSWER_BYTES_MAX => {
                        return Err("the answer is longer than 8 MiB".to_owned());
                    }
                    None => whole.extend_from_slice(&chunk),
                },
                Err(error) => return Err(self.in_words(error)),
            }
        }
        let cleaned = without_secret(&String::from_utf8_lossy(&whole), self.secret());
        Ok(cleaned.map_or(whole, String::into_bytes))
    }
}

pub(super) const MASK: &str = "[secret]";

/// An endpoint may echo what it was sent, and JSON may escape it: nothing of the token passes this point. `None`: the
/// body does not contain it.
fn without_secret(body: &str, secret: &str) -> Option<String> {
    if secret.is_empty() {
        return None;
    }
    let plain = body.contains(secret).then(|| body.replace(secret, MASK));
    let text = plain.as_deref().unwrap_or(body);
    if text.contains('\\')
        && let Ok(mut value) = serde_json::from_str::<Value>(text)
        && mask(&mut value, secret)
    {
        return Some(value.to_string());
    }
    plain
}

/// Masks the secret in every string of a JSON value; true if one contained it.
fn mask(value: &mut Value, secret: &str) -> bool {
    match value {
        Value::String(text) if text.contains(secret) => {
            *text = text.replace(secret, MASK);
            true
        }
        Value::Array(values) => values.iter_mut().fold(false, |found, value| mask(value, secret) | found),
        Value::Object(members) => {
            let in_keys = members.keys().any(|key| key.contains(secret));
            if in_keys {
                *members = std::mem::take(members).into_iter().map(|(key, v)| (key.replace(secret, MASK), v)).collect();
            }
            members.values_mut().fold(in_keys, |found, value| mask(value, secret) | found)
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => false,
    }
}

impl Transport for Client {
    fn without_secret(&self, record: &str) -> Option<String> {
        without_secret(record, self.secret())
    }

    async fn call(&self, request: &Request, mode: BodyMode<'_>) -> Result<Answer, CallError> {
        let client = self.inner().map_err(|what| CallError::NotSent(what.to_owned()))?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = client.request(method, format!("{}{}", self.settings.base_url, request.target));
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, self.settings.dialect.media_type).body(body.clone());
        }
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Err(CallError::NotSent(self.in_words(error)));
            }
            Err(error) => return Err(CallError::Lost(self.in_words(error))),
        };
        let status = response.status().as_u16();
        let (retry_after, date) = (retry_after(response.headers()), date(response.headers()));
        let body = self.body(response, mode).await;
        Ok(Answer { status, body, retry_after, date })
    }
}

fn build(settings: &ClientSettings) -> Result<reqwest::Client, String> {
    let Dialect { scheme, media_type: _, accept, headers: further } = &settings.dialect;
    let mut headers: HeaderMap = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
    for (name, value) in further {
        let value = HeaderValue::try_from(value).map_err(|_| format!("{name} is not allowed in a header"))?;
        headers.insert(*name, value);
    }
    if let Some(token) = &settings.token {
        let mut authorization = HeaderValue::try_from(format!("{scheme} {}", token.expose()))
            .map_err(|_| "the token contains a character that is not allowed in a header".to_owned())?;
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
    }
    let builder = hardened(settings.timeout, settings.ca_file.as_deref(), settings.proxy.as_deref())?;
    // Where nothing is encrypted, nothing needs to be trusted: a system without certificates is good enough for it.
    let builder = if settings.base_url.starts_with("http://") { builder.tls_certs_only([]) } else { builder };
    let builder = builder.default_headers(headers);
    builder.build().map_err(not_built)
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

/// The layers of the library below us, each with a cause that says more.
const LAYERS: [&str; 2] = ["error sending request", "client error ("];

/// An error's chain of causes without its address, which may hold names.
pub(super) fn in_words(error: reqwest::Error) -> String {
    let causes = chain(&error.without_url());
    let is_layer = |at: usize| at + 1 < causes.len() && LAYERS.iter().any(|layer| causes[at].starts_with(layer));
    let said: Vec<_> = (0..causes.len()).filter(|at| !is_layer(*at)).map(|at| causes[at].as_str()).collect();
    said.join(": ")
}

pub(super) fn not_built(error: reqwest::Error) -> String {
    not_trusting(&error.without_url())
}

/// A client that follows nothing, repeats nothing, and goes through no proxy but this one.
pub(super) fn hardened(
    timeout: Duration,
    ca_file: Option<&Path>,
    proxy: Option<&str>,
) -> Result<reqwest::ClientBuilder, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .timeout(timeout.std())
        .connect_timeout(timeout.std().min(std::time::Duration::from_secs(CONNECT_SECONDS_MAX)));
    if let Some(proxy) = proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(|error| error.without_url().to_string())?);
    }
    if let Some(path) = ca_file {
        builder = builder.tls_certs_merge(authorities(path).map_err(|what| what.to_string())?);
    }
    Ok(builder)
}

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

/// Seconds, a fraction of them counted up, or an HTTP date (RFC 9110, section 10.2.3). Anything else is still a wish to be
/// left alone.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let text = headers.get(RETRY_AFTER)?.to_str().unwrap_or_default().trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(whole) && is_number(fraction) {
        let begun = u64::from(fraction.bytes().any(|digit| digit != b'0'));
        let seconds = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_add(begun).min(RETRY_AFTER_SECONDS_MAX);
        return Some(RetryAfter::Seconds(u32::try_from(seconds).unwrap_or(0)));
    }
    Some(http_date(text).map_or(RetryAfter::Unreadable, RetryAfter::At))
}

pub(super) fn date(headers: &HeaderMap) -> Option<Moment> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

pub(super) fn http_date(text: &str) -> Option<Moment> {
    let since_1970 = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_1970.as_millis()).ok().map(Moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_however_json_spells_it() {
        let secret = "CANARY-ab/cd+ef==";
        for body in [
            r#"{"detail":"no CANARY-ab/cd+ef== here"}"#,
            r#"{"detail":"no CANARY-ab\/cd+ef== here"}"#,
            r#"{"detail":["no \u0043ANARY-ab\/cd\u002bef== here"]}"#,
            r#"{"CANARY-ab\/cd+ef==":{"a":"\u0043ANARY-ab/cd+ef=="}}"#,
            "<p>CANARY-ab/cd+ef==</p>",
        ] {
            let cleaned = without_secret(body, secret).expect("it was in there");
            let shown = serde_json::from_str::<Value>(&cleaned).map_or(cleaned.clone(), |value| value.to_string());
            assert!(cleaned.contains(MASK) && !shown.contains("ANARY"), "{cleaned}");
        }
        assert_eq!(without_secret(r#"{"detail":"C:\\temp \u0043"}"#, secret), None);
    }

    #[test]
    fn retry_after_is_read_as_a_wish_to_wait_however_it_is_written() {
        for (text, expected) in [
            ("300", RetryAfter::Seconds(300)),
            (" 0 ", RetryAfter::Seconds(0)),
            ("299.997", RetryAfter::Seconds(300)),
            ("0.5", RetryAfter::Seconds(1)),
            ("7.00", RetryAfter::Seconds(7)),
            ("99999999999999999999999", RetryAfter::Seconds(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", RetryAfter::At(Moment(784_111_777_000))),
            ("120s", RetryAfter::Unreadable),
            ("-1", RetryAfter::Unreadable),
            ("1.", RetryAfter::Unreadable),
            ("1.2.3", RetryAfter::Unreadable),
            ("Infinity", RetryAfter::Unreadable),
            ("", RetryAfter::Unreadable),
        ] {
            let headers = [(RETRY_AFTER, HeaderValue::from_static(text))].into_iter().collect();
            assert_eq!(retry_after(&headers), Some(expected), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_date_is_read_in_all_three_forms() {
        let at = Some(Moment(784_111_777_000));
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(http_date(text), at, "{text}");
        }
        assert_eq!(http_date("Fri, 31 Dec 9999 23:59:59 GMT"), Some(Moment(253_402_300_799_000)));
        assert_eq!(http_date("soon"), None);
    }
}
