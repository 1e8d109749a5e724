//! Whom the calls of a piece of work are about: a user, whose calls are counted, or nobody.

use super::calls::Counted;
use super::talk::Session;
use crate::http::Transport;
use crate::model::DirectoryId;
use std::future::{Future, poll_fn};

/// The work is boxed: an `async fn` that takes a future holds it twice, and a window holds hundreds.
impl<T: Transport> Session<'_, T> {
    /// Does work whose calls are about one user.
    pub(crate) fn about<F: Future>(&self, user: &DirectoryId, work: F) -> impl Future<Output = F::Output> {
        self.counted_by(Some(self.calls.of(user)), work)
    }

    /// The same for the last work about a user in this cycle.
    pub(crate) fn about_at_last<F: Future>(&self, user: &DirectoryId, work: F) -> impl Future<Output = F::Output> {
        let work = self.about(user, work);
        async move {
            let output = work.await;
            self.calls.forget(user);
            output
        }
    }

    /// Does work whose calls are about nobody.
    pub(super) fn about_nobody<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        self.counted_by(None, work)
    }

    /// Work of several users takes turns, so whose turn it is changes with each step.
    fn counted_by<F: Future>(&self, count: Option<Counted>, work: F) -> impl Future<Output = F::Output> {
        let mut work = Box::pin(work);
        poll_fn(move |context| {
            let before = self.calls.turn_to(count.clone());
            let output = work.as_mut().poll(context);
            self.calls.turn_to(before);
            output
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{DirectoryId, ScimId};
    use crate::session::calls::CALLS_MAX;
    use crate::session::script::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_user_costs_twelve_calls_and_no_more_whatever_is_answered() {
        let bench = Bench::new("", &["503"; 40].join(" | "));
        let session = bench.session();
        let (ann, ben) = (DirectoryId::new("a"), DirectoryId::new("b"));
        for _ in 0..5 {
            assert!(session.about(&ann, session.read(&ScimId::new("1"))).await.is_err());
        }
        assert_eq!(bench.asked.borrow().len(), CALLS_MAX as usize);
        assert!(session.about(&ben, session.read(&ScimId::new("2"))).await.is_err());
        assert_eq!(bench.asked.borrow().len(), CALLS_MAX as usize + 4, "another user has calls of their own");
        assert!(session.read(&ScimId::new("3")).await.is_err());
        assert_eq!(bench.asked.borrow().len(), CALLS_MAX as usize + 8, "and what is about nobody is not counted");
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_holds_each_piece_of_work_once() {
        let bench = Bench::new("", "");
        let (session, ann) = (bench.session(), DirectoryId::new("a"));
        let work = async {
            let large = [1_u8; 10_000];
            tokio::task::yield_now().await;
            large.len()
        };
        let work = session.about_at_last(&ann, work);
        assert!(size_of_val(&work) < 1_000, "{}", size_of_val(&work));
        assert_eq!(work.await, 10_000);
    }
}
