//! SHELL: the talk with the endpoint in one cycle.

pub(crate) mod answers;
pub(crate) mod lookup;
