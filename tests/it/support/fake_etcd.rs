//! An etcd behind its v3 JSON gateway, as far as a lease needs it; it can be away, and lose a lease or a key on request.

use super::raw_endpoint::{Asked, Endpoint};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[derive(Clone)]
struct Stored {
    value: String,
    made_at: i64,
    lease: i64,
}

#[derive(Default)]
struct Store {
    revision: i64,
    keys: BTreeMap<String, Stored>,
    /// Until when each lease lasts, and for how long it was granted.
    leases: BTreeMap<i64, (Instant, i64)>,
    last_lease: i64,
    is_away: bool,
    /// Every answer is good and says nothing.
    is_strange: bool,
    /// Writes that compared a term which was over.
    refused_count: usize,
}

/// An etcd that runs until the end of the test.
pub(crate) struct FakeEtcd {
    endpoint: Endpoint,
    store: Arc<Mutex<Store>>,
}

impl FakeEtcd {
    pub(crate) fn start() -> Self {
        let store = Arc::new(Mutex::new(Store { revision: 1, ..Store::default() }));
        let kept = store.clone();
        let endpoint = Endpoint::start(move |asked| {
            let answer = kept.lock().expect("whole").answer(asked);
            match answer {
                Some((status, body)) => asked.answer(status, "", &body.to_string()),
                None => drop(asked.stream.shutdown(std::net::Shutdown::Both)),
            }
        });
        Self { endpoint, store }
    }

    pub(crate) fn url(&self) -> String {
        self.endpoint.base_url.trim_end_matches("/scim/v2").to_owned()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("whole")
    }

    /// From now on each connection is closed without an answer; or no longer. A new leader among the members of etcd renews every lease.
    pub(crate) fn be_away(&self, is_away: bool) {
        let mut store = self.store();
        store.is_away = is_away;
        store.leases.values_mut().for_each(|(until, granted)| *until = after(*granted));
    }

    /// From now on each answer is an empty document, as from something else that listens there; or no longer.
    pub(crate) fn be_strange(&self, is_strange: bool) {
        self.store().is_strange = is_strange;
    }

    /// It is set up anew, with nothing in it.
    pub(crate) fn lose_everything(&self) {
        let mut store = self.store();
        *store = Store { revision: 1, ..Store::default() };
    }

    /// Changes the value of a key, by the end of its name.
    pub(crate) fn rewrite(&self, end: &str, change: impl FnOnce(&mut Value)) {
        let mut store = self.store();
        let (_, stored) = store.keys.iter_mut().find(|(key, _)| key.ends_with(end)).expect("a key");
        let mut value = serde_json::from_str(&stored.value).expect("JSON");
        change(&mut value);
        stored.value = value.to_string();
    }

    /// Ends every lease now, as `etcdctl lease revoke` does.
    pub(crate) fn revoke_all(&self) {
        let mut store = self.store();
        let leases: Vec<_> = store.leases.keys().copied().collect();
        leases.into_iter().for_each(|lease| store.revoke(lease));
    }

    /// The value of a key, by the end of its name.
    pub(crate) fn value(&self, end: &str) -> Option<Value> {
        let mut store = self.store();
        store.lapse();
        let found = store.keys.iter().find(|(key, _)| key.ends_with(end))?;
        serde_json::from_str(&found.1.value).ok()
    }

    /// Puts another leader in the place of the one that is there, whose lease lasts on.
    pub(crate) fn usurp(&self, host: &str) {
        let mut store = self.store();
        let key = store.keys.keys().find(|key| key.ends_with("/leader")).expect("a leader").clone();
        store.keys.remove(&key);
        store.revision += 1;
        let (made_at, value) = (store.revision, json!({"host": host}).to_string());
        store.last_lease += 1;
        let lease = store.last_lease;
        store.leases.insert(lease, (Instant::now() + Duration::from_secs(3600), 3600));
        store.keys.insert(key, Stored { value, made_at, lease });
    }

    pub(crate) fn refused_count(&self) -> usize {
        self.store().refused_count
    }
}

fn text(value: &Value) -> String {
    String::from_utf8(STANDARD.decode(value.as_str().unwrap_or_default()).expect("base64")).expect("UTF-8")
}

fn number(value: &Value) -> i64 {
    value.as_str().map_or(0, |text| text.parse().expect("a number"))
}

impl Store {
    fn answer(&mut self, asked: &Asked<'_>) -> Option<(u16, Value)> {
        if self.is_away {
            return None;
        }
        self.lapse();
        if self.is_strange {
            return Some((200, json!({})));
        }
        let body: Value = serde_json::from_str(&asked.body).expect("JSON");
        let path = asked.line.split(' ').nth(1).expect("a path");
        let header = json!({"revision": self.revision.to_string()});
        Some((
            200,
            match path {
                "/v3/lease/grant" => {
                    self.last_lease += 1;
                    let ttl = number(&body["TTL"]);
                    self.leases.insert(self.last_lease, (after(ttl), ttl));
                    json!({"header": header, "ID": self.last_lease.to_string(), "TTL": ttl.to_string()})
                }
                "/v3/lease/keepalive" => {
                    let id = number(&body["ID"]);
                    let lasts = self.leases.get_mut(&id).map(|(until, ttl)| {
                        *until = after(*ttl);
                        *ttl
                    });
                    // What is zero is left out.
                    let mut result = json!({"ID": id.to_string()});
                    if let Some(ttl) = lasts {
                        result["TTL"] = ttl.to_string().into();
                    }
                    json!({"result": result})
                }
                "/v3/lease/timetolive" => match self.leases.get(&number(&body["ID"])) {
                    Some((until, granted)) => {
                        let left = until.saturating_duration_since(Instant::now()).as_secs();
                        json!({"TTL": left.to_string(), "grantedTTL": granted.to_string()})
                    }
                    None => json!({"TTL": "-1"}),
                },
                "/v3/lease/revoke" => {
                    self.revoke(number(&body["ID"]));
                    json!({"header": header})
                }
                "/v3/kv/range" => json!({"header": header, "kvs": self.range(&body)}),
                "/v3/kv/txn" => self.decide(&body),
                other => panic!("nobody asks etcd for {other}"),
            },
        ))
    }

    fn lapse(&mut self) {
        let now = Instant::now();
        let over: Vec<_> =
            self.leases.iter().filter(|(_, (until, _))| *until <= now).map(|(lease, _)| *lease).collect();
        over.into_iter().for_each(|lease| self.revoke(lease));
    }

    fn revoke(&mut self, lease: i64) {
        self.leases.remove(&lease);
        self.keys.retain(|_, stored| stored.lease != lease);
    }

    fn range(&self, asked: &Value) -> Vec<Value> {
        let (from, end) = (text(&asked["key"]), text(&asked["range_end"]));
        let is_asked = |key: &&String| if end.is_empty() { **key == from } else { (&from..&end).contains(key) };
        let found = self.keys.iter().filter(|(key, _)| is_asked(key));
        let coded = |text: &str| STANDARD.encode(text);
        found
            .map(|(key, Stored { value, made_at, lease })| {
                json!({"key": coded(key), "value": coded(value), "create_revision": made_at.to_string(), "lease": lease.to_string()})
            })
            .collect()
    }

    fn decide(&mut self, body: &Value) -> Value {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let is_so = |compare: &Value| {
            let made_at = self.keys.get(&text(&compare["key"])).map_or(0, |stored| stored.made_at);
            made_at == number(&compare["create_revision"])
        };
        let compares = list(&body["compare"]);
        let succeeded = compares.iter().all(is_so);
        if !succeeded && compares.iter().any(|compare| number(&compare["create_revision"]) > 0) {
            self.refused_count += 1;
        }
        self.revision += 1;
        let mut responses = Vec::new();
        for operation in list(&body[if succeeded { "success" } else { "failure" }]) {
            if let Some(put) = operation.get("request_put") {
                let (key, value, lease) = (text(&put["key"]), text(&put["value"]), number(&put["lease"]));
                let made_at = self.keys.get(&key).map_or(self.revision, |stored| stored.made_at);
                self.keys.insert(key, Stored { value, made_at, lease });
                responses.push(json!({"response_put": {}}));
            } else if let Some(range) = operation.get("request_range") {
                responses.push(json!({"response_range": {"kvs": self.range(range)}}));
            } else if let Some(delete) = operation.get("request_delete_range") {
                self.keys.remove(&text(&delete["key"]));
                responses.push(json!({"response_delete_range": {}}));
            }
        }
        let mut answer = json!({"header": {"revision": self.revision.to_string()}, "responses": responses});
        if succeeded {
            answer["succeeded"] = true.into();
        }
        answer
    }
}

fn after(seconds: i64) -> Instant {
    Instant::now() + Duration::from_secs(seconds.unsigned_abs())
}
