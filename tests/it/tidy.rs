//! House rules: who may use whom (ARCHITECTURE.md's table of rooms decides), how every file opens, how long files and
//! functions may be, and which words are not ours.

mod imports;
mod rooms;
mod text;

use imports::{Imports, circles};
use rooms::{Kind, Table};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use text::Text;

/// A file past this wants to be two.
const FILE_LINES_MAX: usize = 400;
/// Files that are longer for now. The list only shrinks.
const LONG_FILES: [&str; 0] = [];
/// A function past this does not fit on a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Functions that are longer for now. The list only shrinks.
const LONG_FUNCTIONS: [&str; 0] = [];
/// Files that import each other for now. The list only shrinks.
const CIRCLES: [&str; 0] = [];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn architecture() -> Table {
    rooms::table(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there"))
}

/// Every source file by its name below `src`, without its unit tests.
fn sources() -> BTreeMap<String, String> {
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
    let (src, mut found) = (root().join("src"), Vec::new());
    walk(&src, &mut found);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("text");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
        (path.strip_prefix(&src).expect("in src").to_str().expect("UTF-8").to_owned(), text)
    };
    found.into_iter().map(read).collect()
}

fn imports() -> Imports {
    Imports::of(&sources().into_iter().map(|(file, text)| (file, Text::of(&text).code)).collect())
}

fn room_of(file: &str) -> String {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// Room by room, from what the files import.
fn rooms_used(imports: &Imports) -> BTreeMap<String, BTreeSet<String>> {
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, used) in imports.used.iter().filter(|(file, _)| !matches!(file.as_str(), "lib.rs" | "main.rs")) {
        let room = room_of(file);
        let others = used.iter().map(|used| room_of(used)).filter(|used| *used != room);
        rooms.entry(room.clone()).or_default().extend(others);
    }
    rooms
}

#[test]
fn rooms_use_only_what_the_table_allows() {
    let (table, imports) = (architecture(), imports());
    for (file, used) in imports.used.iter().filter(|(file, _)| !matches!(file.as_str(), "lib.rs" | "main.rs")) {
        let room = room_of(file);
        let row = table.rooms.get(&room).unwrap_or_else(|| panic!("{room} is missing from ARCHITECTURE.md's table"));
        for used in used {
            let other = room_of(used);
            assert!(
                other == room || row.may_use.contains(&other),
                "src/{file} uses src/{used}: {room} may not use {other}"
            );
        }
    }
}

#[test]
fn the_table_has_every_room_and_names_none_in_vain() {
    let (table, files) = (architecture(), sources());
    let there: BTreeSet<String> =
        files.keys().map(|file| room_of(file)).filter(|room| !matches!(room.as_str(), "lib" | "main")).collect();
    assert_eq!(
        table.rooms.keys().cloned().collect::<BTreeSet<_>>(),
        there,
        "the table, and the folders and files of src"
    );
    let used = rooms_used(&imports());
    for (rooms, named) in &table.named {
        for name in named {
            let needed = rooms.iter().any(|room| used.get(room).is_some_and(|used| used.contains(name)));
            assert!(needed, "the table lets {} use {name}, which no file of theirs does", rooms.join(", "));
        }
    }
}

#[test]
fn no_room_and_no_file_is_in_a_circle() {
    let imports = imports();
    assert_eq!(circles(&rooms_used(&imports)), BTreeSet::new(), "rooms that use each other");
    // A room's `mod.rs` is its front door: its files take its types from there, and it calls them.
    let between = imports.used.into_iter().filter(|(file, _)| !file.ends_with("mod.rs")).collect();
    let found: BTreeSet<String> =
        circles(&between).into_iter().map(|files| files.into_iter().collect::<Vec<_>>().join(" ")).collect();
    let allowed: BTreeSet<String> = CIRCLES.into_iter().map(str::to_owned).collect();
    let new: Vec<_> = found.difference(&allowed).collect();
    assert!(new.is_empty(), "files that import each other: {new:?}");
    let open: Vec<_> = allowed.difference(&found).collect();
    assert!(open.is_empty(), "these circles are open now, take them off CIRCLES: {open:?}");
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    let table = architecture();
    for (file, text) in sources() {
        if table.rooms.get(&room_of(&file)).is_none_or(|room| room.kind != Kind::Pure) {
            continue;
        }
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
            assert!(!text.contains(forbidden), "src/{file}: {forbidden} in a pure room");
        }
    }
}

#[test]
fn every_file_opens_with_what_it_decides_and_stays_short() {
    let mut long = BTreeSet::new();
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "src/{file} does not say what it is");
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            assert!(LONG_FILES.contains(&file.as_str()), "src/{file} has {lines} lines, {FILE_LINES_MAX} are the most");
            long.insert(file);
        }
    }
    let short: Vec<_> = LONG_FILES.into_iter().filter(|file| !long.contains(*file)).collect();
    assert!(short.is_empty(), "these are short now, take them off LONG_FILES: {short:?}");
}

#[test]
fn every_function_fits_on_a_screen() {
    let mut long = BTreeSet::new();
    for (file, text) in sources() {
        for (name, lines) in Text::of(&text).functions() {
            if lines > FUNCTION_LINES_MAX {
                assert!(
                    LONG_FUNCTIONS.contains(&name.as_str()),
                    "src/{file}: {name} has {lines} lines, {FUNCTION_LINES_MAX} are the most"
                );
                long.insert(name);
            }
        }
    }
    let short: Vec<_> = LONG_FUNCTIONS.into_iter().filter(|name| !long.contains(*name)).collect();
    assert!(short.is_empty(), "these fit on a screen now, take them off LONG_FUNCTIONS: {short:?}");
}

#[test]
fn nothing_is_said_to_be_no_something() {
    let nouns = ["text", "number", "boolean", "address", "file", "list", "event", "user", "page", "record"];
    let mut found = Vec::new();
    for (file, text) in sources() {
        for (line, string) in Text::of(&text).strings {
            for sentence in string.split("is no ").skip(1) {
                let word: String = sentence.chars().take_while(char::is_ascii_alphabetic).collect();
                if nouns.contains(&word.as_str()) {
                    found.push(format!("src/{file}:{line}: is no {word}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "say \"is not a …\":\n{}", found.join("\n"));
}

#[test]
fn the_example_configuration_loads_and_its_values_are_the_defaults() {
    let example = rhombus_sync::config::Config::load(&root().join("config.example.toml")).expect("it loads");
    let folder = tempfile::tempdir().expect("a folder");
    let bare = folder.path().join("bare.toml");
    std::fs::write(&bare, "[directory]\npath = \"tests/fixtures/directory.json\"\n").expect("written");
    let bare = rhombus_sync::config::Config::load(&bare).expect("it loads");
    let comparable = |settings: &rhombus_sync::config::Settings| {
        (
            settings.layout.clone(),
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
