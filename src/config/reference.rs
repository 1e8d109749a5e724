//! docs/configuration.md, written from one table of every section and key. The tests below compare the table with what the
//! parser accepts, key by key, value by value and default by default. It is not part of the program.

mod shape;
mod standby;
mod table;

use shape::Absent::{Is, Nothing, Required};
use shape::Shape::{self, Address, Duration, Integer, OneOf, Path, Text, Texts, YesNo};
use table::SECTIONS;

/// The only section that may stand more than once.
const REPEATED: &str = "sinks";

const INTRODUCTION: &str = "# Configuration

This page is generated from the code; a test compares the two. To change it, edit `src/config/reference/table.rs` and run
`UPDATE_DOCS=1 cargo test --lib config::reference`.

The file is TOML, by default `/etc/rhombus-sync/config.toml`; `-c FILE` or `RHOMBUS_SYNC_CONFIG` names another one.
[`config.example.toml`](../config.example.toml) is a complete file to start from. An unknown key or value is an error (exit 78) with
its line and the nearest name. Paths are relative to the file. A duration is an integer and `s`, `m`, `h` or `d`.
`rhombus-sync check` validates a file and reads no secrets.
";

/// The document.
fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in SECTIONS {
        let heading =
            if section.name == REPEATED { format!("[[{}]]", section.name) } else { format!("[{}]", section.name) };
        text += &format!(
            "\n## `{heading}`\n\n{}\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
            section.about
        );
        for key in section.keys {
            let default = match key.default {
                Is(default) => format!("`{default}`"),
                Nothing => "none".to_owned(),
                Required => "required".to_owned(),
            };
            text += &format!("| `{}` | {} | {default} | {} |\n", key.name, in_words(key.value), key.about);
        }
    }
    text
}

fn in_words(value: Shape) -> String {
    match value {
        Text => "string".to_owned(),
        Texts => "list of strings".to_owned(),
        Path => "path".to_owned(),
        Address => "URL".to_owned(),
        Integer => "integer".to_owned(),
        YesNo => "`true` or `false`".to_owned(),
        Duration => "duration".to_owned(),
        OneOf(values) => values.iter().map(|value| format!("`\"{value}\"`")).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::shape::Section;
    use super::*;
    use crate::config::{Config, raw};
    use std::collections::BTreeSet;
    use std::path::Path as FilePath;

    fn file(name: &str) -> std::path::PathBuf {
        FilePath::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    /// What a file needs to load, beside the key that is looked at.
    const NEEDED: [(&str, &[&str]); 4] = [
        ("directory", &["path = \"d.json\""]),
        ("rhombus", &["base_url = \"https://x.example/scim/v2\"", "token_file = \"t\""]),
        ("standby", &["litestream = \"unix:///l\"", "replica = \"s3://bucket/acme\""]),
        (REPEATED, &["kind = \"file\"", "path = \"e.ndjson\""]),
    ];

    /// A file with `line` in `section`.
    fn with(section: &Section, line: &str) -> String {
        let key = line.split(" = ").next().unwrap_or_default();
        let mut text = String::new();
        let names = NEEDED.iter().map(|(name, _)| *name).chain([section.name]).collect::<BTreeSet<_>>();
        for name in names {
            text += &if name == REPEATED { format!("[[{name}]]\n") } else { format!("[{name}]\n") };
            let needed = NEEDED.iter().filter(|(needed, _)| *needed == name).flat_map(|(_, lines)| lines.iter());
            for other in needed.filter(|other| name != section.name || other.split(" = ").next() != Some(key)) {
                text += &format!("{other}\n");
            }
            if name == section.name {
                text += &format!("{line}\n");
            }
        }
        text
    }

    fn load(text: &str) -> Result<String, String> {
        Config::from_text(text, FilePath::new("/x"))
            .map(|config| format!("{config:?}"))
            .map_err(|problem| problem.to_string())
    }

    /// What serde says that it would have accepted instead.
    fn expected_instead(text: &str) -> BTreeSet<String> {
        let problem = toml::from_str::<raw::Raw>(text).err().expect("it is wrong").message().to_owned();
        let (_, expected) = problem.split_once("expected ").unwrap_or_else(|| panic!("{problem}: {text}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn names<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
        names.map(str::to_owned).collect()
    }

    #[test]
    fn the_table_has_every_section_and_key_that_the_parser_accepts() {
        let tops = SECTIONS.iter().map(|section| section.name.split('.').next().unwrap_or_default());
        assert_eq!(expected_instead("xyzzy = 1"), names(tops), "the sections of the file");
        for section in SECTIONS {
            let inside = SECTIONS.iter().filter_map(|other| other.name.strip_prefix(section.name)?.strip_prefix('.'));
            let keys = section.keys.iter().map(|key| key.name).chain(inside);
            assert_eq!(expected_instead(&with(section, "xyzzy = 1")), names(keys), "the keys of [{}]", section.name);
        }
    }

    #[test]
    fn its_values_are_those_that_the_parser_accepts() {
        for section in SECTIONS {
            for key in section.keys {
                let wrong = match key.value {
                    OneOf(values) => {
                        let text = with(section, &format!("{} = \"xyzzy\"", key.name));
                        assert_eq!(expected_instead(&text), names(values.iter().copied()), "{}", key.name);
                        "1"
                    }
                    Text | Path | Address => "1",
                    Texts => "\"xyzzy\"",
                    Integer => "-1",
                    YesNo => "\"true\"",
                    Duration => "\"xyzzy\"",
                };
                let text = with(section, &format!("{} = {wrong}", key.name));
                assert!(
                    toml::from_str::<raw::Raw>(&text).is_err(),
                    "[{}] {} = {wrong} is accepted",
                    section.name,
                    key.name
                );
            }
        }
    }

    #[test]
    fn its_defaults_are_those_of_the_parser() {
        for section in SECTIONS {
            let without = load(&with(section, ""));
            assert!(without.is_ok(), "[{}]: {without:?}", section.name);
            for key in section.keys {
                let Is(default) = key.default else { continue };
                let text = with(section, &format!("{} = {default}", key.name));
                assert_eq!(load(&text), without, "[{}] {} is not {default} if it is left out", section.name, key.name);
            }
        }
    }

    #[test]
    fn the_example_has_every_key_in_its_section() {
        let example = std::fs::read_to_string(file("config.example.toml")).expect("the example");
        let mut shown: BTreeSet<(String, String)> = BTreeSet::new();
        let mut section = String::new();
        for line in example.lines() {
            if let Some(name) = line.trim_start_matches("# ").strip_prefix('[') {
                section = name.split(']').next().unwrap_or_default().trim_matches('[').to_owned();
            } else if let Some((name, _)) = line.trim_start_matches("# ").split_once(" = ") {
                shown.insert((section.clone(), name.to_owned()));
            }
        }
        for section in SECTIONS {
            for key in section.keys.iter().filter(|key| !key.name.ends_with("_credential")) {
                let place = (section.name.to_owned(), key.name.to_owned());
                assert!(shown.contains(&place), "config.example.toml lacks [{}] {}", section.name, key.name);
            }
        }
    }

    #[test]
    fn the_document_is_what_the_table_says() {
        let path = file("docs/configuration.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, markdown()).expect("written");
        }
        let document = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            document == markdown(),
            "docs/configuration.md is not up to date: UPDATE_DOCS=1 cargo test --lib config::reference"
        );
    }
}
