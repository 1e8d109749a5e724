//! Rhombus, simulated: accounts with a truth of their own, lists that lag behind it, requests that come late, and people who
//! edit accounts by hand. It keeps every change that it accepted, and judges at once what must never be asked of it.

use rhombus_sync::http::{Method, Request};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Accounts of a page.
const PAGE_ACCOUNTS_MAX: usize = 100;

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Account {
    pub(super) user_name: String,
    pub(super) external_id: Option<String>,
    pub(super) given: String,
    pub(super) family: String,
    pub(super) active: bool,
}

impl Account {
    /// Somebody's account that no directory knows.
    pub(super) fn of(user_name: &str) -> Self {
        let (given, family) = ("By".to_owned(), "Hand".to_owned());
        Self { user_name: user_name.to_owned(), external_id: None, given, family, active: true }
    }

    fn shown(&self, id: &str) -> Value {
        let mut shown = json!({
            "id": id, "userName": self.user_name, "active": self.active,
            "name": {"givenName": self.given, "familyName": self.family},
        });
        if let Some(external_id) = &self.external_id {
            shown["externalId"] = external_id.as_str().into();
        }
        shown
    }
}

/// A change that was accepted and had an effect.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    /// The event that tells it.
    pub(super) event_type: &'static str,
    pub(super) id: String,
    pub(super) user_name: String,
    /// The export in place when it was sent.
    pub(super) export: usize,
    /// When it took effect, in true milliseconds.
    pub(super) at: i64,
}

impl Effect {
    /// Whether it took access away.
    pub(super) fn removes(&self) -> bool {
        matches!(self.event_type, "user_delete_provision" | "user_deprovision")
    }
}

#[derive(Default)]
pub(super) struct Endpoint {
    pub(super) accounts: BTreeMap<String, Account>,
    /// What lists show.
    listed: BTreeMap<String, Account>,
    /// Accounts whose present form lists show from then on.
    coming: VecDeque<(i64, String)>,
    /// Requests that are obeyed later, with the export of their time.
    late: Vec<(i64, Request, usize)>,
    pub(super) effects: Vec<Effect>,
    /// Accounts that somebody else made or edited.
    pub(super) touched: BTreeSet<String>,
    /// People whose account somebody else made, edited or removed.
    pub(super) touched_people: BTreeSet<String>,
    /// What must never happen and did.
    pub(super) broken: Vec<String>,
    pub(super) unique: bool,
    pub(super) keeps_inactive: bool,
    pub(super) lag_ms: i64,
    made_count: u32,
}

impl Endpoint {
    /// An account that somebody else made.
    pub(super) fn add(&mut self, account: Account, now: i64) -> String {
        let id = self.insert(account, now);
        self.touched.insert(id.clone());
        id
    }

    fn insert(&mut self, account: Account, now: i64) -> String {
        self.made_count += 1;
        let id = format!("acc-{}", self.made_count);
        self.put(&id, Some(account), now);
        id
    }

    fn put(&mut self, id: &str, account: Option<Account>, now: i64) {
        match account {
            Some(account) => drop(self.accounts.insert(id.to_owned(), account)),
            None => drop(self.accounts.remove(id)),
        }
        self.coming.push_back((now + self.lag_ms, id.to_owned()));
    }

    /// Somebody edits an account by hand; `None` deletes it.
    pub(super) fn edit(&mut self, id: &str, account: Option<Account>, now: i64) {
        self.touched.insert(id.to_owned());
        self.put(id, account, now);
    }

    /// An edit by hand that takes access away, as this endpoint does it.
    pub(super) fn deactivate(&mut self, id: &str, now: i64) {
        let inactive = self.accounts.get(id).cloned().map(|account| Account { active: false, ..account });
        self.edit(id, inactive.filter(|_| self.keeps_inactive), now);
    }

    /// This request is obeyed at that time.
    pub(super) fn obey_later(&mut self, at: i64, request: &Request, export: usize) {
        if request.method != Method::Get {
            self.late.push((at, request.clone(), export));
        }
    }

    /// Whether a request is still to come.
    pub(super) fn is_owed_requests(&self) -> bool {
        !self.late.is_empty()
    }

    /// What is due by now happens.
    pub(super) fn catch_up(&mut self, now: i64) {
        self.late.sort_by_key(|(at, ..)| *at);
        while let Some((at, ..)) = self.late.first()
            && *at <= now
        {
            let (at, request, export) = self.late.remove(0);
            self.obey(&request, export, at);
        }
        while let Some((due, _)) = self.coming.front()
            && *due <= now
        {
            let Some((_, id)) = self.coming.pop_front() else { break };
            match self.accounts.get(&id) {
                Some(account) => drop(self.listed.insert(id, account.clone())),
                None => drop(self.listed.remove(&id)),
            }
        }
    }

    fn note(&mut self, event_type: &'static str, id: &str, account: &Account, (export, at): (usize, i64)) {
        let (id, user_name) = (id.to_owned(), account.user_name.clone());
        self.effects.push(Effect { event_type, id, user_name, export, at });
    }

    /// Does what a request asks for, and answers it.
    pub(super) fn obey(&mut self, request: &Request, export: usize, now: i64) -> (u16, Value) {
        let path = request.target.split('?').next().unwrap_or_default();
        let body: Value =
            request.body.as_deref().map(|body| serde_json::from_slice(body).expect("JSON")).unwrap_or_default();
        match (request.method, path.strip_prefix("/Users/")) {
            (Method::Get, None) => (200, self.list(&request.target, &mut |_| true)),
            (Method::Post, None) => self.create(&body, export, now),
            (method, Some(id)) => {
                let Some(before) = self.accounts.get(id).cloned() else { return (404, json!({"detail": "none"})) };
                match method {
                    Method::Get => (200, before.shown(id)),
                    Method::Delete => {
                        self.put(id, None, now);
                        self.note("user_delete_provision", id, &before, (export, now));
                        (204, Value::Null)
                    }
                    Method::Patch | Method::Put | Method::Post => {
                        let after = changed(&before, method, &body);
                        self.change(id, (&before, after), export, now)
                    }
                }
            }
            (method, None) => panic!("unexpected {method:?} {path}"),
        }
    }

    fn create(&mut self, body: &Value, export: usize, now: i64) -> (u16, Value) {
        let user_name = text(&body["userName"]);
        let same = |account: &&Account| account.user_name.to_lowercase() == user_name.to_lowercase();
        if self.accounts.values().any(|account| same(&account)) {
            if self.unique {
                return (409, json!({"detail": "taken", "scimType": "uniqueness"}));
            }
            self.broken.push(format!("{user_name} was created although the account is there"));
        }
        let account = Account {
            external_id: body["externalId"].as_str().map(str::to_owned),
            given: text(&body["name"]["givenName"]),
            family: text(&body["name"]["familyName"]),
            active: body["active"] != false,
            user_name,
        };
        let id = self.insert(account.clone(), now);
        self.note("user_create_provision", &id, &account, (export, now));
        (201, account.shown(&id))
    }

    fn change(&mut self, id: &str, (before, after): (&Account, Account), export: usize, now: i64) -> (u16, Value) {
        if after.user_name != before.user_name {
            self.broken.push(format!("the username of {id} was changed to {}", after.user_name));
        }
        let removed = before.active && !after.active;
        if after != *before {
            self.put(id, Some(after.clone()).filter(|_| !removed || self.keeps_inactive), now);
            let event_type = if removed { "user_deprovision" } else { "user_update_provision" };
            self.note(event_type, id, before, (export, now));
        }
        (200, after.shown(id))
    }

    /// A page of the accounts that a list shows, and that `is_shown` lets through.
    pub(super) fn list(&self, target: &str, is_shown: &mut dyn FnMut(&str) -> bool) -> Value {
        let query = percent_encoding::percent_decode_str(target.split_once('?').map_or("", |(_, query)| query))
            .decode_utf8_lossy()
            .into_owned();
        let wanted =
            query.split_once("filter=").and_then(|(_, filter)| filter.split('"').nth(1)).map(str::to_lowercase);
        let start = query.split('&').find_map(|part| part.strip_prefix("startIndex=")?.parse::<usize>().ok());
        let matches =
            |account: &Account| wanted.as_ref().is_none_or(|wanted| account.user_name.to_lowercase() == *wanted);
        let found: Vec<Value> = self
            .listed
            .iter()
            .filter(|(id, account)| matches(account) && is_shown(id))
            .map(|(id, account)| account.shown(id))
            .collect();
        let page: Vec<_> = found.iter().skip(start.unwrap_or(1) - 1).take(PAGE_ACCOUNTS_MAX).cloned().collect();
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": found.len(), "startIndex": start.unwrap_or(1), "itemsPerPage": page.len(), "Resources": page,
        })
    }
}

/// The account that a PATCH or PUT asks for.
fn changed(before: &Account, method: Method, body: &Value) -> Account {
    let mut after = before.clone();
    if method == Method::Put {
        after.user_name = text(&body["userName"]);
        after.given = text(&body["name"]["givenName"]);
        after.family = text(&body["name"]["familyName"]);
        after.active = body["active"] != false;
        return after;
    }
    for operation in body["Operations"].as_array().expect("operations") {
        let value = &operation["value"];
        match operation["path"].as_str().expect("a path") {
            "name.givenName" => after.given = text(value),
            "name.familyName" => after.family = text(value),
            "active" => after.active = *value == true,
            other => panic!("unexpected path {other}"),
        }
    }
    after
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
