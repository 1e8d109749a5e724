//! Events by POST. An event is delivered once the receiver has said so, of it or of everything that it came with; one that it
//! refuses is found by sending less at a time, and put aside only if the receiver takes another one now. No redirect is followed,
//! and the token goes to this address and nowhere else.

mod answer;
mod body;

use super::{DeadLetter, Receipt, Sink, SinkError, unreadable};
use crate::config::{self, HttpStyle};
use crate::event::{Renderer, Sealed};
use crate::http::{BodyMode, Client, ClientSettings, Dialect, Method, Request, Transport};
use crate::model::Duration;
use crate::outcome::RetryAfter;
use crate::secret::Token;
use answer::{Answered, Item};
use body::Part;
use std::io::Error;
use std::time::Instant;
use tokio::runtime::Runtime;

/// The deadline of one request.
const TIMEOUT: Duration = Duration::from_seconds(30);
/// The longest body, unless a single event is longer: every receiver takes this much.
const BODY_BYTES_MAX: usize = 1 << 20;
/// So many refusals in a row, and no event taken: then it is the receiver, or the way to it.
const REFUSALS_MAX: usize = 32;
/// How long a receiver is left alone that wants to be, and does not say for how long.
const LEFT_ALONE: std::time::Duration = std::time::Duration::from_secs(5);

/// A receiver that is posted to.
pub(super) struct HttpSink {
    name: String,
    renderer: Renderer,
    config: config::HttpSink,
    runtime: Option<Runtime>,
    client: Option<Client>,
    /// The token that the client was made with.
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
        Self { name, renderer, config, runtime: None, client: None, token: None, not_before: None, taken_before: None }
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
            let client = Client::new(ClientSettings {
                base_url: self.config.url.clone(),
                token: token.clone(),
                dialect: dialect(self.config.style),
                ca_file: self.config.ca_file.clone(),
                proxy: None,
                timeout: TIMEOUT,
            });
            client.prepare().map_err(|error| self.error(error.to_string()))?;
            (self.client, self.token) = (Some(client), token);
        }
        if self.runtime.is_none() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            self.runtime = Some(runtime.map_err(|cause| SinkError::new(&self.name, cause))?);
        }
        Ok(())
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
        if let Answered::Later(_) = answered {
            let wait = match answer.retry_after {
                Some(RetryAfter::Seconds(seconds)) => std::time::Duration::from_secs(u64::from(seconds)),
                Some(RetryAfter::At(_) | RetryAfter::Unreadable) => LEFT_ALONE,
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
                for item in items {
                    match item {
                        Item::Taken => fates.push(Fate::Taken),
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

/// How the requests of a style look.
fn dialect(style: HttpStyle) -> Dialect {
    let (scheme, media_type) = match style {
        HttpStyle::Ndjson => ("Bearer", "application/x-ndjson"),
        HttpStyle::SplunkHec => ("Splunk", "application/json"),
        HttpStyle::ElasticBulk => ("ApiKey", "application/x-ndjson"),
        // Exactly this: with a charset, some receivers answer 400.
        HttpStyle::Otlp => ("Bearer", "application/json"),
    };
    // A token with acknowledgement needs a channel; which one does not matter.
    let channel = ("x-splunk-request-channel", "6f5f1c1e-7a3b-4d2c-9c56-72686f6d6275".to_owned());
    let headers = if style == HttpStyle::SplunkHec { vec![channel] } else { Vec::new() };
    Dialect { scheme, media_type, accept: "application/json", headers }
}

impl Sink for HttpSink {
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        self.prepare()?;
        Ok(delivered)
    }

    fn deliver(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError> {
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            return Err(self.error("the receiver asked us to wait"));
        }
        let mut receipt = Receipt::default();
        let (mut parts, mut bytes_count) = (Vec::new(), 0);
        for event in events {
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
        Ok(receipt)
    }
}
