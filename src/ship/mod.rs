//! SHELL: the outbox to the sinks. Each sink has its own place in the log; one that is stuck does not hold up another.

use crate::sink::Sink;
use crate::store::{self, Journal, JournalError, SinkPlace};
use rusqlite::Connection;
use std::time::{Duration, Instant};

/// How many events are delivered at a time.
const EVENTS_PER_DELIVERY: u32 = 500;
/// How long a one-shot run waits for its sinks.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Delivers what each sink has not got. What is left stays queued; the answer names the sinks that are behind.
///
/// # Errors
/// The state cannot be written.
pub async fn ship(
    sinks: &mut [Box<dyn Sink>],
    reader: &Connection,
    journal: &Journal,
) -> Result<Vec<SinkPlace>, JournalError> {
    let started = Instant::now();
    let mut stuck = Vec::new();
    let unreadable = JournalError::from;
    let places = store::sink_places(reader).map_err(unreadable)?;
    for sink in sinks {
        let known = places.iter().find(|place| place.name == sink.name());
        let mut place = SinkPlace {
            name: sink.name().to_owned(),
            delivered: known.map_or(0, |known| known.delivered),
            error: None,
        };
        match sink.resume(place.delivered) {
            Ok(delivered) => place.delivered = delivered,
            Err(error) => place.error = Some(crate::model::chain(&error).join(": ")),
        }
        while place.error.is_none() {
            let events = store::pending(reader, place.delivered, EVENTS_PER_DELIVERY).map_err(unreadable)?;
            let Some(last) = events.last().map(|event| event.sequence) else { break };
            match sink.deliver(&events) {
                Ok(()) => place.delivered = last,
                Err(error) => place.error = Some(crate::model::chain(&error).join(": ")),
            }
            if started.elapsed() > PATIENCE {
                place.error.get_or_insert_with(|| "not all delivered within 10 s; the rest stays queued".to_owned());
            }
        }
        if place.error.is_some() {
            stuck.push(place.clone());
        }
        journal.write(move |transaction| store::note_sink(transaction, &place)).await?;
    }
    Ok(stuck)
}
