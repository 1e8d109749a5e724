//! The table of rooms in ARCHITECTURE.md: what each is, and which rooms it may use.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Pure,
    Base,
    Edge,
    Shell,
}

pub(super) struct Room {
    pub(super) kind: Kind,
    pub(super) may_use: BTreeSet<String>,
}

pub(super) struct Table {
    pub(super) rooms: BTreeMap<String, Room>,
    /// Rows that name single rooms: the rooms of the row, and those that it names.
    pub(super) named: Vec<(Vec<String>, Vec<String>)>,
}

/// Reads the table below "## Rooms".
pub(super) fn table(architecture: &str) -> Table {
    let section = architecture.split("\n## Rooms\n").nth(1).expect("a section on rooms");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows: Vec<(Vec<String>, Kind, &str)> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" |").map(str::trim).collect();
            let [rooms, what, may_use] = cells[..] else { panic!("a row has three cells: {line}") };
            (names(rooms), kind(what), may_use)
        })
        .collect();
    let of_kind = |wanted: Kind| rows.iter().filter(move |row| row.1 == wanted).flat_map(|row| row.0.clone());
    let mut table = Table { rooms: BTreeMap::new(), named: Vec::new() };
    for (rooms, kind, cell) in &rows {
        let mut may_use = BTreeSet::new();
        for word in cell.split(", ").filter(|word| !word.is_empty()) {
            match word {
                "pure" => may_use.extend(of_kind(Kind::Pure)),
                "base" => may_use.extend(of_kind(Kind::Base)),
                "edges" => may_use.extend(of_kind(Kind::Edge)),
                "everything" => may_use.extend(rows.iter().flat_map(|row| row.0.clone())),
                name if name.starts_with('`') => may_use.extend(names(name)),
                _ => panic!("ARCHITECTURE.md: may use {word:?} is not a room, pure, base, edges or everything"),
            }
        }
        table.named.push((rooms.clone(), names(cell)));
        for room in rooms {
            table.rooms.insert(room.clone(), Room { kind: *kind, may_use: may_use.clone() });
        }
    }
    table
}

/// What stands between backquotes, without `/` and `.rs`.
fn names(cell: &str) -> Vec<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.map(|name| name.trim_end_matches('/').trim_end_matches(".rs").to_owned()).collect()
}

fn kind(what: &str) -> Kind {
    match what.split(':').next() {
        Some("PURE") => Kind::Pure,
        Some("BASE") => Kind::Base,
        Some("EDGE") => Kind::Edge,
        Some("SHELL") => Kind::Shell,
        _ => panic!("ARCHITECTURE.md: {what:?} does not begin with PURE, BASE, EDGE or SHELL"),
    }
}
