//! Who imports whom, file by file: `use` lines and written-out paths, followed through `pub use` to the file that an item
//! stands in.

use super::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// A path of the crate, by its segments.
type Segments = Vec<String>;

/// The files of the crate, and which of them each names.
pub(super) struct Imports {
    modules: BTreeMap<Segments, String>,
    exported: BTreeMap<Segments, Vec<(String, Segments)>>,
    /// By file, as `room/file.rs`.
    pub(super) used: BTreeMap<String, BTreeSet<String>>,
}

impl Imports {
    /// `files` are names relative to `src`, with their code.
    pub(super) fn of(files: &BTreeMap<String, String>) -> Self {
        let modules = files.keys().map(|file| (module_of(file), file.clone())).collect();
        let mut imports = Self { modules, exported: BTreeMap::new(), used: BTreeMap::new() };
        let mut named: BTreeMap<String, Vec<Segments>> = BTreeMap::new();
        for (file, code) in files {
            let module = module_of(file);
            let (uses, rest) = split_uses(code);
            let mut alias: BTreeMap<String, Segments> = BTreeMap::new();
            for (public, path, name) in uses {
                let Some(path) = imports.absolute(&module, &path) else { continue };
                if public {
                    imports.exported.entry(module.clone()).or_default().push((name.clone(), path.clone()));
                } else {
                    named.entry(file.clone()).or_default().push(path.clone());
                }
                alias.insert(name, path);
            }
            for path in paths(&rest) {
                let path = match alias.get(&path[0]) {
                    Some(start) => Some([start.as_slice(), &path[1..]].concat()),
                    None => imports.absolute(&module, &path),
                };
                named.entry(file.clone()).or_default().extend(path);
            }
        }
        for (file, paths) in named {
            let used = paths.iter().filter_map(|path| imports.file_of(path)).filter(|used| *used != file).collect();
            imports.used.insert(file, used);
        }
        imports
    }

    /// From the crate's root; nothing for a path of another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Segments> {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let (base, rest) = match path[0].as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (module, &path[1..]),
            "super" => (&module[..module.len().checked_sub(supers)?], &path[supers..]),
            child if self.modules.contains_key(&[module, &[child.to_owned()]].concat()) => (module, path),
            _ => return None,
        };
        Some([base, rest].concat())
    }

    fn file_of(&self, path: &[String]) -> Option<String> {
        let depth = (1..=path.len()).rev().find(|depth| self.modules.contains_key(&path[..*depth]))?;
        let elsewhere = path.get(depth).and_then(|name| {
            let exported = self.exported.get(&path[..depth])?;
            exported.iter().find(|(exported, _)| exported == name).map(|(_, path)| path)
        });
        match elsewhere {
            Some(elsewhere) => self.file_of(&[elsewhere, &path[depth + 1..]].concat()),
            None => self.modules.get(&path[..depth]).cloned(),
        }
    }
}

/// The groups of names that reach each other by `used`.
pub(super) fn circles(used: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<BTreeSet<String>> {
    let reach = |from: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(name) = open.pop() {
            for next in used.get(name).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, _> = used.keys().map(|name| (name, reach(name))).collect();
    let circle = |name: &String| -> BTreeSet<String> {
        let back = |other: &&String| reached.get(*other).is_some_and(|reached| reached.contains(name));
        reached[name].iter().filter(back).cloned().collect()
    };
    used.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

fn module_of(file: &str) -> Segments {
    let path = file.trim_end_matches(".rs").split('/');
    path.filter(|segment| !matches!(*segment, "mod" | "lib")).map(str::to_owned).collect()
}

/// Each import as (public, path, name), and the code without them.
fn split_uses(code: &str) -> (Vec<(bool, Segments, String)>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let start = line.trim_start();
        let public = start.starts_with("pub");
        let words = if public { start.split_once(' ').map_or("", |(_, words)| words) } else { start };
        let Some(tree) = words.strip_prefix("use ") else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().expect("an import ends"));
        }
        for (path, name) in leaves(tree.trim().trim_end_matches(';')) {
            uses.push((public, path, name));
        }
    }
    (uses, rest)
}

/// The paths of `a::{b, c::{self, d as e}}`, each with the name that it gives.
fn leaves(tree: &str) -> Vec<(Segments, String)> {
    let tree = tree.trim();
    let Some((prefix, inside)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name)));
        let mut path: Segments = path.trim().split("::").map(str::to_owned).collect();
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let name = name.map_or_else(|| path.last().cloned().unwrap_or_default(), |name| name.trim().to_owned());
        return vec![(path, name)];
    };
    let inside = inside.trim_end().trim_end_matches('}');
    // What was trimmed too much belongs to a group further in.
    let inside = format!("{inside}{}", "}".repeat(inside.matches('{').count() - inside.matches('}').count()));
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, character) in inside.char_indices().chain([(inside.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inside[start..at].trim().is_empty() {
                    found.extend(leaves(&format!("{prefix}{}", inside[start..at].trim())));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// Every path of two segments or more that the code writes out.
fn paths(code: &str) -> Vec<Segments> {
    code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .map(|word| word.trim_matches(':').split("::").map(str::to_owned).collect::<Segments>())
        .filter(|path| path.len() > 1 && path.iter().all(|segment| !segment.is_empty()))
        .collect()
}

#[test]
fn an_import_is_followed_to_the_file_that_an_item_stands_in() {
    let file = |name: &str, source: &str| (name.to_owned(), Text::of(source).code);
    let files = BTreeMap::from([
        file("lib.rs", "pub mod a;\npub mod b;\n"),
        file("a/mod.rs", "mod inner;\npub use inner::{Item, Other as Name};\n"),
        file("a/inner.rs", "use crate::b; // crate::c\nfn f() { b::deep::g(\"crate::c\") }\n"),
        file("b/mod.rs", "pub mod deep;\n"),
        file("b/deep.rs", "use crate::a::{self, Item};\nfn g() { a::Name::new() }\n"),
        file("c.rs", "fn h() { super::b::deep::g(); std::b::deep() }\n"),
    ]);
    let imports = Imports::of(&files);
    let used = |name: &str| imports.used[name].iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(used("a/inner.rs"), "b/deep.rs b/mod.rs");
    assert_eq!(used("b/deep.rs"), "a/inner.rs a/mod.rs");
    assert_eq!(used("c.rs"), "b/deep.rs");
    let circle = BTreeSet::from(["a/inner.rs".to_owned(), "b/deep.rs".to_owned()]);
    assert_eq!(circles(&imports.used), BTreeSet::from([circle]));
}
