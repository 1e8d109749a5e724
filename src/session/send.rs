//! Sends one change until it is answered: waits for its turn, sends, and looks what exists if the answer was lost.

use super::answers::{NextStep, Reply};
use super::calls::used_up;
use super::talk::Session;
use crate::http::Transport;
use crate::outcome::{Judged, Outcome};
use crate::scim::{Permit, Read, ScimTarget};
use std::ops::ControlFlow;

/// Whether an unanswered request may have been applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MaybeApplied {
    /// It may have been.
    MaybeDone,
    /// It certainly was not.
    NotDone,
}

/// The tries of one change so far.
#[derive(Clone, Debug)]
pub(crate) struct Tries {
    /// Number of retries.
    pub(crate) count: u32,
    /// Whether one may have been applied. It stays so: the answer to a later try says nothing about an earlier one.
    pub(crate) sent: MaybeApplied,
    /// Judgement of the last unanswered try.
    pub(crate) lost: Option<Judged>,
}

impl Tries {
    /// No tries yet in this cycle; an earlier run may have sent the same change.
    pub(crate) fn after(sent: MaybeApplied) -> Self {
        Self { count: 0, sent, lost: None }
    }
}

/// One change, as [`Session::send`] drives it.
pub(crate) trait Attempt<T> {
    /// What a good answer shows.
    type Value;

    /// Called when it is its turn. `None`: its intent could not be renewed.
    async fn on_turn(&mut self) -> Option<()>;

    /// Sends the request.
    async fn send(&mut self, target: &ScimTarget<T>, permit: &Permit<'_>) -> Read<Self::Value>;

    /// Checks whether it is still right to send it again. `Break` ends the change, and its outcome is already stored.
    async fn look(&mut self, judged: &Judged, tries: &mut Tries) -> ControlFlow<()>;
}

/// The outcome of sending a change.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Sent<V> {
    /// The endpoint answered about this user.
    Answered(Reply, Read<V>),
    /// Not sent: the account has been renamed since it was linked, and shows this.
    NotOurs(V),
    /// The answer was lost, and [`Attempt::look`] ended the change.
    SeenInstead,
    /// No answer, and no tries are left.
    Unanswered(Judged),
    /// The cycle has ended.
    Ended,
}

impl<T: Transport> Session<'_, T> {
    /// Sends a change until it is answered or this cycle's tries are used up.
    pub(crate) async fn send<A: Attempt<T>>(&self, attempt: &mut A, tries: &mut Tries) -> Sent<A::Value> {
        loop {
            if self.calls.left() == Some(0) {
                return Sent::Unanswered(tries.lost.clone().unwrap_or_else(used_up));
            }
            let Some(permit) = self.permit().await else { return Sent::Ended };
            permit.allow(self.calls.left());
            if attempt.on_turn().await.is_none() || self.ended() {
                return Sent::Ended;
            }
            let mut read = attempt.send(self.target(), &permit).await;
            self.calls.note(permit.calls_count());
            drop(permit);
            if read.judged.outcome == Outcome::NotSent
                && let Some(shown) = read.value.take()
            {
                return Sent::NotOurs(shown);
            }
            if is_lost(&read.judged) {
                tries.sent = MaybeApplied::MaybeDone;
                tries.lost = Some(read.judged.clone());
            }
            match self.after(&read.judged, &mut tries.count).await {
                NextStep::Answered(reply) => return Sent::Answered(reply, read),
                NextStep::Again => {
                    if attempt.look(&read.judged, tries).await.is_break() {
                        return Sent::SeenInstead;
                    }
                }
                NextStep::GiveUp => return Sent::Unanswered(read.judged),
                NextStep::Ended => return Sent::Ended,
            }
        }
    }
}

/// Whether an unanswered request may have been applied all the same.
pub(crate) fn is_lost(judged: &Judged) -> bool {
    matches!(judged.outcome, Outcome::Unknown(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ScimId;
    use crate::session::script::{Bench, Script};

    /// A deletion that goes on after each look, or ends with the first.
    struct Deletion {
        looks_count: u32,
        ends_with_a_look: bool,
        intent_is_stored: bool,
    }

    impl Attempt<Script> for Deletion {
        type Value = ();

        async fn on_turn(&mut self) -> Option<()> {
            self.intent_is_stored.then_some(())
        }

        async fn send(&mut self, target: &ScimTarget<Script>, permit: &Permit<'_>) -> Read<()> {
            Read { value: None, judged: target.delete(&ScimId::new("1"), permit).await }
        }

        async fn look(&mut self, _judged: &Judged, _tries: &mut Tries) -> ControlFlow<()> {
            self.looks_count += 1;
            if self.ends_with_a_look { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    async fn check(script: &str, deletion: (bool, bool), expected: (&str, MaybeApplied, u32, usize)) {
        let (intent_is_stored, ends_with_a_look) = deletion;
        let bench = Bench::new("", script);
        let (session, mut tries) = (bench.session(), Tries::after(MaybeApplied::NotDone));
        let mut deletion = Deletion { looks_count: 0, ends_with_a_look, intent_is_stored };
        let sent = match session.send(&mut deletion, &mut tries).await {
            Sent::Answered(reply, _) => format!("{reply:?}"),
            Sent::NotOurs(()) => "not ours".to_owned(),
            Sent::SeenInstead => "seen".to_owned(),
            Sent::Unanswered(_) => "unanswered".to_owned(),
            Sent::Ended => "ended".to_owned(),
        };
        let found = (sent.as_str(), tries.sent, deletion.looks_count, bench.asked.borrow().len());
        assert_eq!(found, expected, "{script}");
    }

    #[tokio::test(start_paused = true)]
    async fn between_two_tries_there_is_a_look_and_what_was_lost_stays_in_doubt() {
        use MaybeApplied::{MaybeDone, NotDone};
        let goes_on = (true, false);
        check("204", goes_on, ("Accepted", NotDone, 0, 1)).await;
        check("409", goes_on, ("Conflict", NotDone, 0, 1)).await;
        check("off | 429 | 204", goes_on, ("Accepted", NotDone, 2, 3)).await;
        check("503 | 400", goes_on, ("Rejected", MaybeDone, 1, 2)).await;
        check("cut | 429 | 405", goes_on, ("NotSupported", MaybeDone, 2, 3)).await;
        check("cut | cut | cut | cut", goes_on, ("unanswered", MaybeDone, 3, 4)).await;
        check("cut | 401", goes_on, ("ended", MaybeDone, 1, 2)).await;
        check("cut", (true, true), ("seen", MaybeDone, 1, 1)).await;
        // Without an intent on the disk nothing leaves.
        check("", (false, false), ("ended", NotDone, 0, 0)).await;
    }
}
