//! The name by which this host is known to the others.

use crate::model::clean;

/// Names this host, if the system's name is not the one to show, or two run on one system.
const NAMED: &str = "RHOMBUS_SYNC_HOST";

/// The name of this host. Two hosts of one lease must have two names.
#[must_use]
pub fn this_host() -> String {
    let named = std::env::var(NAMED).ok().filter(|name| !name.trim().is_empty());
    let name = named.unwrap_or_else(systems_name);
    clean(name.trim()).into_owned()
}

/// Asked of the kernel: the units hide everything in `/proc` that is not a process (`ProcSubset=pid`).
fn systems_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_name_is_the_one_that_the_kernel_has() {
        let shown = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("readable here");
        assert_eq!(systems_name(), shown.trim());
    }
}
