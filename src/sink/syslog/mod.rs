//! Syslog. Over a network it is RFC 5424 with structured data, counted over TCP and TLS (RFC 6587, section 3.4.1) with nothing after
//! a frame: syslog-ng closes the connection at a newline there. On a local socket it is the one form that rsyslog, syslog-ng and
//! journald all read.

mod connection;
mod datagram;
mod message;
mod stream;

use super::Sink;
use crate::config::{SyslogAddress, SyslogSink};
use crate::event::Renderer;
use connection::Peer;
use datagram::DatagramSink;
use message::{Framing, Writer};
use stream::StreamSink;

/// The sink that a configuration describes.
pub(super) fn open(name: String, renderer: Renderer, config: &SyslogSink) -> Box<dyn Sink> {
    let writer = |framing| Writer::new(renderer.clone(), config.facility, config.length_max, framing);
    match &config.address {
        SyslogAddress::Tcp(host, port) => {
            let peer = Peer::Tcp { host: host.clone(), port: *port };
            Box::new(StreamSink::new(name, writer(Framing::Counted), peer))
        }
        SyslogAddress::Tls(host, port) => {
            let peer = Peer::Tls { host: host.clone(), port: *port, files: config.tls.clone() };
            Box::new(StreamSink::new(name, writer(Framing::Counted), peer))
        }
        SyslogAddress::Udp(host, port) => {
            Box::new(DatagramSink::udp(name, writer(Framing::Plain), host.clone(), *port))
        }
        SyslogAddress::Local(path) => {
            let stream = StreamSink::new(name.clone(), writer(Framing::LocalLine), Peer::Local { path: path.clone() });
            Box::new(DatagramSink::local(name, writer(Framing::Local), path.clone(), stream))
        }
    }
}
