//! Splunk's indexer acknowledgement: a 200 says that events look good, and gives a number; whether they are stored is asked for
//! afterwards, with that number. Where no number comes, none is offered, and the 200 is all there is.

use crate::model::small_json;
use crate::outcome::Answer;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Which channel we send on. Which one does not matter; numbers are handed out once for each.
pub(super) const CHANNEL: &str = "6f5f1c1e-7a3b-4d2c-9c56-72686f6d6275";
/// Events that are not acknowledged by then go again: Splunk's own advice.
const PATIENCE: Duration = Duration::from_secs(300);
/// So many numbers are asked for at a time.
const ASKED_MAX: usize = 1_000;

/// What was posted and is not acknowledged yet, in the order in which it was posted.
#[derive(Default)]
pub(super) struct Unacknowledged(VecDeque<Posted>);

struct Posted {
    number: u64,
    /// The first of its events.
    first: i64,
    at: Instant,
}

/// What the receiver says of what is not acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Acknowledged {
    /// Some of it is, or none yet.
    SoFar,
    /// Nobody can say; the 200 is all there is.
    NotOffered,
    /// It cannot say now.
    Later,
    /// It does not want to say.
    Stuck,
}

impl Unacknowledged {
    /// Notes an answer to events of which this is the first.
    pub(super) fn note(&mut self, answer: &Answer, first: i64) {
        let body = answer.body.as_deref().unwrap_or_default();
        let document = small_json(body).unwrap_or_default();
        if let Some(number) = document["ackId"].as_u64() {
            self.0.push_back(Posted { number, first, at: Instant::now() });
        }
    }

    /// What was posted counts no longer: it goes again, or nobody can say.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last event up to which everything is acknowledged, of those up to `taken`.
    pub(super) fn settled(&self, taken: i64) -> i64 {
        self.0.iter().map(|posted| posted.first - 1).fold(taken, i64::min)
    }

    /// Whether something has waited for too long.
    pub(super) fn is_overdue(&self) -> bool {
        self.0.front().is_some_and(|posted| posted.at.elapsed() >= PATIENCE)
    }

    /// The question.
    pub(super) fn question(&self) -> Vec<u8> {
        let numbers: Vec<u64> = self.0.iter().take(ASKED_MAX).map(|posted| posted.number).collect();
        json!({"acks": numbers}).to_string().into_bytes()
    }

    /// Takes the answer to it.
    pub(super) fn answered(&mut self, answer: &Answer) -> Acknowledged {
        let body = answer.body.as_deref().unwrap_or_default();
        let document = small_json(body).unwrap_or_default();
        match answer.status {
            200..=299 => {
                let said: BTreeMap<String, bool> = serde_json::from_value(document["acks"].clone()).unwrap_or_default();
                self.0.retain(|posted| said.get(&posted.number.to_string()) != Some(&true));
                Acknowledged::SoFar
            }
            // A redirect is not from Splunk, and says nothing.
            300..=399 | 401 | 403 => Acknowledged::Stuck,
            408 | 425 | 429 | 500..=599 => Acknowledged::Later,
            _ => Acknowledged::NotOffered,
        }
    }
}

/// Where the question is asked: on the same host, beside the address that events are posted to. None: that is not Splunk's.
pub(super) fn address(url: &str) -> Option<String> {
    const COLLECTOR: &str = "/services/collector";
    let mut url = reqwest::Url::parse(url).ok()?;
    let end = url.path().find(COLLECTOR)? + COLLECTOR.len();
    let path = format!("{}/ack", &url.path()[..end]);
    url.set_path(&path);
    url.set_query(Some(&format!("channel={CHANNEL}")));
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: Ok(body.as_bytes().to_vec()), retry_after: None, date: None }
    }

    #[test]
    fn what_is_settled_ends_before_the_first_that_is_not_acknowledged() {
        let mut posted = Unacknowledged::default();
        posted.note(&answer(200, r#"{"text":"Success","code":0}"#), 1);
        assert!(posted.is_empty() && posted.settled(9) == 9, "none is offered");
        for (number, first) in [(7, 1), (8, 501), (9, 1001)] {
            posted.note(&answer(200, &format!(r#"{{"code":0,"ackId":{number}}}"#)), first);
        }
        assert_eq!((posted.settled(1400), posted.question()), (0, br#"{"acks":[7,8,9]}"#.to_vec()));
        assert_eq!(posted.answered(&answer(200, r#"{"acks":{"7":true,"8":false,"9":true}}"#)), Acknowledged::SoFar);
        assert_eq!(posted.settled(1400), 500);
        for (status, body, expected) in [
            (200, "{}", Acknowledged::SoFar),
            (200, "<html>", Acknowledged::SoFar),
            (503, "", Acknowledged::Later),
            (400, r#"{"text":"ACK is disabled","code":14}"#, Acknowledged::NotOffered),
            (404, "", Acknowledged::NotOffered),
            (401, "", Acknowledged::Stuck),
            (302, "", Acknowledged::Stuck),
        ] {
            assert_eq!(posted.answered(&answer(status, body)), expected, "{status} {body}");
        }
        assert_eq!(posted.settled(1400), 500, "none of these acknowledges anything");
        assert_eq!(posted.answered(&answer(200, r#"{"acks":{"8":true}}"#)), Acknowledged::SoFar);
        assert_eq!(posted.settled(1400), 1400);
    }

    #[test]
    fn the_question_goes_to_the_host_that_got_the_events() {
        let channel = format!("?channel={CHANNEL}");
        for (url, expected) in [
            ("https://s.example:8088/services/collector/event", Some("https://s.example:8088/services/collector/ack")),
            ("https://s.example/services/collector?channel=x", Some("https://s.example/services/collector/ack")),
            ("https://s.example/a/services/collector/raw", Some("https://s.example/a/services/collector/ack")),
            ("https://s.example/hec", None),
        ] {
            assert_eq!(address(url), expected.map(|address| format!("{address}{channel}")), "{url}");
        }
    }
}
