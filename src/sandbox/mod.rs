//! SHELL: the Rhombus simulator, for rehearsals: its own thread, its own SQLite file, HTTP on loopback, so that `target`
//! runs unchanged against it.
//!
//! What it does as Rhombus is said to: a bearer token; userName immutable, and unique without regard to case;
//! `active=false` removes the account; no groups; `userName eq` filters; paging. It keeps its accounts.

mod accounts;
mod faults;
mod server;

pub use accounts::Accounts;
pub use faults::Faults;
pub use server::{Sandbox, SandboxError, Settings};
