//! BASE: one HTTP client for every edge: no redirects, no retries, only the configured proxy, a deadline and a size
//! limit for every answer, and texts cleaned of the token before any other room sees them.

mod authority;
mod body;
mod client;
mod error;
mod fetch;
mod headers;

pub use authority::{check_authority, refuse_exposed};
pub use client::{Client, ClientSettings, Dialect};
pub use error::{AuthorityFault, ClientError, not_trusting};
pub(crate) use fetch::without_secret;
pub use fetch::{Ask, Auth, Fetched, Fetcher};

use crate::outcome::{Answer, CallError};
use std::future::Future;

/// The longest good answer, in bytes; a list is cut into records as it streams instead.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;

/// An HTTP method. The variants' order is the order in which methods are listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Method {
    /// DELETE.
    Delete,
    /// GET.
    Get,
    /// PATCH.
    Patch,
    /// POST.
    Post,
    /// PUT.
    Put,
}

impl Method {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Parses the name on the wire.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Patch, Self::Put, Self::Delete].into_iter().find(|method| method.as_str() == name)
    }
}

/// A request relative to the client's base URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// Path and query, percent-encoded, starting with `/`; empty for the base URL as it is written.
    pub target: String,
    /// The JSON body, if there is one.
    pub body: Option<Vec<u8>>,
}

/// What to do with the body of a good answer.
pub enum BodyMode<'a> {
    /// Keep it, up to [`ANSWER_BYTES_MAX`].
    Whole,
    /// Pass it on as it arrives; an error ends the answer.
    Stream(&'a mut dyn FnMut(&[u8]) -> Result<(), String>),
}

/// Sends requests. Tests replace it to stop the program between two of them.
pub trait Transport {
    /// Sends one request and waits for the answer.
    ///
    /// # Errors
    /// There was no answer.
    fn call(&self, request: &Request, mode: BodyMode<'_>) -> impl Future<Output = Result<Answer, CallError>>;

    /// A record of a streamed body with this transport's secrets masked; `None` if it contains none.
    fn without_secret(&self, _record: &str) -> Option<String> {
        None
    }
}
