//! What to do after an answer: pause and retry, end the cycle, or report an answer about one user.

use super::talk::{End, Session};
use crate::http::Transport;
use crate::model::DirectoryId;
use crate::outcome::{Judged, Outcome, RetryAfter};
use crate::retry;
use crate::store;

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NextStep {
    /// Report an answer about this user.
    Answered(Reply),
    /// There was no answer; try again.
    Again,
    /// There was no answer, and no tries are left.
    GiveUp,
    /// Stop: the cycle has ended.
    Ended,
}

/// What the endpoint says about one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    /// Any 2xx.
    Accepted,
    /// 404.
    NotFound,
    /// 409.
    Conflict,
    /// 405 or 501.
    NotSupported,
    /// Another 4xx; a 403 only if a list is not refused.
    Rejected,
}

/// Result of the list call after a 403, or after users in a row without an answer.
pub(super) enum Probe {
    /// The endpoint answers: it is about these users alone.
    Answered,
    /// No answer.
    Unanswered(Option<RetryAfter>),
    /// The token is refused, or the cycle has ended.
    Ended,
}

impl<T: Transport> Session<'_, T> {
    /// Pauses before a retry, ends the cycle, or returns an answer about one user.
    pub(super) async fn after(&self, judged: &Judged, tries: &mut u32) -> NextStep {
        let retry_after = match &judged.outcome {
            Outcome::Accepted => {
                self.note_accepted();
                return NextStep::Answered(Reply::Accepted);
            }
            Outcome::NotFound => return self.answered(Reply::NotFound),
            Outcome::Conflict => return self.answered(Reply::Conflict),
            Outcome::NotSupported => return self.answered(Reply::NotSupported),
            Outcome::Rejected => return self.answered(Reply::Rejected),
            Outcome::Unauthorized => {
                self.note_answered();
                self.end_cycle(End::Unauthorized(judged.bare()));
                return NextStep::Ended;
            }
            Outcome::Redirected => {
                self.note_answered();
                self.end_cycle(End::WrongEndpoint(format!("{}; a SCIM endpoint does not redirect", judged.bare())));
                return NextStep::Ended;
            }
            Outcome::Forbidden => {
                self.note_answered();
                match self.probe().await {
                    Probe::Answered => return NextStep::Answered(Reply::Rejected),
                    Probe::Ended => return NextStep::Ended,
                    Probe::Unanswered(retry_after) => retry_after,
                }
            }
            Outcome::Throttled(retry_after) => {
                self.note_answered();
                *retry_after
            }
            Outcome::Unknown(retry_after) => *retry_after,
            Outcome::NotSent => None,
        };
        if let Some(retry_after) = retry_after {
            let user = if self.is_too_long(retry_after) { self.calls.whose_turn() } else { None };
            if self.is_about_this_user_alone(user.as_ref()).await {
                return NextStep::GiveUp;
            }
            if !self.obeys_retry_after(retry_after) {
                self.told_to_wait.end_by(user);
                return NextStep::Ended;
            }
        }
        if *tries >= retry::RETRIES_MAX {
            return NextStep::GiveUp;
        }
        self.pause(tries).await;
        if self.ended() { NextStep::Ended } else { NextStep::Again }
    }

    fn answered(&self, reply: Reply) -> NextStep {
        self.note_answered();
        NextStep::Answered(reply)
    }

    fn is_too_long(&self, retry_after: RetryAfter) -> bool {
        let wait_ms = retry::instant(retry_after, self.now()).since_ms(self.now());
        wait_ms > retry::RETRY_AFTER_WAITED_FOR.milliseconds()
    }

    /// Whether a user who ended an earlier cycle with a long wait is told to wait again while the list is answered.
    async fn is_about_this_user_alone(&self, user: Option<&DirectoryId>) -> bool {
        let Some(user) = user.filter(|user| self.told_to_wait.was_before(user)) else { return false };
        let is_alone = matches!(self.about_nobody(self.probe()).await, Probe::Answered);
        if is_alone {
            self.told_to_wait.note_again(user);
        }
        is_alone
    }

    /// Holds all requests until the endpoint may be called again; false if that is too long: the cycle has then ended.
    pub(super) fn obeys_retry_after(&self, retry_after: RetryAfter) -> bool {
        let until = retry::instant(retry_after, self.now());
        let wait_ms = until.since_ms(self.now()).max(0);
        if wait_ms > retry::RETRY_AFTER_WAITED_FOR.milliseconds() {
            self.end_cycle(End::Throttled(until));
            return false;
        }
        self.target().pause(std::time::Duration::from_millis(wait_ms.unsigned_abs()));
        self.queue(move |transaction| store::set_not_before(transaction, until));
        true
    }

    /// A 403 to one user's change is followed by one list call: if that is refused too, the token is to blame.
    pub(super) async fn probe(&self) -> Probe {
        let Some(permit) = self.permit().await else { return Probe::Ended };
        self.calls.note(1);
        let page = self.target().probe(permit).await;
        match page.judged.outcome {
            Outcome::Unauthorized | Outcome::Forbidden => {
                self.end_cycle(End::Unauthorized(page.judged.bare()));
                Probe::Ended
            }
            Outcome::Throttled(retry_after) | Outcome::Unknown(retry_after) => Probe::Unanswered(retry_after),
            Outcome::NotSent => Probe::Unanswered(None),
            Outcome::Accepted
            | Outcome::NotFound
            | Outcome::Conflict
            | Outcome::NotSupported
            | Outcome::Rejected
            | Outcome::Redirected => {
                self.note_answered();
                Probe::Answered
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ScimId;
    use crate::session::ReadError;
    use crate::session::script::{Bench, end_of};

    /// Reads account 1: what came of it, how many calls it took, and why the cycle ended.
    async fn check(script: &str, expected: &str) {
        let bench = Bench::new("", script);
        let session = bench.session();
        let read = match session.read(&ScimId::new("1")).await {
            Ok((Some(_), _)) => "account",
            Ok((None, _)) => "gone",
            Err(ReadError::Unanswered(_)) => "unanswered",
            Err(ReadError::Rejected(_)) => "rejected",
            Err(ReadError::Doubtful(_)) => "doubtful",
            Err(ReadError::Ended) => "ended",
        };
        let calls_count = bench.asked.borrow().len();
        assert_eq!(format!("{read} {calls_count} {}", end_of(&session)), expected, "{script}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_from_an_answer() {
        check("200 1 ann", "account 1 -").await;
        check("404", "gone 1 -").await;
        check("400", "rejected 1 -").await;
        check("409", "rejected 1 -").await;
        check("501", "rejected 1 -").await;
        check("200 2 ann", "doubtful 1 -").await;
        check("401", "ended 1 unauthorized").await;
        check("307", "ended 1 wrong endpoint").await;
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_tried_again_three_times() {
        check("503 | 200 1 ann", "account 2 -").await;
        check("cut | off | 503 | 200 1 ann", "account 4 -").await;
        check("503 | cut | off | 503", "unanswered 4 -").await;
        // A 2xx without an account says nothing of it.
        check("200 | 404", "gone 2 -").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_403_is_the_users_own_only_if_a_list_is_answered() {
        check("403 | 200 list", "rejected 2 -").await;
        check("403 | 404", "rejected 2 -").await;
        check("403 | 403", "ended 2 unauthorized").await;
        check("403 | 401", "ended 2 unauthorized").await;
        check("403 | 503 | 200 1 ann", "account 3 -").await;
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_waited_for_up_to_30_s() {
        check("429 30 | 200 1 ann", "account 2 -").await;
        check("503 30 | 200 1 ann", "account 2 -").await;
        check("429 31", "ended 1 throttled").await;
        check("403 | 429 31", "ended 2 throttled").await;
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_leaves_after_a_stop() {
        for (deactivated, expected) in [(false, "stopped"), (true, "deactivated")] {
            let bench = Bench::new("", "");
            bench.deactivated.store(deactivated, std::sync::atomic::Ordering::SeqCst);
            bench.stop.cancel();
            let session = bench.session();
            assert_eq!(session.read(&ScimId::new("1")).await, Err(ReadError::Ended));
            assert!(session.ended());
            assert_eq!((bench.calls().as_str(), end_of(&session)), ("", expected));
        }
    }
}
