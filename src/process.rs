//! The process and its system: core dumps, the user, randomness, the clock, threads, signals.

use crate::clock::Elapsed;
use crate::model::{Clock, CycleId, Duration, Exit, Moment, Person, clean, hex};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use std::sync::{LazyLock, Mutex, PoisonError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Disables core dumps in both ways: a dump would contain the token.
pub(crate) fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Linux's number of the signal for a file that would grow past `ulimit -f`.
const SIGXFSZ: i32 = 25;
/// Sockets, the state with its side files, the lock, sinks and the export need fewer.
const FILES_MIN: u64 = 64;

/// From now on a file that may not grow is an error of its write, not the end of the process. The handler stays when the
/// runtime that installed it has ended.
pub(crate) fn survive_file_size_limit() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    runtime.block_on(async { drop(signal(SignalKind::from_raw(SIGXFSZ))) });
}

/// How many files this process may have open, if those are too few to run.
pub(crate) fn too_few_files() -> Option<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match limit.current {
        Some(current) if current < FILES_MIN && limit.maximum.is_none_or(|most| most >= FILES_MIN) => {
            rustix::process::setrlimit(Resource::Nofile, wanted).is_err().then_some(current)
        }
        Some(current) if current < FILES_MIN => Some(current),
        Some(_) | None => None,
    }
}

/// No session: what the kernel keeps as login id of a process that nobody's login started.
const NO_LOGIN: u32 = u32::MAX;

/// Who runs this: the account of the process, and the person behind it. The kernel keeps the login id through `su` and `sudo`;
/// where it has none, root may have been claimed by `sudo`, whose word is only an environment variable.
pub(crate) fn person() -> Person {
    let uid = rustix::process::getuid();
    let account = name_of(uid.as_raw());
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
    if let Some(login) = login.filter(|login| *login != NO_LOGIN) {
        return Person { username: name_of(login), account, claimed: false };
    }
    match std::env::var("SUDO_USER").ok().filter(|name| uid.is_root() && !name.trim().is_empty()) {
        Some(name) => Person { username: clean(name.trim()).into_owned(), account, claimed: true },
        None => Person::of_account(&account),
    }
}

/// The name of a user, or `uid` and a number.
fn name_of(number: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid) = (fields.next()?, fields.next()?, fields.next()?);
        (uid.parse() == Ok(number)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {number}"))
}

/// Whether a process of this program is the daemon, and not one that runs a cycle or a command; none if that cannot be result.
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

/// What this process has seen of the wall clock's jumps.
static ELAPSED: LazyLock<Mutex<Elapsed>> = LazyLock::new(Mutex::default);

impl SystemClock {
    /// Looks at both clocks, and returns the one that cannot be set: it also runs while the system is suspended.
    pub(crate) fn look(&self) -> i64 {
        let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let steady_ms = at.tv_sec.saturating_mul(1_000).saturating_add(at.tv_nsec / 1_000_000);
        ELAPSED.lock().unwrap_or_else(PoisonError::into_inner).note(steady_ms, self.now());
        steady_ms
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment(jiff::Timestamp::now().as_millisecond())
    }

    fn ago(&self, duration: Duration) -> Moment {
        let steady_ms = self.look();
        ELAPSED.lock().unwrap_or_else(PoisonError::into_inner).earliest(duration, steady_ms, self.now())
    }
}

/// Runs work on its own thread. It blocks nothing else, and the process can end without waiting for it.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Task<T>> {
    let (sender, result) = oneshot::channel();
    // The caller may no longer be waiting.
    std::thread::Builder::new().name(name.to_owned()).spawn(move || drop(sender.send(work())))?;
    Ok(Task { result })
}

/// The handle of work on another thread.
pub(crate) struct Task<T> {
    result: oneshot::Receiver<T>,
}

impl<T> Task<T> {
    /// Waits for the result; `None` if the thread crashed.
    pub(crate) async fn done(&mut self) -> Option<T> {
        (&mut self.result).await.ok()
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on neither signal ends the process on its own.
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
    let _ = spawn("exit", move || {
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
