//! SHELL: applies an approved plan, change by change: look up, store the intent, send, store the outcome. Recovery
//! enters the same three state machines with an intent whose answer was lost.
//!
//! # Guarantees
//! No request that changes anything leaves before its intent is on the disk. Outcome, link and event are one
//! transaction.

mod create;
mod failures;
mod found;
mod intents;
mod link;
mod linked;
mod record;
mod recover;
mod remove;
mod tally;
mod update;
mod window;

pub(crate) use record::Previous;
pub(crate) use recover::wanted_again;
pub(crate) use tally::Tally;
pub(crate) use window::{Apply, window};
