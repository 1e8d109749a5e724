//! `[monitor]`: where the monitor listens, and when it calls the sync unhealthy.

use super::address::Query;
use super::error::Problem;
use crate::model::Duration;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

#[derive(Deserialize, Serialize, Clone)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMonitor {
    listen: String,
    allow_remote: bool,
    unhealthy_after: Duration,
    heartbeat_url_file: Option<PathBuf>,
}

impl Default for RawMonitor {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9484".to_owned(),
            allow_remote: false,
            unhealthy_after: Duration::from_seconds(3_600),
            heartbeat_url_file: None,
        }
    }
}

/// `[monitor]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MonitorConfig {
    /// The address that answers; port 0 takes a free one.
    pub listen: SocketAddr,
    /// So long without a good cycle is unhealthy.
    pub unhealthy_after: Duration,
    /// The file with the address that is asked after each good cycle.
    pub heartbeat_url_file: Option<PathBuf>,
}

pub(super) fn monitor(raw: &RawMonitor, place: &dyn Fn(&PathBuf) -> PathBuf) -> Result<MonitorConfig, Problem> {
    let RawMonitor { listen, allow_remote, unhealthy_after, heartbeat_url_file } = raw;
    let listen = address(listen).ok_or_else(|| {
        Problem::plain(
            "[monitor] listen is not an IP address with a port, such as \"127.0.0.1:9484\" or \"[::1]:9484\"",
        )
    })?;
    if !listen.ip().to_canonical().is_loopback() && !allow_remote {
        return Err(Problem::plain(
            "[monitor] listen is not on loopback, so other machines could read it; set allow_remote = true to allow that",
        ));
    }
    if *unhealthy_after == Duration::from_seconds(0) {
        return Err(Problem::plain("[monitor] unhealthy_after is 0"));
    }
    let heartbeat_url_file = heartbeat_url_file.as_ref().map(place);
    Ok(MonitorConfig { listen, unhealthy_after: *unhealthy_after, heartbeat_url_file })
}

/// Whether the heartbeat may go to this address, which is a secret.
///
/// # Errors
/// It may not.
pub fn check_heartbeat(url: &str) -> Result<(), Problem> {
    super::address::address(url, "the heartbeat's address", Query::Allowed).map(drop)
}

/// A name would have to be looked up; `localhost` is the one that everybody writes.
fn address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?)),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_on_loopback_unless_remote_readers_are_allowed() {
        for (listen, allow_remote, expected) in [
            ("127.0.0.1:9484", false, Ok("127.0.0.1:9484")),
            ("localhost:9484", false, Ok("127.0.0.1:9484")),
            ("[::1]:0", false, Ok("[::1]:0")),
            ("[::ffff:127.0.0.1]:1", false, Ok("[::ffff:127.0.0.1]:1")),
            ("0.0.0.0:9484", false, Err("allow_remote = true")),
            ("[::]:9484", false, Err("allow_remote = true")),
            ("10.0.0.1:9484", false, Err("allow_remote = true")),
            ("0.0.0.0:9484", true, Ok("0.0.0.0:9484")),
            ("9484", false, Err("is not an IP address with a port")),
            ("127.0.0.1", false, Err("is not an IP address with a port")),
            ("monitor.example:9484", true, Err("is not an IP address with a port")),
        ] {
            let raw = RawMonitor { listen: listen.to_owned(), allow_remote, ..RawMonitor::default() };
            match (monitor(&raw, &PathBuf::clone), expected) {
                (Ok(config), Ok(expected)) => assert_eq!(config.listen.to_string(), expected),
                (Err(problem), Err(says)) => assert!(problem.to_string().contains(says), "{listen}: {problem}"),
                (found, expected) => panic!("{listen}: {found:?}, not {expected:?}"),
            }
        }
    }
}
