//! SHELL: the conversation with the endpoint in one cycle: request permits, what to do after an answer, which accounts
//! exist, and why the cycle ends. Of the state it knows only which accounts are ours; users' changes, and what is
//! stored about them, belong to `apply`.
//!
//! # Guarantees
//! Nothing is concluded from a failure: what could not be read is an error, never an absence. Once a cycle has ended no
//! permit is granted, so no request leaves.

mod about;
mod accounts;
mod answers;
mod calls;
mod directory;
mod listing;
mod lookup;
mod outage;
mod reading;
mod row;
#[cfg(test)]
mod script;
mod send;
mod talk;
mod told_to_wait;
mod trust;

pub(crate) use accounts::Absence;
pub(crate) use answers::Reply;
pub(crate) use directory::{Freshness, ListEnd, hash_of};
pub(crate) use reading::ReadError;
pub(crate) use row::RowNumber;
pub(crate) use send::{Attempt, MaybeApplied, Sent, Tries, is_lost};
pub(crate) use talk::{End, EndpointSeen, Session, SessionContext};
