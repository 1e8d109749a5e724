//! Whether an account with a username is there: by filter, or by one listing for many. A failed look-up is no absence.

use crate::apply::window::Apply;
use crate::http::Transport;
use crate::model::{AnswerDoubt, Change, UserName};
use crate::outcome::Judged;
use crate::scim::{Account, ScimTarget, carries};
use crate::session::answers::{NextStep, ReadError};
use crate::store;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

/// From so many creates on, the first page of a list is worth a look: it may answer all of them.
const CREATES_WORTH_A_LISTING: usize = 3;

/// The longest list that is read, in accounts: 75 MiB of hashes.
const LIST_ACCOUNTS_MAX: usize = 5_000_000;

/// What is known of the endpoint's accounts in this cycle.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Accounts by folded userName, of the names that are wanted, where one listing answered for all.
    listed: RefCell<Option<Listed>>,
    filter_trust: Cell<Option<FilterTrust>>,
}

/// What a filter that brings nothing proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FilterTrust {
    /// That nobody carries the name.
    AnyCase,
    /// That nobody carries it in these letters.
    SameCase,
    /// Nothing.
    None,
}

/// What a listing showed.
#[derive(Debug, Default)]
struct Listed {
    /// Accounts by folded userName, of the names that were asked for.
    by_name: HashMap<String, Vec<Account>>,
    /// It showed fewer accounts than it said there are: who is not in it may be there all the same.
    short: bool,
    /// It showed accounts twice, or did not say how many there are: whoever is not in it is better asked for.
    repeats: bool,
}

/// How fresh a look-up must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Freshness {
    /// The listing of this cycle will do.
    OfThisCycle,
    /// A request left since; ask again.
    Now,
}

impl Directory {
    /// Decides how the creates of a plan are looked up, and lists the accounts where that is fewer calls.
    pub(crate) async fn prepare<T: Transport>(&self, apply: &Apply<'_, T>, changes: &[Change]) {
        let names: HashSet<u64> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Create { user, .. } => Some(hash_of(&user.user_name.folded())),
                Change::Update { .. } | Change::Remove { .. } => None,
            })
            .collect();
        if names.is_empty() || apply.ended() {
            return;
        }
        let calls_max = if names.len() >= CREATES_WORTH_A_LISTING { Some(names.len()) } else { None };
        if calls_max.is_some() || self.filter_trust(apply).await != FilterTrust::AnyCase {
            // Where it cannot be listed either, each user is looked up and each failure said by name.
            if let Ok(Some(listed)) = list(apply, &names, calls_max).await {
                *self.listed.borrow_mut() = Some(listed);
            }
        }
    }

    /// Whether the filter finds a linked account, asked for in other letter case, or at least in its own.
    async fn filter_trust<T: Transport>(&self, apply: &Apply<'_, T>) -> FilterTrust {
        if let Some(trust) = self.filter_trust.get() {
            return trust;
        }
        let witness = apply.state(store::witnesses(&apply.context.reader, 1)).and_then(|mut found| found.pop());
        let trust = match witness {
            None => FilterTrust::AnyCase,
            Some(witness) => {
                let same_case = witness.user_name.as_str();
                let other_case: String = same_case.chars().map(swap_case).collect();
                let mut trust = FilterTrust::None;
                for (name, proves) in [(&*other_case, FilterTrust::AnyCase), (same_case, FilterTrust::SameCase)] {
                    let found = filter(apply, name).await.unwrap_or_default();
                    if found.iter().any(|account| account.id.as_ref() == Some(&witness.scim_id)) {
                        trust = proves;
                        break;
                    }
                }
                trust
            }
        };
        self.filter_trust.set(Some(trust));
        trust
    }
}

/// The accounts that carry a username.
pub(crate) async fn look_up<T: Transport>(
    apply: &Apply<'_, T>,
    name: &UserName,
    freshness: Freshness,
) -> Result<Vec<Account>, ReadError> {
    let folded = name.folded();
    let mut listed_short = false;
    if freshness == Freshness::OfThisCycle
        && let Some(listed) = apply.directory.listed.borrow().as_ref()
    {
        match listed.by_name.get(&folded) {
            Some(found) => return Ok(found.clone()),
            None if !listed.short && !listed.repeats => return Ok(Vec::new()),
            None => listed_short = listed.short,
        }
    }
    let trust = apply.directory.filter_trust(apply).await;
    if trust == FilterTrust::AnyCase {
        match filter(apply, name.as_str()).await {
            Ok(found) if found.iter().all(|account| carries(account, name)) => return Ok(found),
            Ok(_) | Err(ReadError::Rejected(_) | ReadError::Doubtful(_)) => {}
            // Some endpoints answer 500 to a filter that they cannot read.
            Err(ReadError::Unanswered(judged)) if judged.response.is_server_error() => {}
            Err(trouble) => return Err(trouble),
        }
    }
    let in_list = if listed_short { Err(too_short()) } else { look_up_in_list(apply, &folded).await };
    match in_list {
        Err(ReadError::Doubtful(_)) if trust == FilterTrust::SameCase => by_letters(apply, name, &folded).await,
        in_list => in_list,
    }
}

/// The accounts that carry a username as it is wanted, or all in lower case: all that an endpoint shows whose filter tells
/// letters apart and whose list is short. Who carries it in yet other letters is left to the answer to the create.
async fn by_letters<T: Transport>(
    apply: &Apply<'_, T>,
    name: &UserName,
    folded: &str,
) -> Result<Vec<Account>, ReadError> {
    let mut found: Vec<Account> = Vec::new();
    let as_wanted = Some(name.as_str()).filter(|name| *name != folded);
    for letters in as_wanted.into_iter().chain([folded]) {
        for account in filter(apply, letters).await? {
            if !carries(&account, name) {
                return Err(too_short());
            }
            if !found.contains(&account) {
                found.push(account);
            }
        }
    }
    Ok(found)
}

fn too_short() -> ReadError {
    ReadError::Doubtful(AnswerDoubt::ShortList)
}

/// The accounts that carry a username, by reading the whole list.
pub(crate) async fn look_up_in_list<T: Transport>(
    apply: &Apply<'_, T>,
    folded: &str,
) -> Result<Vec<Account>, ReadError> {
    let names = HashSet::from([hash_of(folded)]);
    let mut listed = list(apply, &names, None).await?.unwrap_or_default();
    match listed.by_name.remove(folded) {
        Some(found) => Ok(found),
        None if listed.short => Err(too_short()),
        None => Ok(Vec::new()),
    }
}

async fn filter<T: Transport>(apply: &Apply<'_, T>, name: &str) -> Result<Vec<Account>, ReadError> {
    let mut tries = 0;
    loop {
        let Some(permit) = apply.any_permit().await else { return Err(ReadError::Ended) };
        let read = apply.target().filter(name, permit).await;
        match (apply.after(&read.judged, &mut tries).await, read.value) {
            (NextStep::Settled, Some((found, true))) => return Ok(found),
            (NextStep::Settled, Some((_, false))) => {
                return Err(ReadError::Doubtful(AnswerDoubt::PartialFilter));
            }
            (NextStep::Settled, None) => return Err(ReadError::Rejected(read.judged)),
            (NextStep::Again, _) => {}
            (NextStep::GiveUp, _) => return Err(ReadError::Unanswered(read.judged)),
            (NextStep::Ended, _) => return Err(ReadError::Ended),
        }
    }
}

/// Lists all accounts and keeps those whose folded name may be wanted, by its hash. None: it would take more calls than
/// `calls_max`.
async fn list<T: Transport>(
    apply: &Apply<'_, T>,
    names: &HashSet<u64>,
    calls_max: Option<usize>,
) -> Result<Option<Listed>, ReadError> {
    let mut by_name: HashMap<String, Vec<Account>> = HashMap::new();
    let mut keep = |account: Account| {
        let folded = account.user_name.as_ref().map(UserName::folded).unwrap_or_default();
        if names.contains(&hash_of(&folded)) {
            by_name.entry(folded).or_default().push(account);
        }
    };
    Ok(match walk(apply, calls_max, &mut keep).await? {
        Walked::Whole => Some(Listed { by_name, short: false, repeats: false }),
        Walked::Repeated => Some(Listed { by_name, short: false, repeats: true }),
        Walked::Short => Some(Listed { by_name, short: true, repeats: false }),
        Walked::TooLong => None,
    })
}

/// How a list ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Walked {
    /// It showed as many accounts as it said there are.
    Whole,
    /// As many, but some of them twice; or it does not say how many there are.
    Repeated,
    /// It showed fewer.
    Short,
    /// It would have taken more calls than it was worth.
    TooLong,
}

/// Hands on every account of the endpoint once, page by page, as long as pages bring new ones.
pub(crate) async fn walk<T: Transport>(
    apply: &Apply<'_, T>,
    calls_max: Option<usize>,
    each: &mut dyn FnMut(Account),
) -> Result<Walked, ReadError> {
    let (mut seen, mut start, mut tries) = (HashSet::new(), 1, 0);
    let (mut total, mut repeats, mut new_count) = (None, false, 0);
    loop {
        // What a page shows is looked at as it comes, even if the page is asked for again: an endpoint may send without end.
        let mut take = |account: Account| {
            if seen.len() >= LIST_ACCOUNTS_MAX {
                return;
            }
            // An account without a usable id still carries its name; the ids alone say where the list ends.
            let is_new = account.id.as_ref().is_none_or(|id| seen.insert(hash_of(id.as_str())));
            new_count += usize::from(is_new && account.id.is_some());
            repeats |= !is_new;
            if is_new {
                each(account);
            }
        };
        let Some(permit) = apply.any_permit().await else { return Err(ReadError::Ended) };
        let read = apply.target().list_page(start, &mut take, permit).await;
        match (apply.after(&read.judged, &mut tries).await, read.value) {
            (NextStep::Settled, Some(_)) if seen.len() >= LIST_ACCOUNTS_MAX => {
                return Err(ReadError::Doubtful(AnswerDoubt::LongList));
            }
            (NextStep::Settled, Some(page)) => {
                tries = 0;
                let new_count = std::mem::take(&mut new_count);
                // Totals that change are of a list that shifts: the highest one is what it would have to show.
                total = total.max(page.total);
                let Some(next) = ScimTarget::<T>::next_start(start, &page, new_count) else {
                    return Ok(match total {
                        Some(total) if total > seen.len() as u64 => Walked::Short,
                        Some(_) if !repeats => Walked::Whole,
                        Some(_) | None => Walked::Repeated,
                    });
                };
                let pages = page.total.unwrap_or(0) as usize / page.count.max(1);
                if start == 1 && calls_max.is_some_and(|calls_max| pages > calls_max) {
                    return Ok(Walked::TooLong);
                }
                start = next;
            }
            (NextStep::Settled, None) => return Err(ReadError::Rejected(read.judged)),
            (NextStep::Again, _) => {}
            (NextStep::GiveUp, _) => return Err(ReadError::Unanswered(read.judged)),
            (NextStep::Ended, _) => return Err(ReadError::Ended),
        }
    }
}

pub(crate) fn hash_of(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

fn swap_case(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}

/// Why a look-up did not work, in the words of the log, and its cause in a word.
pub(crate) fn words(trouble: &ReadError) -> Option<(Judged, &'static str)> {
    match trouble {
        ReadError::Unanswered(judged) => Some((judged.clone(), "unanswered")),
        ReadError::Rejected(judged) => Some((judged.clone(), "rejected")),
        ReadError::Doubtful(doubt) => Some((Judged::unknown(*doubt), "doubtful")),
        ReadError::Ended => None,
    }
}
