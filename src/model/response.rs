//! What the endpoint answered, in its own words (cleaned).

/// What the endpoint answered last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Response {
    /// The HTTP status; none where there was no answer.
    pub status: Option<u16>,
    /// Its reason phrase.
    pub phrase: String,
    /// More of it.
    pub details: String,
}

impl Response {
    /// Whether the endpoint says that it failed itself.
    #[must_use]
    pub fn is_server_error(&self) -> bool {
        self.status.is_some_and(|status| status >= 500)
    }

    /// The status as text; empty where there was no answer.
    #[must_use]
    pub fn code(&self) -> String {
        self.status.map(|status| status.to_string()).unwrap_or_default()
    }

    /// Status and phrase.
    #[must_use]
    pub fn status_line(&self) -> String {
        format!("{} {}", self.code(), self.phrase).trim().to_owned()
    }
}
