//! Applies the oddities that only affect answers.

use super::digits;
use super::faults::{Dice, Verb};
use super::oddities::Oddity;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::{Map, Value, json};

/// Applies the oddities to an answer. `is_filtered`: it answers a filter.
pub(super) async fn dressed(answer: Response, verb: Option<Verb>, is_filtered: bool, dice: &Dice) -> Response {
    let (mut head, body) = answer.into_parts();
    if let Some(seconds) = dice.number(Oddity::DateSkew)
        && let Ok(date) = HeaderValue::from_str(&date(seconds))
    {
        head.headers.insert(header::DATE, date);
    }
    // The simulator's own answers are fully in memory.
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(mut document) = digits::read::<Value>(&bytes) else {
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
    let mut text = digits::write(&document);
    if dice.happens(Oddity::Bom) {
        text.insert(0, '\u{feff}');
    }
    head.headers.insert(header::CONTENT_LENGTH, text.len().into());
    Response::from_parts(head, Body::from(text))
}

/// Whether any of these oddities is requested; most sandboxes run without, and fast.
pub(super) fn dress(dice: &Dice) -> bool {
    use Oddity::{BigMember, Bom, DateSkew, EmptyEmail, LowerCaseMembers, ShownTwice};
    [BigMember, Bom, DateSkew, EmptyEmail, LowerCaseMembers, ShownTwice]
        .into_iter()
        .any(|oddity| dice.number(oddity).is_some())
}

/// The `Date` of a clock that is this many seconds ahead.
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
