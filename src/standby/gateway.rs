//! Asks etcd, through its v3 JSON gateway. Several members are tried in turn, beginning with the one that answered last.

use super::fence::steady_ms;
use super::wire::{self, Decided, KeyValue, number};
use crate::config::LeaseConfig;
use crate::http::{Ask, Auth, BodyMode, ClientError, Fetched, Fetcher};
use crate::model::clean;
use crate::outcome::CallError;
use crate::secret::{SecretError, Token};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

/// Bounds of how long one member is waited for, and which part of the lease that is.
const WAIT_MS: std::ops::RangeInclusive<i64> = 200..=5_000;
const WAITS_PER_TTL: i64 = 12;
const JSON: &str = "application/json";
/// What a token is answered with that has ended.
const WHO_ARE_YOU: u16 = 401;

/// Why etcd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No member answers.
    #[error("etcd does not answer: {0}")]
    Away(String),
    /// It says no.
    #[error("etcd refuses: {0}")]
    Refused(String),
    /// Another process leads by our name.
    #[error(
        "another process that calls itself {0} leads; if it is on another host, give one of them another name (RHOMBUS_SYNC_HOST)"
    )]
    Twin(String),
    /// No client can be built.
    #[error("etcd cannot be asked")]
    Client(#[from] ClientError),
    /// The token or key cannot be used.
    #[error("etcd cannot be asked")]
    Secret(#[from] SecretError),
}

/// A lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lasting {
    /// When it was asked for, by [`steady_ms`].
    pub(super) asked_ms: i64,
    pub(super) lease: i64,
    /// For how long it lasts from then on, in seconds; 0: it has ended.
    pub(super) ttl_s: i64,
}

/// Who waits for the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AskedBy {
    /// A lease that lapses meanwhile.
    Lease,
    /// A command.
    Command,
}

/// A token of etcd's, and the file that has the next one once this one has ended.
struct Presented {
    path: PathBuf,
    token: RefCell<Token>,
}

impl Presented {
    fn read(path: &Path) -> Result<Self, SecretError> {
        Ok(Self { path: path.to_owned(), token: RefCell::new(Token::read(path)?) })
    }

    /// Whether the file has another one by now.
    fn is_replaced(&self) -> bool {
        let Ok(found) = Token::read(&self.path) else { return false };
        let is_new = found.expose() != self.token.borrow().expose();
        if is_new {
            self.token.replace(found);
        }
        is_new
    }
}

/// A client of etcd.
pub(super) struct Gateway {
    fetcher: Fetcher,
    endpoints: Vec<String>,
    token: Option<Presented>,
    /// The member that answered last.
    first: Cell<usize>,
}

impl Gateway {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used.
    pub(super) fn new(config: &LeaseConfig, asked_by: AskedBy) -> Result<Self, GatewayError> {
        let wait_ms = match asked_by {
            AskedBy::Lease => (config.ttl.milliseconds() / WAITS_PER_TTL).clamp(*WAIT_MS.start(), *WAIT_MS.end()),
            AskedBy::Command => *WAIT_MS.end(),
        };
        let identity = config.identity.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let token = config.token_file.as_deref().map(Presented::read).transpose()?;
        let wait = std::time::Duration::from_millis(wait_ms.unsigned_abs());
        let encrypted = config.endpoints.iter().any(|endpoint| endpoint.starts_with("https:"));
        let fetcher = Fetcher::identified((wait, encrypted), config.ca_file.as_deref(), identity)?;
        Ok(Self { fetcher, endpoints: config.endpoints.clone(), token, first: Cell::new(0) })
    }

    pub(super) async fn grant(&self, ttl_s: i64) -> Result<Lasting, GatewayError> {
        let (answer, asked_ms) = self.call("lease/grant", json!({"TTL": ttl_s.to_string()})).await?;
        let (lease, granted_s) = (number(&answer["ID"]), number(&answer["TTL"]));
        // A key without a lease would stand for ever.
        if lease <= 0 || granted_s <= 0 {
            return Err(GatewayError::Away("it grants no lease".to_owned()));
        }
        Ok(Lasting { asked_ms, lease, ttl_s: granted_s.min(ttl_s) })
    }

    pub(super) async fn keep_alive(&self, lease: i64) -> Result<Lasting, GatewayError> {
        let (answer, asked_ms) = self.call("lease/keepalive", json!({"ID": lease.to_string()})).await?;
        if let Some(error) = answer["error"]["message"].as_str() {
            return Err(GatewayError::Away(clean(error).into_owned()));
        }
        // What is zero is left out: a lease that has ended has no TTL, and its name all the same.
        if number(&answer["result"]["ID"]) != lease {
            return Err(GatewayError::Away("it does not say how long the lease lasts".to_owned()));
        }
        Ok(Lasting { asked_ms, lease, ttl_s: number(&answer["result"]["TTL"]) })
    }

    /// How long ago a lease was renewed, in milliseconds, and for how long it still lasts.
    pub(super) async fn age_ms(&self, lease: i64) -> Result<(i64, i64), GatewayError> {
        let (answer, _) = self.call("lease/timetolive", json!({"ID": lease.to_string()})).await?;
        let (left, granted) = (number(&answer["TTL"]).max(0), number(&answer["grantedTTL"]));
        Ok(((granted - left).max(0) * 1_000, left * 1_000))
    }

    pub(super) async fn revoke(&self, lease: i64) -> Result<(), GatewayError> {
        self.call("lease/revoke", json!({"ID": lease.to_string()})).await.map(drop)
    }

    /// Every key whose name begins so.
    pub(super) async fn look(&self, prefix: &str) -> Result<Vec<KeyValue>, GatewayError> {
        let (answer, _) = self.call("kv/range", wire::range(prefix)).await?;
        wire::keys_of_a_range(&answer).ok_or_else(|| GatewayError::Away("it does not say what it has".to_owned()))
    }

    /// Does `then` if `compare` is so, else `otherwise`; all of it or nothing.
    pub(super) async fn decide(
        &self,
        compare: &[Value],
        then: &[Value],
        otherwise: &[Value],
    ) -> Result<Decided, GatewayError> {
        let body = json!({"compare": compare, "success": then, "failure": otherwise});
        let (answer, _) = self.call("kv/txn", body).await?;
        wire::decided(&answer).ok_or_else(|| GatewayError::Away("it does not say what it did".to_owned()))
    }

    /// The answer, and when the request that was answered started.
    async fn call(&self, what: &str, body: Value) -> Result<(Value, i64), GatewayError> {
        let body = body.to_string().into_bytes();
        let mut why = GatewayError::Away("no member is configured".to_owned());
        for turn in 0..self.endpoints.len() {
            let member = (self.first.get() + turn) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(member) else { continue };
            let mut asked_ms = steady_ms();
            let mut said = self.ask(endpoint, what, &body).await;
            if let (Ok(Fetched { status: WHO_ARE_YOU, .. }), Some(token)) = (&said, &self.token)
                && token.is_replaced()
            {
                asked_ms = steady_ms();
                said = self.ask(endpoint, what, &body).await;
            }
            why = match said {
                Ok(Fetched { status: 200, body: Ok(answer), .. }) => match serde_json::from_slice(&answer) {
                    Ok(answer) => {
                        self.first.set(member);
                        return Ok((answer, asked_ms));
                    }
                    Err(_) => GatewayError::Away(format!("{endpoint} does not speak JSON")),
                },
                Ok(Fetched { body: Err(error), .. }) => GatewayError::Away(error),
                Ok(Fetched { status, body: Ok(answer), .. }) => refused(endpoint, status, &answer),
                Err(error) => GatewayError::Away(format!("{endpoint}: {error}")),
            };
        }
        Err(why)
    }

    async fn ask(&self, endpoint: &str, what: &str, body: &[u8]) -> Result<Fetched, CallError> {
        let url = format!("{endpoint}/v3/{what}");
        // One that is replaced meanwhile is sent with the next request.
        let token = self.token.as_ref().map(|presented| presented.token.borrow().clone());
        let auth = token.as_ref().map_or(Auth::Nothing, Auth::Plain);
        let ask = Ask { body: Some((JSON, body.to_vec())), ..Ask::get(&url, auth, JSON) };
        self.fetcher.ask(&ask, BodyMode::Whole).await
    }
}

/// A member without a leader, or about to end, answers 5xx: that is no word of etcd's.
fn refused(endpoint: &str, status: u16, answer: &[u8]) -> GatewayError {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let said = answer["message"].as_str().or(answer["error"].as_str()).unwrap_or_default();
    let said = format!("{endpoint} answers {status} {}", clean(said));
    if status >= 500 { GatewayError::Away(said) } else { GatewayError::Refused(said) }
}
