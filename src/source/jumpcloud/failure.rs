//! Why a read of JumpCloud ended, and what JumpCloud said, in words that may be shown.

use crate::http::{Auth, without_secret};
use serde_json::Value;
use std::time::Duration;

/// How often one question is asked that was cut, timed out or answered with nonsense.
pub(super) const TRIES_MAX: u32 = 3;
/// How often one question waits because JumpCloud said so.
pub(super) const WAITS_MAX: u32 = 5;
/// The pause before the second try; it doubles.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// Why a read ended.
pub(super) enum ReadFailure {
    /// What was read does not fit together: rows moved while it was read. Another read may be whole.
    Shifted(String),
    /// It cannot be read.
    Failed { what: String, hint: String },
    /// It was answered 400: the same, but where an id that is not JumpCloud's was asked for.
    Malformed { what: String, hint: String },
    /// It wants to be left alone for longer than a read waits.
    Later { what: String, wait: Duration },
    /// The spool cannot be written.
    NotSpooled(String),
}

impl ReadFailure {
    pub(super) fn failed(what: impl Into<String>, hint: &str) -> Self {
        Self::Failed { what: what.into(), hint: hint.to_owned() }
    }
}

impl ReadFailure {
    /// In words, with what the reader can do.
    pub(super) fn words(self) -> (String, String) {
        match self {
            Self::Shifted(what) => {
                (format!("its pages do not add up, three times: {what}"), "the next cycle reads it again".to_owned())
            }
            Self::Failed { what, hint } | Self::Malformed { what, hint } => (what, hint),
            Self::Later { what, wait: _ } => {
                (what, "the first cycle after that asks again; a longer [schedule] cron asks less often".to_owned())
            }
            Self::NotSpooled(what) => (what, "check space and permissions of the state's folder".to_owned()),
        }
    }
}

/// What JumpCloud said: its `message`, else its `error`, else its text.
pub(super) fn message(body: &[u8], auth: Auth<'_>) -> String {
    let text = String::from_utf8_lossy(body);
    let said = serde_json::from_str::<Value>(&text).ok();
    let member = |name: &str| said.as_ref()?.get(name)?.as_str().map(str::to_owned);
    cleaned(member("message").or_else(|| member("error")).as_deref().unwrap_or(text.trim()), auth)
}

/// A text of the other side, short and without secrets.
fn cleaned(text: &str, auth: Auth<'_>) -> String {
    /// More characters of a message are not shown.
    const SHOWN_CHARS: usize = 200;
    without_secret(text, auth).chars().take(SHOWN_CHARS).collect()
}
