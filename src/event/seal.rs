//! Adds number, time and chain to an event. Every sink gets the resulting line, byte for byte.

use super::Draft;
use super::chain::{SealKey, chained};
use super::line::{Head, Installation, render};
use crate::model::{Action, Moment};

/// An event as it is stored and shipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The sequence.
    pub sequence: i64,
    /// The line, without its newline.
    pub line: String,
}

/// Seals one event and advances the head; `None` where no number is left. `random` makes the event's id unique.
#[must_use]
pub fn seal(
    draft: &Draft,
    head: &mut Head,
    installation: &Installation,
    key: Option<&SealKey>,
    (now, random): (Moment, [u8; 8]),
) -> Option<Sealed> {
    head.timestamp = head.timestamp.max(now);
    head.sequence = head.sequence.checked_add(1)?;
    let mut line = render(draft, head, installation, random);
    head.chain = chained(&head.chain, &line);
    line.pop();
    line.extend([",\"chain\":\"", &head.chain, "\""]);
    if let Some(key) = key {
        line.extend([",\"seal\":\"", &key.seal_of(&head.chain), "\""]);
    }
    line.push('}');
    Some(Sealed { sequence: head.sequence, line })
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
    use crate::model::hex;
    use crate::model::{CycleId, DirectoryId, Field, FieldName, UserName};
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
        seal(&draft, head, &installation, None, (Moment(1_767_323_045_678), [1; 8])).expect("a number")
    }

    #[test]
    fn a_line_has_the_promised_shape_and_its_chain_covers_the_line_before() {
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
