//! Lists and filters: one page asked for, and its accounts handed on as it streams.

use super::account::Members;
use super::listing::{At, Page};
use super::{Account, Listing, Permit, Read, ScimTarget, unreadable, wire};
use crate::http::{BodyMode, Method, Request, Transport};
use crate::model::AnswerDoubt;
use crate::outcome::{Answer, CallError, Judged, Outcome, judge};
use crate::records::{Documents, DocumentsRead, Progress, RecordsError, SCIM_LIST, Sieve, TakeRecord, Window};
use std::cell::Cell;

/// How many accounts with one username are kept; a filter that brings more was not obeyed.
const FILTERED_MAX: usize = 100;
/// Stands before many texts made on Windows.
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
/// What is wrong with a list that goes on for ever.
const ENDLESS: &str = "the list does not end";

/// How many accounts a page is asked for: as few calls as possible, as many accounts as the endpoint gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum CountAsked {
    #[default]
    Usual,
    Small,
    No,
}

impl CountAsked {
    fn count(self) -> Option<usize> {
        match self {
            Self::Usual => Some(100),
            Self::Small => Some(50),
            Self::No => None,
        }
    }

    fn less(self) -> Option<Self> {
        match self {
            Self::Usual => Some(Self::Small),
            Self::Small => Some(Self::No),
            Self::No => None,
        }
    }
}

/// The accounts of one answer as they stream.
struct Stream<'s> {
    window: Window,
    documents: Documents,
    sieve: Sieve,
    sieved: Vec<u8>,
    is_markup: Option<bool>,
    /// Whether the list goes on for ever, told how many accounts it says there are.
    is_endless: &'s dyn Fn(Option<u64>) -> bool,
}

impl<T: Transport> ScimTarget<T> {
    /// Reads the accounts that a filter for one username brings, and whether those are all that there are; who they are is
    /// checked by the caller. One id is one account, however often it is shown.
    pub async fn filter(&self, name: &str, permit: Permit<'_>) -> Read<(Vec<Account>, bool)> {
        let (mut accounts, mut more): (Vec<Account>, bool) = (Vec::new(), false);
        let mut take = |account: Account| {
            let is_known = account.id.is_some() && accounts.iter().any(|known| known.id == account.id);
            match accounts.len() {
                _ if is_known => {}
                0..FILTERED_MAX => accounts.push(account),
                _ => more = true,
            }
        };
        let page = self.page(wire::filter(name), &mut take, &|_| false, &permit).await;
        let value = page.value.map(|page| {
            let more = more || page.next_cursor.is_some() || page.total.is_some_and(|total| total > page.count as u64);
            (accounts, !more)
        });
        Read { value, judged: page.judged }
    }

    /// Reads the first page of the list, only to see whether it is shown.
    pub async fn probe(&self, permit: Permit<'_>) -> Read<Page> {
        self.list_page(&Listing::default(), &mut |_| {}, permit).await
    }

    /// Reads one page of the list, and hands on the accounts that were not shown before. A server that rejects our count is
    /// asked with a smaller one, then without.
    pub async fn list_page(&self, listing: &Listing, each: &mut dyn FnMut(Account), permit: Permit<'_>) -> Read<Page> {
        let mut take = |account: Account| {
            if listing.is_new(&account) {
                each(account);
            }
        };
        let at = listing.at();
        let mut asked = self.count_asked.get();
        loop {
            let page =
                self.page(target(&at, asked.count()), &mut take, &|total| listing.is_endless(total), &permit).await;
            match (page.judged.response.status, asked.less()) {
                (Some(400 | 422), Some(less)) => asked = less,
                (Some(_) | None, _) => {
                    if page.value.is_some() {
                        self.count_asked.set(asked);
                    }
                    return page;
                }
            }
            self.rate_limit.another(&permit).await;
        }
    }

    async fn page(
        &self,
        target: String,
        each: &mut dyn FnMut(Account),
        is_endless: &dyn Fn(Option<u64>) -> bool,
        _permit: &Permit<'_>,
    ) -> Read<Page> {
        let count = Cell::new(0);
        let mut take_record = |text: &str| {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<Members>();
            let Some(value) = values.next() else { return Ok(0) };
            let (mut members, used) = (value?, values.byte_offset());
            if let Some(cleaned) = self.transport.without_secret(&text[..used]) {
                members = serde_json::from_str(&cleaned)?;
            }
            count.set(count.get() + 1);
            each(Account::from_members(&members));
            Ok(used)
        };
        let mut stream = Stream::new(is_endless);
        let request = Request { method: Method::Get, target, body: None };
        let answer = {
            let mut take = |bytes: &[u8]| stream.take(bytes, &mut take_record);
            self.call(&request, BodyMode::Stream(&mut take)).await
        };
        let judged = judge(&answer);
        if judged.outcome == Outcome::Forbidden && is_markup(&answer) {
            return Read { value: None, judged: judged.because(AnswerDoubt::Markup) };
        }
        if judged.outcome != Outcome::Accepted {
            return Read { value: None, judged };
        }
        if stream.is_markup == Some(true) {
            return Read { value: None, judged: Judged::because(&lost(judged), AnswerDoubt::Markup) };
        }
        match stream.end(answer, &mut take_record) {
            Ok(read) => {
                let page =
                    Page { count: count.get(), total: read.totals.first().copied(), next_cursor: read.next_cursor };
                Read { value: Some(page), judged }
            }
            Err(what) => unreadable(lost(judged), &what),
        }
    }
}

fn target(at: &At, count: Option<usize>) -> String {
    match at {
        At::First => wire::list(None, count),
        At::Index(start) => wire::list(Some(("startIndex", &start.to_string())), count),
        At::Cursor(cursor) => wire::list(Some(("cursor", cursor)), count),
    }
}

impl<'s> Stream<'s> {
    fn new(is_endless: &'s dyn Fn(Option<u64>) -> bool) -> Self {
        Self {
            window: Window::default(),
            documents: Documents::new(SCIM_LIST),
            sieve: Sieve::default(),
            sieved: Vec::new(),
            is_markup: None,
            is_endless,
        }
    }

    fn take(&mut self, bytes: &[u8], record: &mut TakeRecord<'_>) -> Result<(), String> {
        if self.is_markup.is_none() {
            let before = |byte: &u8| byte.is_ascii_whitespace() || BYTE_ORDER_MARK.contains(byte);
            self.is_markup = bytes.iter().find(|byte| !before(byte)).map(|byte| *byte == b'<');
        }
        if self.is_markup == Some(true) {
            return Err(AnswerDoubt::Markup.to_string());
        }
        self.sieved.clear();
        self.sieve.pass(bytes, &mut self.sieved)?;
        let mut rest = self.sieved.as_slice();
        while !rest.is_empty() {
            let room = self.window.spare().map_err(in_words)?;
            let length = room.len().min(rest.len());
            room[..length].copy_from_slice(&rest[..length]);
            self.window.filled(length);
            rest = &rest[length..];
            let (total, mut endless) = (self.documents.total(), false);
            let mut record = |text: &str| {
                let used = record(text)?;
                endless |= (self.is_endless)(total);
                Ok(used)
            };
            self.documents.advance(&mut self.window, &mut record).map_err(in_words)?;
            if endless {
                return Err(ENDLESS.to_owned());
            }
        }
        Ok(())
    }

    fn end(mut self, answer: Result<Answer, CallError>, record: &mut TakeRecord<'_>) -> Result<DocumentsRead, String> {
        answer.map_err(|error| error.to_string()).and_then(|answer| answer.body)?;
        self.window.filled(0);
        match self.documents.advance(&mut self.window, record).map_err(in_words)? {
            Progress::Done => Ok(self.documents.finish()),
            Progress::NeedsMore => Err("it is truncated".to_owned()),
        }
    }
}

/// Whether the body is a web page: a portal's, not the SCIM service's.
fn is_markup(answer: &Result<Answer, CallError>) -> bool {
    let Ok(Answer { body: Ok(body), .. }) = answer else { return false };
    let body = body.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(body);
    body.trim_ascii_start().starts_with(b"<")
}

fn lost(judged: Judged) -> Judged {
    Judged { outcome: Outcome::Unknown(None), ..judged }
}

fn in_words(error: RecordsError) -> String {
    error.to_string()
}
