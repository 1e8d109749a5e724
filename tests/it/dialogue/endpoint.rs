//! An endpoint that plays a script for each user and is honest about everybody else. It keeps its own truth: which accounts
//! there are, and what really changed.

use super::script::{Answer as Said, Dialogue, Effect, HowOften, Op, Shows, Witness};
use crate::support::fake_rhombus::answer;
use rhombus_sync::http::{Method, Request};
use rhombus_sync::outcome::{Answer, CallError, RetryAfter};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An answer that is none: the connection breaks.
const CUT: u16 = 0;
/// A body that does not arrive completely.
const TORN: u16 = 1;

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Account {
    pub(super) user_name: String,
    pub(super) external_id: Option<String>,
    pub(super) given: String,
    pub(super) active: bool,
}

impl Account {
    fn shown(&self, id: &str) -> Value {
        let mut shown = json!({"id": id, "userName": self.user_name, "name": {"givenName": self.given}});
        shown["active"] = self.active.into();
        if let Some(external_id) = &self.external_id {
            shown["externalId"] = external_id.clone().into();
        }
        shown
    }
}

/// What the endpoint plays for one user.
#[derive(Default)]
struct Part {
    verbs_count: u32,
    /// The kind of verb that the script is about: the first.
    verb: Option<Method>,
    /// The account before the verb, for answers and reads of old.
    before: Option<(String, Account)>,
    reads_since_count: u32,
}

#[derive(Default)]
pub(super) struct Endpoint {
    pub(super) accounts: BTreeMap<String, Account>,
    /// What really changed: the event that tells it, and the account.
    pub(super) effects: Vec<(&'static str, String)>,
    /// Calls about each user since the play began.
    pub(super) calls: BTreeMap<String, u32>,
    scripts: BTreeMap<String, Dialogue>,
    parts: BTreeMap<String, Part>,
    /// Changes that come later: after so many reads, or after the cycle.
    late: Vec<(String, Request)>,
    /// How many accounts each username has had: ids do not depend on the order of calls.
    made: BTreeMap<String, u32>,
    is_playing: bool,
    /// Updates of the play that had an effect. One that is sent again unchanged is the same change, which has one event.
    sent: BTreeSet<(String, Option<Vec<u8>>)>,
}

impl Endpoint {
    pub(super) fn play(&mut self, scripts: BTreeMap<String, Dialogue>) {
        self.scripts = scripts;
        self.is_playing = true;
    }

    /// From now on it is honest; what was still to come comes now.
    pub(super) fn end_play(&mut self) {
        self.is_playing = false;
        for (_, request) in std::mem::take(&mut self.late) {
            self.obey(&request, Effect::Done);
        }
    }

    /// An account that somebody else made.
    pub(super) fn add(&mut self, account: Account) -> String {
        let made_count = self.made.entry(account.user_name.clone()).or_default();
        *made_count += 1;
        let id = format!("{}~{made_count}", account.user_name);
        self.accounts.insert(id.clone(), account);
        id
    }

    pub(super) fn of(&self, name: &str) -> Vec<(&String, &Account)> {
        self.accounts.iter().filter(|(_, account)| account.user_name == name).collect()
    }

    pub(super) fn call(&mut self, request: &Request) -> Answer {
        let about = self.user_of(request);
        if self.is_playing
            && let Some(name) = &about
        {
            *self.calls.entry(name.clone()).or_default() += 1;
            if let Some(dialogue) = self.scripts.get(name).copied() {
                return self.scripted(name, dialogue, request);
            }
            if request.method == Method::Get
                && !request.target.contains('?')
                && let Some(witness) =
                    self.scripts.values().map(|script| script.witness).find(|one| *one != Witness::Ok)
            {
                return answer(if witness == Witness::NotFound { 404 } else { 500 }, "");
            }
        }
        self.honest(request)
    }

    /// Whom a request is about, by username.
    fn user_of(&self, request: &Request) -> Option<String> {
        let path = request.target.split('?').next().unwrap_or_default();
        if let Some(id) = path.strip_prefix("/Users/") {
            let id = decode(id);
            return Some(id.split('~').next().unwrap_or_default().to_owned());
        }
        match request.method {
            Method::Post => body(request)["userName"].as_str().map(str::to_owned),
            Method::Get => filtered(request),
            Method::Patch | Method::Put | Method::Delete => None,
        }
    }

    fn scripted(&mut self, name: &str, dialogue: Dialogue, request: &Request) -> Answer {
        let part = self.parts.entry(name.to_owned()).or_default();
        if request.method == Method::Get {
            let shows = if part.verbs_count == 0 { dialogue.before } else { dialogue.after };
            part.reads_since_count += u32::from(part.verbs_count > 0);
            // The first read after a change that comes soon does not show it yet.
            let comes = part.reads_since_count == 2 && dialogue.effect == Effect::Soon;
            if comes {
                let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|(of, _)| of == name);
                self.late = later;
                let due: Vec<(String, Request)> = due;
                due.iter().for_each(|(_, request)| drop(self.obey(request, Effect::Done)));
            }
            return self.read(name, shows, request);
        }
        part.verb.get_or_insert(request.method);
        let scripted = match dialogue.how_often {
            HowOften::Once => part.verbs_count == 0,
            HowOften::ThisVerb => part.verb == Some(request.method),
            HowOften::EveryVerb => true,
        };
        part.verbs_count += 1;
        if part.before.is_none() {
            part.before =
                self.accounts.iter().find(|(_, one)| one.user_name == name).map(|(id, one)| (id.clone(), one.clone()));
        }
        if !scripted {
            return self.honest(request);
        }
        let old = self.parts[name].before.clone();
        let honest = match dialogue.effect {
            Effect::Done | Effect::MadeInactive | Effect::WithoutNames => self.obey(request, dialogue.effect),
            Effect::Not => self.as_if_done(request),
            Effect::Soon | Effect::Late => {
                let good = self.as_if_done(request);
                self.late.push((name.to_owned(), request.clone()));
                good
            }
        };
        say(dialogue.answer, honest, old)
    }

    /// What a good answer would be, without the change.
    fn as_if_done(&mut self, request: &Request) -> Answer {
        let (accounts, effects, made) = (self.accounts.clone(), self.effects.clone(), self.made.clone());
        let sent = self.sent.clone();
        let good = self.obey(request, Effect::Done);
        (self.accounts, self.effects, self.made, self.sent) = (accounts, effects, made, sent);
        good
    }

    fn read(&mut self, name: &str, shows: Shows, request: &Request) -> Answer {
        let (is_filter, truth) = (request.target.contains('?'), self.honest(request));
        let id =
            decode(request.target.split('?').next().unwrap_or_default().strip_prefix("/Users/").unwrap_or_default());
        let altered = |change: &dyn Fn(&mut Value)| {
            let mut body: Value = serde_json::from_slice(truth.body.as_deref().unwrap_or_default()).unwrap_or_default();
            match body.get_mut("Resources").and_then(Value::as_array_mut) {
                Some(found) => found.iter_mut().for_each(change),
                None if truth.status == 200 => change(&mut body),
                None => {}
            }
            answer(truth.status, &body.to_string())
        };
        match shows {
            Shows::Truth => truth,
            Shows::Old => match self.parts.get(name).and_then(|part| part.before.clone()) {
                Some((id, old)) if is_filter => answer(200, &page(&[old.shown(&id)])),
                Some((of, old)) if of == id => answer(200, &old.shown(&of).to_string()),
                Some(_) | None => truth,
            },
            Shows::Gone if is_filter => answer(200, &page(&[])),
            Shows::Gone => answer(404, ""),
            Shows::Error => answer(500, ""),
            Shows::Rejected => answer(400, ""),
            Shows::Cut => answer(CUT, ""),
            Shows::Torn => answer(TORN, ""),
            Shows::Garbage => answer(200, "<html>"),
            Shows::Empty => answer(200, ""),
            Shows::Inactive => altered(&|account| account["active"] = false.into()),
            Shows::OtherName => altered(&|account| account["userName"] = "boss@x.example".into()),
            Shows::OtherExternalId => altered(&|account| account["externalId"] = "somebody".into()),
            Shows::NoExternalId => altered(&|account| drop(account.as_object_mut().map(|it| it.remove("externalId")))),
            Shows::OtherId if is_filter => truth,
            Shows::OtherId => altered(&|account| account["id"] = "other~0".into()),
        }
    }

    fn honest(&mut self, request: &Request) -> Answer {
        if request.method != Method::Get {
            return self.obey(request, Effect::Done);
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        if let Some(id) = path.strip_prefix("/Users/") {
            let id = decode(id);
            return match self.accounts.get(&id) {
                Some(account) => answer(200, &account.shown(&id).to_string()),
                None => answer(404, ""),
            };
        }
        let name = filtered(request);
        let hidden = |one: &Account| {
            let mode = |dialogue: &Dialogue| match self.parts.get(&one.user_name) {
                Some(part) if part.verbs_count > 0 => dialogue.after,
                Some(_) | None => dialogue.before,
            };
            name.is_none() && self.is_playing && self.scripts.get(&one.user_name).map(mode) == Some(Shows::Gone)
        };
        let wanted = |one: &&Account| name.as_ref().is_none_or(|name| one.user_name.eq_ignore_ascii_case(name));
        let found: Vec<Value> = self
            .accounts
            .iter()
            .filter(|(_, one)| wanted(one) && !hidden(one))
            .map(|(id, one)| one.shown(id))
            .collect();
        let start = query.split('&').find_map(|part| part.strip_prefix("startIndex=")?.parse::<usize>().ok());
        // While it plays, pages are so short that a look-up takes the filter.
        let size = if self.is_playing && name.is_none() { 2 } else { 500 };
        let shown: Vec<_> = found.iter().skip(start.unwrap_or(1) - 1).take(size).cloned().collect();
        answer(200, &json!({"totalResults": found.len(), "Resources": shown}).to_string())
    }

    /// Does what a request asks for, and notes it if anything really changed.
    fn obey(&mut self, request: &Request, effect: Effect) -> Answer {
        let body = body(request);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if request.method == Method::Post {
            let name = text(&body["userName"]).expect("a userName");
            if self.accounts.values().any(|one| one.user_name == name) {
                return answer(409, "");
            }
            let given = text(&body["name"]["givenName"]).filter(|_| effect != Effect::WithoutNames).unwrap_or_default();
            let (external_id, active) = (text(&body["externalId"]), effect != Effect::MadeInactive);
            let id = self.add(Account { user_name: name, external_id, given, active });
            self.effects.push(("user_create_provision", id.clone()));
            return answer(201, &self.accounts[&id].shown(&id).to_string());
        }
        let id = decode(request.target.strip_prefix("/Users/").unwrap_or_default());
        let Some(before) = self.accounts.get(&id).cloned() else { return answer(404, "") };
        let mut after = before.clone();
        match request.method {
            Method::Delete => {
                self.accounts.remove(&id);
                self.effects.push(("user_delete_provision", id));
                return answer(204, "");
            }
            Method::Put => {
                assert_eq!(
                    text(&body["userName"]).as_deref(),
                    Some(before.user_name.as_str()),
                    "a userName was changed"
                );
                after.given = text(&body["name"]["givenName"]).unwrap_or_default();
                after.active = body["active"] != false;
            }
            Method::Patch => {
                for operation in body["Operations"].as_array().expect("operations") {
                    match operation["path"].as_str() {
                        Some("name.givenName") => after.given = text(&operation["value"]).unwrap_or_default(),
                        Some("active") => after.active = operation["value"] == true,
                        other => panic!("unexpected {other:?}"),
                    }
                }
            }
            Method::Get | Method::Post => {}
        }
        let shown = after.shown(&id).to_string();
        if effect == Effect::WithoutNames {
            after.given.clone_from(&before.given);
        }
        after.active &= effect != Effect::MadeInactive;
        if after != before {
            let event = if before.active && !after.active && effect != Effect::MadeInactive {
                "user_deprovision"
            } else {
                "user_update_provision"
            };
            let same = (request.target.clone(), request.body.clone());
            if !self.is_playing || self.sent.insert(same) {
                self.effects.push((event, id.clone()));
            }
            self.accounts.insert(id.clone(), after);
        }
        answer(200, &shown)
    }
}

fn say(said: Said, good: Answer, old: Option<(String, Account)>) -> Answer {
    match said {
        Said::Good => good,
        Said::Status(status) => answer(status, ""),
        Said::Throttled => Answer { retry_after: Some(RetryAfter::Seconds(1)), ..answer(429, "") },
        Said::OldBody => match old {
            Some((id, account)) => answer(200, &account.shown(&id).to_string()),
            None => answer(200, "{}"),
        },
        Said::Markup => answer(200, "<html>"),
        Said::Another => answer(200, r#"{"id":"other~0","userName":"boss@x.example","active":true}"#),
        Said::Cut => answer(CUT, ""),
        Said::Torn => answer(TORN, ""),
    }
}

/// Turns what is no answer into what the transport would say.
pub(super) fn mangle(_: &Request, answer: Result<Answer, CallError>) -> Result<Answer, CallError> {
    match answer?.clone() {
        Answer { status: CUT, .. } => Err(CallError::Lost("cut".to_owned())),
        Answer { status: TORN, .. } => {
            Ok(Answer { status: 200, body: Err("it is truncated".to_owned()), retry_after: None, date: None })
        }
        answer => Ok(answer),
    }
}

fn page(accounts: &[Value]) -> String {
    json!({"totalResults": accounts.len(), "Resources": accounts}).to_string()
}

fn body(request: &Request) -> Value {
    request.body.as_deref().map(|body| serde_json::from_slice(body).expect("JSON")).unwrap_or_default()
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn filtered(request: &Request) -> Option<String> {
    let query = decode(request.target.split_once("filter=")?.1);
    query.split('"').nth(1).map(|name| name.to_ascii_lowercase())
}

/// Whether a user's account exists before the play, and how.
pub(super) fn account_before(dialogue: Dialogue, name: &str) -> Option<Account> {
    let (user_name, given) = (name.to_owned(), "Old".to_owned());
    let theirs = if dialogue.before == Shows::OtherExternalId { "somebody" } else { "another" };
    let external_id = (dialogue.before != Shows::NoExternalId).then(|| theirs.to_owned());
    let active = dialogue.before != Shows::Inactive;
    (dialogue.op == Op::Adopt).then_some(Account { user_name, external_id, given, active })
}
