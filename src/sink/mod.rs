//! EDGE: where events go. A sink gets events in order, at least once, and writes them in its format; a repeated line is byte for
//! byte the same.

mod file;
mod http;
mod journald;
mod pace;
mod stdout;
mod syslog;

pub use file::FileSink;
pub use stdout::StdoutSink;

use crate::config::{SinkConfig, SinkKind};
use crate::event::{FirstLine, Renderer, Sealed, Stamp};
use std::borrow::Cow;

/// The sink did not accept the events.
#[derive(Debug, thiserror::Error)]
#[error("sink {name}")]
pub struct SinkError {
    /// The sink's configured name.
    pub name: String,
    /// The operating system's error, or the receiver's.
    #[source]
    pub cause: std::io::Error,
    /// How many of the events that count as delivered go again: a receiver that acknowledges nothing may have lost them.
    pub repeat_count: i64,
}

impl SinkError {
    fn new(name: &str, cause: std::io::Error) -> Self {
        Self { name: name.to_owned(), cause, repeat_count: 0 }
    }
}

/// An event that a receiver does not take, alone, while it takes others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Which event.
    pub sequence: i64,
    /// What the receiver says.
    pub why: String,
}

/// What became of events that were handed to a sink.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// The last event that the sink has taken: the one after it goes next. It may be an earlier one than before.
    pub taken: i64,
    /// The last event that it will not be asked for again. A receiver that acknowledges nothing has it once its connection has
    /// stayed open for a while.
    pub settled: i64,
    /// Events among them that it refused for good.
    pub refused: Vec<DeadLetter>,
}

impl Receipt {
    /// Everything up to this event arrived.
    #[must_use]
    pub fn all(sequence: i64) -> Self {
        Self { taken: sequence, settled: sequence, refused: Vec::new() }
    }
}

/// A receiver of events. A trait, so that tests can replace it.
pub trait Sink: Send {
    /// Opens the sink. Returns the sequence after which it resumes, given the stored one: it may have lost a line.
    ///
    /// # Errors
    /// It cannot be opened.
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError>;

    /// Sends these events, or the first few of them; there is at least one.
    ///
    /// # Errors
    /// They may or may not have arrived: they are delivered again.
    fn deliver(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError>;

    /// Waits until everything that was taken is settled.
    ///
    /// # Errors
    /// What was not settled is delivered again.
    fn settle(&mut self, taken: i64) -> Result<Receipt, SinkError> {
        Ok(Receipt::all(taken))
    }
}

/// Whether another process may write to the same place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Company {
    /// Nobody else does: what a crash left torn is mended.
    Alone,
    /// A sender may: nothing of what is there is touched.
    Beside,
}

/// Whose log goes to a sink: a file that begins with another one's is not touched.
pub struct Owner {
    /// The installation, as its events name it.
    pub installation: String,
    /// The chain of the event with this sequence, if the state has it.
    pub chain_of: Box<dyn Fn(i64) -> Option<String> + Send>,
}

impl Owner {
    fn owns(&self, first: &FirstLine) -> bool {
        match first {
            FirstLine::Event(Stamp { installation: Some(named), .. }) => *named == self.installation,
            FirstLine::Event(Stamp { installation: None, sequence, chain }) => {
                (self.chain_of)(*sequence).is_none_or(|known| known == *chain)
            }
            FirstLine::Torn(named) => named.as_ref().is_none_or(|named| *named == self.installation),
            FirstLine::Foreign => false,
        }
    }
}

/// The sink that a configuration describes. It opens nothing before its first call.
#[must_use]
pub fn open(config: &SinkConfig, company: Company, owner: Owner) -> Box<dyn Sink> {
    let (name, renderer) = (config.name.clone(), renderer(config));
    match &config.kind {
        SinkKind::File { path, mode, group } => {
            let sink = FileSink::new(name, path.clone()).with(renderer).owned_by(*mode, group.clone());
            Box::new(sink.in_company(company).of(owner))
        }
        SinkKind::Stdout => Box::new(StdoutSink::new(name, renderer)),
        SinkKind::Journald { socket } => Box::new(journald::JournaldSink::new(name, renderer, socket.clone())),
        SinkKind::Syslog(syslog) => syslog::open(name, renderer, syslog),
        SinkKind::Http(http) => Box::new(http::HttpSink::new(name, renderer, http.clone())),
    }
}

fn renderer(config: &SinkConfig) -> Renderer {
    Renderer { format: config.format, ocsf_version: config.ocsf_version, host: host() }
}

/// This host's name, as far as it has one.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().filter(char::is_ascii_graphic).take(255).collect()
}

/// All of these lines, each with its end; the receipt of their delivery, with those that are not events as refused.
fn lines(renderer: &Renderer, events: &[Sealed]) -> (String, Receipt) {
    let mut receipt = Receipt::all(events.last().map_or(0, |event| event.sequence));
    let mut text = String::with_capacity(events.iter().map(|event| event.line.len() + 1).sum());
    for event in events {
        match renderer.line(event) {
            Some(line) => text.extend([line, Cow::Borrowed("\n")]),
            None => receipt.refused.push(unreadable(event)),
        }
    }
    (text, receipt)
}

fn unreadable(event: &Sealed) -> DeadLetter {
    DeadLetter { sequence: event.sequence, why: "it cannot be written in this format".to_owned() }
}
