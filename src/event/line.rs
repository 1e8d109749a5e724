//! An event as one line of JSON, without chain: the shape of JumpCloud Directory Insights, in a fixed order of members.

use super::{Draft, Initiator};
use crate::model::{Approval, Content, Field, HeldChange, Moment, hex, is_invisible};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalOut<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<TargetOut<'a>>,
    sequence: i64,
}

#[derive(Serialize)]
struct InitiatedBy<'a> {
    r#type: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    claimed: bool,
    source: &'static str,
}

#[derive(Serialize)]
struct ApprovalOut<'a> {
    hold: &'a str,
    by: &'a str,
    account: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    claimed: bool,
    reason: &'a str,
}

#[derive(Serialize)]
struct TargetOut<'a> {
    action: &'static str,
    id: &'a str,
    username: &'a str,
    target_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangeOut<'a>>,
    /// Where the account showed something else than its link, the digest of that and what would be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
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

/// Renders an event behind `head`, whose sequence and time are already its own.
pub(super) fn render(draft: &Draft, head: &Head, installation: &Installation, random: [u8; 8]) -> String {
    let second = u32::try_from(head.timestamp.0.max(0) / 1000).unwrap_or(u32::MAX);
    let source = draft.source.as_str();
    let initiated_by = match &draft.initiator {
        Initiator::System => {
            InitiatedBy { r#type: "system", id: "rhombus-sync", username: None, claimed: false, source }
        }
        Initiator::Admin(person) => InitiatedBy {
            r#type: "admin",
            id: &person.account,
            username: Some(&person.username),
            claimed: person.claimed,
            source,
        },
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
        initiated_by,
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
        approval: draft.approval.as_ref().map(approval_out),
        targets: draft.targets.iter().map(target_out).collect(),
        sequence: head.sequence,
    };
    let mut json = Vec::with_capacity(LINE_BYTES);
    serde_json::to_writer(&mut json, &line).map(|()| escape(json)).unwrap_or_default()
}

fn approval_out(approval: &Approval) -> ApprovalOut<'_> {
    let Approval { hold, by, reason } = approval;
    ApprovalOut { hold: hold.as_str(), by: &by.username, account: &by.account, claimed: by.claimed, reason }
}

fn target_out(target: &HeldChange) -> TargetOut<'_> {
    let HeldChange { exact, user_name, fields } = target;
    TargetOut {
        action: exact.key.action.as_str(),
        id: exact.key.directory_id.as_str(),
        username: user_name.as_str(),
        target_id: exact.key.scim_id.as_ref().map_or("", |id| id.as_str()),
        changes: fields.iter().map(change_out).collect(),
        content: (exact.content != Content::of(user_name, fields)).then(|| exact.content.as_str()),
    }
}

fn change_out(field: &Field) -> ChangeOut<'_> {
    ChangeOut { field: field.name.as_str(), from: field.from.as_deref(), to: field.to.as_deref() }
}

/// serde_json escapes what JSON requires; a log must not contain DEL, C1 controls, the two line separators or characters that
/// nobody sees or that turn a line around either.
pub(crate) fn escape(json: Vec<u8>) -> String {
    let harmful = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}') || is_invisible(c);
    let json = String::from_utf8(json).unwrap_or_default();
    if !json.bytes().any(|byte| byte >= 0x7f) || !json.chars().any(harmful) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if harmful(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
        out
    })
}
