//! Retries a read until it is answered, or says why it is not.

use super::answers::{NextStep, Reply};
use super::calls::used_up;
use super::talk::Session;
use crate::http::Transport;
use crate::model::AnswerDoubt;
use crate::outcome::Judged;
use crate::scim::{Permit, Read};

/// Why something could not be read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ReadError {
    /// No usable answer, and no tries are left.
    Unanswered(Judged),
    /// The endpoint refuses to show it.
    Rejected(Judged),
    /// The answer is not about what was asked for.
    Doubtful(AnswerDoubt),
    /// The cycle has ended.
    Ended,
}

impl ReadError {
    /// Judgement for the log, and its cause in one word. `None`: the cycle has ended, which says nothing about a user.
    pub(crate) fn said(&self) -> Option<(Judged, &'static str)> {
        match self {
            Self::Unanswered(judged) => Some((judged.clone(), "unanswered")),
            Self::Rejected(judged) => Some((judged.clone(), "rejected")),
            Self::Doubtful(doubt) => Some((Judged::unknown(*doubt), "doubtful")),
            Self::Ended => None,
        }
    }
}

impl<'c, T: Transport> Session<'c, T> {
    /// Retries until there is an answer.
    pub(super) async fn ask<V>(
        &self,
        mut call: impl AsyncFnMut(Permit<'c>) -> Read<V>,
    ) -> Result<(Reply, Read<V>), ReadError> {
        let mut tries = 0;
        loop {
            if self.calls.left() == Some(0) {
                return Err(ReadError::Unanswered(used_up()));
            }
            let Some(permit) = self.permit().await else { return Err(ReadError::Ended) };
            self.calls.note(1);
            let read = call(permit).await;
            match self.after(&read.judged, &mut tries).await {
                NextStep::Answered(reply) => return Ok((reply, read)),
                NextStep::Again => {}
                NextStep::GiveUp => return Err(ReadError::Unanswered(read.judged)),
                NextStep::Ended => return Err(ReadError::Ended),
            }
        }
    }
}
