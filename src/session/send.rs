//! Sending one change until it is answered: its turn, the request, and a look at what is there if the answer was lost.

use super::answers::{NextStep, Reply};
use super::talk::Session;
use crate::http::Transport;
use crate::outcome::{Judged, Outcome};
use crate::scim::{Permit, Read, ScimTarget};
use std::ops::ControlFlow;

/// Whether a request that got no answer may have been obeyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MaybeApplied {
    /// It may.
    MaybeDone,
    /// It was not.
    NotDone,
}

/// The tries of one change so far.
#[derive(Clone, Debug)]
pub(crate) struct Tries {
    /// How often it was tried again.
    pub(crate) count: u32,
    /// Whether one of them may have been obeyed. It stays so: a later answer to another try says nothing about that one.
    pub(crate) sent: MaybeApplied,
    /// What became of the last one that got no answer.
    pub(crate) lost: Option<Judged>,
}

impl Tries {
    /// None yet in this cycle; an earlier run may have sent the same.
    pub(crate) fn after(sent: MaybeApplied) -> Self {
        Self { count: 0, sent, lost: None }
    }
}

/// One change, as [`Session::send`] drives it.
pub(crate) trait Attempt<T> {
    /// What a good answer shows.
    type Shown;

    /// Its turn has come. None: its intent could not be stored anew.
    async fn on_turn(&mut self) -> Option<()>;

    /// Sends it.
    async fn send(&mut self, target: &ScimTarget<T>, permit: &Permit<'_>) -> Read<Self::Shown>;

    /// Before it is sent again: looks whether that is still right. A break is the end of it, and all of it is written down.
    async fn look(&mut self, judged: &Judged, tries: &mut Tries) -> ControlFlow<()>;
}

/// What became of a change that was sent.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Sent<V> {
    /// The endpoint answered about this user.
    Answered(Reply, Read<V>),
    /// It did not leave: the account that it is about carries another userName by now.
    NotOurs,
    /// Its answer was lost, and a look at what is there was its end.
    SeenInstead,
    /// It got no answer, often enough.
    Unanswered(Judged),
    /// The cycle has ended.
    Ended,
}

impl<T: Transport> Session<'_, T> {
    /// Sends a change until it is answered, or the tries of this cycle are used up.
    pub(crate) async fn send<A: Attempt<T>>(&self, attempt: &mut A, tries: &mut Tries) -> Sent<A::Shown> {
        loop {
            let Some(permit) = self.permit().await else { return Sent::Ended };
            if attempt.on_turn().await.is_none() || self.ended() {
                return Sent::Ended;
            }
            let read = attempt.send(self.target(), &permit).await;
            drop(permit);
            if read.judged.outcome == Outcome::NotSent && read.value.is_some() {
                return Sent::NotOurs;
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

/// Whether a request may have been obeyed all the same.
pub(crate) fn is_lost(judged: &Judged) -> bool {
    matches!(judged.outcome, Outcome::Unknown(_))
}
