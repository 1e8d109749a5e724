//! EDGE: where events go. A sink gets whole lines in order, at least once; a repeated one is byte for byte the same.

mod file;
mod stdout;

pub use file::FileSink;
pub use stdout::StdoutSink;

use crate::config::{SinkConfig, SinkKind};
use crate::event::Sealed;

/// The sink did not take the events.
#[derive(Debug, thiserror::Error)]
#[error("sink {name}")]
pub struct SinkError {
    /// Which sink.
    pub name: String,
    /// What the system said.
    #[source]
    pub cause: std::io::Error,
}

/// A receiver of events. A trait, because tests must replace it.
pub trait Sink: Send {
    /// The place from which it wants to go on, given the one on record: a sink that lost a line asks for it again.
    ///
    /// # Errors
    /// It cannot be opened.
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError>;

    /// Takes events, all of them or none as far as anybody can tell.
    ///
    /// # Errors
    /// They may or may not have arrived: they are delivered again.
    fn deliver(&mut self, events: &[Sealed]) -> Result<(), SinkError>;
}

/// The sink that a configuration describes. Nothing is touched before its first call.
#[must_use]
pub fn open(config: &SinkConfig) -> Box<dyn Sink> {
    match &config.kind {
        SinkKind::File { path } => Box::new(FileSink::new(config.name.clone(), path.clone())),
        SinkKind::Stdout => Box::new(StdoutSink::new(config.name.clone())),
    }
}
