//! EDGE: what carries the state to another host, and what says which host leads. [`Replica`] is the barrier that each commit passes
//! before a request or an event leaves on its strength: Litestream says when the replica has it. [`Agent`] keeps a lease in etcd, and
//! [`Noted`] notes the head of the log under it, behind that barrier.
//!
//! Deliberately absent: what is committed, and what is sent; and any consensus of our own.

mod agent;
mod desk;
mod fence;
mod gateway;
mod host;
mod keys;
mod noted;
mod replica;
mod restore;
mod shared;
mod socket;
mod term;
mod twin;
mod wire;

pub use agent::Agent;
pub use desk::{Desk, Overview};
pub use gateway::GatewayError;
pub use host::this_host;
pub use keys::{Left, Note, Wanted};
pub use noted::Noted;
pub use replica::Replica;
pub use restore::{forget_replication, put_in_place, restore};
pub use shared::{Asks, Role, View};
pub use socket::Socket;
