//! SHELL: the talk with the endpoint in one cycle: whose turn it is, what follows from an answer, which accounts are there,
//! and why the cycle ends. What it knows of the state is the accounts that are ours; users' changes and what is written of
//! them are `apply`'s.
//!
//! # Guarantees
//! No conclusion from a failure: what could not be read is an error, never an absence. Once a cycle has ended no permit is
//! given, so no request leaves.

mod accounts;
mod answers;
mod directory;
mod listing;
mod lookup;
mod reading;
#[cfg(test)]
mod script;
mod send;
mod talk;

pub(crate) use accounts::Witness;
pub(crate) use answers::Reply;
pub(crate) use directory::{Freshness, hash_of};
pub(crate) use reading::ReadError;
pub(crate) use send::{Attempt, MaybeApplied, Sent, Tries, is_lost};
pub(crate) use talk::{End, EndpointSeen, Session, SessionContext};
