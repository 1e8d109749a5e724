//! BASE: one HTTP client for every edge: no redirect, no resend, no proxy but the configured one, a deadline and a size
//! limit on every answer, and texts cleaned of the token before anybody else sees them.

mod client;

pub use client::{Client, ClientError, ClientSettings};

use crate::outcome::{Answer, CallError};
use std::future::Future;

/// The longest answer, in bytes; a list is cut into records as it streams instead.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PATCH.
    Patch,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
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
