//! What JumpCloud is asked with: an API key, or the access token of a service account, renewed before it expires. The key goes
//! to the API alone, the client's secret to the token's address alone.

use super::failure::{PAUSE, ReadFailure, TRIES_MAX, WAITS_MAX, message};
use crate::config::{ApiCredential, JumpCloudConfig};
use crate::http::{Ask, Auth, BodyMode, Fetcher};
use crate::secret::{SecretError, Token};
use crate::source::wait::{self, WAIT_MAX};
use serde::Deserialize;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The lifetime of a token that does not say one, in seconds: JumpCloud's own.
const LIFETIME_SECONDS: u64 = 3600;
/// A token is renewed so long before it expires, or after half of its life if that is shorter.
const EARLY: Duration = Duration::from_secs(30);
/// What a service account asks for (RFC 6749, section 4.4).
const GRANT: &[u8] = b"grant_type=client_credentials&scope=api";
const FORM: &str = "application/x-www-form-urlencoded";

/// What requests are let in with.
pub(super) enum Access {
    Key(Token),
    Service { client_id: String, secret: Token, token: Mutex<Option<Lent>> },
}

/// An access token, and until when it is used.
pub(super) struct Lent {
    token: Token,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<i64>,
}

impl Access {
    /// Reads the secret from its file.
    pub(super) fn read(from: &JumpCloudConfig) -> Result<Self, SecretError> {
        Ok(match &from.credential {
            ApiCredential::Key(place) => Self::Key(place.read()?),
            ApiCredential::Service { client_id, secret } => {
                Self::Service { client_id: client_id.clone(), secret: secret.read()?, token: Mutex::new(None) }
            }
        })
    }

    /// Whether a refused request may be let in with a new token.
    pub(super) fn is_renewable(&self) -> bool {
        matches!(self, Self::Service { .. })
    }

    /// The token to use now; `Key`: `None`.
    pub(super) async fn token(&self, fetcher: &Fetcher, token_url: &str) -> Result<Option<Token>, ReadFailure> {
        let Self::Service { client_id, secret, token } = self else { return Ok(None) };
        let mut lent = token.lock().await;
        if let Some(lent) = lent.as_ref().filter(|lent| Instant::now() < lent.until) {
            return Ok(Some(lent.token.clone()));
        }
        let fresh = lend(fetcher, token_url, client_id, secret).await?;
        let token = fresh.token.clone();
        *lent = Some(fresh);
        Ok(Some(token))
    }

    /// Forgets a token that was refused.
    pub(super) async fn forget(&self, refused: &Token) {
        let Self::Service { token, .. } = self else { return };
        let mut lent = token.lock().await;
        lent.take_if(|lent| lent.token.expose() == refused.expose());
    }

    /// How a request is let in.
    pub(super) fn auth<'a>(&'a self, token: Option<&'a Token>) -> Auth<'a> {
        match (self, token) {
            (Self::Key(key), _) => Auth::Key(key),
            (Self::Service { .. }, Some(token)) => Auth::Bearer(token),
            (Self::Service { .. }, None) => Auth::Nothing,
        }
    }
}

/// What came of asking for a token.
enum Lending {
    Lent(Lent),
    /// It may work another time; what went wrong.
    Again(String),
    /// It wants to be left alone for so long.
    Later(Duration),
}

/// Asks for a token, again if that may help, as the API is asked.
async fn lend(fetcher: &Fetcher, token_url: &str, client_id: &str, secret: &Token) -> Result<Lent, ReadFailure> {
    let (mut tries_count, mut waits_count) = (0, 0);
    loop {
        match ask(fetcher, token_url, client_id, secret).await? {
            Lending::Lent(lent) => return Ok(lent),
            Lending::Later(wait) if wait <= WAIT_MAX && waits_count < WAITS_MAX => {
                waits_count += 1;
                tokio::time::sleep(wait).await;
            }
            Lending::Later(wait) => {
                let what = format!("{token_url} asked us to retry after {} s", wait.as_secs());
                return Err(ReadFailure::Later { what, wait });
            }
            Lending::Again(what) => {
                tries_count += 1;
                if tries_count == TRIES_MAX {
                    let what = format!("no access token from {token_url}: {what}");
                    return Err(ReadFailure::failed(what, "it was asked three times; the next cycle tries again"));
                }
                tokio::time::sleep(PAUSE * 2_u32.pow(tries_count - 1)).await;
            }
        }
    }
}

async fn ask(fetcher: &Fetcher, token_url: &str, client_id: &str, secret: &Token) -> Result<Lending, ReadFailure> {
    let auth = Auth::Basic(client_id, secret);
    let failed =
        |what: String, hint: &str| ReadFailure::failed(format!("no access token from {token_url}: {what}"), hint);
    let ask = Ask { body: Some((FORM, GRANT.to_vec())), ..Ask::get(token_url, auth, "application/json") };
    let asked_at = Instant::now();
    let answer = match fetcher.ask(&ask, BodyMode::Whole).await {
        Ok(answer) => answer,
        Err(error) => return Ok(Lending::Again(error.to_string())),
    };
    let asked_for = wait::asked_for(&answer);
    let body = match (answer.status, answer.body) {
        (_, Ok(body)) => body,
        (200, Err(what)) => return Ok(Lending::Again(what)),
        (_, Err(_)) => Vec::new(),
    };
    match answer.status {
        200 => {}
        408 | 429 | 500.. => {
            return Ok(
                asked_for.map_or_else(|| Lending::Again(format!("it answers {}", answer.status)), Lending::Later)
            );
        }
        400 | 401 | 403 => {
            let what = format!("{} {}", answer.status, message(&body, auth));
            return Err(failed(what, "compare client_id and client_secret_file with the service account in JumpCloud"));
        }
        status => return Err(failed(format!("it answers {status}"), "the next cycle asks again")),
    }
    let parsed: TokenAnswer = serde_json::from_slice(&body)
        .map_err(|_| failed("the answer is not one".to_owned(), "check [directory] token_url"))?;
    let token = Token::from_text(&parsed.access_token)
        .ok_or_else(|| failed("it cannot be sent in a header".to_owned(), "check [directory] token_url"))?;
    let seconds = parsed.expires_in.filter(|seconds| *seconds > 0).map_or(LIFETIME_SECONDS, i64::unsigned_abs);
    let life = Duration::from_secs(seconds.min(LIFETIME_SECONDS * 24));
    Ok(Lending::Lent(Lent { token, until: asked_at + life - EARLY.min(life / 2) }))
}
