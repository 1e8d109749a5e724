//! What follows from an answer: a retry after a pause, the end of the cycle, or an answer about one user. And reading an
//! account, which every change may need.

use crate::apply::window::Apply;
use crate::cycle::End;
use crate::http::Transport;
use crate::model::{AnswerDoubt, ProvisionedUser, ScimId};
use crate::outcome::{Judged, Outcome, RetryAfter};
use crate::retry;
use crate::scim::{Account, carries};
use crate::store;

/// How many other accounts are read, from either end of the snapshot, before an endpoint counts as the wrong one.
const WITNESSES_MAX: usize = 100;

/// What follows from an answer that is nobody's own business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NextStep {
    /// It is an answer about this user.
    Settled,
    /// There was none; try again.
    Again,
    /// There was none, often enough.
    GiveUp,
    /// The cycle has ended.
    Ended,
}

/// What the list call after a 403 says.
enum Probe {
    /// It is this user alone.
    Answered,
    /// Nothing.
    Unanswered(Option<RetryAfter>),
    /// It is the token; or the cycle has ended.
    Ended,
}

/// Whether another account of ours was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Witness {
    /// One was, or there is no other: this is the right endpoint.
    Seen,
    /// Nobody answered.
    Unanswered,
    /// The cycle has ended; perhaps because none was seen.
    Ended,
}

/// Why something could not be read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ReadError {
    /// Nothing usable came back, often enough.
    Unanswered(Judged),
    /// The endpoint refuses to show it.
    Rejected(Judged),
    /// What came back is not what was asked for.
    Doubtful(AnswerDoubt),
    /// The cycle has ended.
    Ended,
}

impl<T: Transport> Apply<'_, T> {
    /// Decides what follows from an outcome: backoff before a retry, ends the cycle, or hands it back as settled.
    pub(crate) async fn after(&self, judged: &Judged, tries: &mut u32) -> NextStep {
        let retry_after = match &judged.outcome {
            Outcome::Accepted | Outcome::NotFound | Outcome::Conflict | Outcome::Rejected | Outcome::NotSupported => {
                self.heard();
                if judged.outcome == Outcome::Accepted {
                    self.token_is_good.set(true);
                }
                return NextStep::Settled;
            }
            Outcome::Unauthorized => {
                self.heard();
                self.finish(End::Unauthorized(judged.bare()));
                return NextStep::Ended;
            }
            Outcome::Redirected => {
                self.heard();
                self.finish(End::WrongEndpoint(format!("{}; a SCIM endpoint does not redirect", judged.bare())));
                return NextStep::Ended;
            }
            Outcome::Forbidden => {
                self.heard();
                match self.probe().await {
                    Probe::Answered => return NextStep::Settled,
                    Probe::Ended => return NextStep::Ended,
                    Probe::Unanswered(retry_after) => retry_after,
                }
            }
            Outcome::Throttled(retry_after) => {
                self.answered.set(true);
                *retry_after
            }
            Outcome::Unknown(retry_after) => *retry_after,
            Outcome::NotSent => None,
        };
        if let Some(retry_after) = retry_after {
            let until = retry::instant(retry_after, self.now());
            let wait_ms = until.since_ms(self.now()).max(0);
            if wait_ms > retry::RETRY_AFTER_WAITED_FOR.milliseconds() {
                self.finish(End::Throttled(until));
                return NextStep::Ended;
            }
            self.target().pause(std::time::Duration::from_millis(wait_ms.unsigned_abs()));
            let queued = self.context.journal.queue(move |transaction| store::set_not_before(transaction, until));
            self.state(queued);
        }
        if *tries >= retry::RETRIES_MAX {
            return NextStep::GiveUp;
        }
        let pause = retry::pause(*tries, (self.context.random)());
        *tries += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.context.stop.cancelled() => {}
        }
        if self.ended() { NextStep::Ended } else { NextStep::Again }
    }

    /// A 403 to one user is followed by one list call: refused too, it is the token.
    async fn probe(&self) -> Probe {
        let Some(permit) = self.any_permit().await else { return Probe::Ended };
        let page = self.target().list_page(1, &mut |_| {}, permit).await;
        match page.judged.outcome {
            Outcome::Unauthorized | Outcome::Forbidden => {
                self.finish(End::Unauthorized(page.judged.bare()));
                Probe::Ended
            }
            Outcome::Throttled(retry_after) | Outcome::Unknown(retry_after) => Probe::Unanswered(retry_after),
            Outcome::NotSent => Probe::Unanswered(None),
            Outcome::Accepted
            | Outcome::NotFound
            | Outcome::Conflict
            | Outcome::NotSupported
            | Outcome::Rejected
            | Outcome::Redirected => Probe::Answered,
        }
    }

    /// Reads an account, with retries. None: it is gone.
    pub(crate) async fn read(&self, id: &ScimId) -> Result<(Option<Account>, Judged), ReadError> {
        let mut tries = 0;
        loop {
            let Some(permit) = self.any_permit().await else { return Err(ReadError::Ended) };
            let mut read = self.target().read(id, permit).await;
            if read.judged.outcome == Outcome::Accepted && read.value.is_none() {
                read.judged.outcome = Outcome::Unknown(None);
                read.judged.reason = Some(AnswerDoubt::NotAnAccount.into());
            }
            match (self.after(&read.judged, &mut tries).await, read.value) {
                (NextStep::Settled, Some(account)) if account.id.as_ref() == Some(id) => {
                    return Ok((Some(account), read.judged));
                }
                (NextStep::Settled, Some(_)) => {
                    return Err(ReadError::Doubtful(AnswerDoubt::OtherId));
                }
                (NextStep::Settled, None) if read.judged.outcome == Outcome::NotFound => {
                    return Ok((None, read.judged));
                }
                (NextStep::Settled, None) => return Err(ReadError::Rejected(read.judged)),
                (NextStep::Again, _) => {}
                (NextStep::GiveUp, _) => return Err(ReadError::Unanswered(read.judged)),
                (NextStep::Ended, _) => return Err(ReadError::Ended),
            }
        }
    }

    /// Whether this is still the right endpoint, after it said that an account is gone: another account of ours must be
    /// readable, if there is one. Where none is, the cycle ends.
    pub(crate) async fn witness(&self, gone: &ScimId) -> Witness {
        if self.witnessed.get() {
            return Witness::Seen;
        }
        let removing = self.removing.borrow().clone();
        let count = u32::try_from(WITNESSES_MAX + removing.len()).unwrap_or(u32::MAX);
        let Some(mut others) = self.state(store::witnesses(&self.context.reader, count)) else { return Witness::Ended };
        others.retain(|other| other.scim_id != *gone);
        others.sort_by_key(|other| (other.foreign, removing.contains(&other.scim_id)));
        others.truncate(WITNESSES_MAX);
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
                // Short ids are found anywhere: a stranger's account bears no witness.
                Ok((Some(_), _)) => read_count += 1,
                Ok((None, _)) | Err(ReadError::Doubtful(_) | ReadError::Rejected(_)) => {}
                Err(ReadError::Unanswered(_)) => return Witness::Unanswered,
                Err(ReadError::Ended) => return Witness::Ended,
            }
        }
        if only_foreign && read_count > 0 {
            // They were renamed by hand, and cannot tell.
            return Witness::Unanswered;
        }
        self.finish(End::WrongEndpoint("none of our accounts can be read there".to_owned()));
        Witness::Ended
    }
}

/// Whether an account is the one that was linked: it carries our username, or our directory id.
fn is_ours(account: &Account, link: &ProvisionedUser) -> bool {
    carries(account, &link.user_name) || account.external_id.as_ref() == Some(&link.directory_id)
}
