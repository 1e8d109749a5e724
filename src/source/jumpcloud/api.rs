//! One question to JumpCloud: let in, asked again if that may help, and never given up for less than an answer.

use super::PAGE_ROWS;
use super::access::Access;
use super::failure::{PAUSE, ReadFailure, TRIES_MAX, WAITS_MAX, message};
use crate::config::JumpCloudConfig;
use crate::http::{Ask, Auth, BodyMode, ClientError, Fetched, Fetcher};
use crate::model::{Fence, is_small_json};
use crate::outcome::CallError;
use crate::source::wait::{self, WAIT_MAX};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// How many pages of organisations are looked through.
const ORGANIZATION_PAGES_MAX: u64 = 100;
const ACCEPT: &str = "application/json";
/// Whom JumpCloud shows as the maker of users that are imported.
const CREATION_SOURCE: &str = "jumpcloud:scim";

/// How long is waited before a request is sent again that was answered 429 without a word of how long.
const UNSAID_WAIT: Duration = Duration::from_secs(5);

/// What became of a request that is sent once.
pub(super) enum Sent {
    /// It was taken, with this answer.
    Taken(Vec<u8>),
    /// It was not; what was said, and what the reader can do.
    Refused(String, &'static str),
    /// It was not, and may be sent again after so long.
    Later(String, Duration),
    /// Nobody knows.
    Unknown(String),
    /// It was not sent: this host does not lead.
    NotAllowed,
}

/// An answer that was understood.
pub(super) struct Reply<T> {
    pub(super) value: T,
    /// `x-total-count`.
    pub(super) total_count: Option<u64>,
}

/// What to do after an answer.
enum Next<T> {
    Done(T),
    /// Waits for so long, because it was said so.
    Wait(Duration),
    /// It may work another time; what went wrong.
    Again(String),
    /// The access token was refused.
    Renew,
}

/// Which requests name the organisation: the list of organisations must not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Organization,
    Nobody,
}

/// JumpCloud's API.
pub(super) struct Api<'a> {
    from: &'a JumpCloudConfig,
    access: Access,
    fetcher: Fetcher,
    /// Nothing is asked before then.
    not_before: Cell<Option<Instant>>,
}

impl<'a> Api<'a> {
    pub(super) fn new(from: &'a JumpCloudConfig, access: Access) -> Result<Self, ClientError> {
        let fetcher = Fetcher::new(from.timeout, from.ca_file.as_deref(), from.proxy.as_deref())?;
        Ok(Self { from, access, fetcher, not_before: Cell::new(None) })
    }

    /// Asks for what `target`, relative to the API, holds. None: 404.
    pub(super) async fn get<T>(
        &self,
        target: &str,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Option<Reply<T>>, ReadFailure> {
        self.ask(target, Names::Organization, &parse).await
    }

    /// Sends a POST, once, whatever is answered, if the fence still allows it.
    pub(super) async fn post_once(
        &self,
        target: &str,
        body: Vec<u8>,
        fence: Option<&dyn Fence>,
    ) -> Result<Sent, ReadFailure> {
        let url = format!("{}{target}", self.from.api_url);
        let token = self.access.token(&self.fetcher, &self.from.token_url).await?;
        let auth = self.access.auth(token.as_ref());
        let ask = Ask {
            organization: self.from.organization_id.as_deref(),
            creation_source: Some(CREATION_SOURCE),
            body: Some((ACCEPT, body)),
            ..Ask::get(&url, auth, ACCEPT)
        };
        if fence.is_some_and(|fence| !fence.may_send()) {
            return Ok(Sent::NotAllowed);
        }
        let answer = match self.fetcher.ask(&ask, BodyMode::Whole).await {
            Ok(answer) => answer,
            Err(CallError::NotSent(what)) => {
                let hint = "check the network and [directory] api_url";
                return Ok(Sent::Refused(format!("no connection: {what}"), hint));
            }
            Err(CallError::Lost(what)) => return Ok(Sent::Unknown(format!("no answer: {what}"))),
        };
        let wait = wait::asked_for(&answer).unwrap_or(UNSAID_WAIT);
        Ok(match (answer.status, answer.body) {
            (200..=299, Ok(body)) => Sent::Taken(body),
            (200..=299, Err(what)) => Sent::Unknown(what),
            (408 | 500.., _) => Sent::Unknown(format!("it answers {}", answer.status)),
            (429, _) => {
                let what = format!("it is asked too often, and asked us to retry after {} s", wait.as_secs());
                Sent::Later(what, wait)
            }
            (status, body) => {
                let hint = match status {
                    401 | 403 => "check the role of the key's administrator",
                    _ => "check these users, and the role of the key's administrator",
                };
                let what = format!("{status} {}", message(&body.unwrap_or_default(), auth));
                Sent::Refused(what.trim_end().to_owned(), hint)
            }
        })
    }

    /// The id of the organisation that is read. None: this API does not say, and its records may.
    pub(super) async fn organization(&self) -> Result<Option<String>, ReadFailure> {
        let (mut skip, mut found) = (0, Vec::new());
        for _ in 0..ORGANIZATION_PAGES_MAX {
            let target = format!("/api/organizations?limit={PAGE_ROWS}&skip={skip}&sort=_id&fields=_id");
            let page = self.ask(&target, Names::Nobody, &organizations).await?;
            let Some(Reply { value: (ids, total), .. }) = page else { return Ok(self.from.organization_id.clone()) };
            let rows_count = ids.len() as u64;
            skip += rows_count;
            found.extend(ids);
            if rows_count == 0 || skip >= total {
                break;
            }
        }
        match &self.from.organization_id {
            Some(wanted) if found.contains(wanted) => Ok(Some(wanted.clone())),
            Some(wanted) => Err(ReadFailure::failed(
                format!("the key has no access to the organisation {wanted}"),
                "compare [directory] organization_id with the organisations of this administrator",
            )),
            None => match found.as_slice() {
                [one] => Ok(Some(one.clone())),
                [] => Err(ReadFailure::failed("the key has no organisation", "use the key of an administrator")),
                several => Err(ReadFailure::failed(
                    format!("the key has access to {} organisations", several.len()),
                    "set [directory] organization_id",
                )),
            },
        }
    }

    async fn ask<T>(
        &self,
        target: &str,
        names: Names,
        parse: &impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Option<Reply<T>>, ReadFailure> {
        let url = format!("{}{target}", self.from.api_url);
        let (mut tries_count, mut waits_count, mut renewed) = (0, 0, false);
        loop {
            while let Some(at) = self.not_before.get().filter(|at| Instant::now() < *at) {
                tokio::time::sleep_until(at).await;
            }
            let token = self.access.token(&self.fetcher, &self.from.token_url).await?;
            let auth = self.access.auth(token.as_ref());
            let organization = self.from.organization_id.as_deref().filter(|_| names == Names::Organization);
            let ask = Ask { organization, ..Ask::get(&url, auth, ACCEPT) };
            let next = match self.fetcher.ask(&ask, BodyMode::Whole).await {
                Ok(answer) => self.judge(answer, auth, target, parse, waits_count)?,
                Err(error) => Next::Again(error.to_string()),
            };
            match next {
                Next::Done(reply) => return Ok(reply),
                Next::Renew if !renewed => {
                    renewed = true;
                    if let Some(token) = &token {
                        self.access.forget(token).await;
                    }
                }
                Next::Renew => return Err(refused(401, "", self.access.is_renewable())),
                Next::Wait(wait) => {
                    waits_count += 1;
                    let until = Instant::now() + wait;
                    self.not_before.set(self.not_before.get().max(Some(until)));
                }
                Next::Again(what) => {
                    tries_count += 1;
                    if tries_count == TRIES_MAX {
                        let what = format!("{}: {what}", path_of(target));
                        return Err(ReadFailure::failed(what, "it was asked three times; the next cycle tries again"));
                    }
                    tokio::time::sleep(PAUSE * 2_u32.pow(tries_count - 1)).await;
                }
            }
        }
    }

    fn judge<T>(
        &self,
        answer: Fetched,
        auth: Auth<'_>,
        target: &str,
        parse: &impl Fn(&[u8]) -> Result<T, String>,
        waits_count: u32,
    ) -> Result<Next<Option<Reply<T>>>, ReadFailure> {
        let (status, total_count, asked_for) = (answer.status, answer.total_count, wait::asked_for(&answer));
        let body = match (status, answer.body) {
            (_, Ok(body)) => body,
            // Of a 404 the body decides, too. Any other refusal is what its status says, however long its words are.
            (200 | 404, Err(what)) => return Ok(Next::Again(what)),
            (_, Err(_)) => Vec::new(),
        };
        match status {
            200 if !is_small_json(&body) => Ok(Next::Again("the answer holds too many values".to_owned())),
            200 => Ok(match parse(&body) {
                Ok(value) => Next::Done(Some(Reply { value, total_count })),
                Err(what) => Next::Again(format!("the answer cannot be read: {what}")),
            }),
            // A page for people comes from somewhere in between, and says nothing about who is there.
            404 if body.trim_ascii_start().starts_with(b"<") => {
                Ok(Next::Again("it answers 404 with a web page".to_owned()))
            }
            404 => Ok(Next::Done(None)),
            401 if self.access.is_renewable() => Ok(Next::Renew),
            401 | 403 => Err(refused(status, &message(&body, auth), self.access.is_renewable())),
            // Without a word of how long: a second, doubling.
            429 => {
                let wait = asked_for.unwrap_or(Duration::from_secs(1 << waits_count.min(4)));
                waited("is asked too often", wait, waits_count)
            }
            408 | 500.. => match asked_for {
                Some(wait) if waits_count < WAITS_MAX || wait > WAIT_MAX => {
                    waited(&format!("answers {status}"), wait, waits_count)
                }
                Some(_) | None => Ok(Next::Again(format!("it answers {status}"))),
            },
            _ => {
                let what = format!("{} answers {status} {}", path_of(target), message(&body, auth));
                let hint = match status {
                    300..=399 => "redirects are not followed: check [directory] api_url",
                    _ => "check [directory] api_url, organization_id and application_id",
                };
                let (what, hint) = (what.trim_end().to_owned(), hint.to_owned());
                Err(if status == 400 {
                    ReadFailure::Malformed { what, hint }
                } else {
                    ReadFailure::Failed { what, hint }
                })
            }
        }
    }
}

fn refused(status: u16, said: &str, is_service: bool) -> ReadFailure {
    let (whom, hint) = match is_service {
        true => ("the service account", "check its role and organisation in JumpCloud, and organization_id"),
        false => ("the API key", "put a valid key into [directory] api_key_file, and check its administrator's role"),
    };
    ReadFailure::failed(format!("JumpCloud refuses {whom}: {status} {said}").trim_end(), hint)
}

/// Waits, if it is not for too long or once too often.
fn waited<T>(why: &str, wait: Duration, waits_count: u32) -> Result<Next<T>, ReadFailure> {
    if wait <= WAIT_MAX && waits_count < WAITS_MAX {
        return Ok(Next::Wait(wait));
    }
    Err(ReadFailure::Later { what: format!("JumpCloud {why}, and asked us to retry after {} s", wait.as_secs()), wait })
}

/// A part of an address, with everything but unreserved characters encoded (RFC 3986, section 2.3).
pub(super) fn encoded(text: &str) -> String {
    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// A target without its query, for a message.
fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

fn organizations(body: &[u8]) -> Result<(Vec<String>, u64), String> {
    #[derive(serde::Deserialize)]
    struct WirePage {
        #[serde(rename = "totalCount")]
        total: Option<u64>,
        results: Vec<Row>,
    }
    #[derive(serde::Deserialize)]
    struct Row {
        #[serde(alias = "_id")]
        id: String,
    }
    let page: WirePage = serde_json::from_slice(body).map_err(|_| "it is not a list of organisations".to_owned())?;
    let total = page.total.unwrap_or(page.results.len() as u64);
    Ok((page.results.into_iter().map(|row| row.id).collect(), total))
}
