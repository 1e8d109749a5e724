//! Everything around the program in one seed: the true time and the clock that it is shown, the endpoint with what happens on
//! the way to it, and the trace of it all.

use super::endpoint::Endpoint;
use super::weather::{Trouble, Weather};
use crate::support::chance::Chance;
use crate::support::fake_rhombus::{Fate, answer};
use crate::support::in_process::Steps;
use rhombus_sync::clock::Elapsed;
use rhombus_sync::http::{BodyMode, Method, Request, Transport};
use rhombus_sync::model::{Clock, Duration, Moment};
use rhombus_sync::outcome::{Answer, CallError, RetryAfter};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use tokio::time::Instant;

pub(super) struct World {
    base: Cell<i64>,
    /// The beginning of the process that lives now.
    began: Cell<Option<Instant>>,
    /// How far our clock is ahead of the truth, in milliseconds.
    pub(super) skew_ms: Cell<i64>,
    pub(super) elapsed: RefCell<Elapsed>,
    pub(super) chance: RefCell<Chance>,
    pub(super) weather: RefCell<Weather>,
    pub(super) endpoint: RefCell<Endpoint>,
    pub(super) trace: RefCell<Vec<String>>,
    /// Which export is in place.
    pub(super) export: Cell<usize>,
    /// In this process everything is answered with 401.
    pub(super) is_unauthorized: Cell<bool>,
    /// Accounts that were denied in this process.
    denied: RefCell<BTreeSet<String>>,
    /// Whether this process gave access to anybody, or changed a name.
    has_given: Cell<bool>,
}

impl World {
    pub(super) fn new(weather: Weather, chance: Chance) -> Self {
        let mut endpoint = Endpoint::default();
        (endpoint.unique, endpoint.keeps_inactive) = (weather.unique, weather.keeps_inactive);
        endpoint.lag_ms = weather.lag_ms.cast_signed();
        Self {
            base: Cell::new(crate::support::NOW.0),
            began: Cell::new(None),
            skew_ms: Cell::new(0),
            elapsed: RefCell::default(),
            chance: RefCell::new(chance),
            weather: RefCell::new(weather),
            endpoint: RefCell::new(endpoint),
            trace: RefCell::default(),
            export: Cell::new(0),
            is_unauthorized: Cell::new(false),
            denied: RefCell::default(),
            has_given: Cell::new(false),
        }
    }

    /// The true time, in milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        let since = self.began.get().map_or(0, |began| began.elapsed().as_millis());
        self.base.get() + i64::try_from(since).expect("a simulation is short")
    }

    /// So much time passes between two processes.
    pub(super) fn later(&self, seconds: u64) {
        self.base.set(self.base.get() + 1_000 * seconds.cast_signed());
        self.endpoint.borrow_mut().catch_up(self.now());
    }

    /// A process begins, in its runtime.
    pub(super) fn begin(&self) {
        self.began.set(Some(Instant::now()));
        self.denied.borrow_mut().clear();
        self.has_given.set(false);
        let now = self.now();
        self.endpoint.borrow_mut().catch_up(now);
    }

    /// The process has ended; still in its runtime.
    pub(super) fn end(&self) {
        self.base.set(self.now());
        self.began.set(None);
    }

    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        let line = format!("{} {}", self.now() - crate::support::NOW.0, line());
        self.trace.borrow_mut().push(line);
    }

    fn meets(&self, trouble: Trouble) -> bool {
        self.weather.borrow_mut().strikes(trouble, &mut self.chance.borrow_mut())
    }

    async fn on_the_way(&self) {
        let most = self.weather.borrow().latency_ms_max;
        if most == 0 {
            return tokio::task::yield_now().await;
        }
        let wait = self.chance.borrow_mut().between(0, most);
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
    }

    /// What comes of a request that arrives now.
    fn arrive(&self, request: &Request) -> Result<Answer, CallError> {
        self.endpoint.borrow_mut().catch_up(self.now());
        self.judge_order(request);
        let answered = match self.before(request) {
            Some(answered) => answered,
            None => self.after(self.obey(request)),
        };
        self.note(|| {
            let body = request.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let came = match &answered {
                Ok(answer) => format!("{} {:?}", answer.status, answer.retry_after),
                Err(error) => error.to_string(),
            };
            format!("{} {} {body} -> {came}", request.method.as_str(), request.target)
        });
        answered.map(|answer| match self.weather.borrow().shows_date {
            true => Answer { date: Some(Moment(self.now() / 1_000 * 1_000)), ..answer },
            false => answer,
        })
    }

    /// Promise 7: no create and no update leaves before every removal has ended.
    fn judge_order(&self, request: &Request) {
        let body = request.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let takes = request.method == Method::Delete
            || (matches!(request.method, Method::Patch | Method::Put)
                && serde_json::from_str::<serde_json::Value>(&body).is_ok_and(|body| {
                    body["active"] == false
                        || body["Operations"]
                            .as_array()
                            .is_some_and(|of| of.iter().any(|one| one["path"] == "active" && one["value"] == false))
                }));
        if takes && self.has_given.get() {
            let what = format!("a removal was sent after a create or an update: {}", request.target);
            self.endpoint.borrow_mut().broken.push(what);
        }
        if !takes && request.method != Method::Get {
            self.has_given.set(true);
        }
    }

    /// What keeps a request from being obeyed.
    fn before(&self, request: &Request) -> Option<Result<Answer, CallError>> {
        let (changes, now) = (request.method != Method::Get, self.now());
        if self.is_unauthorized.get() {
            return Some(Ok(answer(401, "")));
        }
        if self.meets(Trouble::CutBefore) {
            let lost = self.chance.borrow_mut().per_mille(600);
            let cut = "cut before".to_owned();
            return Some(Err(if lost { CallError::Lost(cut) } else { CallError::NotSent(cut) }));
        }
        if changes && self.meets(Trouble::ComesLate) {
            self.obey_late(request);
            return Some(Err(CallError::Lost("comes late".to_owned())));
        }
        if self.meets(Trouble::ErrorBefore) {
            return Some(Ok(self.error()));
        }
        if self.meets(Trouble::Throttled) {
            let (what, seconds) = {
                let mut chance = self.chance.borrow_mut();
                (chance.below(4), chance.between(1, 90))
            };
            let retry_after = match what {
                0 => None,
                1 => Some(RetryAfter::Unreadable),
                2 => Some(RetryAfter::At(Moment(now + 1_000 * seconds.cast_signed()))),
                _ => Some(RetryAfter::Seconds(u32::try_from(seconds).expect("small"))),
            };
            return Some(Ok(Answer { retry_after, ..answer(429, "") }));
        }
        if changes && self.meets(Trouble::Rejected) {
            return Some(Ok(answer(400, r#"{"detail":"not this one"}"#)));
        }
        if let Some(id) = request.target.strip_prefix("/Users/").filter(|_| !changes)
            && !self.denied.borrow().contains(id)
            && self.meets(Trouble::NotFoundLie)
        {
            self.denied.borrow_mut().insert(id.to_owned());
            return Some(Ok(answer(404, "")));
        }
        None
    }

    fn obey(&self, request: &Request) -> Answer {
        let is_list = request.method == Method::Get && !request.target.starts_with("/Users/");
        let (status, body) = if is_list && request.target.contains("filter=") && self.meets(Trouble::FilterIgnored) {
            (200, self.endpoint.borrow().list("/Users", &mut |_| true))
        } else if is_list && self.meets(Trouble::ShortList) {
            let mut chance = self.chance.borrow_mut();
            (200, self.endpoint.borrow().list(&request.target, &mut |_| chance.per_mille(700)))
        } else {
            self.endpoint.borrow_mut().obey(request, self.export.get(), self.now())
        };
        answer(status, if body.is_null() { String::new() } else { body.to_string() }.as_str())
    }

    /// What keeps the answer from arriving.
    fn after(&self, good: Answer) -> Result<Answer, CallError> {
        if self.meets(Trouble::ErrorAfter) {
            return Ok(self.error());
        }
        if self.meets(Trouble::CutAfter) {
            return Err(CallError::Lost("cut after".to_owned()));
        }
        if good.status < 300 && self.meets(Trouble::Torn) {
            return Ok(Answer { body: Err("it is truncated".to_owned()), ..good });
        }
        Ok(good)
    }

    fn error(&self) -> Answer {
        answer(self.chance.borrow_mut().pick(&[500, 502, 503, 504]), "")
    }

    /// A request that is still on its way when nobody waits for it any more.
    fn obey_late(&self, request: &Request) {
        let at = self.now() + 1_000 * self.chance.borrow_mut().between(1, 15).cast_signed();
        self.endpoint.borrow_mut().obey_later(at, request, self.export.get());
    }
}

/// The way to the endpoint for one process.
pub(super) struct Line {
    pub(super) world: Rc<World>,
    pub(super) steps: Steps,
}

impl Transport for Line {
    async fn call(&self, request: &Request, mode: BodyMode<'_>) -> Result<Answer, CallError> {
        self.world.on_the_way().await;
        if self.steps.step() == Fate::Die {
            if self.world.chance.borrow_mut().per_mille(500) {
                self.world.obey_late(request);
            }
            std::future::pending::<()>().await;
        }
        let answered = self.world.arrive(request);
        self.world.on_the_way().await;
        if self.steps.step() == Fate::Die {
            std::future::pending::<()>().await;
        }
        let mut answer = answered?;
        if let (BodyMode::Stream(stream), 200, Ok(body)) = (mode, answer.status, answer.body.clone()) {
            answer.body = stream(&body).map(|()| Vec::new());
        }
        Ok(answer)
    }
}

/// The clock that the program sees.
pub(super) struct SkewedClock(pub(super) Rc<World>);

impl Clock for SkewedClock {
    fn now(&self) -> Moment {
        Moment(self.0.now() + self.0.skew_ms.get())
    }

    fn ago(&self, duration: Duration) -> Moment {
        let (steady_ms, wall) = (self.0.now(), self.now());
        let mut elapsed = self.0.elapsed.borrow_mut();
        elapsed.note(steady_ms, wall);
        elapsed.earliest(duration, steady_ms, wall)
    }
}
