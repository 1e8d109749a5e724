//! Whatever stands between us and a receiver answers for it: a page to sign in, a redirect, half an answer. Nothing counts as
//! delivered by that, and the status says so until the receiver answers itself.

use super::posts::outbox;
use crate::support::raw_endpoint::{Asked, Endpoint};
use serde_json::json;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a receiver of this style says if it has everything.
fn good(style: &str, asked: &Asked<'_>) -> String {
    match style {
        "splunk-hec" => r#"{"text":"Success","code":0}"#.to_owned(),
        "elastic-bulk" => {
            let items: Vec<_> =
                (0..asked.body.lines().count() / 2).map(|_| json!({"create": {"status": 201}})).collect();
            json!({"errors": false, "items": items}).to_string()
        }
        "otlp" => "{}".to_owned(),
        _ => String::new(),
    }
}

#[test]
fn what_stands_between_delivers_nothing_and_is_said() {
    type Answer = fn(&mut Asked<'_>, &str);
    let page: Answer = |asked, _| asked.answer(200, "Content-Type: text/html\r\n", "\n<!DOCTYPE html><p>Sign in</p>");
    let redirect: Answer = |asked, _| asked.answer(302, "Location: https://sso.example/\r\n", "");
    let cut: Answer = |asked, good| {
        let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", good.len());
        let _ = asked.stream.write_all(format!("{head}{}", &good[..good.len() / 2]).as_bytes());
        let _ = asked.stream.shutdown(std::net::Shutdown::Both);
    };
    let too_large: Answer = |asked, _| asked.answer(413, "", "too large");
    let mut cases = Vec::new();
    for style in ["ndjson", "splunk-hec", "elastic-bulk", "otlp"] {
        cases.extend([(style, page, "with a web page"), (style, redirect, "redirects are not followed")]);
        cases.push((style, too_large, "every event is refused"));
        if style != "ndjson" {
            cases.push((style, cut, "its answer was cut short"));
        }
    }
    for (style, answer, words) in cases {
        let is_there = Arc::new(AtomicBool::new(false));
        let there = is_there.clone();
        let endpoint = Endpoint::start(move |asked| {
            let good = good(style, asked);
            if there.load(Ordering::SeqCst) { asked.answer(200, "", &good) } else { answer(asked, &good) }
        });
        let keys = if style == "elastic-bulk" { "index = \"audit\"" } else { "" };
        let outbox = outbox(&endpoint, style, keys);
        outbox.log_count(5);
        outbox.ship_until(|place| place.error.as_ref().is_some_and(|error| error.contains(words)));
        assert_eq!((outbox.place().delivered, outbox.refused()), (0, vec![]), "{style}: {words}");
        is_there.store(true, Ordering::SeqCst);
        outbox.ship();
        assert_eq!(outbox.refused(), Vec::<i64>::new(), "{style}: {words}");
    }
}

/// A receiver that was asked for acknowledgements and sends us elsewhere has acknowledged nothing.
#[test]
fn a_redirected_question_for_acknowledgements_settles_nothing() {
    let endpoint = Endpoint::start(|asked| match asked.line.contains("/ack?") {
        true => asked.answer(302, "Location: https://sso.example/\r\n", ""),
        false => asked.answer(200, "", r#"{"text":"Success","code":0,"ackId":1}"#),
    });
    let mut outbox = outbox(&endpoint, "splunk-hec", "");
    let root = endpoint.base_url.trim_end_matches("/scim/v2").to_owned();
    outbox.configure(&format!("kind = \"http\"\nstyle = \"splunk-hec\"\nurl = \"{root}/services/collector\""));
    outbox.log_count(3);
    outbox.ship_until(|place| place.error.as_ref().is_some_and(|error| error.contains("answered 302 to a question")));
    assert_eq!((outbox.place().delivered, outbox.refused()), (0, vec![]));
}
