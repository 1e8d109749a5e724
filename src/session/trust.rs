//! Whether the token opens the organisation that has our accounts, and whether it is still good. Until that is proven, nothing
//! is sent.

use super::answers::{NextStep, Reply};
use super::reading::ReadError;
use super::talk::{End, Session};
use crate::http::Transport;
use crate::scim::{ASKED_COUNT, Account, Listing, Organisation, organisation};
use crate::store;

impl<T: Transport> Session<'_, T> {
    /// Proves a new token by accounts of ours that it shows. If it shows none, or nothing is proven, the cycle ends. Without a
    /// linked account there is nothing to compare.
    pub(crate) async fn prove_organisation(&self) {
        let Some(asked) = self.state(store::some_links(self.context.reader, ASKED_COUNT)) else { return };
        if asked.is_empty() {
            return;
        }
        let link_of = |account: &Account| {
            let id = account.id.as_ref()?;
            self.state(store::link_by_scim_id(self.context.reader, id)).flatten()
        };
        let mut tries = 0;
        loop {
            if self.ended() {
                return;
            }
            let found = tokio::select! {
                found = organisation(self.target(), &asked, &link_of) => found,
                () = self.context.stop.cancelled() => continue,
            };
            match found {
                Organisation::Same => return self.note_accepted(),
                Organisation::Another { accounts_count } => {
                    self.note_answered();
                    return self.end_cycle(End::OtherOrganisation { accounts_count });
                }
                Organisation::Unproven(judged) => match self.after(&judged, &mut tries).await {
                    NextStep::Again => {}
                    NextStep::Ended => return,
                    NextStep::GiveUp => return self.end_cycle(End::Unanswered(judged.bare())),
                    NextStep::Answered(_) => return self.end_cycle(End::NotProven(judged.bare())),
                },
            }
        }
    }

    /// Proves the token by one list call.
    pub(crate) async fn prove_token(&self) {
        let list = async |permit| self.target().list_page(&Listing::default(), &mut |_| {}, permit).await;
        match self.ask(list).await {
            Ok((Reply::Accepted, _)) | Err(ReadError::Ended) => {}
            Ok((Reply::NotFound | Reply::Conflict | Reply::NotSupported | Reply::Rejected, read)) => {
                self.end_cycle(End::NotProven(read.judged.bare()));
            }
            Err(ReadError::Rejected(judged)) => self.end_cycle(End::NotProven(judged.bare())),
            Err(ReadError::Unanswered(judged)) => self.end_cycle(End::Unanswered(judged.bare())),
            Err(ReadError::Doubtful(doubt)) => self.end_cycle(End::NotProven(doubt.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::session::script::{Bench, end_of};

    /// A new token is proven: how many calls that took, why the cycle ended, and whether the token counts as good.
    async fn check(links: &str, script: &str, expected: (usize, &str, bool)) {
        let bench = Bench::new(links, script);
        let session = bench.session();
        session.prove_organisation().await;
        let calls_count = bench.asked.borrow().len();
        let good = session.end().is_none() && session.seen().token_is_good;
        assert_eq!((calls_count, end_of(&session), good), expected, "{links}: {script}");
    }

    #[tokio::test(start_paused = true)]
    async fn three_accounts_that_are_gone_and_a_list_without_ours_are_another_organisation() {
        check("a=1", "200 1 a", (1, "-", true)).await;
        check("a=1", "404 | 200 list a=1", (2, "-", true)).await;
        check("a=1", "404 | 200 list x=1 | 200 list", (3, "other organisation", false)).await;
        check("a=1", "404 | 200 list", (2, "other organisation", false)).await;
        check("a=1 b=2 c=3 d=4 e=5", "404 | 404 | 404 | 200 list", (4, "other organisation", false)).await;
        check("a=1 b=2 c=3 d=4 e=5", "404 | 404 | 404 | 200 list e=5", (4, "-", true)).await;
        check("", "", (0, "-", false)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn any_other_answer_proves_nothing() {
        check("a=1", "200 1 x", (1, "not proven", false)).await;
        check("a=1 b=2", "404 | 400", (2, "not proven", false)).await;
        check("a=1", "404 | 404", (2, "not proven", false)).await;
        check("a=1", "503 | 200 1 a", (2, "-", true)).await;
        check("a=1", "cut | cut | cut | cut", (4, "unanswered", false)).await;
        check("a=1", "401", (1, "unauthorized", false)).await;
        check("a=1", "429 60", (1, "throttled", false)).await;
    }
}
