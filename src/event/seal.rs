//! Adds number, time and chain to an event. Every sink gets the resulting line, byte for byte.

use super::{Draft, Initiator};
use crate::model::{Action, Field, Moment, hex};
use serde::Serialize;

/// Enough for most lines, chain included.
const LINE_BYTES: usize = 1024;

/// The end of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// Sequence of the last event; 0 before the first.
    pub sequence: i64,
    /// The last event's chain; empty before the first.
    pub chain: String,
    /// The last event's time: event timestamps never go back.
    pub timestamp: Moment,
}

/// What all events of one installation share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Installation {
    /// Installation id: 24 hex digits.
    pub installation_id: String,
    /// Integration id: 24 hex digits.
    pub integration_id: String,
    /// The organisation; empty if none is configured.
    pub organization: String,
}

/// An event as it is stored and shipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The sequence.
    pub sequence: i64,
    /// The line, without its newline.
    pub line: String,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "@version")]
    version: &'static str,
    id: String,
    timestamp: String,
    service: &'static str,
    event_type: &'static str,
    success: bool,
    organization: &'a str,
    initiated_by: InitiatedBy<'a>,
    application: Application<'a>,
    idm_client_id: &'a str,
    resource: ResourceOut<'a>,
    changes: Vec<ChangeOut<'a>>,
    message_chain: MessageChain<'a>,
    error_message: &'a str,
    correlation: Correlation<'a>,
    sequence: i64,
}

#[derive(Serialize)]
struct InitiatedBy<'a> {
    r#type: &'static str,
    id: &'a str,
    source: &'static str,
}

#[derive(Serialize)]
struct Application<'a> {
    id: &'a str,
    name: &'static str,
}

#[derive(Serialize)]
struct ResourceOut<'a> {
    r#type: &'static str,
    id: &'a str,
    username: &'a str,
    target_id: &'a str,
}

#[derive(Serialize)]
struct ChangeOut<'a> {
    field: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    to: Option<&'a str>,
}

#[derive(Serialize)]
struct MessageChain<'a> {
    response_code: &'a str,
    response_message: &'a str,
    message_details: &'a str,
}

#[derive(Serialize)]
struct Correlation<'a> {
    id: &'a str,
    r#type: &'static str,
}

/// Seals one event and advances the head. `random` makes the event's id unique.
#[must_use]
pub fn seal(draft: &Draft, head: &mut Head, installation: &Installation, now: Moment, random: [u8; 8]) -> Sealed {
    head.timestamp = head.timestamp.max(now);
    head.sequence += 1;
    let mut line = render(draft, head, installation, random);
    head.chain = super::verify::chained(&head.chain, &line);
    line.pop();
    line.extend([",\"chain\":\"", &head.chain, "\"}"]);
    Sealed { sequence: head.sequence, line }
}

fn render(draft: &Draft, head: &Head, installation: &Installation, random: [u8; 8]) -> String {
    let second = u32::try_from(head.timestamp.0.max(0) / 1000).unwrap_or(u32::MAX);
    let (initiator, who) = match &draft.initiator {
        Initiator::System => ("system", "rhombus-sync"),
        Initiator::Admin(name) => ("admin", name.as_str()),
    };
    let resource = match &draft.resource {
        Some(resource) => ResourceOut {
            r#type: "user",
            id: resource.id.as_str(),
            username: resource.username.as_ref().map_or("", |name| name.as_str()),
            target_id: resource.target_id.as_ref().map_or("", |id| id.as_str()),
        },
        None => ResourceOut { r#type: "application", id: &installation.integration_id, username: "", target_id: "" },
    };
    let line = Line {
        version: "1",
        id: format!("{second:08x}{}", hex(&random)),
        timestamp: head.timestamp.to_string(),
        service: "directory",
        event_type: draft.event_type.as_str(),
        success: draft.success,
        organization: &installation.organization,
        initiated_by: InitiatedBy { r#type: initiator, id: who, source: draft.source.as_str() },
        application: Application { id: &installation.integration_id, name: "rhombus" },
        idm_client_id: &installation.installation_id,
        resource,
        changes: draft.changes.iter().map(change_out).collect(),
        message_chain: MessageChain {
            response_code: &draft.response.code(),
            response_message: &draft.response.phrase,
            message_details: &draft.response.details,
        },
        error_message: &draft.error_message,
        correlation: Correlation { id: draft.cycle.as_ref().map_or("", |id| id.as_str()), r#type: "reconcile" },
        sequence: head.sequence,
    };
    let mut json = Vec::with_capacity(LINE_BYTES);
    serde_json::to_writer(&mut json, &line).map(|()| escape(json)).unwrap_or_default()
}

fn change_out(field: &Field) -> ChangeOut<'_> {
    ChangeOut { field: field.name.as_str(), from: field.from.as_deref(), to: field.to.as_deref() }
}

/// serde_json escapes what JSON requires; a log must not contain DEL, C1 controls or the two line separators either.
pub(super) fn escape(json: Vec<u8>) -> String {
    let harmful = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    let json = String::from_utf8(json).unwrap_or_default();
    if !json.bytes().any(|byte| byte >= 0x7f) || !json.chars().any(harmful) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if harmful(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
        out
    })
}

/// The event type of an action.
#[must_use]
pub(crate) fn event_type_of(action: Action) -> super::EventType {
    match action {
        Action::Create => super::EventType::UserCreateProvision,
        Action::Link | Action::Update | Action::Relink => super::EventType::UserUpdateProvision,
        Action::Deactivate => super::EventType::UserDeprovision,
        Action::Delete => super::EventType::UserDeleteProvision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventType, Resource, Response, Source};
    use crate::model::{CycleId, DirectoryId, FieldName, UserName};
    use sha2::{Digest, Sha256};

    fn sealed(head: &mut Head, name: &str) -> Sealed {
        let draft = Draft {
            resource: Some(Resource {
                id: DirectoryId::new("d1"),
                username: Some(UserName::of_account(name)),
                target_id: None,
            }),
            changes: vec![Field { name: FieldName::GivenName, from: None, to: Some("A\u{2028}\n\u{85}".into()) }],
            response: Response { status: Some(201), phrase: "Created".into(), details: String::new() },
            cycle: Some(CycleId::new("c")),
            ..Draft::new(EventType::UserCreateProvision, true, Source::Reconcile)
        };
        let installation =
            Installation { installation_id: "i".into(), integration_id: "g".into(), organization: String::new() };
        seal(&draft, head, &installation, Moment(1_767_323_045_678), [1; 8])
    }

    #[test]
    fn a_line_is_what_the_contract_shows_and_its_chain_covers_the_line_before() {
        let mut head = Head { sequence: 0, chain: String::new(), timestamp: Moment(0) };
        let first = sealed(&mut head, "a@b.example");
        let (body, chain) = first.line.rsplit_once(",\"chain\":").expect("the chain is last");
        assert_eq!(
            body,
            r#"{"@version":"1","id":"695735a50101010101010101","timestamp":"2026-01-02T03:04:05.678Z","service":"directory","event_type":"user_create_provision","success":true,"organization":"","initiated_by":{"type":"system","id":"rhombus-sync","source":"reconcile"},"application":{"id":"g","name":"rhombus"},"idm_client_id":"i","resource":{"type":"user","id":"d1","username":"a@b.example","target_id":""},"changes":[{"field":"name.givenName","to":"A\u2028\n\u0085"}],"message_chain":{"response_code":"201","response_message":"Created","message_details":""},"error_message":"","correlation":{"id":"c","type":"reconcile"},"sequence":1"#
        );
        assert_eq!(chain, format!("\"{}\"}}", hex(&Sha256::digest(format!("\n{body}}}")))));
        let second = sealed(&mut head, "b@b.example");
        let (body, chain) = second.line.rsplit_once(",\"chain\":").expect("the chain is last");
        let before = first.line.rsplit('"').nth(1).expect("hex");
        assert_eq!(chain, format!("\"{}\"}}", hex(&Sha256::digest(format!("{before}\n{body}}}")))));
    }

    #[test]
    fn timestamps_never_go_back() {
        let mut head = Head { sequence: 7, chain: "x".into(), timestamp: Moment(1_900_000_000_000) };
        let sealed = sealed(&mut head, "a@b.example");
        assert!(sealed.line.contains("2030-03-17") && sealed.sequence == 8, "{}", sealed.line);
    }
}
