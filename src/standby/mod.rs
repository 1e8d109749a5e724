//! EDGE: what carries the state to another host. [`Replica`] is the barrier that each commit passes before a request or an event
//! leaves on its strength: Litestream says when the replica has it.
//!
//! Deliberately absent: what is committed, and what is sent.

mod replica;
mod socket;

pub use replica::Replica;
pub use socket::Socket;
