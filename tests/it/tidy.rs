//! House rules: who may use whom, how every file opens, and how long it may be. The table is ARCHITECTURE.md's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Rooms that do no IO and read no clock.
const PURE: [&str; 9] = ["model", "records", "plan", "event", "outcome", "retry", "settlement", "schedule", "report"];
/// What every edge stands on.
const BASE: [&str; 4] = ["secret", "folder", "http", "config"];
/// Rooms that meet the context. They never use each other.
const EDGES: [&str; 4] = ["source", "scim", "store", "sink"];
/// Rooms that put the others together.
const SHELL: [&str; 5] = ["cycle", "ship", "daemon", "sandbox", "cli"];
/// A file past this wants to be two.
const LINES_MAX: usize = 400;

fn files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    found
}

fn room_of(path: &Path) -> String {
    let relative = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("in src");
    let first = relative.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a text names by `crate::room`, `use crate::{room, …}` aside, which the house does not write.
fn rooms_used(text: &str) -> BTreeSet<String> {
    text.split("crate::")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .filter(|room: &String| !room.is_empty())
        .collect()
}

fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut table = BTreeMap::new();
    let all = |groups: &[&[&'static str]]| groups.concat();
    for room in PURE {
        table.insert(
            room,
            match room {
                "model" | "records" => vec![],
                "plan" | "event" | "schedule" => vec!["model"],
                "outcome" => vec!["model"],
                "retry" => vec!["model", "outcome"],
                "settlement" => vec!["model", "event"],
                _ => vec!["model", "plan", "event"],
            },
        );
    }
    for room in BASE {
        table.insert(room, all(&[&PURE, &["secret", "folder"]]));
    }
    for room in EDGES {
        table.insert(room, all(&[&PURE, &BASE]));
    }
    table.insert("cycle", all(&[&PURE, &BASE, &EDGES]));
    table.insert("ship", all(&[&PURE, &BASE, &EDGES]));
    table.insert("daemon", all(&[&PURE, &BASE, &EDGES, &["ship"]]));
    table.insert("sandbox", all(&[&PURE, &BASE]));
    table.insert("cli", all(&[&PURE, &BASE, &EDGES, &SHELL]));
    table.insert("main", vec![]);
    table.insert("lib", vec![]);
    table
}

#[test]
fn rooms_use_only_what_the_table_allows() {
    let table = allowed();
    for path in files() {
        let (room, text) = (room_of(&path), std::fs::read_to_string(&path).expect("text"));
        let may = table.get(room.as_str()).unwrap_or_else(|| panic!("{room} is in no row of the table"));
        for used in rooms_used(&text) {
            assert!(used == room || may.contains(&used.as_str()), "{}: {room} may not use {used}", path.display());
        }
    }
}

#[test]
fn every_room_of_the_table_is_in_architecture_md() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("it is there");
    for room in [&PURE[..], &BASE, &EDGES, &SHELL].concat() {
        assert!(
            text.contains(&format!("`{room}`"))
                || text.contains(&format!("`{room}/`"))
                || text.contains(&format!("`{room}.rs`")),
            "ARCHITECTURE.md lacks {room}"
        );
    }
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    for path in files().into_iter().filter(|path| PURE.contains(&room_of(path).as_str())) {
        let text = std::fs::read_to_string(&path).expect("text");
        for forbidden in [
            "std::fs",
            "std::net",
            "std::env",
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "tokio",
            "rusqlite",
            "reqwest",
            "getrandom",
        ] {
            assert!(!text.contains(forbidden), "{}: {forbidden} in a pure room", path.display());
        }
    }
}

#[test]
fn every_file_opens_with_what_it_decides_and_stays_short() {
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("//! "), "{} does not say what it is", path.display());
        let lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines, {LINES_MAX} are the most", path.display());
    }
}

#[test]
fn the_example_configuration_loads_and_its_values_are_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let example = rhombus_sync::config::Config::load(&path).expect("it loads");
    let folder = tempfile::tempdir().expect("a folder");
    let bare = folder.path().join("bare.toml");
    std::fs::write(&bare, "[directory]\npath = \"tests/fixtures/directory.json\"\n").expect("written");
    let bare = rhombus_sync::config::Config::load(&bare).expect("it loads");
    let comparable = |settings: &rhombus_sync::config::Settings| {
        (
            settings.format,
            settings.policy,
            settings.existing_accounts,
            settings.limits.clone(),
            settings.window,
            settings.settle_time,
        )
    };
    assert_eq!(comparable(&example.settings), comparable(&bare.settings));
    assert_eq!(
        (example.schedule, example.timeout, example.update_method),
        (bare.schedule, bare.timeout, bare.update_method)
    );
}
