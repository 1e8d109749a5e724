//! Writes events to standard output, for a collector that reads it.

use super::{Sink, SinkError};
use crate::event::Sealed;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

/// Events on standard output, one per line.
pub struct StdoutSink {
    name: String,
    /// Its own handle: a write that blocks must not hold the lock that all other printing needs.
    out: Option<File>,
}

impl StdoutSink {
    /// A sink with this name.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name, out: None }
    }

    fn error(&self, cause: std::io::Error) -> SinkError {
        SinkError { name: self.name.clone(), cause }
    }
}

impl Sink for StdoutSink {
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        let handle = std::io::stdout().as_fd().try_clone_to_owned();
        self.out = Some(handle.map_err(|cause| self.error(cause))?.into());
        Ok(delivered)
    }

    fn deliver(&mut self, events: &[Sealed]) -> Result<(), SinkError> {
        let text: String = events.iter().flat_map(|event| [event.line.as_str(), "\n"]).collect();
        let written = match &mut self.out {
            Some(out) => out.write_all(text.as_bytes()),
            None => Err(std::io::Error::other("standard output is not open")),
        };
        written.map_err(|cause| self.error(cause))
    }
}
