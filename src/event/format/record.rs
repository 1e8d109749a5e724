//! An event as the other formats read it from its line. What they only pass on stays as it was written, escapes included.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A sentence for people shows at most this much of a text from outside, in bytes.
const SENTENCE_TEXT_BYTES_MAX: usize = 512;

/// An event.
#[derive(Deserialize)]
pub(super) struct Record<'l> {
    #[serde(borrow)]
    pub(super) id: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) timestamp: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) event_type: Cow<'l, str>,
    pub(super) success: bool,
    #[serde(borrow)]
    pub(super) initiated_by: &'l RawValue,
    #[serde(borrow)]
    pub(super) application: &'l RawValue,
    #[serde(borrow)]
    pub(super) idm_client_id: &'l RawValue,
    #[serde(borrow)]
    pub(super) resource: Resource<'l>,
    #[serde(borrow)]
    pub(super) changes: &'l RawValue,
    #[serde(borrow)]
    pub(super) message_chain: &'l RawValue,
    #[serde(borrow)]
    pub(super) error_message: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) correlation: &'l RawValue,
    /// Who approved it.
    #[serde(borrow, default)]
    pub(super) approval: Option<&'l RawValue>,
    /// Whom an approval is about.
    #[serde(borrow, default)]
    pub(super) targets: Option<&'l RawValue>,
    /// How many more there are, where a receiver has no room for them.
    #[serde(default)]
    pub(super) targets_left_out: usize,
    pub(super) sequence: i64,
    #[serde(borrow)]
    pub(super) chain: Cow<'l, str>,
}

/// What an event is about.
#[derive(Deserialize)]
pub(super) struct Resource<'l> {
    #[serde(borrow)]
    r#type: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) id: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) username: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) target_id: Cow<'l, str>,
}

impl Resource<'_> {
    pub(super) fn is_user(&self) -> bool {
        self.r#type == "user"
    }
}

/// Who started it.
#[derive(Deserialize, Default)]
pub(super) struct Who<'l> {
    #[serde(borrow, default)]
    r#type: Cow<'l, str>,
    #[serde(borrow, default)]
    id: Cow<'l, str>,
    #[serde(borrow, default)]
    username: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    pub(super) source: Cow<'l, str>,
    /// Whether only the environment says who it was.
    #[serde(default)]
    pub(super) claimed: bool,
}

impl Who<'_> {
    pub(super) fn is_person(&self) -> bool {
        self.r#type == "admin"
    }

    /// The account of the process.
    pub(super) fn account(&self) -> &str {
        &self.id
    }

    /// The person, else the account.
    pub(super) fn name(&self) -> &str {
        self.username.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.id)
    }
}

/// The answer.
#[derive(Deserialize, Default)]
pub(super) struct MessageChain<'l> {
    #[serde(borrow, default)]
    pub(super) response_code: Cow<'l, str>,
    #[serde(borrow, default)]
    pub(super) message_details: Cow<'l, str>,
}

/// An id, and a name if it has one.
#[derive(Deserialize, Default)]
pub(super) struct Named<'l> {
    #[serde(borrow, default)]
    pub(super) id: Cow<'l, str>,
    #[serde(borrow, default)]
    pub(super) name: Cow<'l, str>,
}

/// A changed attribute.
#[derive(Deserialize)]
pub(super) struct Change<'l> {
    #[serde(borrow)]
    pub(super) field: Cow<'l, str>,
    #[serde(borrow, default)]
    pub(super) from: Option<&'l RawValue>,
    #[serde(borrow, default)]
    pub(super) to: Option<&'l RawValue>,
}

impl<'l> Record<'l> {
    pub(super) fn of(line: &'l str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    pub(super) fn who(&self) -> Who<'l> {
        serde_json::from_str(self.initiated_by.get()).unwrap_or_default()
    }

    pub(super) fn answer(&self) -> MessageChain<'l> {
        serde_json::from_str(self.message_chain.get()).unwrap_or_default()
    }

    pub(super) fn application(&self) -> Named<'l> {
        serde_json::from_str(self.application.get()).unwrap_or_default()
    }

    pub(super) fn cycle(&self) -> Cow<'l, str> {
        serde_json::from_str::<Named<'l>>(self.correlation.get()).unwrap_or_default().id
    }

    pub(super) fn changes(&self) -> Vec<Change<'l>> {
        serde_json::from_str(self.changes.get()).unwrap_or_default()
    }

    /// Milliseconds since 1970.
    pub(super) fn time_ms(&self) -> i64 {
        self.timestamp.parse::<jiff::Timestamp>().map_or(0, |at| at.as_millisecond())
    }

    /// The type, and the user if there is one.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.event_type, self.resource.username).trim_end().to_owned()
    }

    /// For people: what was done, to whom, and why not.
    pub(super) fn sentence(&self) -> String {
        let outcome = if self.success { "" } else { " failed: " };
        let short = |text: &str| {
            let end = (0..=text.len().min(SENTENCE_TEXT_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end));
            text[..end.unwrap_or(0)].replace(char::is_control, " ")
        };
        let why = if self.success { String::new() } else { short(&self.error_message) };
        format!("{}{outcome}{why}", short(&self.title()))
    }
}

/// A count that is not worth a member.
pub(super) const fn is_none(count: &usize) -> bool {
    *count == 0
}

/// A JSON value as text: a string is its characters.
pub(super) fn plain(value: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(value.get()),
    }
}
