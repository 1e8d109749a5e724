//! Oddities on request: what some real servers do within, or just beside, the letter of SCIM. What of it shows in the
//! answers alone is played here; what changes accounts is played where accounts are changed.

use super::faults::{Dice, Verb, chance};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value, json};

/// One oddity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Oddity {
    AcceptedNotKept,
    BigMember,
    Blocked,
    Bom,
    CountRefused,
    CreateWithoutNames,
    CursorOnly,
    DateSkew,
    DeleteInactive,
    EmptyEmail,
    Hidden,
    HiddenInactive,
    KeepsInactive,
    LowerCaseMembers,
    NamesTrimmed,
    ShownTwice,
}

/// What an oddity is asked for with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Measure {
    Chance,
    Switch,
    Count,
    Seconds,
}

impl Measure {
    /// Its name in the help.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chance => "CHANCE",
            Self::Switch => "SWITCH",
            Self::Count => "NUMBER",
            Self::Seconds => "SECONDS",
        }
    }
}

/// Each oddity: its name, what it is asked for with, what it plays.
pub(super) const TABLE: [(Oddity, &str, Measure, &str); 16] = {
    use Measure::{Chance, Count, Seconds, Switch};
    [
        (Oddity::Blocked, "blocked", Count, "DELETE of the first N accounts that were made answers 500"),
        (Oddity::DeleteInactive, "delete_inactive", Switch, "DELETE answers 204 and only makes the account inactive"),
        (
            Oddity::KeepsInactive,
            "keeps_inactive",
            Switch,
            "active=false keeps the account, inactive, and its name taken",
        ),
        (
            Oddity::HiddenInactive,
            "hidden_inactive",
            Switch,
            "the same, and lists and filters do not show inactive accounts",
        ),
        (
            Oddity::Hidden,
            "hidden",
            Count,
            "lists and filters do not show the first N accounts, whose names are taken all the same",
        ),
        (
            Oddity::AcceptedNotKept,
            "accepted_not_kept",
            Chance,
            "PATCH and PUT answer 200 with the account as it was, and keep nothing",
        ),
        (Oddity::CreateWithoutNames, "create_without_names", Chance, "a create keeps no names, and its 201 shows none"),
        (Oddity::NamesTrimmed, "names_trimmed", Switch, "names are kept without blanks at their ends"),
        (
            Oddity::EmptyEmail,
            "empty_email",
            Switch,
            "who has no address is shown with an empty one, and a PUT of an element without a value is 400",
        ),
        (Oddity::CountRefused, "count_refused", Count, "a count above N is 422"),
        (Oddity::CursorOnly, "cursor_only", Count, "pages of N by cursor alone (RFC 9865); any startIndex is 501"),
        (Oddity::ShownTwice, "shown_twice", Chance, "a filter's answer holds each account twice"),
        (Oddity::BigMember, "big_member", Count, "each account that is shown has a photo of N bytes"),
        (Oddity::LowerCaseMembers, "lower_case_members", Chance, "the members of an answer are in lower case"),
        (Oddity::Bom, "bom", Chance, "a body begins with a UTF-8 byte order mark"),
        (
            Oddity::DateSkew,
            "date_skew_s",
            Seconds,
            "the Date of answers is so many seconds ahead, or behind where negative",
        ),
    ]
};

/// Reads an oddity by its name; none where there is none of that name.
pub(super) fn read(name: &str, value: &str) -> Result<Option<(Oddity, f64)>, String> {
    let Some((oddity, _, measure, _)) = TABLE.into_iter().find(|(_, known, ..)| *known == name) else {
        return Ok(None);
    };
    let number = match measure {
        Measure::Chance => chance(name, value)?,
        Measure::Switch => match value {
            "0" => 0.0,
            "1" => 1.0,
            _ => return Err(format!("{name} is neither 0 nor 1")),
        },
        Measure::Count => f64::from(value.parse::<u32>().map_err(|_| format!("{name} is not a whole number"))?),
        Measure::Seconds => f64::from(value.parse::<i32>().map_err(|_| format!("{name} is not a number of seconds"))?),
    };
    Ok(Some((oddity, number)))
}

/// An answer as the oddities make it look. `is_filtered`: it is the answer to a filter.
pub(super) async fn dressed(answer: Response, verb: Option<Verb>, is_filtered: bool, dice: &Dice) -> Response {
    let (mut head, body) = answer.into_parts();
    if let Some(seconds) = dice.number(Oddity::DateSkew)
        && let Ok(date) = HeaderValue::from_str(&date(seconds))
    {
        head.headers.insert(header::DATE, date);
    }
    // The simulator's own answers are whole in memory.
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(mut document) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(head, Body::from(bytes));
    };
    if head.status.is_success() {
        if verb == Some(Verb::List) && is_filtered && dice.happens(Oddity::ShownTwice) {
            shown_twice(&mut document);
        }
        accounts(&mut document).into_iter().for_each(|account| overloaded(account, dice));
    }
    if dice.happens(Oddity::LowerCaseMembers) {
        lower_case(&mut document);
    }
    let mut text = document.to_string();
    if dice.happens(Oddity::Bom) {
        text.insert(0, '\u{feff}');
    }
    head.headers.insert(header::CONTENT_LENGTH, text.len().into());
    Response::from_parts(head, Body::from(text))
}

/// Whether anything of this is asked for; most sandboxes run without, and fast.
pub(super) fn dress(dice: &Dice) -> bool {
    use Oddity::{BigMember, Bom, DateSkew, EmptyEmail, LowerCaseMembers, ShownTwice};
    [BigMember, Bom, DateSkew, EmptyEmail, LowerCaseMembers, ShownTwice]
        .into_iter()
        .any(|oddity| dice.number(oddity).is_some())
}

/// The `Date` of a clock that is so many seconds ahead.
fn date(seconds: f64) -> String {
    let now = jiff::Timestamp::now().as_second().saturating_add(seconds as i64);
    let since_epoch = std::time::Duration::from_secs(u64::try_from(now).unwrap_or_default());
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_epoch)
}

fn accounts(document: &mut Value) -> Vec<&mut Map<String, Value>> {
    if document["userName"].is_string() {
        return document.as_object_mut().into_iter().collect();
    }
    let resources = document.get_mut("Resources").and_then(Value::as_array_mut);
    resources
        .into_iter()
        .flatten()
        .filter(|account| account["userName"].is_string())
        .filter_map(Value::as_object_mut)
        .collect()
}

fn shown_twice(list: &mut Value) {
    let Some(Value::Array(resources)) = list.get_mut("Resources") else { return };
    let again = resources.clone();
    resources.extend(again);
    let count = resources.len();
    list["itemsPerPage"] = count.into();
    list["totalResults"] = (list["totalResults"].as_u64().unwrap_or_default() * 2).into();
}

fn overloaded(account: &mut Map<String, Value>, dice: &Dice) {
    if let Some(bytes) = dice.number(Oddity::BigMember) {
        let photo = format!("data:image/jpeg;base64,{}", "A".repeat(bytes as usize));
        account.insert("photos".to_owned(), json!([{"value": photo}]));
    }
    if dice.number(Oddity::EmptyEmail).is_some() {
        account.entry("emails").or_insert_with(|| json!([{"value": "", "primary": true}]));
    }
}

/// Whether a PUT holds the element that `empty_email` does not take back.
pub(super) fn has_empty_email(user: &Map<String, Value>) -> bool {
    let emails = user.get("emails").and_then(Value::as_array);
    emails.into_iter().flatten().any(|email| email["value"].as_str().is_none_or(str::is_empty))
}

/// Takes blanks from the ends of all names.
pub(super) fn trim_names(user: &mut Map<String, Value>) {
    let names = user.get_mut("name").and_then(Value::as_object_mut);
    for name in names.into_iter().flat_map(Map::values_mut) {
        if let Value::String(text) = name {
            *text = text.trim().to_owned();
        }
    }
}

fn lower_case(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let inside = std::mem::take(members).into_iter().map(|(key, mut value)| {
                lower_case(&mut value);
                (key.to_lowercase(), value)
            });
            members.extend(inside);
        }
        Value::Array(values) => values.iter_mut().for_each(lower_case),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The answer of a server that does not do what was asked.
pub(super) fn page(status: StatusCode, title: &str) -> Response {
    let mut page = Response::new(Body::from(format!("<html><body>{title}</body></html>")));
    *page.status_mut() = status;
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    page
}
