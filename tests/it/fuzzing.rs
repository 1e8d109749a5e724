//! The fuzz targets of `fuzz/`, without a fuzzer: the inputs that are kept there, and what chance makes of them. Failing inputs
//! of `tests/proof/run --full --part fuzz` are kept beside them, so that this is their test.
//! `RHOMBUS_SYNC_FUZZ=TARGET RHOMBUS_SYNC_FUZZ_SECONDS=60 cargo test --test it fuzzing::` takes longer, from `RHOMBUS_SYNC_SEED`.

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "they are public where fuzz/ is a crate of its own")]
mod targets;

use crate::support::chance::Chance;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Inputs of each target that the suite makes, within so much time.
const INPUTS_COUNT: u32 = 120;
const TARGET_TIME: Duration = Duration::from_secs(2);
/// The longest input, in bytes.
const INPUT_BYTES_MAX: usize = 8_192;
/// The longest that one input may take, on a machine that does much else.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);
/// The same for pages of JumpCloud: one that cannot be read is asked for again, after a pause.
const PAGES_TIME_MAX: Duration = Duration::from_secs(60);
/// What means something to some parser.
const WORDS: [&[u8]; 16] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"null",
    b"\xef\xbb\xbf",
    b"\xff",
];

type Target = fn(&[u8]);
const TARGETS: [(&str, Target); 12] = [
    ("answer", targets::answer),
    ("columns", targets::columns),
    ("config", targets::config),
    ("cron", targets::cron),
    ("events", targets::events),
    ("export", targets::export),
    ("jumpcloud", targets::jumpcloud),
    ("log", targets::log),
    ("receivers", targets::receivers),
    ("sandbox", targets::sandbox),
    ("scim", targets::scim),
    ("state", targets::state),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// What is kept for a target; exports also begin with those that programs wrote.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &PathBuf| std::fs::read(path).expect("an input");
    let mut inputs: Vec<_> = files(&root.join("fuzz/corpus").join(target)).iter().map(read).collect();
    if target == "export" {
        let exports = files(&root.join("tests/fixtures/exports")).into_iter().map(|path| read(&path));
        inputs
            .extend(exports.filter(|text| text.len() < INPUT_BYTES_MAX).map(|text| [b"\0".as_slice(), &text].concat()));
    }
    inputs
}

/// Some changes to one input, or parts of two.
fn mutated(inputs: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let at = |length: usize, chance: &mut Chance| usize::try_from(chance.next() % (length as u64 + 1)).expect("small");
    let mut input = inputs[at(inputs.len() - 1, chance)].clone();
    for _ in 0..chance.between(1, 6) {
        let place = at(input.len(), chance);
        let end = (place + at(24, chance)).min(input.len());
        match chance.below(7) {
            0 if place < input.len() => input[place] ^= 1 << chance.below(8),
            1 if place < input.len() => input[place] = u8::try_from(chance.below(256)).expect("a byte"),
            2 => drop(input.drain(place..end)),
            3 => {
                let part = input[place..end].to_vec();
                let times = usize::try_from(chance.between(1, 40)).expect("small");
                drop(input.splice(place..place, part.repeat(times)));
            }
            4 => {
                let other = &inputs[at(inputs.len() - 1, chance)];
                let from = at(other.len(), chance);
                input.truncate(place);
                input.extend(&other[from..]);
            }
            5 => input.truncate(place),
            _ => drop(input.splice(place..place, chance.pick(&WORDS).iter().copied())),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn time_max(target: &str) -> Duration {
    if target == "jumpcloud" { PAGES_TIME_MAX } else { INPUT_TIME_MAX }
}

/// Plays one input; what is wrong with it, if anything is.
fn play(target: Target, time_max: Duration, input: &[u8]) -> Option<String> {
    let started = Instant::now();
    let panic = std::panic::catch_unwind(|| target(input)).err().map(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
    });
    panic.or_else(|| (started.elapsed() > time_max).then(|| format!("it took {:?}", started.elapsed())))
}

#[test]
fn whatever_others_write_is_read_or_refused() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (only, seconds) = (std::env::var("RHOMBUS_SYNC_FUZZ").ok(), number("RHOMBUS_SYNC_FUZZ_SECONDS"));
    let mut faults = Vec::new();
    for (name, target) in TARGETS.into_iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)) {
        let (inputs, mut chance) = (kept(name), Chance::new(number("RHOMBUS_SYNC_SEED").unwrap_or(1)));
        let (started, mut count) = (Instant::now(), 0);
        let goes_on = |count: u32| match seconds {
            Some(seconds) => started.elapsed() < Duration::from_secs(seconds),
            None => count < INPUTS_COUNT && started.elapsed() < TARGET_TIME,
        };
        while inputs.len() > count as usize || goes_on(count) {
            let input = inputs.get(count as usize).cloned().unwrap_or_else(|| mutated(&inputs, &mut chance));
            count += 1;
            if let Some(fault) = play(target, time_max(name), &input) {
                faults.push(format!("{name}: {fault}, with b\"{}\"", input.escape_ascii()));
                break;
            }
        }
        eprintln!("inputs: {name} {count}");
    }
    targets::clean_up();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
