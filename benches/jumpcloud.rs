//! JumpCloud as the directory, against a plain client that asks for one page after the other, in the same run, at 40 ms a request
//! and 100 rows a page. `cargo bench --bench jumpcloud`; `-- --large` adds 100,000 users. `-- --serve` only serves the stand-in,
//! for clients that others wrote.
#![allow(clippy::print_stdout, reason = "its table is what it is for")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/support"]
mod support {
    pub(crate) mod fake_jumpcloud;
    pub(crate) mod raw_endpoint;
}

use support::fake_jumpcloud::{APPLICATION, Call, FakeJumpCloud, KEY};

const BINARY: &str = env!("CARGO_BIN_EXE_rhombus-sync");
const LATENCY: Duration = Duration::from_millis(40);
/// How often each pair of runs is repeated; the median counts.
const ROUNDS: usize = 3;

fn main() {
    if std::env::args().any(|argument| argument == "--serve") {
        let jumpcloud = FakeJumpCloud::start(250);
        jumpcloud.now().group(0, "Doors", 0..120, true);
        println!("{} {KEY} {APPLICATION}, until the input ends", jumpcloud.url());
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    println!("| what | goal | measured |\n|---|---|---|");
    read(10_000, 4_000, 24);
    if std::env::args().any(|argument| argument == "--large") {
        read(100_000, 40_000, 40);
    }
}

fn read(users_count: usize, bound_count: usize, memory_max: u64) {
    let jumpcloud = FakeJumpCloud::start(users_count);
    {
        let mut now = jumpcloud.now();
        now.group(0, "Doors", 0..bound_count, true);
        now.latency = LATENCY;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "[directory]\nsource = \"jumpcloud\"\napi_url = \"{}\"\napi_key_file = \"key\"\napplication_id = \"{APPLICATION}\"\n",
        jumpcloud.url()
    );
    std::fs::write(folder.path().join("config.toml"), config).expect("written");
    std::fs::write(folder.path().join("key"), KEY).expect("written");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(folder.path().join("key"), closed).expect("a mode");
    // The first run makes the state.
    plan(folder.path());
    let (mut ratios, mut memories, mut seconds, mut requests) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        jumpcloud.calls();
        let (ours, memory, our_seconds) = plan(folder.path());
        let calls = jumpcloud.calls();
        requests = calls.values().sum::<usize>();
        assert_eq!(calls.get(&Call::OfUser), None, "nobody is linked");
        let (started, before) = (Instant::now(), processor_seconds("/proc/thread-self/stat"));
        let asked = plain_client(&jumpcloud.url());
        let plain = started.elapsed();
        seconds.push((our_seconds, processor_seconds("/proc/thread-self/stat") - before));
        assert!(asked <= requests, "{asked} and {requests}");
        ratios.push(ours.as_secs_f64() / plain.as_secs_f64());
        memories.push(memory / 1024);
    }
    ratios.sort_by(f64::total_cmp);
    memories.sort_unstable();
    seconds.sort_by(|one, other| one.0.total_cmp(&other.0));
    let what = format!("{users_count} users of JumpCloud, {bound_count} of them bound");
    println!("| {what}: requests | 110, if one call gives the bound set; it gives 100 rows | {requests} |");
    println!("| the same: wall / a plain sequential client | <= 0.35 | {:.2} |", ratios[ROUNDS / 2]);
    println!("| the same: resident memory, MiB | <= {memory_max} | {} |", memories[ROUNDS / 2]);
    let (ours, plain) = seconds[ROUNDS / 2];
    println!(
        "| the same: processor time, s, with the plan and its comparison / the plain client | | {ours:.2} / {plain:.2} |"
    );
}

/// Wall time of a `plan`, the most memory it held resident, in KiB, and its processor time.
fn plan(folder: &Path) -> (Duration, u64, f64) {
    let started = Instant::now();
    let mut child = Command::new(BINARY)
        .args(["plan", "--sandbox", "--expect-no-changes", "-c"])
        .arg(folder.join("config.toml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let (status, stat) = (format!("/proc/{}/status", child.id()), format!("/proc/{}/stat", child.id()));
    let (mut memory, mut seconds) = (0, 0.0_f64);
    while child.try_wait().expect("it can be asked").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        memory = memory.max(line.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        seconds = seconds.max(processor_seconds(&stat));
        std::thread::sleep(Duration::from_millis(2));
    }
    (started.elapsed(), memory, seconds)
}

/// User and system time of a process or thread; Linux counts it in hundredths.
fn processor_seconds(stat: &str) -> f64 {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// What anybody would write first: one page after the other, the users into a map.
fn plain_client(root: &str) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let get = async |target: String| {
            let answer =
                client.get(format!("{root}{target}")).header("x-api-key", KEY).send().await.expect("an answer");
            let bytes = answer.bytes().await.expect("a body");
            serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON")
        };
        let (mut asked, mut bound, mut users) =
            (0, std::collections::BTreeSet::new(), std::collections::BTreeMap::new());
        loop {
            let page = get(format!("/api/v2/applications/{APPLICATION}/users?limit=100&skip={}", bound.len())).await;
            asked += 1;
            let rows = page.as_array().expect("a list");
            bound.extend(rows.iter().map(|row| row["id"].to_string()));
            if rows.len() < 100 || bound.len() % 100 != 0 {
                break;
            }
        }
        loop {
            let fields = "username%20email%20firstname%20lastname%20state%20suspended%20activated";
            let page = get(format!("/api/systemusers?limit=100&skip={}&sort=_id&fields={fields}", users.len())).await;
            asked += 1;
            let rows = page["results"].as_array().expect("a list");
            users.extend(rows.iter().map(|row| (row["_id"].to_string(), row.clone())));
            if users.len() as u64 >= page["totalCount"].as_u64().expect("a total") {
                break;
            }
        }
        users.retain(|id, _| bound.contains(id));
        assert!(!users.is_empty());
        asked
    })
}
