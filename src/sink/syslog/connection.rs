//! A connection to a syslog receiver: made, written to, and asked whether the receiver has hung up. A receiver says nothing else.

use crate::config::TlsFiles;
use crate::files::{self, Role};
use crate::http::not_trusting;
use crate::secret::read_private;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection};
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long connecting to one address, a handshake, or a write that goes nowhere may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long what was written may stay unacknowledged by the other machine: then the connection counts as broken.
const SILENCE_MS_MAX: u32 = 30_000;
/// The longest file of certificates, in bytes.
const CERTIFICATES_BYTES_MAX: u64 = 8 << 20;
/// When the other machine is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Who is connected to.
pub(super) enum Peer {
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16, files: TlsFiles },
    Local { path: PathBuf },
}

impl Peer {
    pub(super) fn connect(&self) -> std::io::Result<Connection> {
        match self {
            Self::Tcp { host, port } => Ok(Connection::Tcp(tcp(host, *port)?)),
            Self::Tls { host, port, files } => tls(host, *port, files),
            Self::Local { path } => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                Ok(Connection::Local(stream))
            }
        }
    }
}

/// A connection.
pub(super) enum Connection {
    Tcp(TcpStream),
    Tls(Box<(ClientConnection, TcpStream)>),
    Local(UnixStream),
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Self::Tls(both) = self {
            let (session, stream) = both.as_mut();
            session.send_close_notify();
            // Whether it is heard makes no difference to us.
            let _ = session.write_tls(stream);
        }
    }
}

/// Whether the receiver is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Open,
    Closed,
}

impl Connection {
    pub(super) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Local(stream) => stream.write_all(bytes),
            Self::Tls(both) => {
                let (session, stream) = both.as_mut();
                let mut tls = rustls::Stream::new(session, stream);
                tls.write_all(bytes)?;
                tls.flush()
            }
        }
    }

    /// Watches for so long whether the receiver hangs up.
    pub(super) fn standing(&mut self, wait: Duration) -> Standing {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.read(left) {
                // What it says is of no interest: syslog has no answers.
                Ok(count) if count > 0 => {}
                Ok(_) => return Standing::Closed,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if until <= Instant::now() {
                        return Standing::Open;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Standing::Closed,
            }
        }
    }

    /// Reads what is there, or what comes within this time. 0: the receiver has hung up.
    fn read(&mut self, wait: Duration) -> std::io::Result<usize> {
        let mut piece = [0; 4096];
        match self {
            Self::Tcp(stream) => {
                wait_for(stream, wait)?;
                let read = stream.read(&mut piece);
                stream.set_nonblocking(false)?;
                read
            }
            Self::Local(stream) => {
                stream.set_nonblocking(wait.is_zero())?;
                stream.set_read_timeout((!wait.is_zero()).then_some(wait))?;
                let read = stream.read(&mut piece);
                stream.set_nonblocking(false)?;
                read
            }
            Self::Tls(both) => {
                let (session, stream) = both.as_mut();
                wait_for(stream, wait)?;
                let count = session.read_tls(stream);
                stream.set_nonblocking(false)?;
                let count = count?;
                let state = session.process_new_packets().map_err(Error::other)?;
                if state.plaintext_bytes_to_read() > 0 {
                    let _ = session.reader().read(&mut piece);
                }
                Ok(if state.peer_has_closed() { 0 } else { count })
            }
        }
    }
}

fn wait_for(stream: &TcpStream, wait: Duration) -> std::io::Result<()> {
    stream.set_nonblocking(wait.is_zero())?;
    stream.set_read_timeout((!wait.is_zero()).then_some(wait))
}

fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let mut last = Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                rustix::net::sockopt::set_tcp_user_timeout(&stream, SILENCE_MS_MAX)?;
                rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
                rustix::net::sockopt::set_tcp_keepidle(&stream, KEEPALIVE)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn tls(host: &str, port: u16, files: &TlsFiles) -> std::io::Result<Connection> {
    let config = client_config(files)?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Error::other("the host is not a valid name for a certificate"))?;
    let mut session = ClientConnection::new(config, name).map_err(Error::other)?;
    let mut stream = tcp(host, port)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(Connection::Tls(Box::new((session, stream))))
}

/// The system's certificate authorities and ours; the name of the host is always checked.
fn client_config(tls: &TlsFiles) -> std::io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let extra = tls.ca_file.as_deref().map_or(Ok(Vec::new()), certificates)?;
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider.clone())
        .map_err(|error| Error::other(not_trusting(&error)))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => {
            builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(Error::other)?
        }
        (None | Some(_), None) | (None, Some(_)) => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> std::io::Result<Vec<CertificateDer<'static>>> {
    let wrong = |what: String| Error::new(ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    let text =
        files::read(path, Role::Certificate, CERTIFICATES_BYTES_MAX).map_err(|error| wrong(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("it contains no certificate in PEM".to_owned())) } else { Ok(found) }
}

fn private_key(path: &Path) -> std::io::Result<PrivateKeyDer<'static>> {
    let wrong = |what: String| Error::new(ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    let text = read_private(path).map_err(|error| wrong(crate::model::chain(&error).join(": ")))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| wrong(error.to_string()))
}
