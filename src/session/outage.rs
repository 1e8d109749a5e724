//! Users in a row who got no answer: an outage, or these users? One list call decides.

use super::answers::Probe;
use super::row::RowNumber;
use super::talk::{End, Session};
use crate::http::Transport;
use crate::retry::{UNANSWERED_BEFORE_THE_LIST_MAX, UNANSWERED_IN_A_ROW_DOUBTED, UNANSWERED_IN_A_ROW_MAX};
use std::future::Future;

impl<T: Transport> Session<'_, T> {
    /// The endpoint answered about a user, whatever it said.
    pub(crate) fn user_answered(&self) {
        self.row.end();
    }

    /// The endpoint did not answer about a user; in which row that is.
    pub(crate) fn user_unanswered(&self, reason: &str) -> RowNumber {
        let length = self.row.lengthen();
        if length == UNANSWERED_IN_A_ROW_DOUBTED {
            self.row.doubt(reason);
        }
        let number = self.row.number();
        // While the list is being asked for, its answer is waited for: it says whom to blame.
        let length_max = match self.row.is_of_users(number) {
            true => UNANSWERED_IN_A_ROW_MAX,
            false => UNANSWERED_BEFORE_THE_LIST_MAX,
        };
        if length >= length_max {
            self.end_cycle(End::Unanswered(reason.to_owned()));
        }
        number
    }

    /// Whether the list was answered while nobody in this row was.
    pub(crate) fn is_row_of_users(&self, number: RowNumber) -> bool {
        self.row.is_of_users(number)
    }

    /// Does one piece of work; if a row is long after it, asks for the list. Others go on meanwhile, since they may hold the
    /// permits that the list call waits for.
    pub(super) async fn with_doubts_settled<F: Future>(&self, work: F) -> F::Output {
        let output = work.await;
        if let Some(reason) = self.row.take_doubt()
            && !self.ended()
        {
            self.outage_or_users(reason).await;
        }
        output
    }

    async fn outage_or_users(&self, reason: String) {
        let number = self.row.number();
        match self.about_nobody(self.probe()).await {
            Probe::Answered => {
                self.row.blame_users(number);
                if self.row.number() == number && self.row.length() >= UNANSWERED_IN_A_ROW_MAX {
                    self.end_cycle(End::Unanswered(reason));
                }
            }
            // A user was answered meanwhile.
            Probe::Unanswered(_) if self.row.number() != number => {}
            Probe::Unanswered(retry_after) => {
                if retry_after.is_none_or(|retry_after| self.obeys_retry_after(retry_after)) {
                    self.end_cycle(End::Unanswered(reason));
                }
            }
            Probe::Ended => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::session::script::{Bench, end_of};

    /// So many users in a row get no answer; then the list is asked for as in the script.
    async fn check(count: usize, script: &str, expected: (&str, &str, bool)) {
        let bench = Bench::new("", script);
        let session = bench.session();
        let unanswered = async |()| session.user_unanswered("cut");
        let mut rows = Vec::new();
        session.each(&mut std::iter::repeat_n((), count), unanswered, |row| rows.push(row)).await;
        let of_users = rows.iter().any(|row| session.is_row_of_users(*row));
        assert_eq!((bench.calls().as_str(), end_of(&session), of_users), expected, "{count}: {script}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_list_call_tells_an_outage_from_users() {
        check(9, "", ("", "-", false)).await;
        check(12, "200 list", ("GET /Users", "-", true)).await;
        check(12, "404", ("GET /Users", "-", true)).await;
        check(12, "cut", ("GET /Users", "unanswered", false)).await;
        check(12, "503", ("GET /Users", "unanswered", false)).await;
        check(12, "503 60", ("GET /Users", "throttled", false)).await;
        check(12, "401", ("GET /Users", "unauthorized", false)).await;
        check(40, "200 list", ("GET /Users", "unanswered", true)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_answered_ends_the_row() {
        let bench = Bench::new("", "");
        let session = bench.session();
        let mut turns = (0..60).map(|turn| turn % 9 == 8);
        let work = async |answered: bool| match answered {
            true => session.user_answered(),
            false => {
                session.user_unanswered("cut");
            }
        };
        session.each(&mut turns, work, |()| {}).await;
        assert_eq!((bench.calls().as_str(), end_of(&session)), ("", "-"));
    }
}
