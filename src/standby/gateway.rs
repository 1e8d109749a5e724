//! Asks etcd, through its v3 JSON gateway. Several members are tried in turn, beginning with the one that answered last.

use super::fence::steady_ms;
use super::wire::{self, Decided, KeyValue, number};
use crate::config::LeaseConfig;
use crate::http::{Ask, Auth, BodyMode, ClientError, Fetched, Fetcher};
use crate::model::clean;
use crate::secret::{SecretError, Token};
use serde_json::{Value, json};
use std::cell::Cell;

/// Bounds of how long one member is waited for, and which part of the lease that is.
const WAIT_MS: std::ops::RangeInclusive<i64> = 200..=5_000;
const WAITS_PER_TTL: i64 = 12;
const JSON: &str = "application/json";

/// Why etcd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No member answers.
    #[error("etcd does not answer: {0}")]
    Away(String),
    /// It says no.
    #[error("etcd refuses: {0}")]
    Refused(String),
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

/// A client of etcd.
pub(super) struct Gateway {
    fetcher: Fetcher,
    endpoints: Vec<String>,
    token: Option<Token>,
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
        let token = config.token_file.as_deref().map(Token::read).transpose()?;
        let wait = std::time::Duration::from_millis(wait_ms.unsigned_abs());
        let encrypted = config.endpoints.iter().any(|endpoint| endpoint.starts_with("https:"));
        let fetcher = Fetcher::identified((wait, encrypted), config.ca_file.as_deref(), identity)?;
        Ok(Self { fetcher, endpoints: config.endpoints.clone(), token, first: Cell::new(0) })
    }

    pub(super) async fn grant(&self, ttl_s: i64) -> Result<Lasting, GatewayError> {
        let (answer, asked_ms) = self.call("lease/grant", json!({"TTL": ttl_s.to_string()})).await?;
        Ok(Lasting { asked_ms, lease: number(&answer["ID"]), ttl_s: number(&answer["TTL"]).min(ttl_s) })
    }

    pub(super) async fn keep_alive(&self, lease: i64) -> Result<Lasting, GatewayError> {
        let (answer, asked_ms) = self.call("lease/keepalive", json!({"ID": lease.to_string()})).await?;
        if let Some(error) = answer["error"]["message"].as_str() {
            return Err(GatewayError::Away(clean(error).into_owned()));
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
        self.call("kv/range", wire::range(prefix)).await.map(|(answer, _)| wire::keys(&answer))
    }

    /// Does `then` if `compare` is so, else `otherwise`; all of it or nothing.
    pub(super) async fn decide(
        &self,
        compare: &[Value],
        then: &[Value],
        otherwise: &[Value],
    ) -> Result<Decided, GatewayError> {
        let body = json!({"compare": compare, "success": then, "failure": otherwise});
        self.call("kv/txn", body).await.map(|(answer, _)| wire::decided(&answer))
    }

    /// The answer, and when the request that was answered started.
    async fn call(&self, what: &str, body: Value) -> Result<(Value, i64), GatewayError> {
        let auth = self.token.as_ref().map_or(Auth::Nothing, Auth::Plain);
        let body = body.to_string().into_bytes();
        let mut why = GatewayError::Away("no member is configured".to_owned());
        for turn in 0..self.endpoints.len() {
            let member = (self.first.get() + turn) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(member) else { continue };
            let url = format!("{endpoint}/v3/{what}");
            let asked_ms = steady_ms();
            let ask = Ask { body: Some((JSON, body.clone())), ..Ask::get(&url, auth, JSON) };
            match self.fetcher.ask(&ask, BodyMode::Whole).await {
                Ok(Fetched { status: 200, body: Ok(answer), .. }) => match serde_json::from_slice(&answer) {
                    Ok(answer) => {
                        self.first.set(member);
                        return Ok((answer, asked_ms));
                    }
                    Err(_) => why = GatewayError::Away(format!("{endpoint} does not speak JSON")),
                },
                Ok(Fetched { body: Err(error), .. }) => why = GatewayError::Away(error),
                Ok(Fetched { status, body: Ok(answer), .. }) => why = refused(endpoint, status, &answer),
                Err(error) => why = GatewayError::Away(format!("{endpoint}: {error}")),
            }
        }
        Err(why)
    }
}

/// A member without a leader, or about to end, answers 5xx: that is no word of etcd's.
fn refused(endpoint: &str, status: u16, answer: &[u8]) -> GatewayError {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let said = answer["message"].as_str().or(answer["error"].as_str()).unwrap_or_default();
    let said = format!("{endpoint} answers {status} {}", clean(said));
    if status >= 500 { GatewayError::Away(said) } else { GatewayError::Refused(said) }
}
