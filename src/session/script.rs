//! For unit tests: an endpoint that answers by a script, and a session with it over a state in memory.

use super::talk::{End, Session, SessionContext};
use crate::http::{BodyMode, Method, Request, Transport};
use crate::model::{Action, Clock, DirectoryId, LinkedExternalId, Moment, Names, ScimId, UpdateMethod, UserName};
use crate::outcome::{Answer, CallError, RetryAfter};
use crate::plan::ScopeVersion;
use crate::scim::{RateLimit, ScimTarget};
use crate::settlement::{LinkEffect, MadeLink, Settlement};
use crate::store::{self, Batch, Journal};
use rusqlite::Connection;
use serde_json::json;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use tokio_util::sync::CancellationToken;

/// Scripted answers, separated by `|`: `200 ID USERNAME`, `200 list USERNAME=ID …`, `200 page …` of a list
/// with one account more, `404`, `429 SECONDS`, `cut`, `off`.
pub(super) struct Script {
    answers: RefCell<VecDeque<Result<Answer, CallError>>>,
    pub(super) asked: Rc<RefCell<Vec<String>>>,
}

impl Transport for Script {
    async fn call(&self, request: &Request, mode: BodyMode<'_>) -> Result<Answer, CallError> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        };
        let path = request.target.split('?').next().unwrap_or_default();
        self.asked.borrow_mut().push(format!("{method} {path}"));
        let mut answer = self.answers.borrow_mut().pop_front().expect("an answer in the script")?;
        if let (BodyMode::Stream(stream), 200, Ok(body)) = (mode, answer.status, answer.body.clone()) {
            answer.body = stream(&body).map(|()| Vec::new());
        }
        Ok(answer)
    }
}

fn answer(text: &str) -> Result<Answer, CallError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (status, body, seconds) = match words[..] {
        ["cut"] => return Err(CallError::Lost("cut".to_owned())),
        ["off"] => return Err(CallError::NotSent("off".to_owned())),
        [status, "list", ref accounts @ ..] => (status, list(accounts, accounts.len()), None),
        [status, "page", ref accounts @ ..] => (status, list(accounts, accounts.len() + 1), None),
        [status, id, name] => (status, json!({"id": id, "userName": name}).to_string(), None),
        [status, seconds] => (status, String::new(), Some(RetryAfter::Seconds(seconds.parse().expect("seconds")))),
        [status] => (status, String::new(), None),
        _ => panic!("`{text}` is not an answer"),
    };
    let status = status.parse().expect("a status");
    Ok(Answer { status, body: Ok(body.into_bytes()), retry_after: seconds, date: None })
}

fn list(accounts: &[&str], total: usize) -> String {
    let account = |account: &&str| {
        let (name, id) = account.split_once('=').expect("USERNAME=ID");
        json!({"id": id, "userName": name})
    };
    let accounts: Vec<_> = accounts.iter().map(account).collect();
    json!({"totalResults": total, "Resources": accounts}).to_string()
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Moment {
        Moment(1_800_000_000_000)
    }
}

/// What a session needs around it.
pub(super) struct Bench {
    target: ScimTarget<Script>,
    journal: Journal,
    reader: Connection,
    pub(super) stop: CancellationToken,
    pub(super) deactivated: AtomicBool,
    pub(super) asked: Rc<RefCell<Vec<String>>>,
}

impl Bench {
    /// Links are `USERNAME=ID`; with `!` in front, the account has been renamed since.
    pub(super) fn new(links: &str, script: &str) -> Self {
        let answers = RefCell::new(script.split('|').filter(|text| !text.trim().is_empty()).map(answer).collect());
        let asked = Rc::default();
        let target =
            ScimTarget::new(Script { answers, asked: Rc::clone(&asked) }, RateLimit::new(1, None), UpdateMethod::Patch);
        let mut reader = store::scratch(Noon.now()).expect("a state");
        for link in links.split_whitespace() {
            add_link(&mut reader, link);
        }
        let journal = Journal::start(store::scratch(Noon.now()).expect("a state"), None, None).expect("a journal");
        Self { target, journal, reader, stop: CancellationToken::new(), deactivated: AtomicBool::default(), asked }
    }

    pub(super) fn session(&self) -> Session<'_, Script> {
        Session::new(SessionContext {
            target: &self.target,
            journal: &self.journal,
            reader: &self.reader,
            clock: &Noon,
            random: || 7,
            stop: &self.stop,
            deactivated: &self.deactivated,
            window: 1,
        })
    }

    /// The calls so far, on one line.
    pub(super) fn calls(&self) -> String {
        self.asked.borrow().join(", ")
    }
}

fn add_link(state: &mut Connection, link: &str) {
    let (name, id) = link.trim_start_matches('!').split_once('=').expect("USERNAME=ID");
    let directory_id = DirectoryId::new(format!("d-{name}"));
    let transaction = state.transaction().expect("a transaction");
    let scope_version = store::scope_version_id(&transaction, &ScopeVersion::default()).expect("a scope version");
    let mut settlement = Settlement::of(&directory_id, Action::Create);
    settlement.link = LinkEffect::Made(MadeLink {
        scim_id: ScimId::new(id),
        user_name: UserName::of_account(name),
        names: Names::default(),
        active: true,
        external_id: LinkedExternalId::NotShown,
    });
    let mut batch = Batch::of(&transaction);
    store::settle(&mut batch, &settlement, scope_version, Noon.now()).expect("a link");
    if link.starts_with('!') {
        let settlement = Settlement { link: LinkEffect::Foreign, ..Settlement::of(&directory_id, Action::Update) };
        store::settle(&mut batch, &settlement, scope_version, Noon.now()).expect("a link");
    }
    batch.flush().expect("a link");
    transaction.commit().expect("a link");
}

/// Why a session ended, in a word.
pub(super) fn end_of(session: &Session<'_, Script>) -> &'static str {
    match session.end() {
        None => "-",
        Some(End::Unauthorized(_)) => "unauthorized",
        Some(End::WrongEndpoint(_) | End::NobodyThere) => "wrong endpoint",
        Some(End::OtherOrganisation { .. }) => "other organisation",
        Some(End::NotProven(_)) => "not proven",
        Some(End::NotRefreshed(_)) => "not refreshed",
        Some(End::Unanswered(_)) => "unanswered",
        Some(End::Throttled(_)) => "throttled",
        Some(End::Stopped) => "stopped",
        Some(End::Deactivated) => "deactivated",
        Some(End::NotLeading) => "not leading",
        Some(End::State(_)) => "state",
    }
}
