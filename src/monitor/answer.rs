//! What is asked and may be: three pages by GET or HEAD, under a name of this machine. Everything is refused that a page of
//! somebody else could make a browser ask.

use super::look::Looker;
use super::metrics::metrics;
use super::page::page;
use crate::health::{Health, Verdict};
use crate::model::{Moment, hex};
use crate::process::random;
use crate::report::{ago, lasting};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use std::net::IpAddr;

const TEXT: &str = "text/plain; charset=utf-8";
/// The one format that every scraper reads, whatever it would like better.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// On every answer.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (hyper::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (hyper::header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];
/// Nothing may run, load or frame it, but the page says otherwise of what it brings itself.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The answer to one question.
pub(super) fn answer(asked: &Parts, seen: &Looker) -> Response<String> {
    let names: Vec<_> = asked.headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default()).collect();
    let authority = asked.uri.authority().map(|authority| authority.as_str());
    let named = authority.into_iter().chain(names.iter().copied());
    if names.len() > 1 || (seen.is_local && !named.into_iter().all(is_this_machine)) {
        let why = "the monitor answers only to localhost and loopback addresses\n";
        return plain(StatusCode::MISDIRECTED_REQUEST, why.to_owned());
    }
    if !matches!(asked.uri.path(), "/" | "/healthz" | "/metrics") {
        return plain(StatusCode::NOT_FOUND, "there are /, /healthz and /metrics\n".to_owned());
    }
    if asked.method != Method::GET && asked.method != Method::HEAD {
        let mut refused =
            plain(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here: GET or HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let (health, now) = seen.look();
    match asked.uri.path() {
        "/healthz" => {
            let (status, text) = healthz(&health, now);
            plain(status, text)
        }
        "/metrics" => with(StatusCode::OK, EXPOSITION, NOTHING, metrics(&health)),
        _ => {
            let nonce = hex(&random());
            let policy = format!(
                "{NOTHING}; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:"
            );
            with(StatusCode::OK, HTML, &policy, page(&health, now, &nonce))
        }
    }
}

/// Whether a host, with or without a port, is a name of this machine that nobody else can give to theirs.
fn is_this_machine(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback)
}

/// 200 if nobody must look, else 503; in one line why.
fn healthz(health: &Health, now: Moment) -> (StatusCode, String) {
    match health.verdict(now) {
        Verdict::Well => {
            let good = health
                .last_good_at()
                .map_or("no good cycle yet".to_owned(), |at| format!("last good cycle {} ({at})", ago(at, now)));
            let behind =
                health.replica_behind.as_ref().map(|behind| format!("; replica behind since {}", behind.since));
            (StatusCode::OK, format!("ok: {good}{}\n", behind.unwrap_or_default()))
        }
        Verdict::Deactivated => (StatusCode::OK, "deactivated: nobody is managed\n".to_owned()),
        Verdict::Red(red) => {
            let text = format!("red since {} ({}): {}\n", red.since, lasting(red.since, now), red.reason);
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<String> {
    with(status, TEXT, NOTHING, text)
}

fn with(status: StatusCode, content_type: &'static str, policy: &str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_can_own_are_this_machine() {
        for host in ["localhost", "LOCALHOST:9484", "127.0.0.1:9484", "127.1.2.3", "[::1]:9484", "[::ffff:127.0.0.1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example:9484", "10.0.0.1", "[::2]:9484", "127.0.0.1.evil.example"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
