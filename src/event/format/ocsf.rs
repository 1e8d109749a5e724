//! Open Cybersecurity Schema Framework. Users are Account Change (3001) where it has the activity, all else is Entity Management
//! (3004); which activities and fields there are depends on the version. `raw_data` is deliberately absent: it doubles the size.

use super::record::{Record, is_none};
use crate::event::line::escape;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

const CATEGORY_UID: u32 = 3;
/// OCSF's number for what it has no activity for.
const OTHER: u32 = 99;

/// A version of the schema.
#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum OcsfVersion {
    /// 1.1.0.
    #[serde(rename = "1.1.0")]
    V1_1,
    /// 1.2.0.
    #[serde(rename = "1.2.0")]
    V1_2,
    /// 1.3.0: `entity.user`, and activities 5 to 13 of Entity Management.
    #[serde(rename = "1.3.0")]
    V1_3,
    /// 1.4.0: `actor` of Entity Management.
    #[serde(rename = "1.4.0")]
    V1_4,
    /// 1.5.0: the newest that all validators know which we found.
    #[default]
    #[serde(rename = "1.5.0")]
    V1_5,
    /// 1.6.0.
    #[serde(rename = "1.6.0")]
    V1_6,
    /// 1.7.0.
    #[serde(rename = "1.7.0")]
    V1_7,
}

impl OcsfVersion {
    /// As `metadata.version` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_1 => "1.1.0",
            Self::V1_2 => "1.2.0",
            Self::V1_3 => "1.3.0",
            Self::V1_4 => "1.4.0",
            Self::V1_5 => "1.5.0",
            Self::V1_6 => "1.6.0",
            Self::V1_7 => "1.7.0",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    AccountChange,
    EntityManagement,
}

impl Class {
    const fn uid(self) -> u32 {
        match self {
            Self::AccountChange => 3001,
            Self::EntityManagement => 3004,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::AccountChange => "Account Change",
            Self::EntityManagement => "Entity Management",
        }
    }
}

/// Class, activity and the activity's name.
fn activity(event_type: &str, version: OcsfVersion) -> (Class, u32, Cow<'static, str>) {
    let (class, number, name) = match event_type {
        "user_create_provision" => (Class::AccountChange, 1, "Create"),
        "user_deprovision" => (Class::AccountChange, 5, "Disable"),
        "user_delete_provision" => (Class::AccountChange, 6, "Delete"),
        // Account Change has no Update.
        "user_update_provision" | "idm_integration_update" | "idm_integration_reauth" => {
            (Class::EntityManagement, 3, "Update")
        }
        "user_lookup_provision" => (Class::EntityManagement, 2, "Read"),
        "idm_integration_activate" => (Class::EntityManagement, 10, "Activate"),
        "idm_integration_delete" => (Class::EntityManagement, 11, "Deactivate"),
        other => return (Class::EntityManagement, OTHER, Cow::Owned(titled(other))),
    };
    let is_later = class == Class::EntityManagement && number > 4 && version < OcsfVersion::V1_3;
    (class, if is_later { OTHER } else { number }, Cow::Borrowed(name))
}

/// `reconcile_held` as `Reconcile Held`.
fn titled(event_type: &str) -> String {
    let words = event_type.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    });
    words.collect::<Vec<_>>().join(" ")
}

#[derive(Serialize)]
struct Event<'r> {
    class_uid: u32,
    class_name: &'static str,
    category_uid: u32,
    category_name: &'static str,
    activity_id: u32,
    activity_name: &'r str,
    type_uid: u32,
    type_name: String,
    time: i64,
    severity_id: u32,
    severity: &'static str,
    status_id: u32,
    status: &'static str,
    message: String,
    metadata: Metadata<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Actor<'r>>,
    unmapped: Unmapped<'r>,
    #[serde(skip_serializing_if = "str::is_empty")]
    status_code: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    status_detail: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<Entity<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observables: Option<[Observable<'r>; 1]>,
}

#[derive(Serialize)]
struct Metadata<'r> {
    version: &'static str,
    uid: &'r str,
    sequence: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    correlation_uid: &'r str,
    event_code: &'r str,
    log_name: &'static str,
    original_time: &'r str,
    product: Product,
}

#[derive(Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Actor<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    invoked_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Person<'r>>,
}

#[derive(Serialize)]
struct Person<'r> {
    name: &'r str,
    type_id: u32,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Unmapped<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'r RawValue>,
    initiated_by: &'r RawValue,
    application: &'r RawValue,
    idm_client_id: &'r RawValue,
    message_chain: &'r RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'r RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<&'r RawValue>,
    #[serde(skip_serializing_if = "is_none")]
    targets_left_out: usize,
    chain: &'r str,
}

#[derive(Serialize)]
struct User<'r> {
    uid: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'r str,
    type_id: u32,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_addr: Option<&'r str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid_alt: &'r str,
}

#[derive(Serialize)]
struct Entity<'r> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'r str,
    uid: &'r str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'r>>,
}

#[derive(Serialize)]
struct Observable<'r> {
    name: &'static str,
    type_id: u32,
    r#type: &'static str,
    value: &'r str,
}

pub(super) fn render(record: &Record<'_>, version: OcsfVersion) -> Option<String> {
    let (class, activity_id, activity_name) = activity(&record.event_type, version);
    let (who, answer, application, cycle) = (record.who(), record.answer(), record.application(), record.cycle());
    let has_entity_user = version >= OcsfVersion::V1_3;
    let user = record.resource.is_user().then(|| user(record));
    let (user, entity) = match (class, user) {
        (Class::AccountChange, user) => (user, None),
        (Class::EntityManagement, Some(user)) => (None, Some(entity_of_user(record, user, has_entity_user))),
        (Class::EntityManagement, None) => {
            let type_id = has_entity_user.then_some(OTHER);
            let (name, uid) = (application.name.as_ref(), application.id.as_ref());
            (None, Some(Entity { name, uid, r#type: "Application", type_id, user: None }))
        }
    };
    let person = who
        .is_person()
        .then(|| Person { name: who.name(), type_id: 2, r#type: "Admin" })
        .filter(|who| !who.name.is_empty());
    let (severity_id, severity) = if record.success { (1, "Informational") } else { (3, "Medium") };
    let (status_id, status) = if record.success { (1, "Success") } else { (2, "Failure") };
    let activity_word = if activity_id == OTHER { "Other" } else { activity_name.as_ref() };
    let event = Event {
        class_uid: class.uid(),
        class_name: class.name(),
        category_uid: CATEGORY_UID,
        category_name: "Identity & Access Management",
        activity_id,
        activity_name: &activity_name,
        type_uid: class.uid() * 100 + activity_id,
        type_name: format!("{}: {activity_word}", class.name()),
        time: record.time_ms(),
        severity_id,
        severity,
        status_id,
        status,
        message: record.title(),
        metadata: metadata(record, version, &cycle),
        actor: actor(class, version, person),
        unmapped: Unmapped {
            changes: Some(record.changes).filter(|changes| changes.get() != "[]"),
            initiated_by: record.initiated_by,
            application: record.application,
            idm_client_id: record.idm_client_id,
            message_chain: record.message_chain,
            approval: record.approval,
            targets: record.targets,
            targets_left_out: record.targets_left_out,
            chain: &record.chain,
        },
        status_code: &answer.response_code,
        status_detail: &record.error_message,
        user,
        entity,
        observables: observable(record, class, has_entity_user),
    };
    serde_json::to_vec(&event).ok().map(escape)
}

fn metadata<'r>(record: &'r Record<'_>, version: OcsfVersion, cycle: &'r str) -> Metadata<'r> {
    Metadata {
        version: version.as_str(),
        uid: &record.id,
        sequence: record.sequence,
        correlation_uid: cycle,
        event_code: &record.event_type,
        log_name: "directory-insights",
        original_time: &record.timestamp,
        product: Product { name: "rhombus-sync", vendor_name: "rhombus-sync", version: env!("CARGO_PKG_VERSION") },
    }
}

/// Entity Management has an actor since 1.4; the program's name moved from `invoked_by` to `app_name` in 1.2.
fn actor(class: Class, version: OcsfVersion, person: Option<Person<'_>>) -> Option<Actor<'_>> {
    if class == Class::EntityManagement && version < OcsfVersion::V1_4 {
        return None;
    }
    let name = "rhombus-sync";
    let is_named_app = version >= OcsfVersion::V1_2;
    Some(Actor { invoked_by: (!is_named_app).then_some(name), app_name: is_named_app.then_some(name), user: person })
}

fn user<'r>(record: &'r Record<'_>) -> User<'r> {
    let resource = &record.resource;
    User {
        uid: &resource.id,
        name: &resource.username,
        type_id: 1,
        r#type: "User",
        email_addr: Some(resource.username.as_ref()).filter(|name| is_plain_address(name)),
        uid_alt: &resource.target_id,
    }
}

fn entity_of_user<'r>(record: &'r Record<'_>, user: User<'r>, has_entity_user: bool) -> Entity<'r> {
    Entity {
        name: &record.resource.username,
        uid: &record.resource.id,
        r#type: "User",
        type_id: has_entity_user.then_some(2),
        user: has_entity_user.then_some(user),
    }
}

fn observable<'r>(record: &'r Record<'_>, class: Class, has_entity_user: bool) -> Option<[Observable<'r>; 1]> {
    let value = record.resource.username.as_ref();
    let name = match class {
        Class::AccountChange => "user.name",
        Class::EntityManagement if has_entity_user => "entity.user.name",
        Class::EntityManagement => "entity.name",
    };
    (!value.is_empty()).then_some([Observable { name, type_id: 4, r#type: "User Name", value }])
}

/// What OCSF's pattern for addresses takes: ASCII, with a dot in the domain. The username stands in `name` in any case.
fn is_plain_address(text: &str) -> bool {
    let word = |text: &str, more: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte))
    };
    let Some((local, domain)) = text.split_once('@') else { return false };
    let Some((host, top)) = domain.rsplit_once('.') else { return false };
    word(local, "._%+-") && word(host, ".-") && top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic())
}
