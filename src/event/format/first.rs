//! Whose log a file is, by its first line: an event in one of our formats names its installation, or at least its place in the log.

use super::{EventFormat, cef};
use crate::model::small_json;
use serde_json::Value;

/// What the first line of a file is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FirstLine {
    /// An event.
    Event(Stamp),
    /// The beginning of an event that a crash tore, with the installation if it got so far.
    Torn(Option<String>),
    /// Something else.
    Foreign,
}

/// What an event says about the log that it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Its place in the log.
    pub sequence: i64,
    /// Its chain.
    pub chain: String,
    /// The installation; CEF has no place for it.
    pub installation: Option<String>,
}

/// How lines begin; `?` stands for any character.
const BEGINNINGS: [(EventFormat, &str); 4] = [
    (EventFormat::DirectoryInsights, "{\"@version\":\"1\",\"id\":\"????????????????????????\",\"timestamp\":\""),
    (EventFormat::Ocsf, "{\"class_uid\":300?,\"class_name\":\""),
    (EventFormat::Ecs, "{\"@timestamp\":\"????-??-??T??:??:??.???Z\",\"ecs\":{\"version\":\""),
    (EventFormat::Cef, "CEF:0|rhombus-sync|rhombus-sync|"),
];
/// What stands before the installation in every format that names it.
const INSTALLATION: &str = "\"idm_client_id\":\"";

impl FirstLine {
    /// `whole`: a line with its end; otherwise all that there is of it.
    #[must_use]
    pub fn of(line: &str, whole: bool) -> Self {
        if whole {
            return stamp(line).map_or(Self::Foreign, Self::Event);
        }
        let begins =
            |beginning: &str| line.chars().zip(beginning.chars()).all(|(is, wanted)| wanted == '?' || is == wanted);
        if line.is_empty() || !BEGINNINGS.iter().any(|(_, beginning)| begins(beginning)) {
            return Self::Foreign;
        }
        let named = line.split_once(INSTALLATION).and_then(|(_, rest)| rest.split_once('"'));
        Self::Torn(named.map(|(installation, _)| installation.to_owned()))
    }
}

fn stamp(line: &str) -> Option<Stamp> {
    if line.starts_with("CEF:") {
        let sequence = cef::sequence_of(line).filter(|_| line.starts_with(BEGINNINGS[3].1))?;
        let (_, rest) = line.rsplit_once(" cs1Label=chain cs1=")?;
        let chain = rest.split(' ').next().unwrap_or_default().to_owned();
        return Some(Stamp { sequence, chain, installation: None });
    }
    let event = small_json(line.as_bytes())?;
    let text = |at: &str| event.pointer(at).and_then(Value::as_str).map(str::to_owned);
    for (sequence, chain, installation) in [
        ("/sequence", "/chain", "/idm_client_id"),
        ("/metadata/sequence", "/unmapped/chain", "/unmapped/idm_client_id"),
        ("/event/sequence", "/event/hash", "/rhombus_sync/audit/idm_client_id"),
    ] {
        if let (Some(sequence), Some(chain), Some(installation)) =
            (event.pointer(sequence).and_then(Value::as_i64), text(chain), text(installation))
        {
            return Some(Stamp { sequence, chain, installation: Some(installation) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{OcsfVersion, Renderer};
    use super::*;
    use crate::event::{Draft, EventType, Head, Installation, Sealed, Source, seal};
    use crate::model::Moment;

    fn event() -> Sealed {
        let installation = Installation {
            installation_id: "65d000000000000000000002".into(),
            integration_id: "g".into(),
            organization: String::new(),
        };
        let now = Moment(1_767_323_045_678);
        let mut head = Head { sequence: 6, chain: String::new(), timestamp: now };
        let draft = Draft::new(EventType::LogCheckpoint, true, Source::Schedule);
        seal(&draft, &mut head, &installation, None, (now, [1; 8])).expect("there is room")
    }

    #[test]
    fn an_event_is_known_in_every_format_whole_and_torn() {
        for format in [EventFormat::DirectoryInsights, EventFormat::Ocsf, EventFormat::Ecs, EventFormat::Cef] {
            let renderer = Renderer { format, ocsf_version: OcsfVersion::default(), host: "h".into() };
            let event = event();
            let line = renderer.line(&event).expect("a line").into_owned();
            let FirstLine::Event(found) = FirstLine::of(&line, true) else { panic!("{format:?}: {line}") };
            let named = (format != EventFormat::Cef).then_some("65d000000000000000000002");
            assert_eq!((found.sequence, found.installation.as_deref()), (7, named), "{format:?}");
            assert_eq!(found.chain.len(), 64, "{format:?}");
            for end in 1..line.len() {
                let FirstLine::Torn(installation) = FirstLine::of(&line[..end], false) else {
                    panic!("{}", &line[..end])
                };
                assert!(installation.is_none() || installation.as_deref() == named, "{installation:?}");
            }
        }
    }

    #[test]
    fn what_is_no_event_of_ours_is_foreign() {
        for line in [
            "",
            "{}",
            "secret-token",
            "[{\"_id\":\"1\",\"username\":\"a@b.example\"}]",
            "SQLite format 3\0",
            "[directory]",
            "{\"sequence\":1,\"chain\":\"x\"}",
            "{\"@timestamp\":\"2026-01-01T00:00:00.000Z\",\"message\":\"of another program\"}",
            "CEF:0|other|product|1|x|y|3|cn1Label=sequence cn1=4 cs1Label=chain cs1=ab",
            "Jan 1 00:00:00 host program: text",
        ] {
            for whole in [true, false] {
                assert_eq!(FirstLine::of(line, whole), FirstLine::Foreign, "{line} {whole}");
            }
        }
    }
}
