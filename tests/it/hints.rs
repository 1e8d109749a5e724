//! An endpoint that cannot be read: each cause has a hint of its own, and none sends the reader to the wrong place.

use crate::support::raw_endpoint::{EMPTY_LIST, Endpoint};
use crate::support::real_binary::{BINARY, people};
use crate::support::tls::Authority;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

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
        (200, "", "\u{feff}<!DOCTYPE html><title>Sign in</title>", "a login page"),
        (403, "", "<!DOCTYPE html><title>Sign in</title>", "a login page"),
        (200, "", r#"{"hello":"world"}"#, "not a complete SCIM list"),
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

#[test]
fn what_is_wrong_with_a_certificate_is_named() {
    let root = Authority::new("root.example", None);
    let middle = Authority::new("middle.example", Some(&root));
    let leaf = |names: &[&str], expired: bool| middle.serve(names, expired);
    let own = Authority::new("localhost", None);
    let keys = "ca_file = \"ca.pem\"";
    let (root, middle_pem) = (root.certificate.pem(), middle.certificate.pem());
    check(&leaf(&["localhost"], false), keys, root.as_bytes(), (1, "intermediate certificate"));
    check(&leaf(&["elsewhere.example"], false), keys, middle_pem.as_bytes(), (1, "for another name"));
    check(&leaf(&["localhost"], true), keys, middle_pem.as_bytes(), (1, "has expired"));
    check(&own.serve_itself(), keys, own.certificate.pem().as_bytes(), (1, "an authority's certificate as its own"));
    // With the one that is missing, and a byte order mark before it, all is well.
    let both = format!("\u{feff}{middle_pem}{root}");
    let (exit, text) = run(&["activate"], &leaf(&["localhost"], false), keys, both.as_bytes());
    assert_eq!(exit, Some(0), "{text}");
}

#[test]
fn a_certificate_in_der_is_named() {
    let own = Authority::new("localhost", None);
    let base_url = own.serve_itself();
    check(&base_url, "ca_file = \"ca.pem\"", own.certificate.der(), (78, "openssl x509 -inform der"));
    check(&base_url, "ca_file = \"ca.pem\"", b"nothing", (78, "-----BEGIN CERTIFICATE-----"));
    // `check` says so without a call.
    let damaged = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    for (name, file, expected) in [
        ("ca.pem", own.certificate.der().as_ref(), "openssl x509 -inform der"),
        ("ca.pem", &b"nothing"[..], "it contains no certificate"),
        ("ca.pem", &damaged[..], "a certificate in it is damaged"),
        ("missing.pem", &b""[..], "can read"),
    ] {
        let (exit, text) = run(&["check"], &base_url, &format!("ca_file = {name:?}"), file);
        assert!(exit == Some(78) && text.contains(expected), "{expected}: {text}");
    }
    let (exit, text) = run(&["check"], &base_url, "ca_file = \"ca.pem\"", own.certificate.pem().as_bytes());
    assert_eq!(exit, Some(0), "{text}");
}
