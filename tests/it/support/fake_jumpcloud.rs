//! A stand-in for the calls to JumpCloud that the program makes, written from the public description of its API (V1 and V2), with
//! faults on request: at a call, at a page, so many times.

use super::raw_endpoint::{Asked, Endpoint};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) const KEY: &str = "jca_0123456789abcdef0123456789abcdef0123";
pub(crate) const ORGANIZATION: &str = "5f0000000000000000000001";
pub(crate) const APPLICATION: &str = "6f0000000000000000000001";
const SECRET: &str = "client-secret-1";
/// More rows of a page are answered 400.
const LIMIT_MAX: usize = 100;

/// One of the calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Call {
    Organizations,
    Users,
    User,
    Bound,
    Groups,
    Members,
    OfUser,
    Token,
    Bulk,
    Results,
}

/// What a call does instead of answering.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Hangs up.
    Cut,
    /// This status, with these headers and this body.
    Status(u16, &'static str, &'static str),
    /// One row less than it should.
    Short,
    /// The announced total is another one.
    Total,
    /// Before it answers, a row that was shown is gone: what follows moves up.
    Shift,
    /// The first page again, at this page and those behind it.
    Repeat,
    /// No rows at all.
    Empty,
    /// A good answer, after which nothing is said: bulk creates do their work and hang up.
    Mute,
}

/// What JumpCloud holds.
pub(crate) struct Directory {
    pub(crate) users: BTreeMap<String, Value>,
    /// Id, name, members.
    pub(crate) groups: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Who and what is bound to the application.
    pub(crate) bound_users: BTreeSet<String>,
    pub(crate) bound_groups: BTreeSet<String>,
    pub(crate) organizations: Vec<String>,
    /// Rows that graph lists announce and never show.
    pub(crate) hidden: BTreeSet<String>,
    /// Whether graph lists say how many rows they have.
    pub(crate) counts: bool,
    pub(crate) rows_max: usize,
    pub(crate) expires_in: i64,
    /// Usernames that a bulk create refuses.
    pub(crate) refused: BTreeSet<String>,
    /// Whether a job fails as a whole.
    pub(crate) job_fails: bool,
    pub(crate) faults: Vec<(Call, u64, Fault, u32)>,
    pub(crate) latency: std::time::Duration,
    /// Rows of a job from this one on are shown as pending.
    pub(crate) pending_from: usize,
    tokens_count: u32,
    jobs: BTreeMap<String, Vec<Value>>,
    calls: BTreeMap<Call, usize>,
    /// Called with the number of each request, before it is answered.
    pub(crate) at_each: Option<Box<dyn FnMut(usize) + Send>>,
}

/// A user as JumpCloud has one, beside much that nobody here needs.
pub(crate) fn user(number: usize) -> Value {
    json!({"_id": id(number), "username": format!("p{number}@x.example"), "email": format!("p{number}@mail.example"),
        "firstname": "Pat", "lastname": format!("Doe{number}"), "state": "ACTIVATED", "activated": true,
        "suspended": false, "organization": ORGANIZATION, "attributes": [], "mfa": {"configured": false}})
}

pub(crate) fn id(number: usize) -> String {
    format!("7000000000000000{number:08x}")
}

pub(crate) struct FakeJumpCloud {
    pub(crate) endpoint: Endpoint,
    directory: Arc<Mutex<Directory>>,
}

impl FakeJumpCloud {
    pub(crate) fn start(users_count: usize) -> Self {
        let directory = Directory {
            users: (0..users_count).map(|number| (id(number), user(number))).collect(),
            groups: BTreeMap::new(),
            bound_users: BTreeSet::new(),
            bound_groups: BTreeSet::new(),
            organizations: vec![ORGANIZATION.to_owned()],
            hidden: BTreeSet::new(),
            counts: true,
            rows_max: LIMIT_MAX,
            expires_in: 3600,
            refused: BTreeSet::new(),
            job_fails: false,
            faults: Vec::new(),
            latency: std::time::Duration::ZERO,
            pending_from: usize::MAX,
            tokens_count: 0,
            jobs: BTreeMap::new(),
            calls: BTreeMap::new(),
            at_each: None,
        };
        let directory = Arc::new(Mutex::new(directory));
        let of = directory.clone();
        let endpoint = Endpoint::start(move |asked| {
            let latency = of.lock().expect("whole").latency;
            std::thread::sleep(latency);
            let answer = of.lock().expect("whole").answer(asked);
            answer.write(asked);
        });
        Self { endpoint, directory }
    }

    pub(crate) fn url(&self) -> String {
        self.endpoint.base_url.trim_end_matches("/scim/v2").to_owned()
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().expect("whole")
    }

    /// This fault, at the page with this number, so many times.
    pub(crate) fn fault(&self, call: Call, page: u64, fault: Fault, times: u32) {
        self.now().faults = vec![(call, page, fault, times)];
    }

    /// How often each call was made since it was asked last.
    pub(crate) fn calls(&self) -> BTreeMap<Call, usize> {
        std::mem::take(&mut self.now().calls)
    }
}

/// An answer, before it is written.
enum Answer {
    Cut,
    Said(u16, String, String),
}

impl Answer {
    fn json(value: &Value) -> Self {
        Self::Said(200, "Content-Type: application/json\r\n".to_owned(), value.to_string())
    }

    fn error(status: u16, message: &str) -> Self {
        Self::Said(status, String::new(), json!({"message": message}).to_string())
    }

    fn write(self, asked: &mut Asked<'_>) {
        match self {
            Self::Cut => drop(asked.stream.shutdown(std::net::Shutdown::Both)),
            Self::Said(status, headers, body) => asked.answer(status, &headers, &body),
        }
        let _ = asked.stream.flush();
    }
}

/// A request's path and its parameters, decoded.
struct Target {
    path: Vec<String>,
    query: BTreeMap<String, String>,
}

impl Target {
    fn of(line: &str) -> Self {
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let target = line.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            path: path.split('/').skip(1).map(decoded).collect(),
            query: query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(k, v)| (decoded(k), decoded(v)))
                .collect(),
        }
    }

    fn number(&self, name: &str, default: usize) -> usize {
        self.query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
}

impl Directory {
    fn answer(&mut self, asked: &Asked<'_>) -> Answer {
        let target = Target::of(&asked.line);
        let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
        let call = match path[..] {
            ["oauth2", "token"] => Call::Token,
            ["api", "organizations"] => Call::Organizations,
            ["api", "systemusers"] => Call::Users,
            ["api", "systemusers", _] => Call::User,
            ["api", "v2", "applications", _, "users"] => Call::Bound,
            ["api", "v2", "usergroups"] => Call::Groups,
            ["api", "v2", "usergroups", _, "membership"] => Call::Members,
            ["api", "v2", "users", _, "applications" | "memberof"] => Call::OfUser,
            ["api", "v2", "bulk", "users"] => Call::Bulk,
            ["api", "v2", "bulk", "users", _, "results"] => Call::Results,
            _ => return Answer::error(404, "no such route"),
        };
        *self.calls.entry(call).or_default() += 1;
        let number = self.calls.values().sum();
        if let Some(at_each) = &mut self.at_each {
            at_each(number);
        }
        if let Some(refusal) = self.refusal(call, asked) {
            return refusal;
        }
        let limit = target.number("limit", 10);
        if limit > LIMIT_MAX {
            return Answer::error(400, "Bad Request: request parameter \"limit\" exceeds maximum value of 100");
        }
        let page = (target.number("skip", 0) / self.rows_max) as u64;
        let fits = |at: u64, fault: &Fault| at == page || (at < page && matches!(fault, Fault::Repeat));
        let at = self.faults.iter_mut().find(|(of, at, fault, times)| *of == call && fits(*at, fault) && *times > 0);
        let fault = at.map(|(.., fault, times)| {
            *times -= 1;
            fault.clone()
        });
        match fault {
            Some(Fault::Cut) => return Answer::Cut,
            Some(Fault::Status(status, headers, body)) => {
                return Answer::Said(status, headers.to_owned(), body.to_owned());
            }
            Some(Fault::Shift) => {
                let gone =
                    if call == Call::Users { self.users.keys().next() } else { self.bound_users.first() }.cloned();
                self.users.remove(&gone.clone().unwrap_or_default());
                self.bound_users.remove(&gone.unwrap_or_default());
                if call == Call::Members
                    && let Some((_, members)) = target.path.get(3).and_then(|group| self.groups.get_mut(group))
                {
                    members.pop_first();
                }
            }
            Some(Fault::Short | Fault::Total | Fault::Repeat | Fault::Empty | Fault::Mute) | None => {}
        }
        self.good(call, &target, asked, fault.as_ref())
    }

    /// 401 for a wrong key, 403 for `x-org-id` where it does not belong.
    fn refusal(&self, call: Call, asked: &Asked<'_>) -> Option<Answer> {
        let header = |name: &str| {
            let lower = format!("{name}: ");
            asked
                .head
                .lines()
                .find(|line| line.to_lowercase().starts_with(&lower))
                .map(|line| line[lower.len()..].to_owned())
        };
        if call == Call::Token {
            let basic = "Basic Y2xpZW50LTE6Y2xpZW50LXNlY3JldC0x";
            let good = header("authorization").as_deref() == Some(basic) && asked.body.contains("client_credentials");
            return (!good).then(|| Answer::Said(401, String::new(), json!({"error": "invalid_client"}).to_string()));
        }
        let token = format!("Bearer token-{}", self.tokens_count);
        let is_key = header("x-api-key").as_deref() == Some(KEY);
        if !is_key && (self.tokens_count == 0 || header("authorization") != Some(token)) {
            return Some(Answer::error(401, "Unauthorized: api key user not found"));
        }
        match (call, header("x-org-id")) {
            (Call::Organizations, Some(_)) => Some(Answer::error(403, "ID included on unsupported route")),
            (_, Some(id)) if !self.organizations.contains(&id) => Some(Answer::error(404, "organization not found")),
            _ => None,
        }
    }

    fn good(&mut self, call: Call, target: &Target, asked: &Asked<'_>, fault: Option<&Fault>) -> Answer {
        let (skip, limit) = (target.number("skip", 0), target.number("limit", 10).min(self.rows_max));
        let skip = if matches!(fault, Some(Fault::Repeat)) { 0 } else { skip };
        let limit = if matches!(fault, Some(Fault::Empty)) { 0 } else { limit };
        let window = |rows: Vec<Value>| {
            let mut rows: Vec<Value> = rows.into_iter().skip(skip).take(limit).collect();
            if matches!(fault, Some(Fault::Short)) {
                rows.pop();
            }
            rows
        };
        let more = usize::from(matches!(fault, Some(Fault::Total)));
        let counted = |rows: Vec<Value>| json!({"totalCount": rows.len() + more, "results": window(rows)});
        let id = target.path.get(3).map(String::as_str).unwrap_or_default();
        let graph = |this: &Self, mut rows: Vec<Value>| {
            let total = rows.len() + more;
            // A row that is not shown makes its page short.
            rows = window(rows)
                .into_iter()
                .filter(|row| !this.hidden.contains(row["id"].as_str().unwrap_or_default()))
                .collect();
            let headers = if this.counts { format!("x-total-count: {total}\r\n") } else { String::new() };
            Answer::Said(200, headers, Value::from(rows).to_string())
        };
        let rows_of =
            |ids: &BTreeSet<String>| ids.iter().map(|id| json!({"id": id, "type": "user", "paths": []})).collect();
        match call {
            Call::Token => {
                self.tokens_count += 1;
                let token = format!("token-{}", self.tokens_count);
                Answer::json(&json!({"access_token": token, "token_type": "bearer", "expires_in": self.expires_in}))
            }
            Call::Organizations => Answer::json(&counted(
                self.organizations.iter().map(|id| json!({"_id": id, "displayName": "X", "logoUrl": ""})).collect(),
            )),
            Call::Users => {
                let fields: BTreeSet<&str> = target.query["fields"].split(' ').collect();
                assert_eq!(target.query["sort"], "_id");
                let shown = |user: &Value| {
                    let all = user.as_object().expect("an object").iter();
                    all.filter(|(name, _)| *name == "_id" || fields.contains(name.as_str()))
                        .map(|(n, v)| (n.clone(), v.clone()))
                        .collect()
                };
                let mut rows: Vec<Value> =
                    self.users.values().skip(skip).take(limit).map(|user| Value::Object(shown(user))).collect();
                if matches!(fault, Some(Fault::Short)) {
                    rows.pop();
                }
                Answer::json(&json!({"totalCount": self.users.len() + more, "results": rows}))
            }
            Call::User => match self.users.get(&target.path[2]) {
                Some(user) => Answer::json(user),
                None => Answer::error(404, "not found"),
            },
            Call::Bound if id != APPLICATION => Answer::error(404, "not found"),
            Call::Bound => graph(self, rows_of(&self.bound())),
            Call::Groups => {
                let name = target.query["filter"].strip_prefix("name:eq:").expect("a filter").to_owned();
                let prefix = name.trim_end_matches('*').to_owned();
                let fits = |found: &str| found == name || (name.ends_with('*') && found.starts_with(&prefix));
                let rows = self.groups.iter().filter(|(_, (found, _))| fits(found));
                graph(self, rows.map(|(id, (name, _))| json!({"id": id, "name": name, "type": "user_group"})).collect())
            }
            Call::Members => match self.groups.get(id) {
                Some((_, members)) => graph(self, rows_of(members)),
                None => Answer::error(404, "not found"),
            },
            Call::OfUser if !self.users.contains_key(id) => Answer::error(404, "not found"),
            Call::OfUser if target.path[4] == "applications" => {
                let bound = self.bound().contains(id);
                let rows = if bound {
                    vec![json!({"id": APPLICATION, "type": "application", "paths": []})]
                } else {
                    Vec::new()
                };
                graph(self, rows)
            }
            Call::OfUser => {
                let rows = self.groups.iter().filter(|(_, (_, members))| members.contains(id));
                graph(self, rows.map(|(id, _)| json!({"id": id, "type": "user_group", "paths": []})).collect())
            }
            Call::Bulk => self.bulk(asked, fault),
            Call::Results => match self.jobs.get(&target.path[4]) {
                Some(results) => {
                    let mut results = results.clone();
                    for result in results.iter_mut().skip(self.pending_from) {
                        result["status"] = "pending".into();
                    }
                    Answer::json(&window(results).into())
                }
                None => Answer::error(404, "no such job"),
            },
        }
    }

    /// Who is bound, directly or through a group.
    fn bound(&self) -> BTreeSet<String> {
        let through =
            self.bound_groups.iter().filter_map(|group| self.groups.get(group)).flat_map(|(_, members)| members);
        through.chain(&self.bound_users).filter(|id| self.users.contains_key(*id)).cloned().collect()
    }

    fn bulk(&mut self, asked: &Asked<'_>, fault: Option<&Fault>) -> Answer {
        let Ok(Value::Array(wanted)) = serde_json::from_str::<Value>(&asked.body) else {
            return Answer::error(400, "an array of users is expected");
        };
        if !asked.head.to_lowercase().contains("creation-source: jumpcloud:scim") {
            return Answer::error(400, "malformed creation-source");
        }
        let mut results = Vec::new();
        for mut user in wanted {
            let name = user["username"].as_str().unwrap_or_default().to_owned();
            let taken = self.users.values().any(|known| known["username"] == user["username"]);
            let good = !taken && !self.refused.contains(&name) && !self.job_fails;
            let id = format!("8000000000000000{:08x}", self.users.len());
            results.push(json!({"id": id, "status": if good { "finished" } else { "error" },
                "statusMsg": "", "meta": {}, "persistedFields": {"username": name}}));
            if good {
                user["_id"] = id.clone().into();
                // The organisation's setting for imported users.
                user["state"] = "ACTIVATED".into();
                self.users.insert(id, user);
            }
        }
        let job = format!("job{}", self.jobs.len());
        self.jobs.insert(job.clone(), results);
        if matches!(fault, Some(Fault::Mute)) {
            return Answer::Cut;
        }
        Answer::json(&json!({"jobId": job}))
    }

    /// A group, bound to the application or not.
    pub(crate) fn group(&mut self, number: usize, name: &str, members: std::ops::Range<usize>, bound: bool) {
        let group = format!("9000000000000000000000{number:02x}");
        self.groups.insert(group.clone(), (name.to_owned(), members.map(id).collect()));
        if bound {
            self.bound_groups.insert(group);
        }
    }

    pub(crate) fn members(&mut self, number: usize) -> &mut BTreeSet<String> {
        &mut self.groups.get_mut(&format!("9000000000000000000000{number:02x}")).expect("a group").1
    }
}

/// What the client-credentials tests put into their files.
pub(crate) fn client_secret() -> &'static str {
    SECRET
}
