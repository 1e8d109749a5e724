//! What a cycle believes before it sends: the clock, which Rhombus's confirms if the state is ahead of it, and the token, which
//! is proven if it is new or nobody has asked for a day.

use super::context::CycleContext;
use crate::clock;
use crate::event::{Draft, EventType};
use crate::http::Transport;
use crate::model::{Duration, Moment};
use crate::session::Session;
use crate::store::{self, InstallationRow, JournalError};

/// Where no request went out for so long, the token is proven.
const TOKEN_UNPROVEN_MAX: Duration = Duration::from_seconds(86_400);

/// If anything in the state is ahead of the clock, asks Rhombus for the time; what is ahead of both clocks is corrected.
pub(super) async fn correct_clock<T: Transport>(context: &CycleContext<'_, T>) -> Result<(), JournalError> {
    let latest = store::latest(&context.reader)?;
    if !clock::is_ahead(latest, context.clock.now()) {
        return Ok(());
    }
    tokio::select! {
        () = context.stop.cancelled() => return Ok(()),
        _ = async { context.target.probe(context.target.permit().await).await } => {}
    }
    let (now, date) = (context.clock.now(), context.target.date());
    let Some(limit) = date.and_then(|date| clock::wrong_beyond(latest, now, date)) else { return Ok(()) };
    let mut said = Draft::new(EventType::ClockCorrected, true, context.source);
    said.cycle = Some(context.cycle.clone());
    said.response.details = format!("the state has times up to {latest}; it is now {now}, and Rhombus agrees");
    context.journal.write(move |transaction| store::correct_clock(transaction, limit, &said, now)).await
}

/// What must be proven of the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unproven {
    /// It is another one than the last that was proven: does it open the same organisation?
    token_is_new: bool,
    /// Nothing was heard from Rhombus for a day, or the last it said was that the token is not the right one.
    for_long: bool,
}

impl Unproven {
    /// What is not proven at the beginning of a cycle. The simulator's token needs no proof.
    pub(super) fn of<T>(context: &CycleContext<'_, T>, installation: &InstallationRow) -> rusqlite::Result<Self> {
        let Some(fingerprint) = &context.token_fingerprint else {
            return Ok(Self { token_is_new: false, for_long: false });
        };
        let is_long_ago = |proven_at: Moment| {
            let now = context.clock.now();
            now.since_ms(proven_at) >= TOKEN_UNPROVEN_MAX.milliseconds() || clock::is_ahead(proven_at, now)
        };
        let health = store::health(&context.reader)?;
        Ok(Self {
            token_is_new: *fingerprint != installation.token_fingerprint,
            for_long: health.token_proven_at.is_none_or(is_long_ago) || health.token_refused_since.is_some(),
        })
    }

    /// Whether something is.
    pub(super) fn anything(self) -> bool {
        self.token_is_new || self.for_long
    }

    /// Before anything is sent.
    pub(super) async fn prove_organisation<T: Transport>(self, session: &Session<'_, T>) {
        if self.token_is_new {
            session.prove_organisation().await;
        }
    }

    /// At the end of a cycle that had no reason to call.
    pub(super) async fn prove_token<T: Transport>(self, session: &Session<'_, T>) {
        if self.anything() && !session.seen().answered && !session.ended() {
            session.prove_token().await;
        }
    }
}

/// Whether the clock was confirmed in this cycle, so that what is old may be thrown away by it. An endpoint that answers and
/// shows no time is not a reason to keep everything for ever.
pub(super) fn is_confirmed<T: Transport>(context: &CycleContext<'_, T>, session: &Session<'_, T>) -> bool {
    let agrees = |date| clock::agree(context.clock.now(), date);
    session.seen().answered && context.target.date().is_none_or(agrees)
}
