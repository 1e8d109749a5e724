//! Servers that speak TLS, with certificates of the test's own authorities.

use super::raw_endpoint::EMPTY_LIST;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

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
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).expect("parameters");
        if expired {
            parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = rcgen::KeyPair::generate().expect("a key");
        let issuer = rcgen::Issuer::from_params(&self.parameters, &self.key);
        serve(&parameters.signed_by(&key, &issuer).expect("a certificate"), &key)
    }

    /// A server that shows the authority's own certificate.
    pub(crate) fn serve_itself(&self) -> String {
        serve(&self.certificate, &self.key)
    }
}

/// A server that shows this certificate, in a loop, until the test ends.
fn serve(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> String {
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a server");
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
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
        }
    });
    format!("https://localhost:{port}/scim/v2")
}
