//! Addresses to which a secret may go, and proxies that may carry it there. Whose address it is, the caller says.

use super::error::Problem;
use std::net::IpAddr;

/// Where an address leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    Loopback,
    Network,
}

/// Whether an address may have a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Query {
    Allowed,
    Refused,
}

/// An address to which a secret may go. `key`: as people look for it, with its section.
pub(super) fn address(text: &str, key: &str, query: Query) -> Result<Reach, Problem> {
    let Ok(url) = reqwest::Url::parse(text) else { return Err(Problem::owned(format!("{key} is not a valid URL"))) };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !(url.scheme() == "https" || (url.scheme() == "http" && loopback)) {
        return Err(Problem::owned(format!("{key} must be https (http only on loopback)")));
    }
    let queried = url.query().is_some() && query == Query::Refused;
    if !url.username().is_empty() || url.password().is_some() || queried || url.fragment().is_some() {
        let what = if query == Query::Refused { "a user, a query or a fragment" } else { "a user or a fragment" };
        return Err(Problem::owned(format!("{key} must not carry {what}")));
    }
    Ok(if loopback { Reach::Loopback } else { Reach::Network })
}

/// A scheme that the client does not know would be passed over, and the token would go out without the proxy.
pub(super) fn proxy(text: &str, key: &str) -> Result<(), Problem> {
    let url = reqwest::Url::parse(text).ok();
    let usable = url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
    if usable { Ok(()) } else { Err(Problem::owned(format!("{key} is not http:// or https:// with a host"))) }
}
