//! The log in each format, lines that others wrote, and a state file that somebody damaged.

use super::{choice, folder, write};
use rhombus_sync::event::{
    ChainStart, Draft, EventFormat, EventType, FirstLine, Head, Installation, OcsfVersion, Outline, Renderer, Resource,
    Sealed, Source, Verifier, seal,
};
use rhombus_sync::model::{DirectoryId, Field, FieldName, Moment, Response, ScimId, UserName};
use rhombus_sync::store::{self, Access};
use rusqlite::Connection;
use std::sync::OnceLock;

const FORMATS: [EventFormat; 4] =
    [EventFormat::DirectoryInsights, EventFormat::Ocsf, EventFormat::Ecs, EventFormat::Cef];
const NOW: Moment = Moment(1_767_323_045_678);

fn begin() -> (Head, Installation) {
    let installation = Installation {
        installation_id: "65d000000000000000000002".to_owned(),
        integration_id: "65d000000000000000000003".to_owned(),
        organization: String::new(),
    };
    (Head { sequence: 6, chain: String::new(), timestamp: NOW }, installation)
}

fn draft(texts: &[String], first: u8) -> Draft {
    let text = |place: usize| texts.get(place).cloned().unwrap_or_default();
    let types = [
        EventType::UserCreateProvision,
        EventType::UserUpdateProvision,
        EventType::UserDeprovision,
        EventType::UserDeleteProvision,
        EventType::UserLookupProvision,
    ];
    Draft {
        resource: Some(Resource {
            id: DirectoryId::new(text(0)),
            username: Some(UserName::of_account(&text(1))),
            target_id: Some(ScimId::new(text(2))),
        }),
        changes: vec![Field { name: FieldName::GivenName, from: Some(text(3).into()), to: Some(text(4).into()) }],
        response: Response { status: Some(200), details: text(5), ..Response::default() },
        error_message: text(6),
        ..Draft::new(types[usize::from(first) % types.len()], first & 128 == 0, Source::Schedule)
    }
}

/// Texts of an event, each after a NUL, written in each format and read back.
pub fn events(data: &[u8]) {
    let Some((first, rest)) = choice(data) else { return };
    let texts: Vec<_> = rest.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    let (mut head, installation) = begin();
    let event = seal(&draft(&texts, first), &mut head, &installation, None, (NOW, [1; 8])).expect("a number is left");
    let mut verifier = Verifier::begin(7, ChainStart::Known(String::new()));
    verifier.verify(&event.line).expect("a sealed line verifies");
    let written: serde_json::Value = serde_json::from_str(&event.line).expect("JSON");
    assert_eq!(written["resource"]["id"].as_str(), Some(texts[0].as_str()));
    assert!(Outline::of(&event).is_some());
    for format in FORMATS {
        let renderer = Renderer { format, ocsf_version: OcsfVersion::default(), host: "h".to_owned() };
        let whole = renderer.line(&event).expect("a line");
        let judge = |line: &str| {
            assert!(!line.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}', '\0', '\u{1b}']), "{line}");
            assert_eq!(format.sequence_of(line), Some(7), "{line}");
            assert!(matches!(FirstLine::of(line, true), FirstLine::Event(_)), "{line}");
            assert!(!format.is_json() || serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        };
        judge(&whole);
        for bytes_max in [480, 1_000, 2_048, whole.len() - 1] {
            if let Some(short) = renderer.line_within(&event, bytes_max) {
                assert!(short.len() <= bytes_max, "{} of {bytes_max} bytes", short.len());
                judge(&short);
            }
        }
    }
}

/// Lines that somebody else may have written into a log.
pub fn log(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut verifier = Verifier::begin(1, ChainStart::Known(String::new()));
    for line in text.lines() {
        let _ = (FirstLine::of(line, true), FirstLine::of(line, false), verifier.verify(line));
        for format in FORMATS {
            let _ = format.sequence_of(line);
            let renderer = Renderer { format, ocsf_version: OcsfVersion::default(), host: "h".to_owned() };
            let event = Sealed { sequence: 1, line: line.to_owned() };
            let _ = (renderer.line(&event), renderer.line_within(&event, 600), Outline::of(&event));
        }
    }
}

/// A good state, as bytes.
fn image() -> Vec<u8> {
    let path = folder().join("good.db");
    let mut state = store::create(&path, "https://x.example", Moment(1_000), [7; 16]).expect("a state");
    let transaction = state.transaction().expect("a transaction");
    let drafts: Vec<_> =
        (0..40).map(|number| draft(&[format!("d{number}"), format!("p{number}@x.example")], 0)).collect();
    store::append(&transaction, &drafts, NOW).expect("events");
    transaction.commit().expect("a commit");
    state.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
    drop(state);
    std::fs::read(&path).expect("the state")
}

/// Everything that a command reads of a state.
fn read(state: &Connection) -> rusqlite::Result<()> {
    store::installation(state)?;
    store::head_of(state)?;
    store::outstanding(state)?;
    store::open_intents(state)?;
    store::sink_places(state)?;
    store::current_hold(state)?;
    store::dead_letters(state)?;
    store::health(state)?;
    store::unmanaged(state)?;
    store::pending(state, 0, 1_000)?;
    store::scope_versions(state)?;
    store::each_link(state, &mut |_| {})
}

/// A state of which bytes were changed, five for each: where, and to what. It is refused or read, and a writer that opens it
/// leaves one that is.
pub fn state(data: &[u8]) {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let mut image = IMAGE.get_or_init(image).clone();
    let Some((first, rest)) = choice(data) else { return };
    for change in rest.chunks_exact(5) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], change[3]]) as usize % image.len();
        image[at] = change[4];
    }
    if first & 1 == 1 {
        image.truncate(image.len() / 256 * usize::from(first));
    }
    let path = write("mutated.db", &image);
    for suffix in store::SIDE_FILES {
        let _ = std::fs::remove_file(folder().join(format!("mutated.db{suffix}")));
    }
    if let Ok(state) = store::open(&path, Access::Read) {
        let _ = store::quick_check(&state);
        let _ = read(&state);
    }
    let _ = store::upgrade(&path, NOW, None);
    if let Ok(mut state) = store::open(&path, Access::Write) {
        let _ = state.transaction().and_then(|transaction| {
            store::append(&transaction, &[draft(&["d".to_owned()], 0)], NOW)?;
            transaction.commit()
        });
    }
}
