//! The endpoint's answer as the log shows it (cleaned).

/// The endpoint's last answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Response {
    /// The HTTP status; `None` if there was no answer.
    pub status: Option<u16>,
    /// Its reason phrase.
    pub phrase: String,
    /// The endpoint's own message, or ours.
    pub details: String,
}

impl Response {
    /// Whether the status is 5xx.
    #[must_use]
    pub fn is_server_error(&self) -> bool {
        self.status.is_some_and(|status| status >= 500)
    }

    /// The status as text; empty if there was no answer.
    #[must_use]
    pub fn code(&self) -> String {
        self.status.map(|status| status.to_string()).unwrap_or_default()
    }

    /// Status and reason phrase.
    #[must_use]
    pub fn status_line(&self) -> String {
        format!("{} {}", self.code(), self.phrase).trim().to_owned()
    }
}
