//! The whole binary against plain baselines of the same run, alternating: only the ratios mean anything on another
//! machine. `cargo bench` prints the table of PERFORMANCE.md; `cargo bench -- --large` adds a million users.
//!
//! Baselines are this program again: `--hash FILE` reads, computes xxh3-128 and does one fsync; `--parse FILE` parses
//! records sliced and borrowed; the bare HTTP loop posts and stores nothing.
#![allow(clippy::print_stdout, reason = "its table is what it is for")]

use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::Xxh3Default;

const BINARY: &str = env!("CARGO_BIN_EXE_rhombus-sync");
const WINDOW_BYTES: usize = 1 << 20;
/// How often each pair of runs is repeated; the median counts.
const ROUNDS: usize = 7;
/// How many users a first sync has.
const FIRST_SYNC_USERS: usize = 5_000;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--hash") => return hash(Path::new(&arguments[2])),
        Some("--parse") => return parse(Path::new(&arguments[2])),
        _ => {}
    }
    let sizes: &[usize] =
        if arguments.iter().any(|argument| argument == "--large") { &[100_000, 1_000_000] } else { &[100_000] };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores; medians of {ROUNDS} alternating pairs\n");
    println!("| what | goal | measured |\n|---|---|---|");
    for users in sizes {
        big_export(*users);
    }
    for concurrency in [8, 32] {
        first_sync(concurrency, Duration::from_millis(20));
    }
    for concurrency in [8, 32] {
        first_sync(concurrency, Duration::ZERO);
    }
}

// Baselines

fn hash(path: &Path) {
    let mut file = std::fs::File::open(path).expect("the export");
    let mut buffer = vec![0; WINDOW_BYTES];
    let mut hash = Xxh3Default::new();
    loop {
        match file.read(&mut buffer).expect("readable") {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    let mut out = std::fs::File::create(path.with_extension("hash")).expect("a file");
    out.write_all(&hash.digest128().to_be_bytes()).and_then(|()| out.sync_all()).expect("written");
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, rename = "_id")]
    id: Cow<'a, str>,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    firstname: Cow<'a, str>,
    #[serde(borrow)]
    lastname: Cow<'a, str>,
}

fn parse(path: &Path) {
    let mut file = std::fs::File::open(path).expect("the export");
    let mut buffer = vec![0; WINDOW_BYTES];
    let (mut end, mut bytes, mut begun) = (0, 0, false);
    loop {
        let count = file.read(&mut buffer[end..]).expect("readable");
        end += count;
        let mut at = usize::from(!std::mem::replace(&mut begun, true));
        loop {
            while at < end && matches!(buffer[at], b',' | b' ' | b'\n') {
                at += 1;
            }
            let mut records = serde_json::Deserializer::from_slice(&buffer[at..end]).into_iter::<Record<'_>>();
            let Some(Ok(record)) = records.next() else { break };
            bytes += record.id.len() + record.username.len() + record.firstname.len() + record.lastname.len();
            at += records.byte_offset();
        }
        buffer.copy_within(at..end, 0);
        end -= at;
        if count == 0 {
            break;
        }
    }
    assert!(bytes > 0);
}

// Runs

/// Wall time, and the most memory it held resident, in KiB.
fn run(command: &mut Command) -> (Duration, u64) {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let (stop, stopped) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while stopped.recv_timeout(Duration::from_millis(2)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            most = most.max(line.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        }
        most
    });
    let exit = child.wait().expect("it ends");
    let took = started.elapsed();
    drop(stop);
    assert!(exit.success(), "{command:?}: {exit}");
    (took, watch.join().expect("a figure"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn baseline(what: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(what).arg(path);
    command
}

struct Office {
    folder: tempfile::TempDir,
}

impl Office {
    fn new(base_url: &str, concurrency: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "benchmark").expect("a token");
        std::fs::set_permissions(folder.path().join("token"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("closed");
        let mut text = format!(
            "[directory]\npath = \"directory.json\"\n[scope]\ngroups = [\"Rhombus\"]\n[rhombus]\nbase_url = \"{base_url}\"\n\
             token_file = \"token\"\nconcurrency_max = {concurrency}\nrequests_per_second_max = 1000000\n[state]\npath = \"state.db\"\n"
        );
        for kind in ["absent", "suspended", "create", "update"] {
            let _ = write!(text, "[guard.{kind}]\ncount_free = 10000000\npercent_max = 100\ncount_max = 10000000\n");
        }
        std::fs::write(folder.path().join("config.toml"), text).expect("a configuration");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-c").arg(self.path("config.toml")).args(arguments);
        command
    }
}

/// An export of records of 1.35 KB; `touch` changes a member that is not mapped in one of a hundred.
fn export(path: &Path, users: usize, touch: &str) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("an export"));
    let filler = "x".repeat(60);
    for number in 0..users {
        let touched = if number.is_multiple_of(100) { touch } else { "Engineer" };
        let attributes: Vec<_> =
            (0..9).map(|n| format!("{{\"name\": \"attribute{n}\", \"value\": \"{filler}\"}}")).collect();
        write!(
            out,
            "{}{{\"_id\": \"{number:024x}\", \"username\": \"person{number}@corp.example\", \"email\": \"mail{number}@corp.example\", \
             \"firstname\": \"Given{}\", \"lastname\": \"Family{number}\", \"state\": \"ACTIVATED\", \"activated\": true, \
             \"suspended\": false, \"jobTitle\": \"{touched}\", \"groups\": [\"Rhombus\", \"Everyone\"], \"attributes\": [{}], \
             \"created\": \"2024-01-02T03:04:05.678Z\"}}",
            if number == 0 { "[" } else { "," },
            number % 977,
            attributes.join(", "),
        )
        .expect("written");
    }
    out.write_all(b"]").and_then(|()| out.flush()).expect("written");
}

fn big_export(users: usize) {
    let endpoint = Endpoint::start(Duration::ZERO);
    let office = Office::new(&endpoint.base_url, 32);
    let path = office.path("directory.json");
    export(&path, users, "Engineer");
    run(&mut office.command(&["activate"]));
    let (_, first_rss) = run(&mut office.command(&["--reconcile"]));
    run(&mut office.command(&["--reconcile"]));
    let (mut quiet, mut rss) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (plain, _) = run(&mut baseline("--hash", &path));
        let (ours, memory) = run(&mut office.command(&["--reconcile"]));
        quiet.push(ours.as_secs_f64() / plain.as_secs_f64());
        rss.push(memory as f64 / 1024.0);
    }
    println!(
        "| byte-identical export, {users} users: wall / read + xxh3-128 + one fsync | <= 1.5 | {:.2} |",
        median(quiet)
    );
    println!("| its resident memory, MiB | <= 20 | {:.0} |", median(rss));
    let (mut touched, mut rss) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        export(&path, users, &format!("Touched {round}"));
        let (plain, _) = run(&mut baseline("--parse", &path));
        let (ours, memory) = run(&mut office.command(&["--reconcile"]));
        touched.push(ours.as_secs_f64() / plain.as_secs_f64());
        rss.push(memory as f64 / 1024.0);
    }
    let limit = if users > 100_000 { 48 } else { 24 };
    println!(
        "| 1 % touched, {users} users, nothing sent: wall / sliced, borrowed parse | <= 1.5 | {:.2} |",
        median(touched)
    );
    println!("| its resident memory, MiB | <= {limit} | {:.0} |", median(rss));
    println!("| first sync of {users} users: resident memory, MiB | <= 256 | {} |", first_rss / 1024);
    for (arguments, limit) in [(&["--version"][..], 10), (&["status"], 20)] {
        let took: Vec<_> = (0..ROUNDS).map(|_| run(&mut office.command(arguments)).0.as_secs_f64() * 1000.0).collect();
        println!("| `{}` on that state, ms | <= {limit} | {:.0} |", arguments[0], median(took));
    }
}

fn first_sync(concurrency: usize, latency: Duration) {
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let endpoint = Endpoint::start(latency);
        let office = Office::new(&endpoint.base_url, concurrency);
        export(&office.path("directory.json"), FIRST_SYNC_USERS, "Engineer");
        run(&mut office.command(&["activate"]));
        let bare = bare_loop(&endpoint.base_url, concurrency, if latency.is_zero() { 20_000 } else { 2_000 });
        let (took, _) = run(&mut office.command(&["--reconcile"]));
        let rate = FIRST_SYNC_USERS as f64 / took.as_secs_f64();
        let ideal = if latency.is_zero() { bare } else { concurrency as f64 / latency.as_secs_f64() };
        ratios.push(rate / ideal);
    }
    let (against, goal) = match (latency.is_zero(), concurrency) {
        (false, _) => ("(concurrency / latency)", ">= 0.90"),
        (true, 8) => ("a bare HTTP loop that stores nothing", ">= 0.20"),
        (true, _) => ("a bare HTTP loop that stores nothing", ">= 0.25"),
    };
    let (users, ms) = (FIRST_SYNC_USERS, latency.as_millis());
    println!(
        "| first sync of {users} users at {ms} ms, {concurrency} at once, all durable: rate / {against} | {goal} | {:.2} |",
        median(ratios)
    );
}

/// Requests a second of a loop that posts the same body and keeps nothing.
fn bare_loop(base_url: &str, concurrency: usize, count: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("{base_url}/Bare");
        let started = Instant::now();
        let (mut sent, mut running) = (0, FuturesUnordered::new());
        loop {
            while running.len() < concurrency && sent < count {
                sent += 1;
                let request = client.post(&url).header("content-type", "application/scim+json").body(NEW_USER);
                running.push(async { request.send().await.expect("an answer").bytes().await.expect("a body") });
            }
            if running.next().await.is_none() {
                return count as f64 / started.elapsed().as_secs_f64();
            }
        }
    })
}

const NEW_USER: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"person@corp.example","externalId":"000000000000000000000001","active":true,"name":{"givenName":"Given","familyName":"Family"}}"#;

/// An endpoint that takes every create after its latency, on a thread of its own.
struct Endpoint {
    base_url: String,
}

impl Endpoint {
    fn start(latency: Duration) -> Self {
        let (started, address) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                started.send(listener.local_addr().expect("an address")).expect("somebody listens");
                let count = Arc::new(AtomicU64::new(0));
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    let count = count.clone();
                    let service = service_fn(move |request| answer(request, count.clone(), latency));
                    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                }
            });
        });
        Self { base_url: format!("http://{}/scim/v2", address.recv().expect("an address")) }
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    count: Arc<AtomicU64>,
    latency: Duration,
) -> Result<hyper::Response<String>, Infallible> {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    let sent = axum::body::to_bytes(axum::body::Body::new(body), WINDOW_BYTES).await.unwrap_or_default();
    let (status, body) = if head.method == hyper::Method::POST {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let sent = String::from_utf8_lossy(&sent);
        (201, format!("{{\"id\":\"account-{number}\",{}", sent.trim_start_matches('{')))
    } else {
        (
            200,
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0,"Resources":[]}"#
                .to_owned(),
        )
    };
    // tokio's timers are coarse: sleep short of it, then yield until it is time.
    let early = latency.saturating_sub(Duration::from_millis(2));
    if !early.is_zero() {
        tokio::time::sleep(early).await;
    }
    while arrived.elapsed() < latency {
        tokio::task::yield_now().await;
    }
    let mut response = hyper::Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}
