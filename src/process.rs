//! What the process is to the system: no core dump, who runs it, chance, the clock.

use crate::cycle::Clock;
use crate::model::{CycleId, Moment, hex};
use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// No core dump, by either way: a token would be in it.
pub(super) fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The operating system's name of whoever runs this, else the number.
pub(super) fn user() -> String {
    let number = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid) = (fields.next()?, fields.next()?, fields.next()?);
        (uid.parse() == Ok(number)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {number}"))
}

/// Sixteen bytes of the system's randomness.
pub(super) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Only before the system has any; ids then rest on the clock and the process.
        let seed = [SystemClock.now().0.to_be_bytes(), i64::from(std::process::id()).to_be_bytes()].concat();
        bytes = xxhash_rust::xxh3::xxh3_128(&seed).to_be_bytes();
    }
    bytes
}

/// Chance, for backoff.
pub(super) fn chance() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = random();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The id of a cycle that begins now.
pub(super) fn cycle_id() -> CycleId {
    let second = SystemClock.now().0 / 1000;
    CycleId::new(format!("{second:08x}{}", hex(&random()[..8])))
}

/// The system's wall clock.
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment(jiff::Timestamp::now().as_millisecond())
    }
}
