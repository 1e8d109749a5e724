//! Events on the standard output, for a collector that reads it.

use super::{Sink, SinkError};
use crate::event::Sealed;
use std::io::Write;

/// Events on the standard output, one a line.
pub struct StdoutSink;

impl Sink for StdoutSink {
    fn name(&self) -> &str {
        "stdout"
    }

    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        Ok(delivered)
    }

    fn deliver(&mut self, events: &[Sealed]) -> Result<(), SinkError> {
        let mut out = std::io::stdout().lock();
        let written = events.iter().try_for_each(|event| writeln!(out, "{}", event.line)).and_then(|()| out.flush());
        written.map_err(|cause| SinkError { name: "stdout".to_owned(), cause })
    }
}
