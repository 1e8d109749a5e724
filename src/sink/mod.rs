//! EDGE: where events go. A sink gets whole lines in order, at least once; a repeated line is byte for byte the same.

mod file;
mod stdout;

pub use file::FileSink;
pub use stdout::StdoutSink;

use crate::config::{SinkConfig, SinkKind};
use crate::event::Sealed;

/// The sink did not accept the events.
#[derive(Debug, thiserror::Error)]
#[error("sink {name}")]
pub struct SinkError {
    /// The sink's configured name.
    pub name: String,
    /// The operating system's error.
    #[source]
    pub cause: std::io::Error,
}

/// A receiver of events. A trait, so that tests can replace it.
pub trait Sink: Send {
    /// Opens the sink. Returns the sequence after which it resumes, given the stored one: it may have lost a line.
    ///
    /// # Errors
    /// It cannot be opened.
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError>;

    /// Writes all of these events or, as far as it can, none.
    ///
    /// # Errors
    /// They may or may not have arrived: they are delivered again.
    fn deliver(&mut self, events: &[Sealed]) -> Result<(), SinkError>;
}

/// The sink that a configuration describes. It opens nothing before its first call.
#[must_use]
pub fn open(config: &SinkConfig) -> Box<dyn Sink> {
    match &config.kind {
        SinkKind::File { path } => Box::new(FileSink::new(config.name.clone(), path.clone())),
        SinkKind::Stdout => Box::new(StdoutSink::new(config.name.clone())),
    }
}
