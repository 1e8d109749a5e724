//! The process and its system: core dumps, the user, randomness, the clock, threads, signals.

use crate::model::{Clock, CycleId, Exit, Moment, hex};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Disables core dumps in both ways: a dump would contain the token.
pub(crate) fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The login name of the user who runs this, or `uid` and a number.
pub(crate) fn user() -> String {
    let number = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid) = (fields.next()?, fields.next()?, fields.next()?);
        (uid.parse() == Ok(number)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {number}"))
}

/// Whether a process of this program is the daemon, and not one that runs a cycle or a command; none if that cannot be told.
pub(crate) fn is_daemon(pid: u32) -> Option<bool> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).skip(1);
    while let Some(word) = words.next() {
        match word {
            b"-c" | b"--config" | b"--log-format" => drop(words.next()),
            b"--reconcile" => return Some(false),
            word if !word.starts_with(b"-") => return Some(false),
            _ => {}
        }
    }
    Some(true)
}

/// Sixteen bytes of the system's randomness.
pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // This only fails before the kernel has any; ids then come from the clock and the process id.
        let seed = [SystemClock.now().0.to_be_bytes(), i64::from(std::process::id()).to_be_bytes()].concat();
        bytes = xxhash_rust::xxh3::xxh3_128(&seed).to_be_bytes();
    }
    bytes
}

/// A random number, for backoff.
pub(crate) fn chance() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = random();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The id of a cycle that begins now.
pub(crate) fn cycle_id() -> CycleId {
    let second = SystemClock.now().0 / 1000;
    CycleId::new(format!("{second:08x}{}", hex(&random()[..8])))
}

/// The system's wall clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment(jiff::Timestamp::now().as_millisecond())
    }
}

/// Runs work on its own thread. It blocks nothing else, and the process can end without waiting for it.
pub(crate) fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Aside<T>> {
    let (tell, told) = oneshot::channel();
    // The caller may no longer be waiting.
    std::thread::Builder::new().name(name.to_owned()).spawn(move || drop(tell.send(work())))?;
    Ok(Aside { told })
}

/// The handle of work on another thread.
pub(crate) struct Aside<T> {
    told: oneshot::Receiver<T>,
}

impl<T> Aside<T> {
    /// Waits for the result; `None` if the thread crashed.
    pub(crate) async fn done(&mut self) -> Option<T> {
        (&mut self.told).await.ok()
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on neither signal ends the process by itself.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// From now on SIGTERM and SIGINT end the process: the rest (printing a report that nobody reads) may block forever.
pub(crate) fn exit_on_stop(exit: Exit) {
    let _ = aside("exit", move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            if let Ok(mut signals) = StopSignals::listen() {
                signals.recv().await;
                std::process::exit(i32::from(exit.code()));
            }
        });
    });
}
