//! Reading an account, and whether this is the right endpoint when one is gone.

use super::answers::Reply;
use super::reading::ReadError;
use super::talk::{End, Session};
use crate::http::Transport;
use crate::model::{AnswerDoubt, ProvisionedUser, ScimId};
use crate::outcome::{Judged, Outcome};
use crate::scim::{Account, carries};
use crate::store;

/// How many other accounts are read, from either end of the snapshot, before the endpoint counts as the wrong one.
const WITNESSES_MAX: usize = 100;

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

impl<T: Transport> Session<'_, T> {
    /// Reads an account, with retries. `None`: it is gone.
    pub(crate) async fn read(&self, id: &ScimId) -> Result<(Option<Account>, Judged), ReadError> {
        let read = self.ask(async |permit| {
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

    /// Whether this is still the right endpoint after it said that an account is gone: another linked account must be
    /// readable, if there is one. If none is, the cycle ends.
    pub(crate) async fn witness(&self, gone: &ScimId) -> Witness {
        if self.witnessed.get() {
            return Witness::Seen;
        }
        let Some(others) = self.witnesses(gone) else { return Witness::Ended };
        if others.is_empty() {
            return Witness::Seen;
        }
        let only_foreign = others.iter().all(|other| other.foreign);
        let mut read_count = 0;
        for other in others {
            match self.read(&other.scim_id).await {
                Ok((Some(account), _)) if is_ours(&account, &other) => {
                    self.witnessed.set(true);
                    return Witness::Seen;
                }
                // A short id may exist at any endpoint: a stranger's account proves nothing.
                Ok((Some(_), _)) => read_count += 1,
                Ok((None, _)) | Err(ReadError::Doubtful(_) | ReadError::Rejected(_)) => {}
                Err(ReadError::Unanswered(_)) => return Witness::Unanswered,
                Err(ReadError::Ended) => return Witness::Ended,
            }
        }
        if only_foreign && read_count > 0 {
            // These were renamed by hand and prove nothing.
            return Witness::Unanswered;
        }
        self.end_cycle(End::WrongEndpoint("none of the linked accounts exists there".to_owned()));
        Witness::Ended
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
    use super::Witness;
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
        let all_gone = "404 | 404 | 404";
        check("a=1 b=2 c=3 d=4", "4", all_gone, ("3, 2, 4", Witness::Ended, "wrong endpoint")).await;
        check("a=1 b=2 !c=3 d=4", "4", all_gone, ("2, 4, 3", Witness::Ended, "wrong endpoint")).await;
        check("a=1 b=2 !c=3 d=4", "2 4", all_gone, ("4, 2, 3", Witness::Ended, "wrong endpoint")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_account_of_ours_is_enough_and_a_strangers_is_none() {
        check("a=1 b=2 c=3", "", "200 3 c", ("3", Witness::Seen, "-")).await;
        check("a=1 b=2 c=3", "", "404 | 200 2 b", ("3, 2", Witness::Seen, "-")).await;
        check("a=1 b=2 c=3", "", "200 3 x | 200 2 y", ("3, 2", Witness::Ended, "wrong endpoint")).await;
        check("a=1 b=2", "", "400", ("2", Witness::Ended, "wrong endpoint")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_answer_or_anybody_who_can_tell_nothing_is_said_of_the_endpoint() {
        check("a=1", "", "", ("", Witness::Seen, "-")).await;
        check("a=1 b=2", "", "cut | cut | cut | cut", ("2, 2, 2, 2", Witness::Unanswered, "-")).await;
        check("a=1 !b=2", "", "200 2 x", ("2", Witness::Unanswered, "-")).await;
        check("a=1 b=2", "", "401", ("2", Witness::Ended, "unauthorized")).await;
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
