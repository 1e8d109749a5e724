//! One event as a syslog message, no longer than the receiver takes.

use crate::config::Facility;
use crate::event::{Outline, Renderer, Sealed};
use crate::sink::{DeadLetter, unreadable};

/// Notice; warning for what failed.
const SEVERITIES: (u8, u8) = (5, 4);
const TAG: &str = "rhombus-sync";
/// 32473 is the number for documentation (RFC 5612): we have none of our own.
const SD_ID: &str = "rhombus@32473";
/// The longest host name that receivers take (RFC 5424, section 6).
const HOST_CHARS_MAX: usize = 255;

/// How a message is set apart from the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// RFC 5424 with its length in front.
    Counted,
    /// RFC 5424, a datagram each.
    Plain,
    /// The local form, a datagram each.
    Local,
    /// The local form on a stream, each with a line end.
    LocalLine,
}

/// Writes messages.
pub(super) struct Writer {
    renderer: Renderer,
    facility: Facility,
    length_max: usize,
    framing: Framing,
    zone: jiff::tz::TimeZone,
}

impl Writer {
    pub(super) fn new(renderer: Renderer, facility: Facility, length_max: usize, framing: Framing) -> Self {
        Self { renderer, facility, length_max, framing, zone: jiff::tz::TimeZone::system() }
    }

    /// An event, ready to be sent.
    pub(super) fn message(&self, event: &Sealed) -> Result<Vec<u8>, DeadLetter> {
        let outline = Outline::of(event).ok_or_else(|| unreadable(event))?;
        let header = match self.framing {
            Framing::Counted | Framing::Plain => self.header(event, &outline),
            Framing::Local | Framing::LocalLine => self.local_header(&outline),
        };
        let text_bytes_max = self.length_max.saturating_sub(header.len());
        let text = self.renderer.line_within(event, text_bytes_max).ok_or_else(|| DeadLetter {
            sequence: event.sequence,
            why: format!("it is longer than {} bytes even after cutting", self.length_max),
        })?;
        let mut message = Vec::with_capacity(header.len() + text.len() + 8);
        if self.framing == Framing::Counted {
            message.extend_from_slice(format!("{} ", header.len() + text.len()).as_bytes());
        }
        message.extend_from_slice(header.as_bytes());
        message.extend_from_slice(text.as_bytes());
        if self.framing == Framing::LocalLine {
            message.push(b'\n');
        }
        Ok(message)
    }

    fn priority(&self, outline: &Outline) -> u8 {
        self.facility.number() * 8 + if outline.success { SEVERITIES.0 } else { SEVERITIES.1 }
    }

    /// Without a process id: a repeated message is the same to the byte, whichever process sends it.
    fn header(&self, event: &Sealed, outline: &Outline) -> String {
        let Outline { id, timestamp, event_type, chain, .. } = outline;
        let host: String = self.renderer.host.chars().take(HOST_CHARS_MAX).collect();
        let host = if host.is_empty() { "-" } else { &host };
        let message_id: String = event_type.chars().filter(char::is_ascii_graphic).take(32).collect();
        format!(
            "<{}>1 {timestamp} {host} {TAG} - {message_id} [{SD_ID} sequence=\"{}\" id=\"{id}\" chain=\"{chain}\"] ",
            self.priority(outline),
            event.sequence
        )
    }

    /// Local time, no host name: anything else stays in the text of one receiver or another.
    fn local_header(&self, outline: &Outline) -> String {
        let at = jiff::Timestamp::from_millisecond(outline.time_ms).unwrap_or_default();
        let at = at.to_zoned_datetime(self.zone.clone());
        format!("<{}>{} {TAG}[{}]: ", self.priority(outline), at.strftime("%b %e %H:%M:%S"), std::process::id())
    }
}
