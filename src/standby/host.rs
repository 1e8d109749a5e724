//! The name by which this host is known to the others.

use crate::model::clean;

/// Names this host, if the system's name is not the one to show, or two run on one system.
const NAMED: &str = "RHOMBUS_SYNC_HOST";
/// The system's name.
const SYSTEM: &str = "/proc/sys/kernel/hostname";

/// The name of this host. Two hosts of one lease must have two names.
#[must_use]
pub fn this_host() -> String {
    let named = std::env::var(NAMED).ok().filter(|name| !name.trim().is_empty());
    let name = named.or_else(|| std::fs::read_to_string(SYSTEM).ok()).unwrap_or_else(|| "localhost".to_owned());
    clean(name.trim()).into_owned()
}
