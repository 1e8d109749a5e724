//! Delivers to one sink, in order, the events that it lacks. Its position is stored after each delivery, and so is an error.

use crate::event::Sealed;
use crate::model::{Clock, chain};
use crate::sink::{Sink, SinkError};
use crate::store::{self, Journal, JournalError, SinkPlace};
use rusqlite::Connection;
use std::pin::pin;
use std::time::Duration;

/// How many events are delivered at a time.
const EVENTS_PER_DELIVERY: u32 = 500;
/// A sink that has accepted nothing for this long is stuck. A one-shot run waits no longer than this for its sinks.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The error of a stuck sink.
pub(super) const STUCK: &str = "not taking anything";

/// A sink, or the thread that may block in its place.
#[expect(async_fn_in_trait, reason = "only a worker and the tests await it, each on its own thread")]
pub trait Hand {
    /// [`Sink::resume`].
    async fn resume(&mut self, delivered: i64) -> Result<i64, SinkError>;
    /// [`Sink::deliver`].
    async fn deliver(&mut self, events: Vec<Sealed>) -> Result<(), SinkError>;
}

impl<S: Sink + ?Sized> Hand for &mut S {
    async fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        Sink::resume(*self, delivered)
    }

    async fn deliver(&mut self, events: Vec<Sealed>) -> Result<(), SinkError> {
        Sink::deliver(*self, &events)
    }
}

/// Delivers the events that the sink of this place lacks. Returns its position then, with the error that stopped it, if any.
///
/// # Errors
/// The state cannot be read or written.
pub async fn catch_up(
    place: &str,
    mut hand: impl Hand,
    reader: &Connection,
    journal: &Journal,
    clock: &dyn Clock,
) -> Result<SinkPlace, JournalError> {
    let known = store::sink_places(reader)?.into_iter().find(|known| known.name == place);
    let known = known.unwrap_or_else(|| SinkPlace::begin(place));
    let mut notes = Notes { journal, clock, stored: known };
    let mut delivered = notes.stored.delivered;
    match notes.watch(hand.resume(delivered)).await? {
        Ok(from) => delivered = from,
        Err(error) => return notes.fail(delivered, chain(&error).join(": ")).await,
    }
    loop {
        let events = store::pending(reader, delivered, EVENTS_PER_DELIVERY)?;
        let Some(last) = events.last().map(|event| event.sequence) else { break };
        match notes.watch(hand.deliver(events)).await? {
            Ok(()) => delivered = last,
            Err(error) => return notes.fail(delivered, chain(&error).join(": ")).await,
        }
        notes.go_on(delivered).await?;
    }
    notes.go_on(delivered).await
}

/// What the state stores about a sink; written only if it has changed.
struct Notes<'n> {
    journal: &'n Journal,
    clock: &'n dyn Clock,
    stored: SinkPlace,
}

impl Notes<'_> {
    /// Waits for a sink, and stores that it is stuck if that takes too long.
    async fn watch<T>(&mut self, asked: impl Future<Output = T>) -> Result<T, JournalError> {
        let mut asked = pin!(asked);
        tokio::select! {
            biased;
            answer = &mut asked => return Ok(answer),
            () = tokio::time::sleep(PATIENCE) => {}
        }
        let since = self.clock.now().minus(crate::model::Duration::from_seconds(PATIENCE.as_secs() as u32));
        let error = Some(STUCK.to_owned());
        let since = self.stored.since.or(Some(since));
        self.note(SinkPlace { error, since, ..self.stored.clone() }).await?;
        Ok(asked.await)
    }

    async fn fail(mut self, delivered: i64, error: String) -> Result<SinkPlace, JournalError> {
        let since = self.stored.since.or_else(|| Some(self.clock.now()));
        self.note(SinkPlace { delivered, error: Some(error), since, ..self.stored.clone() }).await?;
        Ok(self.stored)
    }

    async fn go_on(&mut self, delivered: i64) -> Result<SinkPlace, JournalError> {
        self.note(SinkPlace { delivered, error: None, since: None, ..self.stored.clone() }).await?;
        Ok(self.stored.clone())
    }

    async fn note(&mut self, place: SinkPlace) -> Result<(), JournalError> {
        if place == self.stored {
            return Ok(());
        }
        if let Some(error) = place.error.as_ref().filter(|error| self.stored.error.as_ref() != Some(error)) {
            let (sink, delivered) = (place.name.as_str(), place.delivered);
            tracing::warn!(sink, delivered, error, "a sink is behind; its events stay queued");
        } else if place.error.is_none() && self.stored.error.is_some() {
            tracing::info!(sink = place.name, delivered = place.delivered, "a sink works again");
        }
        let noted = place.clone();
        self.journal.write(move |transaction| store::note_sink(transaction, &noted)).await?;
        self.stored = place;
        Ok(())
    }
}
