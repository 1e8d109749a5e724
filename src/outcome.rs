//! What an answer means, before anybody acts on it. PURE. 404, 409 and 429 are outcomes, not errors.

use crate::event::Response;
use crate::model::{Moment, clean};

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
    /// In one sentence, why it is not accepted; empty where it is.
    pub reason: String,
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
            let outcome = match error {
                CallError::NotSent(_) => Outcome::NotSent,
                CallError::Lost(_) => Outcome::Unknown(None),
            };
            return Judged { outcome, response: Response::default(), reason: error.to_string() };
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
        code: answer.status.to_string(),
        message: reason_phrase(answer.status).to_owned(),
        details: detail.clone(),
    };
    let reason = if outcome == Outcome::Accepted {
        String::new()
    } else {
        let said = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        format!("Rhombus answered {} {}{said}", answer.status, response.message).trim_end().to_owned()
    };
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
        if self.response.code.is_empty() {
            return self.reason.clone();
        }
        format!("Rhombus answered {} {}", self.response.code, self.response.message).trim_end().to_owned()
    }

    /// Accepted, seen without an answer of its own.
    #[must_use]
    pub fn accepted() -> Self {
        Self { outcome: Outcome::Accepted, response: Response::default(), reason: String::new() }
    }

    /// Accepted, with words of our own for the log.
    #[must_use]
    pub fn said(details: &str) -> Self {
        let response = Response { details: details.to_owned(), ..Response::default() };
        Self { outcome: Outcome::Accepted, response, reason: String::new() }
    }
}
