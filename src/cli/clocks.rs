//! What `activate` makes of the clocks: a person runs it and is told both times, so that it may correct what no cycle could.

use crate::clock;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::model::Moment;
use crate::process::person;
use crate::store;
use rusqlite::Transaction;

/// Ends what a wrong clock left in the state. Says both times where they differ; `None`: there is nothing to say.
///
/// # Errors
/// The state cannot be read or written.
pub(super) fn settle(
    transaction: &Transaction<'_>,
    date: Option<Moment>,
    now: Moment,
) -> rusqlite::Result<Option<String>> {
    let latest = store::latest(transaction)?;
    if let Some(date) = date.filter(|date| !clock::agree(now, *date)) {
        return Ok(Some(format!(
            "this machine's clock shows {now}, Rhombus's {date}: no user is removed until they agree\n  hint: \
             correct this machine's clock"
        )));
    }
    if !clock::is_ahead(latest, now) {
        return Ok(None);
    }
    // A person has looked, where Rhombus shows no time.
    let Some(limit) = date.map_or(Some(now), |date| clock::wrong_beyond(latest, now, date)) else { return Ok(None) };
    let confirmed = date.map_or("Rhombus shows no time".to_owned(), |date| format!("Rhombus's shows {date}"));
    let mut said = Draft::new(EventType::ClockCorrected, true, Source::Activate);
    said.initiator = Initiator::Admin(person());
    said.response.details = format!("the state has times up to {latest}; it is now {now}; {confirmed}");
    store::correct_clock(transaction, limit, &said, now)?;
    Ok(Some(format!(
        "the state has times up to {latest}, but this machine's clock shows {now} ({confirmed}): corrected; waits and \
         approvals from then have ended\n  hint: if this clock is the wrong one, correct it and run this again"
    )))
}
