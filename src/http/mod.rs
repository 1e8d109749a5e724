//! BASE: one HTTP client for every edge: no redirect, no resend, no proxy but the configured one, a deadline and a size
//! limit on every answer, and texts cleaned of the token before anybody else sees them.

mod client;

pub use client::{Client, ClientError, ClientSettings};

use crate::outcome::{Answer, CallError};
use std::future::Future;

/// The longest answer, in bytes; a list is cut into records as it streams instead.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What is done; in the order in which methods are listed.
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
    /// Its name on the wire.
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

    /// The method of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Patch, Self::Put, Self::Delete].into_iter().find(|method| method.as_str() == name)
    }
}

/// A request below the client's base address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// What is done.
    pub method: Method,
    /// Path and query, percent-encoded, beginning with `/`.
    pub target: String,
    /// The body, where there is one.
    pub body: Option<Vec<u8>>,
}

/// What becomes of the body of a good answer.
pub enum Take<'a> {
    /// It is kept, up to [`ANSWER_BYTES_MAX`].
    Whole,
    /// It is handed on as it comes; an error ends the answer.
    Stream(&'a mut dyn FnMut(&[u8]) -> Result<(), String>),
}

/// Sends requests. What tests replace to stop the program between two of them.
pub trait Transport {
    /// Sends one request and waits for the answer.
    ///
    /// # Errors
    /// There was no answer.
    fn call(&self, request: &Request, take: Take<'_>) -> impl Future<Output = Result<Answer, CallError>>;

    /// A record of a streamed body without the secrets of this transport; none where it holds none.
    fn without_secret(&self, _record: &str) -> Option<String> {
        None
    }
}
