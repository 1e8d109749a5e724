//! Events by POST. An event is delivered once the receiver has said so, of it or of everything that it came with; one that it
//! refuses is found by sending less at a time, and put aside only if the receiver takes another one now. No redirect is followed,
//! and the token goes to this address and nowhere else.

mod acknowledged;
mod answer;
mod body;

use super::{DeadLetter, Receipt, Sink, SinkError, unreadable};
use crate::config::{self, HttpStyle};
use crate::event::{Renderer, Sealed};
use crate::http::{BodyMode, Client, ClientSettings, Dialect, Method, Request, Transport};
use crate::model::{Duration, Moment};
use crate::outcome::RetryAfter;
use crate::secret::Token;
use acknowledged::{Acknowledged, CHANNEL, Unacknowledged};
use answer::{Answered, Item};
use body::Part;
use std::io::Error;
use std::time::Instant;
use tokio::runtime::Runtime;

/// The deadline of one request.
const TIMEOUT: Duration = Duration::from_seconds(30);
/// The longest body, unless a single event is longer: every receiver takes this much.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The most events in it.
const BODY_EVENTS_MAX: usize = 500;
/// So many refusals in a row, and no event taken: then it is the receiver, or the way to it.
const REFUSALS_MAX: usize = 32;
/// How long a receiver is left alone that wants to be, and does not say for how long.
const LEFT_ALONE: std::time::Duration = std::time::Duration::from_secs(5);
/// No longer wait is believed: a day.
const LEFT_ALONE_MS_MAX: i64 = 24 * 3_600_000;
/// How often a receiver that acknowledges later is asked.
const ASKED_EVERY: std::time::Duration = std::time::Duration::from_millis(500);
/// How long it is asked in one go: the worker takes a longer silence for a sink that is stuck.
const ASKED_FOR: std::time::Duration = std::time::Duration::from_secs(8);

/// A receiver that is posted to.
pub(super) struct HttpSink {
    name: String,
    renderer: Renderer,
    config: config::HttpSink,
    runtime: Option<Runtime>,
    client: Option<Client>,
    /// Where acknowledgements are asked for.
    acknowledger: Option<Client>,
    unacknowledged: Unacknowledged,
    /// The token that the clients were made with.
    token: Option<Token>,
    not_before: Option<Instant>,
    /// An event that the receiver took.
    taken_before: Option<Part>,
}

/// What became of one event.
enum Fate {
    Taken,
    /// The receiver speaks of this very event.
    Refused(String),
    /// It was refused when it came alone; that may be no fault of its own.
    Suspected(String),
}

impl HttpSink {
    pub(super) fn new(name: String, renderer: Renderer, config: config::HttpSink) -> Self {
        Self {
            name,
            renderer,
            config,
            runtime: None,
            client: None,
            acknowledger: None,
            unacknowledged: Unacknowledged::default(),
            token: None,
            not_before: None,
            taken_before: None,
        }
    }

    fn error(&self, what: impl Into<String>) -> SinkError {
        SinkError::new(&self.name, Error::other(what.into()))
    }

    /// The token may have been replaced on the disk.
    fn prepare(&mut self) -> Result<(), SinkError> {
        let token = self.config.token_file.as_deref().map(Token::read).transpose();
        let token = token.map_err(|error| self.error(crate::model::chain(&error).join(": ")))?;
        let is_same = self.token.as_ref().map(Token::expose) == token.as_ref().map(Token::expose);
        if self.client.is_none() || !is_same {
            let client = self.client_of(self.config.url.clone(), token.as_ref());
            client.prepare().map_err(|error| self.error(error.to_string()))?;
            let beside = acknowledged::address(&self.config.url).filter(|_| self.config.style == HttpStyle::SplunkHec);
            self.acknowledger = beside.map(|url| self.client_of(url, token.as_ref()));
            (self.client, self.token) = (Some(client), token);
        }
        if self.runtime.is_none() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            self.runtime = Some(runtime.map_err(|cause| SinkError::new(&self.name, cause))?);
        }
        Ok(())
    }

    fn client_of(&self, base_url: String, token: Option<&Token>) -> Client {
        Client::new(ClientSettings {
            base_url,
            token: token.cloned(),
            dialect: dialect(self.config.style),
            ca_file: self.config.ca_file.clone(),
            proxy: None,
            timeout: TIMEOUT,
        })
    }

    /// One request.
    fn post(&mut self, parts: &[Part]) -> Result<Answered, SinkError> {
        let (Some(runtime), Some(client)) = (&self.runtime, &self.client) else {
            return Err(self.error("it is not open"));
        };
        let body = body::whole(self.config.style, &self.renderer.host, parts);
        let request = Request { method: Method::Post, target: String::new(), body: Some(body) };
        let answer =
            runtime.block_on(client.call(&request, BodyMode::Whole)).map_err(|error| self.error(error.to_string()))?;
        let answered = answer::meaning(self.config.style, &answer, parts.len());
        if let (Answered::Taken, Some(_), Some(first)) = (&answered, &self.acknowledger, parts.first()) {
            self.unacknowledged.note(&answer, first.sequence);
        }
        if let Answered::Later(_) = answered {
            let wait = match answer.retry_after {
                Some(RetryAfter::Seconds(seconds)) => std::time::Duration::from_secs(u64::from(seconds)),
                Some(RetryAfter::At(at)) => left_alone_until(at, answer.date),
                Some(RetryAfter::Unreadable) => LEFT_ALONE,
                None => std::time::Duration::ZERO,
            };
            self.not_before = Some(Instant::now() + wait);
        }
        Ok(answered)
    }

    /// Sends these, in smaller portions where something among them is refused, and notes what became of each in order. What
    /// became of those before an error is known.
    fn send(&mut self, parts: &[Part], fates: &mut Vec<Fate>) -> Result<(), SinkError> {
        match self.post(parts)? {
            Answered::Taken => fates.extend(parts.iter().map(|_| Fate::Taken)),
            Answered::Later(what) | Answered::Stuck(what) => return Err(self.error(what)),
            Answered::Items(items) => {
                // If it refuses one like the other, that may be no fault of theirs.
                let all = items.len() > 1 && items.iter().all(|item| matches!(item, Item::Refused(_)));
                for item in items {
                    match item {
                        Item::Taken => fates.push(Fate::Taken),
                        Item::Refused(why) if all => fates.push(Fate::Suspected(why)),
                        Item::Refused(why) => fates.push(Fate::Refused(why)),
                        Item::Later(what) => return Err(self.error(what)),
                    }
                }
            }
            Answered::Refused { before, why } if before < parts.len() && parts.len() > 1 => {
                fates.extend((0..before).map(|_| Fate::Taken));
                fates.push(Fate::Suspected(why));
                self.bound_refusals(fates)?;
                if before + 1 < parts.len() {
                    return self.send(&parts[before + 1..], fates);
                }
            }
            Answered::TooMuch(_) if parts.len() > 1 => {
                let (first, second) = parts.split_at(parts.len() / 2);
                self.send(first, fates)?;
                return self.send(second, fates);
            }
            Answered::TooMuch(why) | Answered::Refused { before: _, why } => {
                fates.push(Fate::Suspected(why));
                self.bound_refusals(fates)?;
            }
        }
        Ok(())
    }

    /// A receiver that refuses one event after the other is asked whether it takes any.
    fn bound_refusals(&mut self, fates: &mut [Fate]) -> Result<(), SinkError> {
        let is_row = fates.len() >= REFUSALS_MAX && fates.iter().all(|fate| matches!(fate, Fate::Suspected(_)));
        if is_row { self.prove(fates) } else { Ok(()) }
    }

    /// A refusal is the event's fault if the receiver takes another event now.
    fn prove(&mut self, fates: &mut [Fate]) -> Result<(), SinkError> {
        let Some(why) = fates.iter().find_map(|fate| match fate {
            Fate::Suspected(why) => Some(why.clone()),
            Fate::Taken | Fate::Refused(_) => None,
        }) else {
            return Ok(());
        };
        let takes_one = fates.iter().any(|fate| matches!(fate, Fate::Taken)) || self.takes_another()?;
        if !takes_one {
            return Err(self.error(format!("every event is refused: {why}")));
        }
        for fate in fates {
            if let Fate::Suspected(why) = fate {
                *fate = Fate::Refused(std::mem::take(why));
            }
        }
        Ok(())
    }

    fn takes_another(&mut self) -> Result<bool, SinkError> {
        let Some(part) = self.taken_before.clone() else { return Ok(false) };
        Ok(match self.post(std::slice::from_ref(&part))? {
            Answered::Taken => true,
            Answered::Items(items) => matches!(items.first(), Some(Item::Taken)),
            Answered::Later(_) | Answered::Stuck(_) | Answered::Refused { .. } | Answered::TooMuch(_) => false,
        })
    }
}

impl HttpSink {
    /// Asks once what is stored of what was taken.
    fn ask(&mut self) -> Result<(), SinkError> {
        let (Some(runtime), Some(client)) = (&self.runtime, &self.acknowledger) else { return Ok(()) };
        let request =
            Request { method: Method::Post, target: String::new(), body: Some(self.unacknowledged.question()) };
        // No answer says nothing about what it took: it is asked again.
        if let Ok(answer) = runtime.block_on(client.call(&request, BodyMode::Whole)) {
            match self.unacknowledged.answered(&answer) {
                Acknowledged::SoFar | Acknowledged::Later => {}
                Acknowledged::NotOffered => self.unacknowledged.forget(),
                Acknowledged::Stuck => {
                    let what = format!("the receiver answered {} to a question for acknowledgements", answer.status);
                    return Err(self.error(what));
                }
            }
        }
        if self.unacknowledged.is_overdue() {
            return Err(self.error("the receiver does not acknowledge what it took: it goes again"));
        }
        Ok(())
    }
}

/// How long until this time on the receiver's clock.
fn left_alone_until(at: Moment, date: Option<Moment>) -> std::time::Duration {
    let left = |date| std::time::Duration::from_millis(at.since_ms(date).clamp(0, LEFT_ALONE_MS_MAX).unsigned_abs());
    // A receiver that shows no time of its own may have another one.
    date.map_or(LEFT_ALONE, left)
}

/// How the requests of a style look.
fn dialect(style: HttpStyle) -> Dialect {
    let (scheme, media_type) = match style {
        HttpStyle::Ndjson => ("Bearer", "application/x-ndjson"),
        HttpStyle::SplunkHec => ("Splunk", "application/json"),
        HttpStyle::ElasticBulk => ("ApiKey", "application/x-ndjson"),
        // Exactly this: with a charset, some receivers answer 400.
        HttpStyle::Otlp => ("Bearer", "application/json"),
    };
    // A token with acknowledgement needs one.
    let channel = ("x-splunk-request-channel", CHANNEL.to_owned());
    let headers = if style == HttpStyle::SplunkHec { vec![channel] } else { Vec::new() };
    Dialect { scheme, media_type, accept: "application/json", headers }
}

impl Sink for HttpSink {
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        self.prepare()?;
        // What was not acknowledged before goes again.
        self.unacknowledged.forget();
        Ok(delivered)
    }

    fn deliver(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError> {
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            return Err(self.error("the receiver asked us to wait"));
        }
        let mut receipt = Receipt::default();
        let (mut parts, mut bytes_count) = (Vec::new(), 0);
        for event in events.iter().take(BODY_EVENTS_MAX) {
            match body::part(&self.config, &self.renderer, event) {
                Some(part) if !parts.is_empty() && bytes_count + part.text.len() > BODY_BYTES_MAX => break,
                Some(part) => {
                    bytes_count += part.text.len();
                    parts.push(part);
                }
                None => receipt.refused.push(unreadable(event)),
            }
            (receipt.taken, receipt.settled) = (event.sequence, event.sequence);
        }
        if parts.is_empty() {
            receipt.settled = self.unacknowledged.settled(receipt.taken);
            return Ok(receipt);
        }
        let mut fates = Vec::with_capacity(parts.len());
        let sent = self.send(&parts, &mut fates);
        if let Err(error) = sent {
            // What went before the error is settled, if it is certain.
            if fates.is_empty() || self.prove(&mut fates).is_err() {
                return Err(error);
            }
            let last = parts[fates.len() - 1].sequence;
            receipt.refused.retain(|letter| letter.sequence < last);
            (receipt.taken, receipt.settled) = (last, last);
        } else {
            self.prove(&mut fates)?;
        }
        for (part, fate) in parts.into_iter().zip(fates) {
            match fate {
                Fate::Taken => self.taken_before = Some(part),
                Fate::Refused(why) | Fate::Suspected(why) => {
                    receipt.refused.push(DeadLetter { sequence: part.sequence, why });
                }
            }
        }
        receipt.settled = self.unacknowledged.settled(receipt.taken);
        Ok(receipt)
    }

    fn settle(&mut self, taken: i64) -> Result<Receipt, SinkError> {
        let started = Instant::now();
        while !self.unacknowledged.is_empty() && started.elapsed() < ASKED_FOR {
            self.ask()?;
            if !self.unacknowledged.is_empty() {
                std::thread::sleep(ASKED_EVERY);
            }
        }
        Ok(Receipt { taken, settled: self.unacknowledged.settled(taken), refused: Vec::new() })
    }
}
