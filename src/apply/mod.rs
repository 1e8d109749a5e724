//! SHELL: an approved plan, applied.

pub(crate) mod create;
pub(crate) mod record;
pub(crate) mod recover;
pub(crate) mod remove;
pub(crate) mod update;
pub(crate) mod window;
