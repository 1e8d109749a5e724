//! Rhombus in memory, behind the transport: it logs every change that it accepts, and asks a plan of the test before and
//! after each request whether the process dies there, or the answer is lost.

use rhombus_sync::http::{Method, Request, Take, Transport};
use rhombus_sync::outcome::{Answer, CallError};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a test makes of a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Nothing.
    GoOn,
    /// The process dies: the call never comes back.
    Die,
    /// The connection breaks.
    Break,
}

/// Asked before and after each request is obeyed.
pub(crate) type Moments = Rc<dyn Fn() -> Fate>;

/// What an answer is turned into, given its request.
pub(crate) type Mangle = Rc<dyn Fn(&Request, Result<Answer, CallError>) -> Result<Answer, CallError>>;

/// The accounts, and what was done to them.
/// Decides, before a request is obeyed, whether it is answered with something else.
pub(crate) type Refuse = Rc<dyn Fn(&Request) -> Option<Answer>>;

#[derive(Default)]
pub(crate) struct Accounts {
    pub(crate) by_id: BTreeMap<String, Value>,
    pub(crate) log: Vec<(String, String)>,
    /// Each request that came, and when.
    pub(crate) seen: Vec<(Method, String, tokio::time::Instant)>,
    /// Requests that are refused, by what they are answered with.
    pub(crate) refuse: Option<Refuse>,
    /// A userName that is taken cannot be taken twice.
    pub(crate) unique: bool,
    /// A deactivated account stays, inactive.
    pub(crate) keeps_inactive: bool,
    made_count: u32,
}

impl Accounts {
    pub(crate) fn add(&mut self, mut account: Value) -> Value {
        self.made_count += 1;
        let id = format!("account-{}", self.made_count);
        account["id"] = id.clone().into();
        account["active"] = true.into();
        self.by_id.insert(id, account.clone());
        account
    }

    fn note(&mut self, event_type: &str, id: &str) {
        self.log.push((event_type.to_owned(), id.to_owned()));
    }

    /// It takes two accounts with one username, so that a double create shows.
    fn obey(&mut self, request: &Request) -> (u16, Value) {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let body: Value =
            request.body.as_deref().map(|body| serde_json::from_slice(body).expect("JSON")).unwrap_or_default();
        let id = path.strip_prefix("/Users/").map(str::to_owned);
        match (request.method, id) {
            (Method::Get, None) => (200, self.list(query)),
            (Method::Post, None) if self.unique && self.named(&body["userName"]) => (409, json!({"detail": "taken"})),
            (Method::Post, None) => {
                let account = self.add(body);
                self.note("user_create_provision", account["id"].as_str().expect("an id"));
                (201, account)
            }
            (_, Some(id)) if !self.by_id.contains_key(&id) => (404, json!({"detail": "no such user"})),
            (Method::Get, Some(id)) => (200, self.by_id[&id].clone()),
            (Method::Delete, Some(id)) => {
                self.by_id.remove(&id);
                self.note("user_delete_provision", &id);
                (204, Value::Null)
            }
            (Method::Patch, Some(id)) => self.patch(&id, &body),
            (Method::Put, Some(id)) => {
                let mut account = body;
                account["id"] = id.clone().into();
                let removed = account["active"] == false;
                self.note(if removed { "user_deprovision" } else { "user_update_provision" }, &id);
                if removed {
                    self.by_id.remove(&id);
                } else {
                    self.by_id.insert(id, account.clone());
                }
                (200, account)
            }
            (method, id) => panic!("unexpected {method:?} {id:?}"),
        }
    }

    fn named(&self, name: &Value) -> bool {
        let folded = |name: &Value| name.as_str().unwrap_or_default().to_lowercase();
        self.by_id.values().any(|account| folded(&account["userName"]) == folded(name))
    }

    fn patch(&mut self, id: &str, body: &Value) -> (u16, Value) {
        let mut account = self.by_id[id].clone();
        for operation in body["Operations"].as_array().expect("operations") {
            match operation["path"].as_str().expect("a path").split_once('.') {
                Some((parent, child)) => account[parent][child] = operation["value"].clone(),
                None => account["active"] = operation["value"].clone(),
            }
        }
        if account["active"] == false {
            if self.keeps_inactive {
                self.by_id.insert(id.to_owned(), account.clone());
            } else {
                self.by_id.remove(id);
            }
            self.note("user_deprovision", id);
        } else {
            self.by_id.insert(id.to_owned(), account.clone());
            self.note("user_update_provision", id);
        }
        (200, account)
    }

    fn list(&self, query: &str) -> Value {
        let wanted = query.split('&').find_map(|part| part.strip_prefix("filter=")).map(|filter| {
            let text = percent_encoding::percent_decode_str(filter).decode_utf8().expect("UTF-8").to_lowercase();
            text.split('"').nth(1).expect("a name").to_owned()
        });
        let start = query
            .split('&')
            .find_map(|part| part.strip_prefix("startIndex="))
            .map_or(1, |text| text.parse().expect("a number"));
        let matches = |account: &&Value| {
            wanted
                .as_ref()
                .is_none_or(|name| account["userName"].as_str().is_some_and(|carried| carried.to_lowercase() == *name))
        };
        let found: Vec<_> = self.by_id.values().filter(matches).cloned().collect();
        let page: Vec<_> = found.iter().skip(start - 1).take(100).cloned().collect();
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": found.len(), "Resources": page,
        })
    }
}

/// The way to Rhombus.
pub(crate) struct Wire {
    pub(crate) accounts: Rc<RefCell<Accounts>>,
    pub(crate) moments: Moments,
    pub(crate) mangle: Mangle,
}

impl Transport for Wire {
    async fn call(&self, request: &Request, take: Take<'_>) -> Result<Answer, CallError> {
        // Yielding lets other requests overlap, as on a network.
        tokio::task::yield_now().await;
        match (self.moments)() {
            Fate::GoOn => {}
            Fate::Die => std::future::pending().await,
            Fate::Break => return Err(CallError::Lost("cut before".to_owned())),
        }
        let now = tokio::time::Instant::now();
        self.accounts.borrow_mut().seen.push((request.method, request.target.clone(), now));
        let refuse = self.accounts.borrow().refuse.clone();
        let answer = match refuse.and_then(|refuse| refuse(request)) {
            Some(answer) => answer,
            None => {
                let (status, body) = self.accounts.borrow_mut().obey(request);
                answer(status, if body.is_null() { "".to_owned() } else { body.to_string() }.as_str())
            }
        };
        tokio::task::yield_now().await;
        match (self.moments)() {
            Fate::GoOn => {}
            Fate::Die => std::future::pending().await,
            Fate::Break => return Err(CallError::Lost("cut after".to_owned())),
        }
        let mut answer = (self.mangle)(request, Ok(answer))?;
        if let (Take::Stream(stream), 200, Ok(body)) = (take, answer.status, answer.body.clone()) {
            answer.body = stream(&body).map(|()| Vec::new());
        }
        Ok(answer)
    }
}

/// An answer with that status and body.
pub(crate) fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: Ok(body.as_bytes().to_vec()), retry_after: None, date: None }
}
