//! EDGE: SCIM 2.0 calls to one endpoint, with a rate limit. It sends and reads; whether to send is up to `apply`.
//!
//! Deliberately absent: `Groups`, `ServiceProviderConfig`, `If-Match`, bulk. Nothing here may depend on them (endpoints
//! leave them out, or answer nonsense).

mod account;
mod rate_limit;
mod wire;

pub use account::Account;
pub use rate_limit::{Permit, RateLimit};

use crate::http::{Method, Request, Take, Transport};
use crate::model::{DesiredUser, Mismatch, Moment, Names, Reason, ScimId, UpdateMethod, UserName};
use crate::outcome::{Answer, CallError, Judged, Outcome, judge};
use crate::records::{Documents, Progress, SCIM_LIST, Window};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Accounts per page.
const PAGE_COUNT: usize = 100;
/// Most pages in a list.
const PAGES_MAX: usize = 100_000;

/// A SCIM endpoint.
pub struct ScimTarget<T> {
    transport: T,
    rate_limit: RateLimit,
    update_method: UpdateMethod,
    date: Cell<Option<Moment>>,
    not_supported: RefCell<BTreeSet<Method>>,
}

/// An update of names.
#[derive(Clone, Copy, Debug)]
pub struct Update<'u> {
    /// Id of the account.
    pub id: &'u ScimId,
    /// The account's present userName.
    pub user_name: &'u UserName,
    /// The names it should get.
    pub wanted: &'u Names,
    /// The names it has.
    pub carried: &'u Names,
    /// Whether the account is reactivated.
    pub reactivate: bool,
}

impl Update<'_> {
    /// Whether an account is as this update wants it.
    #[must_use]
    pub fn is_met_by(&self, account: &Account) -> bool {
        !self.wanted.differ_from(&account.names) && (account.active || !self.reactivate)
    }
}

/// The result of a reading request.
#[derive(Clone, PartialEq, Debug)]
pub struct Read<V> {
    /// What was read; if `None`, `judged` says why.
    pub value: Option<V>,
    /// The judgement of the answer.
    pub judged: Judged,
}

/// Summary of one page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Number of accounts on the page.
    pub count: usize,
    /// `totalResults`, if the endpoint shows it.
    pub total: Option<u64>,
}

impl<T: Transport> ScimTarget<T> {
    /// An endpoint behind a transport.
    #[must_use]
    pub fn new(transport: T, rate_limit: RateLimit, update_method: UpdateMethod) -> Self {
        Self { transport, rate_limit, update_method, date: Cell::new(None), not_supported: RefCell::default() }
    }

    /// Waits until a request may be sent.
    pub async fn permit(&self) -> Permit<'_> {
        self.rate_limit.permit().await
    }

    /// Grants no permit for this long.
    pub fn pause(&self, duration: std::time::Duration) {
        self.rate_limit.pause(duration);
    }

    /// The endpoint's clock, from the `Date` of its last answer.
    #[must_use]
    pub fn date(&self) -> Option<Moment> {
        self.date.get()
    }

    /// Methods that were answered with 405 or 501.
    #[must_use]
    pub fn not_supported(&self) -> BTreeSet<Method> {
        self.not_supported.borrow().clone()
    }

    async fn send(&self, method: Method, target: String, body: Option<Vec<u8>>) -> Result<Answer, CallError> {
        self.call(&Request { method, target, body }, Take::Whole).await
    }

    async fn call(&self, request: &Request, take: Take<'_>) -> Result<Answer, CallError> {
        let answer = self.transport.call(request, take).await;
        if let Ok(Answer { date: Some(date), .. }) = &answer {
            self.date.set(Some(*date));
        }
        if let (Ok(Answer { status: 405 | 501, .. }), Method::Patch | Method::Delete) = (&answer, request.method) {
            self.not_supported.borrow_mut().insert(request.method);
        }
        answer
    }

    /// Reads one account by its id.
    pub async fn read(&self, id: &ScimId, _permit: Permit<'_>) -> Read<Account> {
        let answer = self.send(Method::Get, wire::user(id), None).await;
        account_of(&answer)
    }

    /// Reads the accounts that a filter for one username returns, and whether those are all of them. The caller checks
    /// who they are.
    pub async fn filter(&self, name: &str, permit: Permit<'_>) -> Read<(Vec<Account>, bool)> {
        let (mut accounts, mut more) = (Vec::new(), false);
        let mut take = |account| match accounts.len() {
            0..PAGE_COUNT => accounts.push(account),
            _ => more = true,
        };
        let page = self.page(wire::filter(name, PAGE_COUNT), &mut take, permit).await;
        let value = page.value.map(|page| {
            let more = more || page.total.is_some_and(|total| total > accounts.len() as u64);
            (accounts, !more)
        });
        Read { value, judged: page.judged }
    }

    /// Reads one page of the list and passes on each of its accounts.
    pub async fn list_page(&self, start: usize, each: &mut dyn FnMut(Account), permit: Permit<'_>) -> Read<Page> {
        self.page(wire::list(start, PAGE_COUNT), each, permit).await
    }

    /// Start of the next page; `None` at the end of the list (RFC 7644, section 3.4.2.4). A page without new ids ends
    /// it: totals are not trusted.
    #[must_use]
    pub fn next_start(start: usize, page: &Page, new_count: usize) -> Option<usize> {
        (new_count > 0 && start / PAGE_COUNT < PAGES_MAX).then_some(start + page.count)
    }

    async fn page(&self, target: String, each: &mut dyn FnMut(Account), _permit: Permit<'_>) -> Read<Page> {
        let mut window = Window::default();
        let mut documents = Documents::new(SCIM_LIST);
        let mut count = 0;
        let mut take_record = |text: &str| {
            let mut values =
                serde_json::Deserializer::from_str(text).into_iter::<serde_json::Map<String, serde_json::Value>>();
            let Some(value) = values.next() else { return Ok(0) };
            let (mut members, used) = (value?, values.byte_offset());
            if let Some(cleaned) = self.transport.without_secret(&text[..used]) {
                members = serde_json::from_str(&cleaned)?;
            }
            count += 1;
            each(Account::from_members(members));
            Ok(used)
        };
        let mut stream = |mut bytes: &[u8]| -> Result<(), String> {
            while !bytes.is_empty() {
                let room = window.spare().map_err(|error| error.to_string())?;
                let length = room.len().min(bytes.len());
                room[..length].copy_from_slice(&bytes[..length]);
                window.filled(length);
                bytes = &bytes[length..];
                documents.advance(&mut window, &mut take_record).map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        let request = Request { method: Method::Get, target, body: None };
        let answer = self.call(&request, Take::Stream(&mut stream)).await;
        let mut judged = judge(&answer);
        if judged.outcome != Outcome::Accepted {
            return Read { value: None, judged };
        }
        let body = answer.map_err(|error| error.to_string()).and_then(|answer| answer.body);
        window.filled(0);
        let end =
            body.and_then(|_| documents.advance(&mut window, &mut take_record).map_err(|error| error.to_string()));
        match end {
            Ok(Progress::Done) => {
                let total = documents.finish().totals.first().copied();
                Read { value: Some(Page { count, total }), judged }
            }
            Ok(Progress::NeedsMore) => unreadable(judged, "it is truncated"),
            Err(what) => {
                judged.outcome = Outcome::Unknown(None);
                unreadable(judged, &what)
            }
        }
    }

    /// Creates an account.
    pub async fn create(&self, user: &DesiredUser, _permit: &Permit<'_>) -> Read<Account> {
        let answer = self.send(Method::Post, "/Users".to_owned(), Some(wire::new_user(user))).await;
        let read = account_of(&answer);
        match &read.value {
            Some(account) if account.id.is_some() => read,
            Some(_) => unreadable(read.judged, "the new account has no usable id"),
            None if read.judged.outcome == Outcome::Accepted => unreadable(read.judged, "it contains no account"),
            None => read,
        }
    }

    /// Sets names and reactivates the account if wanted, with the configured method; with PUT if PATCH is not
    /// supported, or was answered 404 although the account exists.
    pub async fn update(&self, update: &Update<'_>, permit: &Permit<'_>) -> Read<Account> {
        if self.update_method == UpdateMethod::Patch {
            let read =
                account_of(&self.send(Method::Patch, wire::user(update.id), Some(wire::patch_names(update))).await);
            if !may_not_know_patch(&read.judged) {
                return read;
            }
            self.rate_limit.next().await;
        }
        let change = |members: &mut serde_json::Map<String, serde_json::Value>| {
            wire::lay_names(members, update.wanted);
            if update.reactivate {
                wire::set_active(members, true);
            }
        };
        self.put(update.id, update.user_name, permit, &change).await
    }

    /// Takes access away with `active=false`.
    pub async fn deactivate(&self, id: &ScimId, user_name: &UserName, permit: &Permit<'_>) -> Read<Account> {
        if self.update_method == UpdateMethod::Patch {
            let read = account_of(&self.send(Method::Patch, wire::user(id), Some(wire::patch_inactive())).await);
            if !may_not_know_patch(&read.judged) {
                return read;
            }
            self.rate_limit.next().await;
        }
        self.put(id, user_name, permit, &|members| wire::set_active(members, false)).await
    }

    /// Deletes an account.
    pub async fn delete(&self, id: &ScimId, _permit: &Permit<'_>) -> Judged {
        judge(&self.send(Method::Delete, wire::user(id), None).await)
    }

    /// PUT: reads, changes and sends the account back with what others set, without `meta` and unassigned values.
    async fn put(
        &self,
        id: &ScimId,
        user_name: &UserName,
        _permit: &Permit<'_>,
        change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>),
    ) -> Read<Account> {
        let answer = self.send(Method::Get, wire::user(id), None).await;
        let read = account_of(&answer);
        if read.judged.outcome != Outcome::Accepted {
            // The change itself was not sent: a lost read is not a lost update.
            let mut read = read;
            if matches!(read.judged.outcome, Outcome::Unknown(_)) {
                read.judged.outcome = Outcome::NotSent;
            }
            return read;
        }
        let members =
            answer.ok().and_then(|answer| answer.body.ok()).and_then(|body| serde_json::from_slice(&body).ok());
        let (Some(serde_json::Value::Object(mut members)), Some(account)) = (members, &read.value) else {
            let judged = Judged { outcome: Outcome::NotSent, ..read.judged };
            return unreadable(judged, "could not read the account before the PUT");
        };
        if account.id.as_ref() != Some(id) {
            let judged = Judged { outcome: Outcome::NotSent, ..read.judged };
            return unreadable(judged, "Rhombus shows another account under this id");
        }
        if !carries(account, user_name) {
            // Renamed since: the caller learns the new name, and nothing is sent.
            let judged = Judged { outcome: Outcome::NotSent, ..read.judged.because(Mismatch::UserName) };
            return Read { judged, value: read.value };
        }
        change(&mut members);
        self.rate_limit.next().await;
        account_of(&self.send(Method::Put, wire::user(id), Some(wire::put_body(members))).await)
    }
}

/// Whether to try PUT: an endpoint that does not route PATCH may answer 404 too, and PUT reads the account first.
fn may_not_know_patch(judged: &Judged) -> bool {
    matches!(judged.outcome, Outcome::NotSupported | Outcome::NotFound)
}

/// The account in an answer. A good status without a usable body stays distinct: accepted, but nothing to see.
fn account_of(answer: &Result<Answer, CallError>) -> Read<Account> {
    let judged = judge(answer);
    let value = match answer {
        Ok(Answer { body: Ok(body), status: 200..=299, .. }) => {
            serde_json::from_slice::<serde_json::Map<_, _>>(body).ok().map(Account::from_members)
        }
        Ok(_) | Err(_) => None,
    };
    Read { value, judged }
}

fn unreadable<V>(mut judged: Judged, what: &str) -> Read<V> {
    if judged.outcome == Outcome::Accepted {
        judged.outcome = Outcome::Unknown(None);
    }
    judged.reason = Some(Reason::UnusableAnswer { said: crate::model::clean(what).into_owned() });
    Read { value: None, judged }
}

/// Whether an account has this username.
#[must_use]
pub fn carries(account: &Account, name: &UserName) -> bool {
    account.user_name.as_ref().is_some_and(|carried| carried.same_as(name))
}
