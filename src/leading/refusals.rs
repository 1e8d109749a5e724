//! What is said on a host that does not lead, and what to do about it.

use crate::failure::Failure;
use crate::model::{Exit, command};

/// Another host leads.
pub(crate) fn not_leading(name: &str, leader: &str, renewed_ago_ms: Option<i64>) -> Failure {
    let renewed = renewed_ago_ms.map(|ago| format!(", renewed {} s ago", ago / 1_000)).unwrap_or_default();
    let hint = format!("run it on {leader}, or take the lead first: {}", command("lead"));
    Failure::new(Exit::Busy, format!("another host sends ({name} leads: {leader}{renewed})"), Some(&hint))
}

/// Nobody leads now, and another host did last.
pub(crate) fn led_last(name: &str, host: &str) -> Failure {
    let hint = format!("run it on {host}, or take the lead first: {}", command("lead"));
    Failure::new(Exit::Busy, format!("another host leads {name}, or led last: {host}"), Some(&hint))
}

/// This host leads or led last, if its name is only its own, and its state is not the one that did.
pub(super) fn not_the_last(name: &str, host: &str) -> Failure {
    let hint = "start the service: it restores the last leader's state; if another host calls itself so, too, give one of them another \
                name (RHOMBUS_SYNC_HOST)";
    let what = format!("{host} led {name} last, and the state here is not the one that did");
    Failure::new(Exit::Busy, what, Some(hint))
}

/// Nobody leads, because this host was told not to.
pub(super) fn handed_over(name: &str) -> Failure {
    let hint = format!("to take it back: {}", command("lead"));
    Failure::new(Exit::Busy, format!("this host handed {name} over, and nobody leads"), Some(&hint))
}

/// Without etcd a person says who leads.
pub(super) fn not_told() -> Failure {
    let hint = format!("if the other host is off: {}", command("lead --force"));
    Failure::new(Exit::Busy, "nobody told this host to lead, and another one may", Some(&hint))
}

/// There is no other host.
pub(crate) fn no_standby() -> Failure {
    let hint = "docs/standby.md says how two hosts are set up";
    Failure::new(Exit::Misconfigured, "there is no [standby] in the configuration: this host always leads", Some(hint))
}
