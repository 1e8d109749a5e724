//! Reading an account, and whether this is the right endpoint when one is gone.

use super::answers::Reply;
use super::reading::ReadError;
use super::talk::{End, Session, Witnessed};
use crate::http::Transport;
use crate::model::{AnswerDoubt, ProvisionedUser, ScimId};
use crate::outcome::{Judged, Outcome};
use crate::scim::{Account, Listing, Next, carries};
use crate::store;

/// How many other accounts are read, from either end of the snapshot, before one list call decides.
const WITNESSES_MAX: usize = 3;

/// Whether another linked account was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Witness {
    /// One was, or there is no other: this is the right endpoint.
    Seen,
    /// No other account could be read.
    Unanswered,
    /// The cycle has ended, possibly because none was seen.
    Ended,
}

/// Whether the accounts that were read before the list have all been answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    All,
    NotAll,
}

/// What became of an account that one 404 says is gone.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Absence {
    /// It is gone: a second read says the same, and another linked account was seen.
    Gone,
    /// The 404 was not true.
    There(Account),
    /// No answer shows that this is the right endpoint.
    NoWitness,
    /// The second read brought nothing.
    Unread(ReadError),
    /// The cycle has ended; perhaps because this is the wrong endpoint.
    Ended,
}

impl<T: Transport> Session<'_, T> {
    /// Reads an account, with retries. `None`: it is gone.
    pub(crate) async fn read(&self, id: &ScimId) -> Result<(Option<Account>, Judged), ReadError> {
        let read = self.until_answered(async |permit| {
            let mut read = self.target().read(id, permit).await;
            if read.judged.outcome == Outcome::Accepted && read.value.is_none() {
                read.judged.outcome = Outcome::Unknown(None);
                read.judged.reason = Some(AnswerDoubt::NotAnAccount.into());
            }
            read
        });
        let (reply, read) = read.await?;
        match (reply, read.value) {
            (_, Some(account)) if account.id.as_ref() == Some(id) => Ok((Some(account), read.judged)),
            (_, Some(_)) => Err(ReadError::Doubtful(AnswerDoubt::OtherId)),
            (Reply::NotFound, None) => Ok((None, read.judged)),
            (Reply::Accepted | Reply::Conflict | Reply::NotSupported | Reply::Rejected, None) => {
                Err(ReadError::Rejected(read.judged))
            }
        }
    }

    /// Whether an account is gone, after one 404: an endpoint may answer so for a method it does not know.
    pub(crate) async fn absence(&self, id: &ScimId) -> Absence {
        match self.witness(id).await {
            Witness::Seen => {}
            Witness::Unanswered => return Absence::NoWitness,
            Witness::Ended => return Absence::Ended,
        }
        match self.read(id).await {
            Ok((None, _)) => Absence::Gone,
            Ok((Some(account), _)) => Absence::There(account),
            Err(ReadError::Ended) => Absence::Ended,
            Err(error) => Absence::Unread(error),
        }
    }

    /// Whether this is still the right endpoint after it said that an account is gone: another linked account must be
    /// readable, or be in the list, if there is one. If none is, the cycle ends.
    pub(crate) async fn witness(&self, gone: &ScimId) -> Witness {
        // Whoever is gone at the same time waits for the first answer.
        let _turn = self.witness_turn.lock().await;
        match self.witnessed.get() {
            Witnessed::Yes => Witness::Seen,
            Witnessed::NoAnswer => Witness::Unanswered,
            Witnessed::NotYet => self.about_nobody(self.find_witness(gone)).await,
        }
    }

    async fn find_witness(&self, gone: &ScimId) -> Witness {
        let Some(others) = self.witnesses(gone) else { return Witness::Ended };
        if others.is_empty() {
            return Witness::Seen;
        }
        // Nobody stays, and whoever is asked may be gone by now: what this cycle saw before it removed them has to do.
        let removing = self.removing();
        let nobody_stays = others.iter().all(|other| removing.contains(&other.scim_id));
        if nobody_stays && self.met.borrow().iter().any(|met| met != gone) {
            self.witnessed.set(Witnessed::Yes);
            return Witness::Seen;
        }
        let only_foreign = others.iter().all(|other| other.foreign);
        let mut read_count = 0;
        for other in others {
            match self.read(&other.scim_id).await {
                Ok((Some(account), _)) if is_ours(&account, &other) => {
                    self.witnessed.set(Witnessed::Yes);
                    return Witness::Seen;
                }
                // A short id may exist at any endpoint: a stranger's account proves nothing.
                Ok((Some(_), _)) => read_count += 1,
                Ok((None, _)) | Err(ReadError::Doubtful(_) | ReadError::Rejected(_)) => {}
                // One account that the endpoint cannot show says nothing of the others: the list tells.
                Err(ReadError::Unanswered(_)) => return self.witness_in_list(gone, Asked::NotAll).await,
                Err(ReadError::Ended) => return Witness::Ended,
            }
        }
        if only_foreign && read_count > 0 {
            // These were renamed by hand and prove nothing.
            return Witness::Unanswered;
        }
        self.witness_in_list(gone, Asked::All).await
    }

    /// The list, if none of the accounts that were read proves anything, up to the first linked account in it.
    async fn witness_in_list(&self, gone: &ScimId, asked: Asked) -> Witness {
        let (listing, mut linked, mut is_listed) = (Listing::default(), false, false);
        loop {
            let mut look_at = |account: Account| {
                is_listed |= account.id.as_ref() == Some(gone);
                let link = |id| self.state(store::link_by_scim_id(self.context.reader, id)).flatten();
                linked |= account.id.as_ref().and_then(link).is_some_and(|link| is_ours(&account, &link));
            };
            let list = async |permit| self.target().list_page(&listing, &mut look_at, permit).await;
            match self.until_answered(list).await {
                // It shows the one that is said to be gone: one of the two answers is wrong.
                Ok(_) if is_listed => return Witness::Unanswered,
                Ok(_) if linked => {
                    self.witnessed.set(Witnessed::Yes);
                    return Witness::Seen;
                }
                Ok((Reply::Accepted, read)) => match read.value {
                    // The first page may be full of others.
                    Some(page) if listing.go_on(&page) == Next::Page && listing.is_short() => {
                        if listing.is_endless(None) {
                            return Witness::Unanswered;
                        }
                        continue;
                    }
                    Some(_) | None if asked == Asked::NotAll => return self.no_witness(),
                    Some(_) | None => self.end_cycle(End::NobodyThere),
                },
                Ok(_) | Err(ReadError::Doubtful(_) | ReadError::Rejected(_))
                    if asked == Asked::NotAll || !listing.is_at_start() =>
                {
                    return self.no_witness();
                }
                Ok(_) | Err(ReadError::Doubtful(_) | ReadError::Rejected(_)) => {
                    self.end_cycle(End::WrongEndpoint("neither a linked account nor the list can be read".to_owned()));
                }
                Err(ReadError::Unanswered(_)) => return self.no_witness(),
                Err(ReadError::Ended) => {}
            }
            return Witness::Ended;
        }
    }

    /// Nothing proves anything; in this cycle nobody is asked again.
    fn no_witness(&self) -> Witness {
        self.witnessed.set(Witnessed::NoAnswer);
        Witness::Unanswered
    }

    /// Accounts to read, best first; those renamed by hand or removed in this cycle last. `None`: no state.
    fn witnesses(&self, gone: &ScimId) -> Option<Vec<ProvisionedUser>> {
        let removing = self.removing();
        let count = u32::try_from(WITNESSES_MAX + removing.len()).unwrap_or(u32::MAX);
        let mut others = self.state(store::witnesses(self.context.reader, count))?;
        others.retain(|other| other.scim_id != *gone);
        others.sort_by_key(|other| (other.foreign, removing.contains(&other.scim_id)));
        others.truncate(WITNESSES_MAX);
        Some(others)
    }
}

/// Whether an account is the linked one: it has our username or our directory id.
fn is_ours(account: &Account, link: &ProvisionedUser) -> bool {
    carries(account, &link.user_name) || account.external_id.as_ref() == Some(&link.directory_id)
}

#[cfg(test)]
mod tests {
    use super::{Absence, Witness};
    use crate::model::ScimId;
    use crate::session::script::{Bench, end_of};

    /// Account 1 is gone: who is asked, in this order, and what that says. `removing` are accounts that the cycle
    /// removes.
    async fn check(links: &str, removing: &str, script: &str, expected: (&str, Witness, &str)) {
        let bench = Bench::new(links, script);
        let session = bench.session();
        session.note_removals(removing.split_whitespace().map(ScimId::new));
        let witness = session.witness(&ScimId::new("1")).await;
        let calls = bench.calls().replace("GET /Users/", "");
        assert_eq!((calls.as_str(), witness, end_of(&session)), expected, "{links}, {removing}: {script}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_soon_or_was_renamed_is_asked_last() {
        let all_gone = "404 | 404 | 404 | 200 list";
        check("a=1 b=2 c=3 d=4", "4", all_gone, ("3, 2, 4, GET /Users", Witness::Ended, "wrong endpoint")).await;
        check("a=1 b=2 !c=3 d=4", "4", all_gone, ("2, 4, 3, GET /Users", Witness::Ended, "wrong endpoint")).await;
        check("a=1 b=2 !c=3 d=4", "2 4", all_gone, ("4, 2, 3, GET /Users", Witness::Ended, "wrong endpoint")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn three_are_asked_and_then_a_list() {
        let all_gone = "404 | 404 | 404";
        let five = "a=1 b=2 c=3 d=4 e=5";
        let seen = |end: &str| format!("{all_gone} | {end}");
        check(five, "", &seen("200 list b=2"), ("5, 4, 2, GET /Users", Witness::Seen, "-")).await;
        check(five, "", &seen("200 list x=2"), ("5, 4, 2, GET /Users", Witness::Ended, "wrong endpoint")).await;
        check(five, "", &seen("200 list a=1 b=2"), ("5, 4, 2, GET /Users", Witness::Unanswered, "-")).await;
        check(five, "", &seen("404"), ("5, 4, 2, GET /Users", Witness::Ended, "wrong endpoint")).await;
        // The first page may be full of others.
        let two_pages = "5, 4, 2, GET /Users, GET /Users";
        check(five, "", &seen("200 page x=7 | 200 list b=2"), (two_pages, Witness::Seen, "-")).await;
        check(five, "", &seen("200 page x=7 | 200 list y=8"), (two_pages, Witness::Ended, "wrong endpoint")).await;
        check(five, "", &seen("200 page x=7 | 404"), (two_pages, Witness::Unanswered, "-")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_404_is_believed_if_the_next_read_says_the_same() {
        let absence = async |script: &str| {
            let bench = Bench::new("a=1 b=2", script);
            let absence = bench.session().absence(&ScimId::new("1")).await;
            (matches!(absence, Absence::Gone), matches!(absence, Absence::There(_)), bench.calls())
        };
        let calls = "GET /Users/2, GET /Users/1".to_owned();
        assert_eq!(absence("200 2 b | 404").await, (true, false, calls.clone()));
        assert_eq!(absence("200 2 b | 200 1 a").await, (false, true, calls));
    }

    #[tokio::test(start_paused = true)]
    async fn one_account_of_ours_is_enough_and_a_strangers_is_none() {
        check("a=1 b=2 c=3", "", "200 3 c", ("3", Witness::Seen, "-")).await;
        check("a=1 b=2 c=3", "", "404 | 200 2 b", ("3, 2", Witness::Seen, "-")).await;
        let strangers = "200 3 x | 200 2 y | 200 list";
        check("a=1 b=2 c=3", "", strangers, ("3, 2, GET /Users", Witness::Ended, "wrong endpoint")).await;
        // A list that is rejected is asked for in smaller pages, then without a size.
        let calls = "2, GET /Users, GET /Users, GET /Users";
        check("a=1 b=2", "", "400 | 400 | 400 | 400", (calls, Witness::Ended, "wrong endpoint")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_answer_or_anybody_who_can_tell_nothing_is_said_of_the_endpoint() {
        check("a=1", "", "", ("", Witness::Seen, "-")).await;
        let eight_times = ["cut"; 8].join(" | ");
        let calls = "2, 2, 2, 2, GET /Users, GET /Users, GET /Users, GET /Users";
        check("a=1 b=2", "", &eight_times, (calls, Witness::Unanswered, "-")).await;
        // One account that cannot be shown does not stand for the others.
        let poisoned = |list: &str| format!("500 | 500 | 500 | 500 | {list}");
        check("a=1 b=2", "", &poisoned("200 list b=2"), ("2, 2, 2, 2, GET /Users", Witness::Seen, "-")).await;
        check("a=1 b=2", "", &poisoned("200 list x=7"), ("2, 2, 2, 2, GET /Users", Witness::Unanswered, "-")).await;
        check("a=1 !b=2", "", "200 2 x", ("2", Witness::Unanswered, "-")).await;
        check("a=1 b=2", "", "401", ("2", Witness::Ended, "unauthorized")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn of_accounts_that_all_go_another_one_that_was_met_will_do() {
        let witness = async |removing: &str, met: &str| {
            let bench = Bench::new("a=1 b=2", "404 | 200 list");
            let session = bench.session();
            session.note_removals(removing.split_whitespace().map(ScimId::new));
            session.note_met(&ScimId::new(met));
            (session.witness(&ScimId::new("1")).await, bench.calls())
        };
        assert_eq!(witness("1 2", "2").await, (Witness::Seen, String::new()));
        let asked = "GET /Users/2, GET /Users".to_owned();
        assert_eq!(witness("1 2", "1").await, (Witness::Ended, asked.clone()), "nobody is a witness for itself");
        assert_eq!(witness("1", "1").await, (Witness::Ended, asked), "2 stays, and is asked");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_seen_is_not_asked_again() {
        let bench = Bench::new("a=1 b=2", "200 2 b");
        let session = bench.session();
        for _ in 0..2 {
            assert_eq!(session.witness(&ScimId::new("1")).await, Witness::Seen);
        }
        assert_eq!(bench.calls(), "GET /Users/2");
    }
}
