//! What an answer means for the events that were posted, style by style.

use crate::config::HttpStyle;
use crate::model::{clean, small_json};
use crate::outcome::Answer;
use serde_json::Value;

/// Splunk's codes for an event that it cannot read; the other errors are about the token or the index.
const HEC_EVENT_CODES: [i64; 5] = [5, 6, 12, 13, 15];
/// The receiver wants less at a time.
const STATUS_TOO_MANY: u64 = 429;

/// What the receiver says of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answered {
    /// It has everything.
    Taken,
    /// It says something about each event.
    Items(Vec<Item>),
    /// It refuses one event, and has those before it.
    Refused { before: usize, why: String },
    /// It refuses the whole, and does not say because of which event.
    TooMuch(String),
    /// The same again, later.
    Later(String),
    /// Nothing will get through until somebody looks.
    Stuck(String),
}

/// What it says of one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Item {
    Taken,
    Refused(String),
    Later(String),
}

pub(super) fn meaning(style: HttpStyle, answer: &Answer, count: usize) -> Answered {
    let body = answer.body.as_deref().unwrap_or_default();
    let document = small_json(body).unwrap_or_default();
    let says = says(answer, &document);
    match answer.status {
        // Of something in between, which asks to sign in, or says that nobody is there.
        200..=299 if body.trim_ascii_start().starts_with(b"<") => {
            Answered::Stuck(format!("the receiver answered {} with a web page", answer.status))
        }
        200..=299 if style != HttpStyle::Ndjson && answer.body.is_err() => Answered::Later(cut(answer)),
        200..=299 => match style {
            HttpStyle::Ndjson => Answered::Taken,
            HttpStyle::SplunkHec if document["code"].as_i64().is_none_or(|code| code == 0) => Answered::Taken,
            HttpStyle::SplunkHec => Answered::Stuck(says),
            HttpStyle::ElasticBulk => bulk(answer, &document, count),
            HttpStyle::Otlp => otlp(&document, count),
        },
        408 | 425 | 429 | 500..=599 => Answered::Later(says),
        300..=399 => Answered::Stuck(format!("{says}: redirects are not followed")),
        400 if style == HttpStyle::SplunkHec => hec(&document, count, says),
        400 | 409 | 413 | 422 => Answered::TooMuch(says),
        _ => Answered::Stuck(says),
    }
}

/// What it says of the events did not arrive.
fn cut(answer: &Answer) -> String {
    let why = answer.body.as_deref().err().map(|why| format!(": {why}")).unwrap_or_default();
    format!("the receiver answered {}, and its answer was cut short{why}", answer.status)
}

/// Status and message.
fn says(answer: &Answer, document: &Value) -> String {
    let message = [
        &document["error"]["reason"],
        &document["error"],
        &document["text"],
        &document["message"],
        &document["partialSuccess"]["errorMessage"],
    ];
    let plain = answer.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let text = message.iter().find_map(|message| message.as_str()).unwrap_or_else(|| plain.trim());
    let text = if text.is_empty() { String::new() } else { format!(": {}", clean(text)) };
    format!("the receiver answered {}{text}", answer.status)
}

/// Elasticsearch answers 200 and says of each event what became of it. One that it has already is delivered. Without a right or an
/// index nothing gets through, whichever event it is.
fn bulk(answer: &Answer, document: &Value, count: usize) -> Answered {
    let Some(items) = document["items"].as_array().filter(|items| items.len() == count) else {
        let what = format!("{}: it does not report the result of each event", says(answer, document));
        return Answered::Stuck(what);
    };
    let items: Vec<_> = items.iter().map(|item| bulk_item(&item["create"])).collect();
    let denied = |item: &Value| matches!(item["create"]["status"].as_u64(), Some(401 | 403 | 404));
    if document["items"].as_array().is_some_and(|items| items.iter().all(denied)) {
        let Some(Item::Refused(why)) = items.into_iter().next() else { return Answered::Taken };
        return Answered::Stuck(why);
    }
    Answered::Items(items)
}

fn bulk_item(item: &Value) -> Item {
    let error = &item["error"];
    let reason = error["reason"].as_str().or_else(|| error.as_str()).unwrap_or_default();
    let cause = error["caused_by"]["reason"].as_str().map(|cause| format!(": {cause}")).unwrap_or_default();
    let status = item["status"].as_u64().unwrap_or(0);
    let why = clean(&format!("the receiver answered {status}: {reason}{cause}")).into_owned();
    match status {
        200..=299 | 409 => Item::Taken,
        STATUS_TOO_MANY | 500..=599 => Item::Later(why),
        400..=499 => Item::Refused(why),
        _ => Item::Later(why),
    }
}

/// OpenTelemetry says how many records it refused, and not which.
fn otlp(document: &Value, count: usize) -> Answered {
    let partial = &document["partialSuccess"];
    let rejected = &partial["rejectedLogRecords"];
    let rejected = rejected.as_i64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0);
    if rejected <= 0 {
        return Answered::Taken;
    }
    let message = clean(partial["errorMessage"].as_str().unwrap_or("it does not say why")).into_owned();
    Answered::TooMuch(format!("the receiver rejected {rejected} of {count} log records: {message}"))
}

/// Splunk may say which event it cannot read; it has those before it.
fn hec(document: &Value, count: usize, says: String) -> Answered {
    match (document["code"].as_i64(), document["invalid-event-number"].as_u64()) {
        (Some(code), _) if !HEC_EVENT_CODES.contains(&code) => Answered::Stuck(says),
        (Some(_), Some(number)) if (number as usize) < count => {
            Answered::Refused { before: number as usize, why: says }
        }
        (Some(_) | None, _) => Answered::TooMuch(says),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(style: HttpStyle, status: u16, body: &str, count: usize, expected: &Answered) {
        let answer = Answer { status, body: Ok(body.as_bytes().to_vec()), retry_after: None, date: None };
        assert_eq!(meaning(style, &answer, count), *expected, "{style:?} {status} {body}");
    }

    #[test]
    fn an_answer_says_what_became_of_the_events() {
        use HttpStyle::{ElasticBulk, Ndjson, Otlp, SplunkHec};
        let said = |text: &str| text.to_owned();
        check(Ndjson, 202, "", 3, &Answered::Taken);
        check(Ndjson, 503, "busy", 3, &Answered::Later(said("the receiver answered 503: busy")));
        check(Ndjson, 413, "", 3, &Answered::TooMuch(said("the receiver answered 413")));
        check(Ndjson, 401, "", 3, &Answered::Stuck(said("the receiver answered 401")));
        check(Ndjson, 301, "", 3, &Answered::Stuck(said("the receiver answered 301: redirects are not followed")));
        check(SplunkHec, 200, r#"{"text":"Success","code":0}"#, 3, &Answered::Taken);
        let refused =
            |before| Answered::Refused { before, why: said("the receiver answered 400: Invalid data format") };
        check(SplunkHec, 400, r#"{"text":"Invalid data format","code":6,"invalid-event-number":1}"#, 3, &refused(1));
        let index = "the receiver answered 400: Incorrect index";
        check(
            SplunkHec,
            400,
            r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#,
            3,
            &Answered::Stuck(said(index)),
        );
        let rejected = "the receiver rejected 1 of 3 log records: too old";
        for body in [
            r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#,
            r#"{"partialSuccess":{"rejectedLogRecords":1,"errorMessage":"too old"}}"#,
        ] {
            check(Otlp, 200, body, 3, &Answered::TooMuch(said(rejected)));
        }
        for body in [r#"{"partialSuccess":null}"#, "{}", r#"{"partialSuccess":{"rejectedLogRecords":"0"}}"#, ""] {
            check(Otlp, 200, body, 3, &Answered::Taken);
        }
        let items = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"reason":"there"}}},
            {"create":{"status":400,"error":{"reason":"parse","caused_by":{"reason":"date"}}}},{"create":{"status":429,"error":{"reason":"full"}}}]}"#;
        let expected = Answered::Items(vec![
            Item::Taken,
            Item::Taken,
            Item::Refused(said("the receiver answered 400: parse: date")),
            Item::Later(said("the receiver answered 429: full")),
        ]);
        check(ElasticBulk, 200, items, 4, &expected);
        for (style, status) in [(Ndjson, 200), (SplunkHec, 200), (ElasticBulk, 201), (Otlp, 202)] {
            let page = format!("the receiver answered {status} with a web page");
            check(style, status, "\n<!doctype html><title>Sign in</title>", 3, &Answered::Stuck(page));
            let answer = Answer { status, body: Err("reset".to_owned()), retry_after: None, date: None };
            let cut = format!("the receiver answered {status}, and its answer was cut short: reset");
            let expected = if style == Ndjson { Answered::Taken } else { Answered::Later(cut) };
            assert_eq!(meaning(style, &answer, 3), expected, "{style:?}");
        }
        let short = "the receiver answered 200: {\"items\":[]}: it does not report the result of each event";
        check(ElasticBulk, 200, r#"{"items":[]}"#, 1, &Answered::Stuck(said(short)));
    }
}
