//! Delivers to one sink, in order, the events that it lacks. What it has settled is stored after each delivery, and so are an error
//! and the events that it refuses.

use crate::event::Sealed;
use crate::model::{Clock, chain};
use crate::sink::{Receipt, Sink, SinkError};
use crate::store::{self, Journal, JournalError, SinkPlace};
use rusqlite::Connection;
use std::pin::pin;
use std::time::Duration;

/// How many events are delivered at a time: each delivery costs a commit, and at a file an fsync.
const EVENTS_PER_DELIVERY: u32 = 2_000;
/// How many bytes of them, so that long ones cost no more memory.
const BYTES_PER_DELIVERY: usize = 1 << 20;
/// A sink that has accepted nothing for this long is stuck. A one-shot run waits no longer than this for its sinks.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The error of a stuck sink.
pub(super) const STUCK: &str = "it accepts nothing";

/// A sink, or the thread that may block in its place.
#[expect(async_fn_in_trait, reason = "only a worker and the tests await it, each on its own thread")]
pub trait Hand {
    /// [`Sink::resume`].
    async fn resume(&mut self, delivered: i64) -> Result<i64, SinkError>;
    /// [`Sink::deliver`].
    async fn deliver(&mut self, events: Vec<Sealed>) -> Result<Receipt, SinkError>;
    /// [`Sink::settle`].
    async fn settle(&mut self, taken: i64) -> Result<Receipt, SinkError>;
}

impl<S: Sink + ?Sized> Hand for &mut S {
    async fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        Sink::resume(*self, delivered)
    }

    async fn deliver(&mut self, events: Vec<Sealed>) -> Result<Receipt, SinkError> {
        Sink::deliver(*self, &events)
    }

    async fn settle(&mut self, taken: i64) -> Result<Receipt, SinkError> {
        Sink::settle(*self, taken)
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
    let mut taken = notes.stored.delivered;
    match notes.watch(hand.resume(taken)).await? {
        Ok(from) => {
            taken = from;
            notes.go_back(from);
        }
        Err(error) => return notes.fail(&error).await,
    }
    let mut read = next(reader, journal, taken).await?;
    loop {
        let (head, mut events) = read;
        if let Some((place, missing)) = hole(reader, (taken, head), &events)? {
            // What comes before it goes out.
            events.truncate(place);
            if place == 0 {
                let what = format!("event {missing} is missing in the state; `events verify` says more");
                let name = notes.stored.name.clone();
                return notes.fail(&SinkError { name, cause: std::io::Error::other(what), repeat_count: 0 }).await;
            }
        }
        let is_last = events.is_empty();
        if is_last && taken <= notes.stored.delivered {
            break;
        }
        let answer = match is_last {
            true => notes.watch(hand.settle(taken)).await?,
            false => notes.watch(hand.deliver(events)).await?,
        };
        match answer {
            Ok(receipt) => {
                taken = receipt.taken;
                // The journal's thread commits the note meanwhile.
                let (noted, then) = tokio::join!(biased; notes.go_on(receipt), next(reader, journal, taken));
                noted?;
                read = then?;
            }
            Err(error) => return notes.fail(&error).await,
        }
    }
    let delivered = notes.stored.delivered;
    notes.go_on(Receipt::all(delivered)).await?;
    Ok(notes.stored)
}

/// Up to which event the log may leave, and the events to deliver after this one. The head first: what is written meanwhile is no hole.
async fn next(reader: &Connection, journal: &Journal, taken: i64) -> Result<(i64, Vec<Sealed>), JournalError> {
    let head = released(store::head_of(reader)?.sequence, journal).await?;
    let mut events = store::pending_within(reader, taken, EVENTS_PER_DELIVERY, BYTES_PER_DELIVERY)?;
    events.retain(|event| event.sequence <= head);
    Ok((head, events))
}

/// Up to which event the log may leave: no event does before the commit that it rests on is at the replica. A commit of another
/// process is waited for as our own.
async fn released(head: i64, journal: &Journal) -> Result<i64, JournalError> {
    if head > journal.leaves_up_to() {
        journal.write(|_| Ok(())).await?;
    }
    Ok(head.min(journal.leaves_up_to()))
}

/// Where events are missing that neither a restoration nor pruning explains: before which of these, and the first one.
fn hole(reader: &Connection, (taken, head): (i64, i64), events: &[Sealed]) -> rusqlite::Result<Option<(usize, i64)>> {
    let is_explained = |next: i64| -> rusqlite::Result<bool> {
        let mark = store::pruned(reader)?.map_or(0, |(mark, _)| mark);
        Ok(mark.saturating_add(1) >= next || store::chain_before(reader, next)?.is_some())
    };
    let mut expected = taken.saturating_add(1);
    for (place, event) in events.iter().enumerate() {
        if event.sequence != expected && !is_explained(event.sequence)? {
            return Ok(Some((place, expected)));
        }
        expected = event.sequence.saturating_add(1);
    }
    if events.is_empty() && taken < head && !is_explained(head.saturating_add(1))? {
        return Ok(Some((0, expected)));
    }
    Ok(None)
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

    /// The sink has lost what came after this event.
    fn go_back(&mut self, to: i64) {
        self.stored.delivered = self.stored.delivered.min(to);
    }

    /// Stores the error. What a receiver may have lost goes again, once for each time that it fails.
    async fn fail(mut self, error: &SinkError) -> Result<SinkPlace, JournalError> {
        let repeat_count = if self.stored.error.is_none() { error.repeat_count } else { 0 };
        let delivered = self.stored.delivered.saturating_sub(repeat_count).max(0);
        let since = self.stored.since.or_else(|| Some(self.clock.now()));
        let error = Some(chain(error).join(": "));
        self.note(SinkPlace { delivered, error, since, ..self.stored.clone() }).await?;
        Ok(self.stored)
    }

    async fn go_on(&mut self, receipt: Receipt) -> Result<(), JournalError> {
        let delivered = receipt.settled.max(self.stored.delivered);
        let place = SinkPlace { delivered, error: None, since: None, ..self.stored.clone() };
        if receipt.refused.is_empty() {
            return self.note(place).await;
        }
        let now = self.clock.now();
        let name = place.name.clone();
        for letter in &receipt.refused {
            // What the receiver says may name somebody: `events dead` shows it.
            tracing::warn!(sink = name, sequence = letter.sequence, "a sink refused an event for good");
        }
        let letters: Vec<_> = receipt.refused.into_iter().map(|letter| (letter.sequence, letter.why)).collect();
        self.journal.write(move |transaction| store::put_aside(transaction, &name, &letters, now)).await?;
        self.note(place).await
    }

    async fn note(&mut self, place: SinkPlace) -> Result<(), JournalError> {
        if place == self.stored {
            return Ok(());
        }
        if place.error.is_some() && place.error != self.stored.error {
            let error = place.why_stuck().unwrap_or_default();
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
