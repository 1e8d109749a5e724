//! The whole binary against plain baselines of the same run, alternating: only the ratios mean anything on another
//! machine. `cargo bench` prints the table of PERFORMANCE.md; `cargo bench -- --large` adds a million users. `BASELINE=PATH` puts
//! an earlier build beside this one where every record is touched.
//!
//! Baselines are this program again: `--hash FILE` reads, computes xxh3-128 and does one fsync; `--parse FILE` parses
//! records sliced and borrowed. First syncs have a bench of their own: `first_sync.rs`.
#![allow(clippy::print_stdout, reason = "its table is what it is for")]

#[path = "support/endpoint.rs"]
mod endpoint;
#[path = "support/office.rs"]
mod office;

use endpoint::Endpoint;
use office::{BINARY, Office, export, export_touched, median, run};
use serde::Deserialize;
use std::borrow::Cow;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3Default;

const WINDOW_BYTES: usize = 1 << 20;
/// How often each pair of runs is repeated; the median counts.
const ROUNDS: usize = 7;

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
    let baseline = std::env::var_os("BASELINE").map(PathBuf::from);
    for users in sizes {
        big_export(*users);
        if let Some(baseline) = &baseline {
            all_touched(*users, baseline);
        }
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

fn baseline(what: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(what).arg(path);
    command
}

/// Every record is touched in a member that is not mapped, after an export whose records are remembered.
fn all_touched(users: usize, baseline: &Path) {
    let endpoint = Endpoint::start(Duration::ZERO);
    let offices = [Path::new(BINARY), baseline].map(|binary| (binary, Office::new(&endpoint.base_url, 32)));
    let mut ratios = Vec::new();
    for (binary, office) in &offices {
        export(&office.path("directory.json"), users, "Engineer");
        run(&mut office.command_of(binary, &["activate"]));
        run(&mut office.command_of(binary, &["--reconcile"]));
    }
    for round in 0..ROUNDS {
        let took = offices.each_ref().map(|(binary, office)| {
            let path = office.path("directory.json");
            // The first of them is read whole and remembered, the second by what is remembered.
            for again in 0..2 {
                export(&path, users, &format!("Touched {round} {again}"));
                run(&mut office.command_of(binary, &["--reconcile"]));
            }
            export_touched(&path, users, &format!("Touched {round}"), 1);
            run(&mut office.command_of(binary, &["--reconcile"])).0.as_secs_f64()
        });
        ratios.push(took[0] / took[1]);
    }
    let ratio = median(ratios);
    println!("| every record touched, {users} users, nothing sent: wall / the earlier build | <= 1.35 | {ratio:.2} |");
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
    let goal = if users > 100_000 { "0.30" } else { "0.35" };
    println!(
        "| 1 % touched, {users} users, nothing sent: wall / sliced, borrowed parse | <= {goal} | {:.2} |",
        median(touched)
    );
    println!("| its resident memory, MiB | <= 24 | {:.0} |", median(rss));
    println!("| first sync of {users} users: resident memory, MiB | <= 256 | {} |", first_rss / 1024);
    for (arguments, limit) in [(&["--version"][..], 10), (&["status"], 20)] {
        let took: Vec<_> = (0..ROUNDS).map(|_| run(&mut office.command(arguments)).0.as_secs_f64() * 1000.0).collect();
        println!("| `{}` on that state, ms | <= {limit} | {:.0} |", arguments[0], median(took));
    }
}
