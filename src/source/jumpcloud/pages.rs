//! Lists that are read in pages by offset: the users, whose pages must add up to the announced total, and graph lists, which may
//! announce rows that they never show.

use super::api::{Api, Reply, encoded};
use super::failure::ReadFailure;
use super::records::{Members, Record};
use super::{CONCURRENCY, PAGE_ROWS, READS_MAX};
use futures_util::{StreamExt, pin_mut, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// A list that is longer than this is not read to its end: it has none.
const ROWS_MAX: u64 = 5_000_000;

/// One page of users.
struct UsersPage {
    total: u64,
    records: Vec<Record>,
}

/// Hands on every user, by `_id`.
pub(super) async fn users(
    api: &Api<'_>,
    members: &Members,
    each: &mut dyn FnMut(Record) -> Result<(), ReadFailure>,
) -> Result<(), ReadFailure> {
    let fields = members.fields();
    let fetch = |skip: u64| users_page(api, members, &fields, skip);
    let first = fetch(0).await?;
    let (total, rows) = (first.total, first.records.len() as u64);
    if total > ROWS_MAX {
        return Err(ReadFailure::failed(format!("it declares {total} users"), "check [directory] api_url"));
    }
    let mut order = Order::default();
    order.page(first, total, rows.max(PAGE_ROWS.min(total)), each)?;
    let step = usize::try_from(rows.max(1)).unwrap_or(usize::MAX);
    let pages = stream::iter((rows..total).step_by(step)).map(|skip| async move { (skip, fetch(skip).await) });
    let pages = pages.buffered(CONCURRENCY);
    pin_mut!(pages);
    while let Some((skip, page)) = pages.next().await {
        order.page(page?, total, rows.min(total - skip), each)?;
    }
    Ok(())
}

/// What all pages have in common, and the last `_id`.
#[derive(Default)]
struct Order {
    last: Option<String>,
}

impl Order {
    /// Judges one page, and hands its records on.
    fn page(
        &mut self,
        page: UsersPage,
        total: u64,
        rows_expected: u64,
        each: &mut dyn FnMut(Record) -> Result<(), ReadFailure>,
    ) -> Result<(), ReadFailure> {
        if page.total != total {
            return Err(ReadFailure::Shifted(format!("the total was {total} users and became {}", page.total)));
        }
        let rows = page.records.len() as u64;
        // The first page shows how many rows the server gives at a time.
        let is_first = self.last.is_none();
        if rows != rows_expected && !(is_first && rows > 0 && rows < rows_expected) {
            return Err(ReadFailure::Shifted(format!(
                "a page has {rows} users instead of {rows_expected}, of {total}"
            )));
        }
        for record in page.records {
            if self.last.as_ref().is_some_and(|last| *last >= record.id) {
                return Err(ReadFailure::Shifted("users appear twice, or out of `_id` order".to_owned()));
            }
            self.last = Some(record.id.clone());
            each(record)?;
        }
        Ok(())
    }
}

async fn users_page(api: &Api<'_>, members: &Members, fields: &str, skip: u64) -> Result<UsersPage, ReadFailure> {
    let target = format!("/api/systemusers?limit={PAGE_ROWS}&skip={skip}&sort=_id&fields={fields}");
    let parse = |body: &[u8]| {
        #[derive(Deserialize)]
        struct WirePage<'a> {
            #[serde(rename = "totalCount")]
            total: u64,
            #[serde(borrow)]
            results: Vec<&'a RawValue>,
        }
        let page: WirePage<'_> = serde_json::from_slice(body).map_err(|_| "it is not a list of users".to_owned())?;
        let records = page.results.iter().map(|row| Record::parse(row.get(), members));
        Ok(UsersPage { total: page.total, records: records.collect::<Result<_, String>>()? })
    };
    match api.get(&target, parse).await? {
        Some(Reply { value, .. }) => Ok(value),
        None => Err(ReadFailure::failed("there is no /api/systemusers", "check [directory] api_url")),
    }
}

/// One user's record. None: there is no such user.
pub(super) async fn user(api: &Api<'_>, members: &Members, id: &str) -> Result<Option<Record>, ReadFailure> {
    let target = format!("/api/systemusers/{}?fields={}", encoded(id), members.fields());
    let parse = |body: &[u8]| {
        let text = std::str::from_utf8(body).map_err(|_| "it is not text".to_owned())?;
        let record = Record::parse(text, members)?;
        if record.id == id { Ok(record) } else { Err("it is another user".to_owned()) }
    };
    Ok(api.get(&target, parse).await?.map(|reply| reply.value))
}

/// A row of a graph list.
#[derive(Deserialize)]
struct Row {
    id: Option<String>,
    to: Option<End>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct End {
    id: String,
}

/// What a graph list shows: ids, with names where it has them.
pub(super) type Rows = Vec<(String, Option<String>)>;

/// A graph list, as far as it was shown.
pub(super) struct Listed {
    pub(super) rows: Rows,
    /// Whether these are as many as it announces. A row that is not shown may be any.
    pub(super) is_whole: bool,
}

/// Every row of a graph list; none: 404. A list that announces more than it shows is read again; if it shows the same again,
/// that is what it shows.
pub(super) async fn graph(api: &Api<'_>, target: &str) -> Result<Option<Listed>, ReadFailure> {
    let mut shown_before: Option<Rows> = None;
    let mut reads_count = 0;
    loop {
        reads_count += 1;
        let read = match graph_once(api, target).await {
            Ok(None) => return Ok(None),
            Ok(Some(read)) => read,
            Err(ReadFailure::Shifted(_)) if reads_count < READS_MAX => {
                shown_before = None;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let (mut rows, announced) = read;
        rows.sort();
        let shown_count = rows.len() as u64;
        if announced.is_none_or(|announced| announced == shown_count) {
            return Ok(Some(Listed { rows, is_whole: true }));
        }
        let same = shown_before.as_ref() == Some(&rows);
        if reads_count >= READS_MAX {
            if same {
                let announced = announced.unwrap_or_default();
                tracing::warn!(
                    announced,
                    shown_count,
                    "JumpCloud declares rows that it does not show; each absent user is asked for individually"
                );
                return Ok(Some(Listed { rows, is_whole: false }));
            }
            let what = format!("{} returns different rows on each read", target.split('?').next().unwrap_or_default());
            return Err(ReadFailure::Shifted(what));
        }
        shown_before = Some(rows);
    }
}

/// One read of all its pages, and how many rows it announces.
async fn graph_once(api: &Api<'_>, target: &str) -> Result<Option<(Rows, Option<u64>)>, ReadFailure> {
    let Some(first) = graph_page(api, target, 0).await? else { return Ok(None) };
    let (announced, first_count) = (first.total_count, first.value.len() as u64);
    if announced.is_some_and(|announced| announced > ROWS_MAX) {
        return Err(ReadFailure::failed("a list declares millions of rows", "check [directory] api_url"));
    }
    let mut shown = ListSoFar { announced, ..ListSoFar::default() };
    shown.page(first, Twice::IsAShift)?;
    if first_count == 0 {
        return Ok(Some((shown.rows, announced)));
    }
    let is_full = first_count >= PAGE_ROWS;
    if announced.is_some() || is_full {
        let at_once = Pages { skip: first_count.max(PAGE_ROWS), step: first_count.max(PAGE_ROWS), wide: CONCURRENCY };
        if !shown.pages(api, target, at_once, Twice::IsAShift).await? {
            return Ok(None);
        }
    }
    // A first page that is short is all there is, or the server gives fewer rows at a time, or has rows that it does not show:
    // pages that overlap miss nothing of it.
    if !is_full && announced.is_none_or(|announced| announced > shown.rows.len() as u64) {
        let overlapping = Pages { skip: first_count, step: first_count, wide: 1 };
        if !shown.pages(api, target, overlapping, Twice::IsExpected).await? {
            return Ok(None);
        }
    }
    Ok(Some((shown.rows, announced)))
}

/// Which pages are asked for, and how many at once.
struct Pages {
    skip: u64,
    step: u64,
    wide: usize,
}

/// What a row means that comes twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twice {
    IsAShift,
    IsExpected,
}

/// What a list has shown so far.
#[derive(Default)]
struct ListSoFar {
    announced: Option<u64>,
    rows: Rows,
    ids: BTreeSet<String>,
}

impl ListSoFar {
    fn page(&mut self, page: Reply<Rows>, twice: Twice) -> Result<(), ReadFailure> {
        if page.total_count != self.announced {
            return Err(ReadFailure::Shifted("the total of a list changed while it was read".to_owned()));
        }
        for (id, name) in page.value {
            match self.ids.insert(id.clone()) {
                true => self.rows.push((id, name)),
                false if twice == Twice::IsExpected => {}
                false => return Err(ReadFailure::Shifted("a list contains a row twice".to_owned())),
            }
        }
        Ok(())
    }

    /// Asks for more pages, up to what is announced, else up to an empty one. False: 404.
    async fn pages(&mut self, api: &Api<'_>, target: &str, pages: Pages, twice: Twice) -> Result<bool, ReadFailure> {
        let (announced, step) = (self.announced, usize::try_from(pages.step).unwrap_or(usize::MAX));
        let skips = (pages.skip..announced.unwrap_or(ROWS_MAX)).step_by(step);
        let replies = stream::iter(skips).map(|skip| async move { (skip, graph_page(api, target, skip).await) });
        let replies = replies.buffered(pages.wide);
        pin_mut!(replies);
        let mut new_until = pages.skip;
        while let Some((skip, reply)) = replies.next().await {
            let Some(reply) = reply? else { return Ok(false) };
            let (shown_count, is_empty) = (self.rows.len(), reply.value.is_empty());
            let is_over = is_empty && announced.is_none();
            self.page(reply, twice)?;
            if self.rows.len() > shown_count {
                new_until = skip;
            } else if !is_empty && skip - new_until > 2 * PAGE_ROWS {
                // Whatever it is asked for, it shows the same.
                return Err(ReadFailure::Shifted("a list goes on, and shows nothing new".to_owned()));
            }
            if is_over {
                break;
            }
        }
        Ok(true)
    }
}

async fn graph_page(api: &Api<'_>, target: &str, skip: u64) -> Result<Option<Reply<Rows>>, ReadFailure> {
    let separator = if target.contains('?') { '&' } else { '?' };
    let target = format!("{target}{separator}limit={PAGE_ROWS}&skip={skip}");
    let parse = |body: &[u8]| {
        let rows: Vec<Row> = serde_json::from_slice(body).map_err(|_| "it is not a list".to_owned())?;
        let rows = rows.into_iter().map(|row| {
            let id = row.id.or(row.to.map(|end| end.id)).filter(|id| !id.is_empty());
            Ok((id.ok_or("a row has no id")?, row.name))
        });
        rows.collect::<Result<Rows, String>>()
    };
    api.get(&target, parse).await
}
