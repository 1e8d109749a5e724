//! Writes events to standard output, for a collector that reads it.

use super::{Receipt, Sink, SinkError};
use crate::event::{Renderer, Sealed};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

/// Events on standard output, one per line.
pub struct StdoutSink {
    name: String,
    renderer: Renderer,
    /// Its own handle: a write that blocks must not hold the lock that all other printing needs.
    out: Option<File>,
}

impl StdoutSink {
    /// A sink with this name that writes in this format.
    #[must_use]
    pub fn new(name: String, renderer: Renderer) -> Self {
        Self { name, renderer, out: None }
    }

    fn error(&self, cause: std::io::Error) -> SinkError {
        SinkError::new(&self.name, cause)
    }
}

impl Sink for StdoutSink {
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        let handle = std::io::stdout().as_fd().try_clone_to_owned();
        self.out = Some(handle.map_err(|cause| self.error(cause))?.into());
        Ok(delivered)
    }

    fn deliver(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError> {
        let (text, receipt) = super::lines(&self.renderer, events);
        let written = match &mut self.out {
            Some(out) => out.write_all(text.as_bytes()),
            None => Err(std::io::Error::other("standard output is not open")),
        };
        written.map(|()| receipt).map_err(|cause| self.error(cause))
    }
}
