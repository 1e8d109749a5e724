//! The HTTP client. By default reqwest follows redirects, retries, takes proxies from the environment and waits for
//! ever; all of that is switched off here.

use super::authority::{authorities, check_authority};
use super::body::Bodies;
use super::error::{ClientError, in_words, not_built};
use super::headers::{date, retry_after};
use super::{BodyMode, Method, Request, Transport};
use crate::model::Duration;
use crate::outcome::{Answer, CallError};
use crate::secret::Token;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use serde_json::Value;
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};

const USER_AGENT: &str = concat!("rhombus-sync/", env!("CARGO_PKG_VERSION"));
const SCIM: &str = "application/scim+json";
/// Timeout of connecting, in seconds.
const CONNECT_SECONDS_MAX: u64 = 10;
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

/// A client of one endpoint. Connection pool and trust store are built at the first request.
pub struct Client {
    settings: ClientSettings,
    inner: OnceCell<Result<reqwest::Client, String>>,
    /// The target of the last request, and its address: the creates of a first load all go to one.
    last: RefCell<Option<(String, reqwest::Url)>>,
    bodies: Bodies,
}

impl Client {
    /// Builds nothing yet and does not connect.
    #[must_use]
    pub fn new(settings: ClientSettings) -> Self {
        Self { settings, inner: OnceCell::new(), last: RefCell::default(), bodies: Bodies::default() }
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

    /// The address of a target.
    fn address(&self, target: &str) -> Result<reqwest::Url, String> {
        let mut last = self.last.borrow_mut();
        if let Some((_, url)) = last.as_ref().filter(|(last, _)| last == target) {
            return Ok(url.clone());
        }
        let url = reqwest::Url::parse(&format!("{}{target}", self.settings.base_url));
        let url = url.map_err(|error| format!("the address of the request is not valid: {error}"))?;
        *last = Some((target.to_owned(), url.clone()));
        Ok(url)
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

    async fn body(&self, response: reqwest::Response, mode: BodyMode<'_>) -> Result<Vec<u8>, String> {
        let whole = self.bodies.read(response, mode, |error| self.in_words(error)).await?;
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
    let escaped = text.contains('\\').then(|| without_escaped(text, secret)).flatten();
    escaped.or(plain)
}

/// The same for what JSON escapes: each part between two quotes is read as a string, because in a text that is not JSON nobody
/// knows where one begins. `None`: no part contains it.
fn without_escaped(text: &str, secret: &str) -> Option<String> {
    let (mut cleaned, mut copied_until, mut start) = (String::new(), 0, 0);
    while start < text.len() {
        let end = start + part_length(&text[start..]);
        let part = &text[start..end];
        if part.contains('\\')
            && let Ok(shown) = serde_json::from_str::<String>(&format!("\"{part}\""))
            && shown.contains(secret)
        {
            let masked = Value::from(shown.replace(secret, MASK)).to_string();
            cleaned.push_str(&text[copied_until..start]);
            cleaned.push_str(&masked[1..masked.len() - 1]);
            copied_until = end;
        }
        start = end + 1;
    }
    (copied_until > 0).then(|| cleaned + &text[copied_until..])
}

/// The bytes before the next quote that is not escaped.
fn part_length(text: &str) -> usize {
    let mut is_escaped = false;
    let is_end = |byte: &u8| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    };
    text.as_bytes().iter().position(is_end).unwrap_or(text.len())
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
        let url = self.address(&request.target).map_err(CallError::NotSent)?;
        let mut builder = client.request(method, url);
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
            r#"no \u0043ANARY-ab\/cd+ef== in JSON"#,
            r#"" odd {"detail":"no \u0043ANARY-ab\/cd+ef==", "b"#,
        ] {
            let cleaned = without_secret(body, secret).expect("it was in there");
            let shown = serde_json::from_str::<Value>(&cleaned).map_or(cleaned.clone(), |value| value.to_string());
            assert!(cleaned.contains(MASK) && !shown.contains("ANARY"), "{cleaned}");
        }
        assert_eq!(without_secret(r#"{"detail":"C:\\temp \u0043"}"#, secret), None);
        let cleaned = without_secret(r#"{"a":1.0E+40,"b\"":"\u0043ANARY-ab/cd+ef==\n","c":"\u0043"}"#, secret);
        assert_eq!(
            cleaned.as_deref(),
            Some(r#"{"a":1.0E+40,"b\"":"[secret]\n","c":"\u0043"}"#),
            "the rest stays as it is"
        );
    }
}
