//! Events in every format: one of each type as it is written down, and names that try to break or forge a record, parsed back by
//! code that shares nothing with the writers. `RHOMBUS_SYNC_FORMATS=FOLDER` keeps the generated files for others' validators.

mod documents;
mod ecs;

use rhombus_sync::event::{EventFormat, OcsfVersion, Outline, Renderer, Sealed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

const VERSIONS: [OcsfVersion; 7] = [
    OcsfVersion::V1_1,
    OcsfVersion::V1_2,
    OcsfVersion::V1_3,
    OcsfVersion::V1_4,
    OcsfVersion::V1_5,
    OcsfVersion::V1_6,
    OcsfVersion::V1_7,
];

fn renderer(format: EventFormat, ocsf_version: OcsfVersion) -> Renderer {
    Renderer { format, ocsf_version, host: "host.example".to_owned() }
}

/// Every rendering by the name of its file.
fn renderers() -> Vec<(String, Renderer)> {
    let ocsf =
        VERSIONS.map(|version| (format!("ocsf-{}.ndjson", version.as_str()), renderer(EventFormat::Ocsf, version)));
    let mut all = Vec::from(ocsf);
    all.push(("ecs.ndjson".to_owned(), renderer(EventFormat::Ecs, OcsfVersion::default())));
    all.push(("cef.txt".to_owned(), renderer(EventFormat::Cef, OcsfVersion::default())));
    all
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/siem").join(name)
}

fn sealed(line: &str) -> Sealed {
    let event: Value = serde_json::from_str(line).expect("JSON");
    Sealed { sequence: event["sequence"].as_i64().expect("a sequence"), line: line.to_owned() }
}

fn samples() -> Vec<Sealed> {
    std::fs::read_to_string(fixture("directory-insights.ndjson")).expect("the samples").lines().map(sealed).collect()
}

static SAMPLE: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&samples()[2].line).expect("JSON"));

/// An event about a user with these texts, as the log would have it.
fn event(sequence: i64, username: &str, from: &str, to: &str, error: &str) -> Sealed {
    let mut event = SAMPLE.clone();
    event["sequence"] = sequence.into();
    event["resource"]["username"] = username.into();
    event["changes"] = json!([
        {"field": "name.givenName", "from": from, "to": to}, {"field": "name.familyName", "to": to},
        {"field": "externalId", "from": from},
    ]);
    event["error_message"] = error.into();
    event["success"] = error.is_empty().into();
    Sealed { sequence, line: escaped(&event.to_string()) }
}

/// As the log writes it.
fn escaped(json: &str) -> String {
    let harmful = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    json.chars().map(|c| if harmful(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

#[test]
fn an_event_of_each_type_looks_as_documented_in_each_format() {
    for (name, renderer) in renderers() {
        let lines: String =
            samples().iter().map(|event| renderer.line(event).expect("an event").into_owned() + "\n").collect();
        let lines = lines.replace(env!("CARGO_PKG_VERSION"), "0.1.0");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(fixture(&name), &lines).expect("written");
        }
        let expected = std::fs::read_to_string(fixture(&name)).unwrap_or_default();
        assert!(lines == expected, "{name} is another: UPDATE_DOCS=1 cargo test --test it formats:: shows how");
    }
}

/// The extension of a CEF line, by the rules of the format.
fn cef(line: &str) -> BTreeMap<String, String> {
    let fields: Vec<&str> = line.splitn(8, '|').collect();
    assert!(fields.len() == 8 && fields[0] == "CEF:0", "{line}");
    let (mut found, mut rest) = (BTreeMap::new(), fields[7]);
    while let Some((key, after)) = rest.split_once('=') {
        let (mut value, mut chars, mut end) = (String::new(), after.char_indices(), after.len());
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next().expect("nothing is left open").1 {
                    'n' => value.push('\n'),
                    c @ ('\\' | '=') => value.push(c),
                    other => panic!("\\{other} in {line}"),
                },
                '=' => {
                    let space = after[..at].rfind(' ').expect("a space before a key");
                    end = space;
                    let surplus = after[space..at].len();
                    value.truncate(value.len() - surplus);
                    break;
                }
                c => value.push(c),
            }
        }
        assert!(found.insert(key.trim().to_owned(), value).is_none(), "{key} twice in {line}");
        rest = &after[end..];
    }
    found
}

/// What a record says of the user, of the last changed value and of the reason, whatever its format.
fn read(format: EventFormat, line: &str) -> (i64, String, String, String) {
    assert!(!line.contains(char::is_control) && !line.contains(['\u{2028}', '\u{2029}']), "{line:?}");
    if format == EventFormat::Cef {
        let found = cef(line);
        let change: Value = serde_json::from_str(&found["cs4"]).expect("JSON");
        let get = |key: &str| found.get(key).cloned().unwrap_or_default();
        assert_eq!((get("cs1Label").as_str(), get("cn1Label").as_str()), ("chain", "sequence"));
        let to = change["to"].as_str().unwrap_or_default().to_owned();
        return (found["cn1"].parse().expect("a number"), get("duser"), to, get("reason"));
    }
    let event: Value = serde_json::from_str(line).expect("one JSON document");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if format == EventFormat::Ecs {
        let changes: Value = serde_json::from_str(&text(&event["rhombus_sync"]["audit"]["changes"])).expect("JSON");
        let sequence = event["event"]["sequence"].as_i64().expect("a number");
        (sequence, text(&event["user"]["target"]["name"]), text(&changes[1]["to"]), text(&event["event"]["reason"]))
    } else {
        let sequence = event["metadata"]["sequence"].as_i64().expect("a number");
        let to = text(&event["unmapped"]["changes"][1]["to"]);
        (sequence, text(&event["entity"]["name"]), to, text(&event["status_detail"]))
    }
}

/// Texts made of what breaks formats.
fn hostile(seed: usize) -> String {
    const PIECES: [&str; 24] = [
        "a",
        "Ann",
        "|",
        "\\",
        "=",
        "\"",
        "\\\"",
        "\\n",
        "\n",
        "\r\n",
        "\t",
        "\u{85}",
        "\u{2028}",
        "\u{202e}",
        "\u{0}",
        " outcome=failure",
        "\\=",
        "<13>1 - - ",
        "\u{1f600}",
        "ä",
        "}",
        "{\"a\":1}",
        " cs1=0",
        "CEF:0|a|b|",
    ];
    let mut state = seed as u64 * 2 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let count = 1 + next() % 12;
    format!("x{}x", (0..count).map(|_| PIECES[next() % PIECES.len()]).collect::<String>())
}

/// What CEF keeps of a text: a line end is a line end, any other control character a space.
fn in_cef(text: &str) -> String {
    let kept = |c: char| match c {
        '\n' | '\r' => '\n',
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
        c => c,
    };
    text.chars().map(kept).collect()
}

#[test]
fn no_name_breaks_or_forges_a_record_in_any_format() {
    let count = std::env::var("RHOMBUS_SYNC_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000).min(100_000);
    let folder = std::env::var_os("RHOMBUS_SYNC_FORMATS");
    let texts: Vec<_> =
        (1..=count).map(|seed| (hostile(seed), hostile(seed + 1_000_000), hostile(seed + 2_000_000))).collect();
    let events: Vec<_> = (1..)
        .zip(&texts)
        .map(|(sequence, (username, to, error))| event(sequence, username, "old", to, error))
        .collect();
    for (name, renderer) in renderers() {
        let mut lines = String::new();
        for (event, (username, to, error)) in events.iter().zip(&texts) {
            let seed = event.sequence;
            let line = renderer.line(event).expect("an event");
            let found = read(renderer.format, &line);
            let keep = |text: &str| if renderer.format == EventFormat::Cef { in_cef(text) } else { text.to_owned() };
            assert_eq!(found, (seed, keep(username), to.clone(), keep(error)), "{name}: {line}");
            assert_eq!(renderer.format.sequence_of(&line), Some(seed), "{name}: {line}");
            lines.extend([line.as_ref(), "\n"]);
        }
        if let Some(folder) = &folder {
            std::fs::write(Path::new(folder).join(name), lines).expect("written");
        }
    }
}

#[test]
fn an_event_that_is_too_long_has_its_longest_values_cut_with_a_mark() {
    let long = |c: &str| c.repeat(1_024);
    let event = event(7, "ann@x.example", &long("\\"), &long("\""), "short");
    let di = renderer(EventFormat::DirectoryInsights, OcsfVersion::default());
    for renderer in renderers().into_iter().map(|(_, renderer)| renderer).chain([di]) {
        let line = renderer.line_within(&event, 3_000).expect("it fits");
        assert!(line.len() <= 3_000 && line.len() > 1_900, "{}: {line}", line.len());
        assert!(line.contains("...[cut]") && line.contains("ann@x.example") && line.contains("short"), "{line}");
        assert_eq!(renderer.format.sequence_of(&line), Some(7));
        let chain = Outline::of(&event).expect("an event").chain;
        assert!(line.contains(&chain), "{line}");
        assert!(renderer.line_within(&event, 300).is_none(), "not everything can be cut");
        let whole = renderer.line(&event).expect("an event");
        assert_eq!(renderer.line_within(&event, whole.len()).as_deref(), Some(whole.as_ref()));
    }
}

#[test]
fn custom_strings_of_cef_stay_within_their_limits() {
    let event = event(7, &format!("{}@x.example", "=".repeat(2_000)), &"\\".repeat(1_024), &"\"".repeat(1_024), "e");
    let line = renderer(EventFormat::Cef, OcsfVersion::default()).line(&event).expect("an event").into_owned();
    for part in line.split(" cs").skip(1) {
        assert!(part.chars().count() <= 4_020, "{part}");
    }
    let found = cef(&line);
    assert!(found["duser"].ends_with("...[cut]") && found["duser"].chars().count() <= 1_023, "{}", found["duser"]);
    let change: Value = serde_json::from_str(&found["cs3"]).expect("still JSON");
    assert!(change["from"].as_str().is_some_and(|from| from.starts_with('\\')), "{change}");
}
