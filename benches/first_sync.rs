//! First syncs of the whole binary, against plain loads of the same run and against an earlier build of it, alternating.
//! `cargo bench --bench first_sync`; `BASELINE=PATH` names the earlier build, `-- --large` adds a million users.
//!
//! The loads are this program again: `--load URL CONCURRENCY COUNT [JOURNAL]` posts the same body and keeps nothing, or writes
//! an intent and its end to a plain file, with one fsync for all that wait.
#![allow(clippy::print_stdout, reason = "its table is what it is for")]

#[path = "support/endpoint.rs"]
mod endpoint;
#[path = "support/load.rs"]
mod load;
#[allow(dead_code, reason = "each bench uses a part of it")]
#[path = "support/office.rs"]
mod office;

use endpoint::Endpoint;
use office::{BINARY, Office, export, median, run};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often each set of runs is repeated; the median of the ratios counts.
const ROUNDS: usize = 7;
/// How many users a first sync at 0 ms has: few enough for seconds, enough for processor time in ticks of 10 ms.
const USERS: usize = 20_000;
const USERS_AT_20_MS: usize = 5_000;
/// How long an idle daemon is left alone before it is looked at.
const IDLE: Duration = Duration::from_secs(45);

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == "--load") {
        return load::run(&arguments[2..]);
    }
    let baseline = std::env::var_os("BASELINE").map(PathBuf::from);
    let baseline = baseline.as_deref();
    println!("medians of {ROUNDS} alternating sets\n");
    println!("| what | goal | measured | the earlier build |\n|---|---|---|---|");
    for concurrency in [8, 32] {
        at_no_latency(concurrency, baseline);
    }
    for concurrency in [8, 32] {
        at_20_ms(concurrency, baseline);
    }
    at_rest(baseline);
    if arguments.iter().any(|argument| argument == "--large") {
        of_a_million(baseline);
    }
}

/// One row; `of` gives the figure of a build.
fn row(what: &str, goal: &str, ours: f64, baseline: Option<f64>, digits: usize) {
    let baseline = baseline.map_or(String::new(), |figure| format!("{figure:.digits$}"));
    println!("| {what} | {goal} | {ours:.digits$} | {baseline} |");
}

/// Processor time of all children that have ended, user and system, in seconds.
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(") ").expect("the name in brackets");
    // cutime and cstime, in ticks of 10 ms (proc(5)).
    fields.split(' ').skip(13).take(2).map(|ticks| ticks.parse::<f64>().expect("a number") / 100.0).sum()
}

/// Creates a second and processor time of a create in microseconds.
fn first_sync(binary: &Path, endpoint: &Endpoint, concurrency: usize, users: usize) -> (f64, f64) {
    let office = Office::new(&endpoint.base_url, concurrency);
    export(&office.path("directory.json"), users, "Engineer");
    run(&mut office.command_of(binary, &["activate"]));
    let before = children_cpu();
    let (took, _) = run(&mut office.command_of(binary, &["--reconcile"]));
    (users as f64 / took.as_secs_f64(), (children_cpu() - before) * 1e6 / users as f64)
}

/// Requests a second of a plain load.
fn load(endpoint: &Endpoint, concurrency: usize, journal: Option<&Path>) -> f64 {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--load", &endpoint.base_url, &concurrency.to_string(), &USERS.to_string()]).args(journal);
    let output = command.output().expect("it starts");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a rate")
}

/// The figures of one build.
#[derive(Default)]
struct Figures {
    to_bare: Vec<f64>,
    to_journal: Vec<f64>,
    cpu: Vec<f64>,
}

fn at_no_latency(concurrency: usize, baseline: Option<&Path>) {
    let (mut ours, mut earlier, mut cpu_ratios) = (Figures::default(), Figures::default(), Vec::new());
    for round in 0..ROUNDS {
        let endpoint = Endpoint::start(Duration::ZERO);
        let folder = tempfile::tempdir().expect("a folder");
        let bare = load(&endpoint, concurrency, None);
        let journal = load(&endpoint, concurrency, Some(&folder.path().join("journal")));
        let mut builds = vec![(Path::new(BINARY), &mut ours)];
        builds.extend(baseline.map(|baseline| (baseline, &mut earlier)));
        if round % 2 == 1 {
            builds.reverse();
        }
        for (binary, figures) in builds {
            let (rate, cpu) = first_sync(binary, &endpoint, concurrency, USERS);
            figures.to_bare.push(rate / bare);
            figures.to_journal.push(rate / journal);
            figures.cpu.push(cpu);
        }
        cpu_ratios.extend(earlier.cpu.last().zip(ours.cpu.last()).map(|(earlier, ours)| ours / earlier));
    }
    let (bare_goal, journal_goal) = if concurrency == 8 { (">= 0.20", ">= 0.85") } else { (">= 0.25", ">= 0.60") };
    let of = |figures: &Vec<f64>| (!figures.is_empty()).then(|| median(figures.clone()));
    let what = format!("first sync of {USERS} users at 0 ms, {concurrency} at once, all durable");
    let name = |of: &str| format!("{what}: {of}");
    row(&name("rate / a bare HTTP loop that stores nothing"), bare_goal, median(ours.to_bare), of(&earlier.to_bare), 2);
    let plain = name("rate / the same loop with a plain journal");
    row(&plain, journal_goal, median(ours.to_journal), of(&earlier.to_journal), 2);
    row(&name("processor time of a create, us"), "", median(ours.cpu), of(&earlier.cpu), 1);
    if baseline.is_some() {
        row(&name("the same / the earlier build"), "<= 0.80", median(cpu_ratios), None, 2);
    }
}

fn at_20_ms(concurrency: usize, baseline: Option<&Path>) {
    let latency = Duration::from_millis(20);
    let share = |binary: &Path| {
        let shares = (0..3).map(|_| {
            let (rate, _) = first_sync(binary, &Endpoint::start(latency), concurrency, USERS_AT_20_MS);
            rate * latency.as_secs_f64() / concurrency as f64
        });
        median(shares.collect())
    };
    let what = format!(
        "first sync of {USERS_AT_20_MS} users at 20 ms, {concurrency} at once, all durable: rate / (concurrency / latency)"
    );
    row(&what, ">= 0.90", share(BINARY.as_ref()), baseline.map(share), 2);
}

/// A daemon that is ended with this value.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What an idle daemon holds: of its own, which the kernel cannot drop (the program's pages on disk it can), and resident, in MiB.
fn idle_memory(binary: &Path) -> (f64, f64) {
    let endpoint = Endpoint::start(Duration::ZERO);
    let office = Office::new(&endpoint.base_url, 32);
    export(&office.path("directory.json"), USERS, "Engineer");
    for arguments in [&["activate"][..], &["--reconcile"]] {
        run(&mut office.command_of(binary, arguments));
    }
    let mut command = office.command_of(binary, &[]);
    let daemon = Daemon(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
    std::thread::sleep(IDLE);
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", daemon.0.id())).expect("it runs");
    let of = |name: &str| -> f64 {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    };
    (of("Private_Dirty:"), of("Rss:"))
}

/// Milliseconds of a command that does nothing, and how much of it is processor time.
fn quiet(binary: &Path, arguments: &[&str], users: usize) -> (f64, f64) {
    let endpoint = Endpoint::start(Duration::ZERO);
    let office = Office::new(&endpoint.base_url, 8);
    export(&office.path("directory.json"), users, "Engineer");
    for arguments in [&["activate"][..], &["--reconcile"], &["--reconcile"]] {
        run(&mut office.command_of(binary, arguments));
    }
    let count = 50;
    let (before, started) = (children_cpu(), Instant::now());
    for _ in 0..count {
        let mut command = office.command_of(binary, arguments);
        let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts");
        assert!(done.success(), "{command:?}");
    }
    let each = |seconds: f64| seconds * 1000.0 / f64::from(count);
    (each(started.elapsed().as_secs_f64()), each(children_cpu() - before))
}

fn at_rest(baseline: Option<&Path>) {
    let (ours, earlier) = (idle_memory(BINARY.as_ref()), baseline.map(idle_memory));
    row("idle daemon: memory of its own, MiB", "<= 5", ours.0, earlier.map(|memory| memory.0), 1);
    row("idle daemon: resident memory, MiB", "<= 11", ours.1, earlier.map(|memory| memory.1), 1);
    for (what, arguments) in [("a quiet `--reconcile`", "--reconcile"), ("`status`", "status")] {
        let figure = |binary: &Path| quiet(binary, &[arguments], 100);
        let (ours, earlier) = (figure(BINARY.as_ref()), baseline.map(figure));
        row(&format!("{what} of 100 users: wall, ms"), "", ours.0, earlier.map(|took| took.0), 1);
        row(&format!("{what} of 100 users: processor time, ms"), "", ours.1, earlier.map(|took| took.1), 1);
    }
}

fn of_a_million(baseline: Option<&Path>) {
    let memory = |binary: &Path| {
        let endpoint = Endpoint::start(Duration::ZERO);
        let office = Office::new(&endpoint.base_url, 32);
        export(&office.path("directory.json"), 1_000_000, "Engineer");
        run(&mut office.command_of(binary, &["activate"]));
        run(&mut office.command_of(binary, &["--reconcile"])).1 as f64 / 1024.0
    };
    let ours = memory(BINARY.as_ref());
    row("first sync of a million users: resident memory, MiB", "<= 112", ours, baseline.map(memory), 0);
}
