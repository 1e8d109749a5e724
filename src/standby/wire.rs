//! The shapes of etcd's v3 JSON gateway: keys and values are base64, 64-bit numbers are strings, and what is zero is left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A key with its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KeyValue {
    pub(super) key: String,
    pub(super) value: String,
    /// The revision that made it: it names one term of a leader.
    pub(super) made_at: i64,
    /// The lease that it ends with; 0: none.
    pub(super) lease: i64,
}

impl KeyValue {
    fn of(value: &Value) -> Self {
        let text = |member: &str| {
            let bytes = STANDARD.decode(value[member].as_str().unwrap_or_default()).unwrap_or_default();
            String::from_utf8(bytes).unwrap_or_default()
        };
        Self {
            key: text("key"),
            value: text("value"),
            made_at: number(&value["create_revision"]),
            lease: number(&value["lease"]),
        }
    }
}

/// What a transaction came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Decided {
    /// Whether everything compared was so.
    pub(super) succeeded: bool,
    /// The store's revision after it: what a key that it made was made at.
    pub(super) revision: i64,
    /// What it read.
    pub(super) read: Vec<KeyValue>,
}

/// A number of 64 bits; one that is left out is 0.
pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

fn coded(text: &str) -> String {
    STANDARD.encode(text)
}

/// Everything whose name begins with `prefix`, which ends with a slash.
pub(super) fn range(prefix: &str) -> Value {
    // The next character after a slash.
    let end = format!("{}0", prefix.trim_end_matches('/'));
    json!({"key": coded(prefix), "range_end": coded(&end)})
}

/// What a read found; `None`: it is no answer to one.
pub(super) fn keys_of_a_range(answer: &Value) -> Option<Vec<KeyValue>> {
    has_header(answer).then(|| keys(answer))
}

/// Every answer says at which revision it was given: one that finds nothing is told from one that says nothing.
fn has_header(answer: &Value) -> bool {
    number(&answer["header"]["revision"]) > 0
}

fn keys(answer: &Value) -> Vec<KeyValue> {
    answer["kvs"].as_array().into_iter().flatten().map(KeyValue::of).collect()
}

/// Compares: the key was made at this revision; 0: it is not there.
pub(super) fn was_made_at(key: &str, revision: i64) -> Value {
    json!({"key": coded(key), "target": "CREATE", "result": "EQUAL", "create_revision": revision.to_string()})
}

pub(super) fn put(key: &str, value: &str, lease: i64) -> Value {
    json!({"request_put": {"key": coded(key), "value": coded(value), "lease": lease.to_string()}})
}

pub(super) fn delete(key: &str) -> Value {
    json!({"request_delete_range": {"key": coded(key)}})
}

pub(super) fn get(key: &str) -> Value {
    json!({"request_range": {"key": coded(key)}})
}

/// What a transaction came to; `None`: it is no answer to one.
pub(super) fn decided(answer: &Value) -> Option<Decided> {
    let responses = answer["responses"].as_array().into_iter().flatten();
    has_header(answer).then(|| Decided {
        succeeded: answer["succeeded"].as_bool().unwrap_or(false),
        revision: number(&answer["header"]["revision"]),
        read: responses.flat_map(|response| keys(&response["response_range"])).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gateway_says_is_read_as_it_writes_it() {
        let taken = json!({"header": {"revision": "2"}, "succeeded": true, "responses": [{"response_put": {}}]});
        assert_eq!(decided(&taken), Some(Decided { succeeded: true, revision: 2, read: Vec::new() }));
        let held = json!({"header": {"revision": "7"}, "responses": [{"response_range": {"kvs": [
            {"key": "aw==", "create_revision": "2", "value": "dg==", "lease": "7587899256546018823"}]}}]});
        let read = KeyValue { key: "k".into(), value: "v".into(), made_at: 2, lease: 7_587_899_256_546_018_823 };
        assert_eq!(decided(&held), Some(Decided { succeeded: false, revision: 7, read: vec![read] }));
        assert_eq!((number(&json!("5")), number(&json!(5)), number(&Value::Null)), (5, 5, 0));
    }

    #[test]
    fn an_answer_that_says_nothing_is_none() {
        for nothing in [json!({}), json!({"kvs": []}), json!({"header": {}}), json!("ok"), Value::Null] {
            assert_eq!((decided(&nothing), keys_of_a_range(&nothing)), (None, None), "{nothing}");
        }
        assert_eq!(keys_of_a_range(&json!({"header": {"revision": "3"}})), Some(Vec::new()));
    }

    #[test]
    fn a_prefix_covers_what_is_below_it_and_nothing_beside_it() {
        let asked = range("a/b/");
        assert_eq!((asked["key"].as_str(), asked["range_end"].as_str()), (Some("YS9iLw=="), Some("YS9iMA==")));
    }
}
