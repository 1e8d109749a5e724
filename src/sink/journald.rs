//! The journal, by its native protocol: one datagram an event, with fields to search by. The journal drops what comes too fast and
//! says nothing, so this sink never does.

use super::pace::Pace;
use super::{DeadLetter, Receipt, Sink, SinkError, unreadable};
use crate::event::{Outline, Renderer, Sealed};
use crate::model::short_digest;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

/// Below what the journal takes of a unit by default: 10,000 in 30 s.
const PER_SECOND_MAX: u32 = 250;
/// So many at a time, to be heard of every two seconds: a longer silence is taken for a sink that is stuck.
const AT_ONCE_MAX: usize = 500;
/// A journal that takes nothing for this long is stuck.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Events as entries of the journal.
pub(super) struct JournaldSink {
    name: String,
    renderer: Renderer,
    path: PathBuf,
    socket: Option<UnixDatagram>,
    pace: Pace,
}

impl JournaldSink {
    pub(super) fn new(name: String, renderer: Renderer, path: PathBuf) -> Self {
        Self { name, renderer, path, socket: None, pace: Pace::of(PER_SECOND_MAX) }
    }

    fn connect(&mut self) -> std::io::Result<&UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(self.socket.insert(socket))
    }

    fn send(&mut self, entry: &[u8]) -> std::io::Result<()> {
        self.pace.wait();
        if let Some(socket) = &self.socket {
            match socket.send(entry) {
                Ok(_) => return Ok(()),
                // It was restarted: its socket is another one.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotConnected) => {}
                Err(error) => return Err(error),
            }
        }
        self.connect()?.send(entry).map(|_| ())
    }
}

impl Sink for JournaldSink {
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        match self.connect() {
            Ok(_) => Ok(delivered),
            Err(cause) => Err(SinkError::new(&self.name, cause)),
        }
    }

    fn deliver(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError> {
        let mut receipt = Receipt::default();
        for event in events.iter().take(AT_ONCE_MAX) {
            let sent = match entry(&self.renderer, event) {
                Some(entry) => self.send(&entry),
                None => {
                    receipt.refused.push(unreadable(event));
                    Ok(())
                }
            };
            match sent {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                    let why = "it is too long for a journal datagram".to_owned();
                    receipt.refused.push(DeadLetter { sequence: event.sequence, why });
                }
                // What went before is there.
                Err(_) if receipt.taken > 0 => return Ok(receipt),
                Err(cause) => return Err(SinkError::new(&self.name, cause)),
            }
            (receipt.taken, receipt.settled) = (event.sequence, event.sequence);
        }
        Ok(receipt)
    }
}

/// An event as an entry. Names are upper case and short, or the journal drops the field.
fn entry(renderer: &Renderer, event: &Sealed) -> Option<Vec<u8>> {
    let (line, outline) = (renderer.line(event)?, Outline::of(event)?);
    let mut entry = Vec::with_capacity(line.len() + 512);
    let mut field = |name: &str, value: &str| {
        entry.extend_from_slice(name.as_bytes());
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        entry.extend_from_slice(value.as_bytes());
        entry.push(b'\n');
    };
    field("MESSAGE", &outline.sentence);
    field("MESSAGE_ID", &short_digest(["rhombus-sync", &outline.event_type]));
    field("PRIORITY", if outline.success { "5" } else { "4" });
    field("SYSLOG_IDENTIFIER", "rhombus-sync");
    field("RHOMBUS_EVENT_ID", &outline.id);
    field("RHOMBUS_EVENT_TYPE", &outline.event_type);
    field("RHOMBUS_TIMESTAMP", &outline.timestamp);
    field("RHOMBUS_SEQUENCE", &event.sequence.to_string());
    field("RHOMBUS_CHAIN", &outline.chain);
    field("RHOMBUS_EVENT", &line);
    Some(entry)
}
