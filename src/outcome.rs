//! What an answer means, before anything acts on it. PURE. 404, 409 and 429 are outcomes, not errors.

use crate::model::{AccountState, Moment, Reason, Response, clean, is_small_json};

/// When the endpoint wants to be called again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryAfter {
    /// After this many seconds.
    Seconds(u32),
    /// At this time on its clock.
    At(Moment),
    /// It wants to be left alone, in words that say no time.
    Unreadable,
}

/// An answer whose header arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The body, or why it did not arrive completely.
    pub body: Result<Vec<u8>, String>,
    /// `Retry-After`, if there is one.
    pub retry_after: Option<RetryAfter>,
    /// `Date`, if it is valid.
    pub date: Option<Moment>,
}

/// Why there was no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The request was certainly not sent.
    #[error("no connection: {0}")]
    NotSent(String),
    /// The request was, or may have been, sent, and nothing came back.
    #[error("no answer: {0}")]
    Lost(String),
}

/// The outcome of one request.
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
    /// 405 or 501: the endpoint does not support this request.
    NotSupported,
    /// 421, 425, 429, or a 403 that says when to retry; nothing was done.
    Throttled(Option<RetryAfter>),
    /// Any other 4xx: this user is rejected.
    Rejected,
    /// 3xx: SCIM endpoints do not redirect, so this is not one.
    Redirected,
    /// The request was certainly not sent.
    NotSent,
    /// It may have been done: connection cut, timeout, 408, 5xx, or an answer that cannot be read.
    Unknown(Option<RetryAfter>),
}

/// An outcome, with the texts for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The outcome itself.
    pub outcome: Outcome,
    /// Status, phrase and text of the answer.
    pub response: Response,
    /// Why it was not accepted; `None` if it was.
    pub reason: Option<Reason>,
}

/// The reason phrase of the statuses that endpoints are known to use (RFC 9110, section 15); empty for others.
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
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
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
                CallError::NotSent(text) => (Outcome::NotSent, Reason::NoConnection { text: text.clone() }),
                CallError::Lost(text) => (Outcome::Unknown(None), Reason::NoAnswer { text: text.clone() }),
            };
            return Judged { outcome, response: Response::default(), reason: Some(reason) };
        }
    };
    let outcome = match answer.status {
        200..=299 => Outcome::Accepted,
        300..=399 => Outcome::Redirected,
        401 => Outcome::Unauthorized,
        // Some rate limits answer 403; a token that is refused is not told when to come back.
        403 if answer.retry_after.is_some() => Outcome::Throttled(answer.retry_after),
        403 => Outcome::Forbidden,
        404 => Outcome::NotFound,
        405 | 501 => Outcome::NotSupported,
        409 => Outcome::Conflict,
        421 | 425 | 429 => Outcome::Throttled(answer.retry_after),
        // The server may have read all of it before it gave up (RFC 9110, section 15.5.9).
        408 => Outcome::Unknown(answer.retry_after),
        400..=499 => Outcome::Rejected,
        _ => Outcome::Unknown(answer.retry_after),
    };
    let detail = detail(answer);
    let response = Response {
        status: Some(answer.status),
        phrase: reason_phrase(answer.status).to_owned(),
        details: detail.clone(),
    };
    let reason = (outcome != Outcome::Accepted).then(|| {
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let text = format!("{}{detail}", response.status_line());
        match response.is_server_error() {
            true => Reason::ServerError { text },
            false => Reason::Rejected { text },
        }
    });
    Judged { outcome, response, reason }
}

/// The message of an error body: a SCIM Error, Rhombus's own JSON, or plain text; never markup.
fn detail(answer: &Answer) -> String {
    if answer.status < 400 {
        return String::new();
    }
    let Some(body) = answer.body.as_deref().ok().filter(|body| is_small_json(body)) else { return String::new() };
    let text = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => ["detail", "msg", "errorMsg", "error", "message", "scimType"]
            .iter()
            .find_map(|key| value.get(key)?.as_str().map(str::to_owned))
            .unwrap_or_default(),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            if text.trim_start().starts_with('<') { String::new() } else { text.trim().to_owned() }
        }
    };
    clean(&text).into_owned()
}

impl Judged {
    /// Why it was not accepted, without the endpoint's own words: those may name a person, and logs must not.
    #[must_use]
    pub fn bare(&self) -> String {
        if self.response.status.is_none() {
            return self.why().to_string();
        }
        format!("Rhombus answered {}", self.response.status_line())
    }

    /// Why it counts as not done; if it was accepted, because it was not applied.
    #[must_use]
    pub fn why(&self) -> Reason {
        self.reason.clone().unwrap_or(Reason::Account(AccountState::NotApplied))
    }

    /// The same answer, reinterpreted for this reason.
    #[must_use]
    pub fn because(&self, reason: impl Into<Reason>) -> Self {
        Self { reason: Some(reason.into()), ..self.clone() }
    }

    /// An unknown outcome, for this reason.
    #[must_use]
    pub fn unknown(reason: impl Into<Reason>) -> Self {
        Self { outcome: Outcome::Unknown(None), response: Response::default(), reason: Some(reason.into()) }
    }

    /// Accepted, as seen at the account, without an answer.
    #[must_use]
    pub fn accepted() -> Self {
        Self { outcome: Outcome::Accepted, response: Response::default(), reason: None }
    }

    /// Accepted, with our own words for the log.
    #[must_use]
    pub fn accepted_with(details: &str) -> Self {
        let response = Response { details: details.to_owned(), ..Response::default() };
        Self { outcome: Outcome::Accepted, response, reason: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, retry_after: Option<RetryAfter>, expected: Outcome) {
        let answer = Answer { status, body: Ok(Vec::new()), retry_after, date: None };
        assert_eq!(judge(&Ok(answer)).outcome, expected, "{status} {retry_after:?}");
    }

    #[test]
    fn what_says_not_now_is_not_a_rejection() {
        let minute = Some(RetryAfter::Seconds(60));
        check(408, None, Outcome::Unknown(None));
        check(503, minute, Outcome::Unknown(minute));
        for status in [421, 425, 429] {
            check(status, None, Outcome::Throttled(None));
            check(status, minute, Outcome::Throttled(minute));
        }
        check(403, None, Outcome::Forbidden);
        check(403, minute, Outcome::Throttled(minute));
        check(403, Some(RetryAfter::Unreadable), Outcome::Throttled(Some(RetryAfter::Unreadable)));
        for status in [400, 410, 422, 426, 451] {
            check(status, minute, Outcome::Rejected);
        }
    }
}
