//! SHELL: whether this host may send, where another stands by: a lease decides, or a person. It brings the last leader's state here,
//! and opens it.
//!
//! # Guarantees
//! A state in the folder of a host that does not lead is never opened for sending.

mod admit;
mod by_hand;
mod by_lease;
mod lead;
mod led;
mod refusals;
mod replica;

pub(crate) use admit::{admit, leaves_up_to, look, who_leads};
pub(crate) use by_hand::{mark, unmark};
pub(crate) use lead::{Lead, begin, open};
pub(crate) use led::{Led, Turn};
pub(crate) use refusals::{led_last, no_standby, not_leading};
