//! Receivers that are posted to: strict ones of each style, with everything that they may answer.

use super::all_there;
use crate::support::outbox::Outbox;
use crate::support::raw_endpoint::{Asked, Endpoint};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

const TOKEN: &str = "CANARY-0123456789abcdef";

/// Lines that a receiver has kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Kept {
    fn keep(&self, line: &str) {
        self.0.lock().expect("whole").push(line.to_owned());
    }

    fn count(&self) -> usize {
        self.0.lock().expect("whole").len()
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("whole").clone()
    }
}

pub(super) fn outbox(endpoint: &Endpoint, style: &str, keys: &str) -> Outbox {
    let outbox = Outbox::new("kind = \"stdout\"");
    std::fs::write(outbox.path("token"), TOKEN).expect("a token");
    std::fs::set_permissions(outbox.path("token"), PermissionsExt::from_mode(0o600)).expect("closed");
    let url = format!("{}/in?x=1", endpoint.base_url);
    let mut outbox = outbox;
    outbox.configure(&format!("kind = \"http\"\nstyle = \"{style}\"\nurl = \"{url}\"\ntoken_file = \"token\"\n{keys}"));
    outbox
}

fn poisoned(outbox: &Outbox, count: usize) -> Vec<String> {
    outbox.log_count(count / 2);
    outbox.log(["poison@x.example"]);
    outbox.log_count(count - count / 2);
    let mut wanted = outbox.lines();
    wanted.retain(|line| !line.contains("poison"));
    wanted
}

#[test]
fn ndjson_is_split_until_the_refused_event_stands_alone() {
    let kept = Kept::default();
    let receiver = kept.clone();
    let endpoint = Endpoint::start(move |asked| {
        if asked.body.lines().count() > 7 {
            return asked.answer(413, "", "too large");
        }
        if asked.body.contains("poison") {
            return asked.answer(400, "", "bad event");
        }
        asked.body.lines().for_each(|line| receiver.keep(line));
        asked.answer(204, "", "");
    });
    let outbox = outbox(&endpoint, "ndjson", "");
    let wanted = poisoned(&outbox, 40);
    outbox.ship();
    all_there(&kept.lines(), &wanted);
    assert_eq!((outbox.refused(), outbox.place().dead_letters), (vec![21], 1));
    for request in endpoint.seen() {
        let head = request.to_lowercase();
        assert!(request.starts_with("POST /scim/v2/in?x=1 HTTP/1.1"), "the address is as written: {request}");
        assert!(head.contains(&format!("authorization: bearer {}", TOKEN.to_lowercase())), "{request}");
        assert!(head.contains("content-type: application/x-ndjson"), "{request}");
    }
}

#[test]
fn a_receiver_that_refuses_everything_makes_no_dead_letters() {
    for status in [400, 401, 403, 404, 500, 301] {
        let endpoint = Endpoint::start(move |asked| asked.answer(status, "Location: http://127.0.0.1:1/\r\n", "no"));
        let outbox = outbox(&endpoint, "ndjson", "");
        outbox.log_count(5);
        outbox.ship_until(|place| place.error.as_ref().is_some_and(|error| error.contains(&status.to_string())));
        assert_eq!((outbox.place().delivered, outbox.refused()), (0, vec![]), "{status}");
        let error = outbox.place().error.unwrap_or_default();
        assert!(!error.contains("CANARY"), "{error}");
    }
}

#[test]
fn a_busy_receiver_is_left_alone_as_long_as_it_asks() {
    let kept = Kept::default();
    let (receiver, refused_at) = (kept.clone(), Mutex::new(None::<std::time::Instant>));
    let endpoint = Endpoint::start(move |asked| {
        let mut refused_at = refused_at.lock().expect("whole");
        match *refused_at {
            None => {
                *refused_at = Some(std::time::Instant::now());
                asked.answer(429, "Retry-After: 3\r\n", "busy");
            }
            Some(at) => {
                assert!(at.elapsed().as_millis() >= 2_900, "asked again after {:?}", at.elapsed());
                asked.body.lines().for_each(|line| receiver.keep(line));
                asked.answer(200, "", "");
            }
        }
    });
    let outbox = outbox(&endpoint, "ndjson", "");
    outbox.log_count(3);
    outbox.ship();
    assert_eq!(kept.lines(), outbox.lines());
}

#[test]
fn splunk_gets_its_envelope_and_names_the_event_that_it_cannot_read() {
    let kept = Kept::default();
    let receiver = kept.clone();
    let endpoint = Endpoint::start(move |asked| {
        let events = serde_json::Deserializer::from_str(&asked.body).into_iter::<Value>();
        for (number, event) in events.enumerate() {
            let event = event.expect("JSON");
            assert!(event["time"].is_f64() && event["event"].is_object(), "{event}");
            if event["event"]["resource"]["username"] == "poison@x.example" {
                let answer = json!({"text": "Invalid data format", "code": 6, "invalid-event-number": number});
                return asked.answer(400, "", &answer.to_string());
            }
            receiver.keep(event["event"]["id"].as_str().expect("an id"));
        }
        asked.answer(200, "", r#"{"text":"Success","code":0}"#);
    });
    let outbox = outbox(&endpoint, "splunk-hec", "");
    let wanted = poisoned(&outbox, 20);
    outbox.ship();
    let ids: Vec<_> = wanted.iter().map(|line| id_of(line)).collect();
    assert_eq!(kept.lines(), ids, "each once: it says how far it came");
    assert_eq!(outbox.refused(), vec![11]);
    assert!(endpoint.seen()[0].to_lowercase().contains("authorization: splunk canary"), "{}", endpoint.seen()[0]);
}

fn id_of(line: &str) -> String {
    let event: Value = serde_json::from_str(line).expect("JSON");
    event["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_bulk_answer_is_read_item_by_item() {
    let kept = Kept::default();
    let receiver = kept.clone();
    let endpoint = Endpoint::start(move |asked| bulk(asked, &receiver));
    let outbox = outbox(&endpoint, "elastic-bulk", "index = \"audit\"");
    let wanted = poisoned(&outbox, 30);
    outbox.ship();
    all_there(&kept.lines(), &wanted);
    assert_eq!(kept.count(), wanted.len(), "what it has already is not indexed twice");
    assert_eq!(outbox.refused(), vec![16]);
    assert!(endpoint.seen()[0].to_lowercase().contains("authorization: apikey canary"), "{}", endpoint.seen()[0]);
}

/// Takes no more than ten documents of a request, and refuses one kind for ever.
fn bulk(asked: &mut Asked<'_>, kept: &Kept) {
    assert!(asked.body.ends_with('\n'), "a bulk body ends with a line end");
    let lines: Vec<_> = asked.body.lines().collect();
    let mut items = Vec::new();
    for pair in lines.chunks(2) {
        let action: Value = serde_json::from_str(pair[0]).expect("an action");
        assert_eq!(action["create"]["_index"], "audit");
        assert_eq!(action["create"]["_id"], id_of(pair[1]));
        let status = match () {
            () if pair[1].contains("poison") => 400,
            () if kept.lines().iter().any(|line| line == pair[1]) => 409,
            () if items.len() >= 10 => 429,
            () => 201,
        };
        if status == 201 {
            kept.keep(pair[1]);
        }
        let reason = json!({"type": "x", "reason": "because"});
        items.push(json!({"create": {"_id": action["create"]["_id"], "status": status, "error": reason}}));
    }
    asked.answer(200, "", &json!({"errors": true, "items": items}).to_string());
}

#[test]
fn otlp_says_how_many_it_rejected_and_not_which() {
    let kept = Kept::default();
    let receiver = kept.clone();
    let endpoint = Endpoint::start(move |asked| {
        assert!(asked.head.to_lowercase().contains("content-type: application/json\r\n"), "{}", asked.head);
        let body: Value = serde_json::from_str(&asked.body).expect("JSON");
        let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().expect("records").clone();
        let mut rejected_count = 0;
        for record in records {
            assert!(record["timeUnixNano"].is_string() && record["severityNumber"].is_u64(), "{record}");
            let line = record["body"]["stringValue"].as_str().expect("a body");
            if line.contains("poison") { rejected_count += 1 } else { receiver.keep(line) }
        }
        let partial = json!({"rejectedLogRecords": rejected_count.to_string(), "errorMessage": "no"});
        let answer = if rejected_count > 0 { partial } else { Value::Null };
        asked.answer(200, "", &json!({"partialSuccess": answer}).to_string());
    });
    let outbox = outbox(&endpoint, "otlp", "");
    let wanted = poisoned(&outbox, 20);
    outbox.ship();
    all_there(&kept.lines(), &wanted);
    assert_eq!(outbox.refused(), vec![11]);
}

#[test]
fn a_connection_that_is_cut_costs_repeats_and_no_event() {
    let kept = Kept::default();
    let (receiver, asked_count) = (kept.clone(), Mutex::new(0));
    let endpoint = Endpoint::start(move |asked| {
        asked.body.lines().for_each(|line| receiver.keep(line));
        let mut count = asked_count.lock().expect("whole");
        *count += 1;
        if *count == 2 {
            let _ = asked.stream.shutdown(std::net::Shutdown::Both);
        } else {
            asked.answer(200, "", "");
        }
    });
    let outbox = outbox(&endpoint, "ndjson", "");
    outbox.log_count(1_200);
    outbox.ship();
    all_there(&kept.lines(), &outbox.lines());
    assert!(kept.count() > 1_200, "the second portion went twice");
}

#[test]
fn splunk_is_believed_once_it_has_acknowledged_and_gets_again_what_it_has_not() {
    let kept = Kept::default();
    let (receiver, state) = (kept.clone(), Mutex::new((0_u64, std::collections::BTreeMap::<u64, u32>::new())));
    let endpoint = Endpoint::start(move |asked| {
        let (numbers, looks) = &mut *state.lock().expect("whole");
        if asked.line.starts_with("POST /services/collector/ack?channel=") {
            let wanted: Value = serde_json::from_str(&asked.body).expect("JSON");
            let mut acks = serde_json::Map::new();
            for number in wanted["acks"].as_array().expect("numbers") {
                // Only the second look finds it stored.
                let looked = looks.entry(number.as_u64().expect("a number")).or_default();
                *looked += 1;
                acks.insert(number.to_string(), (*looked > 1).into());
            }
            return asked.answer(200, "", &json!({"acks": acks}).to_string());
        }
        assert!(asked.line.starts_with("POST /services/collector/event "), "{}", asked.line);
        for event in serde_json::Deserializer::from_str(&asked.body).into_iter::<Value>() {
            receiver.keep(event.expect("JSON")["event"]["id"].as_str().expect("an id"));
        }
        *numbers += 1;
        asked.answer(200, "", &json!({"text": "Success", "code": 0, "ackId": *numbers}).to_string());
    });
    let mut outbox = outbox(&endpoint, "splunk-hec", "");
    let root = endpoint.base_url.trim_end_matches("/scim/v2").to_owned();
    outbox.configure(&format!(
        "kind = \"http\"\nstyle = \"splunk-hec\"\nurl = \"{root}/services/collector/event\"\ntoken_file = \"token\""
    ));
    outbox.log_count(1_200);
    let started = std::time::Instant::now();
    outbox.ship_until(|place| {
        // Everything was taken at once; only the acknowledgement settles it.
        let taken = kept.count() == 1_200;
        assert!(place.delivered == 0 || taken, "{place:?}");
        place.delivered == 1_200
    });
    assert!(started.elapsed() >= std::time::Duration::from_millis(500), "asked twice");
    let ids: Vec<_> = outbox.lines().iter().map(|line| id_of(line)).collect();
    assert_eq!(kept.lines(), ids, "each once");
    let asked: Vec<_> = endpoint.seen().into_iter().filter(|request| request.contains("/ack?")).collect();
    assert!(asked.iter().all(|request| request.to_lowercase().contains("authorization: splunk canary")), "{asked:?}");
}

#[test]
fn a_token_without_acknowledgement_counts_by_its_answer() {
    for said in [r#"{"text":"ACK is disabled","code":14}"#, ""] {
        let endpoint = Endpoint::start(move |asked| match asked.line.contains("/ack?") {
            true if said.is_empty() => asked.answer(404, "", ""),
            true => asked.answer(400, "", said),
            false => asked.answer(200, "", r#"{"text":"Success","code":0,"ackId":1}"#),
        });
        let mut outbox = outbox(&endpoint, "splunk-hec", "");
        let root = endpoint.base_url.trim_end_matches("/scim/v2").to_owned();
        outbox.configure(&format!("kind = \"http\"\nstyle = \"splunk-hec\"\nurl = \"{root}/services/collector\""));
        outbox.log_count(3);
        outbox.ship();
    }
}

#[test]
fn an_index_that_refuses_everything_makes_no_dead_letters() {
    for status in [400, 403, 404] {
        let mended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_mended = mended.clone();
        let endpoint = Endpoint::start(move |asked| {
            let good = is_mended.load(std::sync::atomic::Ordering::SeqCst);
            let items: Vec<_> = (0..asked.body.lines().count() / 2)
                .map(|_| json!({"create": {"status": if good { 201 } else { status }, "error": {"reason": "no such index"}}}))
                .collect();
            asked.answer(200, "", &json!({"errors": !good, "items": items}).to_string());
        });
        let outbox = outbox(&endpoint, "elastic-bulk", "index = \"audit\"");
        outbox.log_count(40);
        outbox.ship_until(|place| place.error.as_ref().is_some_and(|error| error.contains("no such index")));
        assert_eq!((outbox.place().delivered, outbox.refused()), (0, vec![]), "{status}");
        mended.store(true, std::sync::atomic::Ordering::SeqCst);
        outbox.ship();
        assert_eq!(outbox.refused(), Vec::<i64>::new(), "{status}");
    }
}
