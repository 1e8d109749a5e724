//! What an answer means, before anybody acts on it. PURE. 404, 409 and 429 are outcomes, not errors.

use crate::model::{AccountState, Moment, Reason, Response, clean};

/// When the endpoint wants to be called again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryAfter {
    /// After so many seconds.
    Seconds(u32),
    /// At an instant of its clock.
    At(Moment),
}

/// An answer whose head arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; or why it did not arrive whole.
    pub body: Result<Vec<u8>, String>,
    /// `Retry-After`, where it could be read.
    pub retry_after: Option<RetryAfter>,
    /// `Date`, where it could be read.
    pub date: Option<Moment>,
}

/// No answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The request certainly did not leave.
    #[error("no connection: {0}")]
    NotSent(String),
    /// The request left, or may have left, and nothing came back.
    #[error("no answer: {0}")]
    Lost(String),
}

/// What one request came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Any 2xx.
    Accepted,
    /// 404.
    NotFound,
    /// 409.
    Conflict,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 405 or 501: the endpoint does not know this request.
    NotSupported,
    /// 429, with when to come back; nothing was done.
    Throttled(Option<RetryAfter>),
    /// Another 4xx: this user is rejected.
    Rejected,
    /// 3xx: a SCIM endpoint never redirects, so it is not one.
    Redirected,
    /// The request certainly did not leave.
    NotSent,
    /// It may have been done: cut, timed out, 5xx, or an answer that cannot be read.
    Unknown(Option<RetryAfter>),
}

/// An outcome, with the words for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// What it came to.
    pub outcome: Outcome,
    /// The endpoint's words.
    pub response: Response,
    /// Why it is not accepted; none where it is.
    pub reason: Option<Reason>,
}

/// The reason phrase of a status that endpoints are known to answer with (RFC 9110, section 15); empty for others.
const fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

/// Judges an answer, or the lack of one.
#[must_use]
pub fn judge(answer: &Result<Answer, CallError>) -> Judged {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let (outcome, reason) = match error {
                CallError::NotSent(said) => (Outcome::NotSent, Reason::NoConnection { said: said.clone() }),
                CallError::Lost(said) => (Outcome::Unknown(None), Reason::NoAnswer { said: said.clone() }),
            };
            return Judged { outcome, response: Response::default(), reason: Some(reason) };
        }
    };
    let outcome = match answer.status {
        200..=299 => Outcome::Accepted,
        300..=399 => Outcome::Redirected,
        401 => Outcome::Unauthorized,
        403 => Outcome::Forbidden,
        404 => Outcome::NotFound,
        405 | 501 => Outcome::NotSupported,
        409 => Outcome::Conflict,
        429 => Outcome::Throttled(answer.retry_after),
        400..=499 => Outcome::Rejected,
        _ => Outcome::Unknown(answer.retry_after),
    };
    let detail = detail(answer);
    let response = Response {
        status: Some(answer.status),
        phrase: reason_phrase(answer.status).to_owned(),
        details: detail.clone(),
    };
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let said = format!("{}{detail}", response.status_line());
    let reason = (outcome != Outcome::Accepted).then(|| match response.is_server_error() {
        true => Reason::ServerError { said },
        false => Reason::Rejected { said },
    });
    Judged { outcome, response, reason }
}

/// What an error body says: a SCIM Error, Rhombus's own JSON, or text; never markup.
fn detail(answer: &Answer) -> String {
    if answer.status < 400 {
        return String::new();
    }
    let Ok(body) = &answer.body else { return String::new() };
    let said = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => ["detail", "msg", "errorMsg", "error", "message", "scimType"]
            .iter()
            .find_map(|key| value.get(key)?.as_str().map(str::to_owned))
            .unwrap_or_default(),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            if text.trim_start().starts_with('<') { String::new() } else { text.trim().to_owned() }
        }
    };
    clean(&said).into_owned()
}

impl Judged {
    /// Why it is not accepted, without the endpoint's own words: those may name a person, and logs must not.
    #[must_use]
    pub fn bare(&self) -> String {
        if self.response.status.is_none() {
            return self.why().to_string();
        }
        format!("Rhombus answered {}", self.response.status_line())
    }

    /// Why it is not done, of one that counts as not done: where it was accepted, because it was not applied.
    #[must_use]
    pub fn why(&self) -> Reason {
        self.reason.clone().unwrap_or(Reason::Account(AccountState::NotApplied))
    }

    /// The same answer, which does not mean what it says, for this reason.
    #[must_use]
    pub fn because(&self, reason: impl Into<Reason>) -> Self {
        Self { reason: Some(reason.into()), ..self.clone() }
    }

    /// Nothing can be said of the outcome, for this reason.
    #[must_use]
    pub fn unknown(reason: impl Into<Reason>) -> Self {
        Self { outcome: Outcome::Unknown(None), response: Response::default(), reason: Some(reason.into()) }
    }

    /// Accepted, seen without an answer of its own.
    #[must_use]
    pub fn accepted() -> Self {
        Self { outcome: Outcome::Accepted, response: Response::default(), reason: None }
    }

    /// Accepted, with words of our own for the log.
    #[must_use]
    pub fn said(details: &str) -> Self {
        let response = Response { details: details.to_owned(), ..Response::default() };
        Self { outcome: Outcome::Accepted, response, reason: None }
    }
}
