//! Messages as datagrams: over UDP, which may lose any of them, or to a local socket, which makes us wait instead.

use super::message::Writer;
use super::stream::StreamSink;
use crate::event::Sealed;
use crate::sink::pace::Pace;
use crate::sink::{DeadLetter, Receipt, Sink, SinkError};
use rustix::io::Errno;
use std::io::{Error, ErrorKind};
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Over UDP: a receiver's buffer holds about 200 messages, and what comes while it is full is lost.
const UDP_PER_SECOND_MAX: u32 = 500;
/// To the journal, which drops what is more than 10,000 in 30 s.
const JOURNAL_PER_SECOND_MAX: u32 = 250;
/// Below this folder the journal listens.
const JOURNAL_FOLDER: &str = "/run/systemd/journal";
/// So many at a time, to be heard of every two seconds: a longer silence is taken for a sink that is stuck.
const AT_ONCE_MAX: usize = 500;
/// A receiver that takes nothing for this long is stuck.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many go again if a datagram was refused: the refusal is told at the next one.
const REPEAT_COUNT: i64 = 100;

/// A syslog receiver that takes datagrams.
pub(super) struct DatagramSink {
    name: String,
    writer: Writer,
    receiver: Receiver,
    socket: Option<Socket>,
    pace: Option<Pace>,
}

enum Receiver {
    Udp {
        host: String,
        port: u16,
    },
    /// With what is used instead if the socket turns out to be a stream.
    Local {
        path: PathBuf,
        stream: Box<StreamSink>,
        is_stream: bool,
    },
}

enum Socket {
    Udp(UdpSocket),
    Local(UnixDatagram),
}

impl Socket {
    fn send(&self, message: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message),
            Self::Local(socket) => socket.send(message),
        }
        .map(|_| ())
    }
}

impl DatagramSink {
    pub(super) fn udp(name: String, writer: Writer, host: String, port: u16) -> Self {
        let receiver = Receiver::Udp { host, port };
        Self { name, writer, receiver, socket: None, pace: Some(Pace::of(UDP_PER_SECOND_MAX)) }
    }

    pub(super) fn local(name: String, writer: Writer, path: PathBuf, stream: StreamSink) -> Self {
        let is_journal = path.canonicalize().is_ok_and(|path| path.starts_with(JOURNAL_FOLDER));
        let pace = is_journal.then(|| Pace::of(JOURNAL_PER_SECOND_MAX));
        Self {
            name,
            writer,
            receiver: Receiver::Local { path, stream: Box::new(stream), is_stream: false },
            socket: None,
            pace,
        }
    }

    fn stream(&mut self) -> Option<&mut StreamSink> {
        match &mut self.receiver {
            Receiver::Local { stream, is_stream: true, .. } => Some(stream),
            Receiver::Local { .. } | Receiver::Udp { .. } => None,
        }
    }

    fn connect(&mut self) -> std::io::Result<()> {
        self.socket = Some(match &mut self.receiver {
            Receiver::Udp { host, port } => Socket::Udp(udp(host, *port)?),
            Receiver::Local { path, is_stream, .. } => match local(path) {
                Err(error) if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
                    *is_stream = true;
                    return Ok(());
                }
                socket => Socket::Local(socket?),
            },
        });
        Ok(())
    }

    fn send(&mut self, message: &[u8]) -> std::io::Result<()> {
        if let Some(pace) = &mut self.pace {
            pace.wait();
        }
        match &self.socket {
            Some(socket) => socket.send(message),
            None => Err(Error::new(ErrorKind::NotConnected, "not connected")),
        }
    }
}

fn udp(host: &str, port: u16) -> std::io::Result<UdpSocket> {
    let mut last = Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        let ours = if address.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        match UdpSocket::bind(ours).and_then(|socket| socket.connect(address).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn local(path: &Path) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(socket)
}

impl Sink for DatagramSink {
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        if self.stream().is_none() {
            self.connect().map_err(|cause| SinkError::new(&self.name, cause))?;
        }
        self.stream().map_or(Ok(delivered), |stream| stream.resume(delivered))
    }

    fn deliver(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError> {
        if let Some(stream) = self.stream() {
            return stream.deliver(events);
        }
        let mut receipt = Receipt::default();
        for event in events.iter().take(AT_ONCE_MAX) {
            match self.writer.message(event).map(|message| self.send(&message)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                    let why = "it is too long for a datagram to this receiver: set a smaller length_max".to_owned();
                    receipt.refused.push(DeadLetter { sequence: event.sequence, why });
                }
                Ok(Err(cause)) => return Err(SinkError { name: self.name.clone(), cause, repeat_count: REPEAT_COUNT }),
                Err(letter) => receipt.refused.push(letter),
            }
            (receipt.taken, receipt.settled) = (event.sequence, event.sequence);
        }
        Ok(receipt)
    }

    fn settle(&mut self, taken: i64) -> Result<Receipt, SinkError> {
        self.stream().map_or(Ok(Receipt::all(taken)), |stream| stream.settle(taken))
    }
}
