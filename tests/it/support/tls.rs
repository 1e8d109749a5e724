//! Servers that speak TLS, with certificates of the test's own authorities.

use super::raw_endpoint::EMPTY_LIST;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// An authority, perhaps one below another, and a server's certificate of it.
pub(crate) struct Authority {
    parameters: rcgen::CertificateParams,
    key: rcgen::KeyPair,
    pub(crate) certificate: rcgen::Certificate,
}

impl Authority {
    pub(crate) fn new(name: &str, above: Option<&Self>) -> Self {
        let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = match above {
            None => parameters.self_signed(&key),
            Some(above) => {
                let issuer = rcgen::Issuer::from_params(&above.parameters, &above.key);
                parameters.signed_by(&key, &issuer)
            }
        };
        Self { parameters, key, certificate: certificate.expect("a certificate") }
    }

    /// A server with a certificate of this authority for these names.
    pub(crate) fn serve(&self, names: &[&str], expired: bool) -> String {
        let (certificate, key) = self.issue(names, expired);
        serve(&certificate, &key)
    }

    /// A server with such a certificate that hands each request on to the one at this port. The port that it listens on.
    pub(crate) fn stand_before(&self, names: &[&str], port: u16) -> u16 {
        let (certificate, key) = self.issue(names, false);
        let config = config(&certificate, &key);
        listen(move |mut stream| {
            let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
            let mut tls = rustls::Stream::new(&mut session, &mut stream);
            let mut behind = TcpStream::connect(("127.0.0.1", port)).expect("a server");
            let mut answers = BufReader::new(behind.try_clone().expect("a second handle"));
            let mut reader = BufReader::new(&mut tls);
            while let Some(request) = message(&mut reader) {
                behind.write_all(&request).expect("sent");
                let answer = message(&mut answers).unwrap_or_default();
                let _ = reader.get_mut().write_all(&answer);
                let _ = reader.get_mut().flush();
            }
        })
    }

    fn issue(&self, names: &[&str], expired: bool) -> (rcgen::Certificate, rcgen::KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).expect("parameters");
        if expired {
            parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = rcgen::KeyPair::generate().expect("a key");
        let issuer = rcgen::Issuer::from_params(&self.parameters, &self.key);
        (parameters.signed_by(&key, &issuer).expect("a certificate"), key)
    }

    /// A server that shows the authority's own certificate.
    pub(crate) fn serve_itself(&self) -> String {
        serve(&self.certificate, &self.key)
    }
}

/// A proxy that leads wherever it is asked for to this port. Its address, and the heads of what it was asked.
pub(crate) fn proxy(to: u16) -> (String, Arc<Mutex<Vec<String>>>) {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = heads.clone();
    let port = listen(move |mut stream| {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
            head.push(byte[0]);
        }
        seen.lock().expect("whole").push(String::from_utf8_lossy(&head).into_owned());
        let mut behind = TcpStream::connect(("127.0.0.1", to)).expect("a server");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let (mut from, mut into) = (behind.try_clone().expect("a handle"), stream.try_clone().expect("a handle"));
        std::thread::spawn(move || std::io::copy(&mut from, &mut into));
        let _ = std::io::copy(&mut stream, &mut behind);
    });
    (format!("http://127.0.0.1:{port}"), heads)
}

/// A head with its body, as it came; `None` at the end.
fn message(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let (mut whole, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if !reader.read_line(&mut line).is_ok_and(|count| count > 0) {
            return None;
        }
        whole.extend_from_slice(line.as_bytes());
        if let Some(count) = line.to_lowercase().strip_prefix("content-length:") {
            length = count.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    whole.extend(body);
    Some(whole)
}

/// Serves each connection on a thread of its own, until the test ends. The port.
fn listen(each: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let each = Arc::new(each);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = each.clone();
            std::thread::spawn(move || each(stream));
        }
    });
    port
}

fn config(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> Arc<rustls::ServerConfig> {
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a server");
    Arc::new(config)
}

/// A server that shows this certificate, in a loop, until the test ends.
fn serve(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> String {
    let config = config(certificate, key);
    let port = listen(move |mut stream| {
        let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        if tls.read(&mut [0; 4096]).is_ok() {
            let length = EMPTY_LIST.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{EMPTY_LIST}");
            let _ = tls.write_all(answer.as_bytes());
            session.send_close_notify();
            let _ = session.complete_io(&mut stream);
        }
    });
    format!("https://localhost:{port}/scim/v2")
}
