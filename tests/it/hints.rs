//! An endpoint that cannot be read: each cause has a hint of its own, and none sends the reader to the wrong place.

use crate::support::raw_endpoint::{EMPTY_LIST, Endpoint};
use crate::support::real_binary::{BINARY, people};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

/// Runs a command against an endpoint; its exit code and what it says.
fn run(command: &[&str], base_url: &str, keys: &str, authority: &[u8]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("token"), "CANARY-0123456789abcdef").expect("a token");
    std::fs::set_permissions(path("token"), PermissionsExt::from_mode(0o600)).expect("closed");
    std::fs::write(path("ca.pem"), authority).expect("an authority");
    std::fs::write(path("directory.json"), Value::from(people(0..3)).to_string()).expect("an export");
    let text = format!(
        "[directory]\npath = \"directory.json\"\n[scope]\ngroups = [\"R\"]\n[rhombus]\nbase_url = \"{base_url}\"\n\
         token_file = \"token\"\ntimeout = \"5s\"\n{keys}\n[state]\npath = \"state.db\"\n"
    );
    std::fs::write(path("config.toml"), text).expect("a configuration");
    let output = Command::new(BINARY).arg("-c").arg(path("config.toml")).args(command).env("NO_COLOR", "1").output();
    let output = output.expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn check(base_url: &str, keys: &str, authority: &[u8], expected: (i32, &str)) {
    for command in [&["activate"][..], &["check", "--online"]] {
        let (exit, text) = run(command, base_url, keys, authority);
        let hint = text.split_once("hint: ").map_or("", |(_, hint)| hint);
        assert!(exit == Some(expected.0) && hint.contains(expected.1), "{command:?}, {expected:?}: {text}");
        let is_the_address = expected.1.contains("compare [rhombus] base_url");
        assert_eq!(text.contains("compare [rhombus] base_url"), is_the_address, "{command:?}: {text}");
    }
}

#[test]
fn an_answer_that_is_no_list_says_what_it_is() {
    for (status, headers, body, expected) in [
        (404, "", "<html>Not Found</html>", "compare [rhombus] base_url"),
        (302, "Location: /login\r\n", "", "compare [rhombus] base_url"),
        (200, "", "<!DOCTYPE html><title>Sign in</title>", "a login page"),
        (200, "", r#"{"hello":"world"}"#, "not a whole SCIM list"),
        (401, "", "", "token file"),
        (403, "", "", "token file"),
        (403, "Retry-After: 60\r\n", "", "try again later"),
        (429, "Retry-After: soon\r\n", "", "try again later"),
        (503, "", "", "try again later"),
    ] {
        let endpoint = Endpoint::start(move |asked| asked.answer(status, headers, body));
        check(&endpoint.base_url, "", b"", (1, expected));
    }
}

#[test]
fn a_proxy_that_wants_a_password_is_named() {
    let proxy = Endpoint::start(|asked| asked.answer(407, "", ""));
    let address = proxy.base_url.trim_end_matches("/scim/v2");
    check("https://rhombus.example/scim/v2", &format!("proxy = \"{address}\""), b"", (1, "into [rhombus] proxy"));
}

#[test]
fn a_proxy_that_cannot_be_used_is_never_gone_round() {
    let endpoint = Endpoint::start(|asked| asked.answer(200, "", EMPTY_LIST));
    let remote = "https://rhombus.example/scim/v2";
    for proxy in [
        "htp://127.0.0.1:9",
        "ftp://proxy.example",
        "socks5://proxy.example",
        "tcp://proxy.example",
        "mailto:x",
        "proxy.example:3128",
        "//proxy.example",
        "http://",
        "",
    ] {
        for command in [&["check"][..], &["check", "--online"], &["activate"], &["--reconcile"]] {
            let (exit, text) = run(command, remote, &format!("proxy = \"{proxy}\""), b"");
            assert!(exit == Some(78) && text.contains("[rhombus] proxy"), "{proxy} {command:?}: {text}");
        }
    }
    let (exit, text) = run(&["check"], &endpoint.base_url, "proxy = \"http://proxy.example:3128\"", b"");
    assert!(exit == Some(78) && text.contains("loopback"), "{text}");
    assert_eq!(run(&["check"], remote, "proxy = \"HTTP://user:word@proxy.example:3128\"", b"").0, Some(0));
    assert_eq!(endpoint.seen(), Vec::<String>::new());
}

/// An authority, perhaps one below another, and a server's certificate of it.
struct Authority {
    parameters: rcgen::CertificateParams,
    key: rcgen::KeyPair,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new(name: &str, above: Option<&Self>) -> Self {
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

#[test]
fn what_is_wrong_with_a_certificate_is_named() {
    let root = Authority::new("root.example", None);
    let middle = Authority::new("middle.example", Some(&root));
    let leaf = |names: &[&str], expired: bool| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).expect("parameters");
        if expired {
            parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = rcgen::KeyPair::generate().expect("a key");
        let issuer = rcgen::Issuer::from_params(&middle.parameters, &middle.key);
        let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");
        serve(&certificate, &key)
    };
    let own = Authority::new("localhost", None);
    let keys = "ca_file = \"ca.pem\"";
    let (root, middle) = (root.certificate.pem(), middle.certificate.pem());
    check(&leaf(&["localhost"], false), keys, root.as_bytes(), (1, "intermediate certificate"));
    check(&leaf(&["elsewhere.example"], false), keys, middle.as_bytes(), (1, "for another name"));
    check(&leaf(&["localhost"], true), keys, middle.as_bytes(), (1, "has expired"));
    check(
        &serve(&own.certificate, &own.key),
        keys,
        own.certificate.pem().as_bytes(),
        (1, "of an authority as its own"),
    );
    // With the one that is missing, and a byte order mark before it, all is well.
    let both = format!("\u{feff}{middle}{root}");
    let (exit, text) = run(&["activate"], &leaf(&["localhost"], false), keys, both.as_bytes());
    assert_eq!(exit, Some(0), "{text}");
}

#[test]
fn a_certificate_in_der_is_named() {
    let own = Authority::new("localhost", None);
    let base_url = serve(&own.certificate, &own.key);
    check(&base_url, "ca_file = \"ca.pem\"", own.certificate.der(), (78, "openssl x509 -inform der"));
    check(&base_url, "ca_file = \"ca.pem\"", b"nothing", (78, "-----BEGIN CERTIFICATE-----"));
}
