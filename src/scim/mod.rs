//! EDGE: SCIM 2.0 calls to one endpoint, with a rate limit. It sends and reads; whether to send is up to `apply`.
//!
//! Deliberately absent: `Groups`, `ServiceProviderConfig`, `If-Match`, bulk. Nothing here may depend on them (endpoints
//! leave them out, or answer nonsense).

mod account;
mod listing;
mod organisation;
mod pages;
mod patience;
mod rate_limit;
mod resource;
mod wire;

pub use account::Account;
pub use listing::{Listing, Next, Page};
pub use organisation::{ASKED_COUNT, Organisation, is_the_linked, organisation};
pub use rate_limit::{Permit, RateLimit};

use crate::http::{BodyMode, Method, Request, Transport};
use crate::meter::{Meter, Operation};
use crate::model::{AnswerDoubt, DesiredUser, Fence, Mismatch, Moment, Names, Reason, ScimId, UpdateMethod, UserName};
use crate::outcome::{Answer, CallError, Judged, Outcome, judge};
use pages::CountAsked;
use patience::Patience;
use resource::Resource;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, SemaphorePermit};

/// RFC 8259, section 8.1: a reader may ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A longer account is sent back alone, in bytes: it is held until then.
const LONG_ACCOUNT_BYTES: usize = 256 << 10;

/// A SCIM endpoint.
pub struct ScimTarget<T> {
    transport: T,
    rate_limit: RateLimit,
    update_method: UpdateMethod,
    date: Cell<Option<Moment>>,
    not_supported: RefCell<BTreeSet<Method>>,
    patience: Patience,
    count_asked: Cell<CountAsked>,
    long_puts: Semaphore,
    meter: Arc<Meter>,
    fence: Option<Arc<dyn Fence>>,
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

impl<T: Transport> ScimTarget<T> {
    /// An endpoint behind a transport.
    #[must_use]
    pub fn new(transport: T, rate_limit: RateLimit, update_method: UpdateMethod) -> Self {
        Self {
            transport,
            rate_limit,
            update_method,
            date: Cell::new(None),
            not_supported: RefCell::default(),
            patience: Patience::default(),
            count_asked: Cell::default(),
            long_puts: Semaphore::new(1),
            meter: Arc::default(),
            fence: None,
        }
    }

    /// Sends nothing while this does not allow it.
    #[must_use]
    pub fn fenced_by(self, fence: Option<Arc<dyn Fence>>) -> Self {
        Self { fence, ..self }
    }

    /// Whether a request may start now.
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.fence.as_ref().is_none_or(|fence| fence.may_send())
    }

    /// Counts its requests, and what comes of them, there.
    #[must_use]
    pub fn counted_by(self, meter: Arc<Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Where requests and changes are counted.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
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
        self.call(&Request { method, target, body }, BodyMode::Whole).await
    }

    async fn call(&self, request: &Request, mode: BodyMode<'_>) -> Result<Answer, CallError> {
        // The last look before the wire: who waited for a permit may have waited for long.
        if !self.may_send() {
            return Err(CallError::NotSent("this host does not lead any more".to_owned()));
        }
        let began = Instant::now();
        let mut answer = self.transport.call(request, mode).await;
        let status = answer.as_ref().ok().map(|answer| answer.status);
        self.meter.note_request(operation(request), status, began.elapsed());
        match &mut answer {
            Ok(Answer { status: 200..=299, .. }) => self.patience.renew(),
            Ok(Answer { retry_after: Some(retry_after), .. }) => *retry_after = self.patience.read(*retry_after),
            Ok(Answer { retry_after: None, .. }) | Err(_) => {}
        }
        if let Ok(Answer { body: Ok(body), .. }) = &mut answer
            && body.starts_with(BYTE_ORDER_MARK)
        {
            body.drain(..BYTE_ORDER_MARK.len());
        }
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
            if !may_not_know_patch(&read.judged) || !permit.allows(2) {
                return read;
            }
            self.rate_limit.another(permit).await;
        }
        let change = |resource: &mut Resource| {
            resource.lay_names(update.wanted);
            if update.reactivate {
                resource.set_active(true);
            }
        };
        self.put(update.id, &|account| carries(account, update.user_name), permit, &change).await
    }

    /// Takes access away with `active=false`, by PUT only of an account that is still the one meant.
    pub async fn deactivate(
        &self,
        id: &ScimId,
        is_meant: &dyn Fn(&Account) -> bool,
        permit: &Permit<'_>,
    ) -> Read<Account> {
        if self.update_method == UpdateMethod::Patch {
            let read = account_of(&self.send(Method::Patch, wire::user(id), Some(wire::patch_inactive())).await);
            if !may_not_know_patch(&read.judged) || !permit.allows(2) {
                return read;
            }
            self.rate_limit.another(permit).await;
        }
        self.put(id, is_meant, permit, &|resource| resource.set_active(false)).await
    }

    /// Deletes an account.
    pub async fn delete(&self, id: &ScimId, _permit: &Permit<'_>) -> Judged {
        judge(&self.send(Method::Delete, wire::user(id), None).await)
    }

    /// PUT: reads, changes and sends the account back with what others set.
    async fn put(
        &self,
        id: &ScimId,
        is_meant: &dyn Fn(&Account) -> bool,
        permit: &Permit<'_>,
        change: &dyn Fn(&mut Resource),
    ) -> Read<Account> {
        if !permit.allows(1) {
            let judged = Judged::unknown(AnswerDoubt::CallsUsedUp);
            return Read { value: None, judged: Judged { outcome: Outcome::NotSent, ..judged } };
        }
        let (answer, _alone) = self.read_to_put(id, permit).await;
        let read = account_of(&answer);
        if read.judged.outcome != Outcome::Accepted {
            // The change itself was not sent: a lost read is not a lost update.
            let mut read = read;
            if matches!(read.judged.outcome, Outcome::Unknown(_)) {
                read.judged.outcome = Outcome::NotSent;
            }
            return read;
        }
        let resource = answer.ok().and_then(|answer| answer.body.ok()).and_then(|body| Resource::of(&body));
        let Some((mut resource, account)) = resource else {
            let judged = Judged { outcome: Outcome::NotSent, ..read.judged };
            return unreadable(judged, "could not read the account before the PUT");
        };
        if account.id.as_ref() != Some(id) {
            let judged = Judged { outcome: Outcome::NotSent, ..read.judged };
            return unreadable(judged, "Rhombus shows another account under this id");
        }
        if !is_meant(&account) {
            // Renamed since: the caller learns the new name, and nothing is sent.
            let judged = Judged { outcome: Outcome::NotSent, ..read.judged.because(Mismatch::UserName) };
            return Read { judged, value: read.value };
        }
        change(&mut resource);
        let body = match resource.into_body() {
            Ok(body) => body,
            Err(error) => {
                let judged = Judged { outcome: Outcome::NotSent, ..read.judged };
                return unreadable(judged, &format!("the account cannot be sent back: {error}"));
            }
        };
        self.rate_limit.another(permit).await;
        account_of(&self.send(Method::Put, wire::user(id), Some(body)).await)
    }

    /// An account that is sent back. A long one is read again in its turn.
    async fn read_to_put(
        &self,
        id: &ScimId,
        permit: &Permit<'_>,
    ) -> (Result<Answer, CallError>, Option<SemaphorePermit<'_>>) {
        let answer = self.send(Method::Get, wire::user(id), None).await;
        let is_long = |body: &Vec<u8>| body.len() > LONG_ACCOUNT_BYTES;
        if !answer.as_ref().is_ok_and(|answer| answer.body.as_ref().is_ok_and(is_long)) || !permit.allows(2) {
            return (answer, None);
        }
        drop(answer);
        let alone = self.long_puts.acquire().await.ok();
        self.rate_limit.another(permit).await;
        (self.send(Method::Get, wire::user(id), None).await, alone)
    }
}

fn operation(request: &Request) -> Operation {
    match request.method {
        Method::Get if request.target.starts_with(wire::FILTER) => Operation::Lookup,
        Method::Get if request.target.starts_with("/Users/") => Operation::Read,
        Method::Get => Operation::List,
        Method::Post => Operation::Create,
        Method::Patch => Operation::Patch,
        Method::Put => Operation::Put,
        Method::Delete => Operation::Delete,
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
        Ok(Answer { body: Ok(body), status: 200..=299, .. }) => Account::read(body),
        Ok(_) | Err(_) => None,
    };
    Read { value, judged }
}

fn unreadable<V>(mut judged: Judged, what: &str) -> Read<V> {
    if judged.outcome == Outcome::Accepted {
        judged.outcome = Outcome::Unknown(None);
    }
    judged.reason = Some(Reason::UnusableAnswer { text: crate::model::clean(what).into_owned() });
    Read { value: None, judged }
}

/// Whether an account has this username.
#[must_use]
pub fn carries(account: &Account, name: &UserName) -> bool {
    account.user_name.as_ref().is_some_and(|carried| carried.same_as(name))
}
