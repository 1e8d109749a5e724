//! SHELL: the Rhombus simulator, for rehearsals of this program and of other SCIM clients: its own thread, its own
//! SQLite file, HTTP on loopback, so that `scim` runs unchanged against it.
//!
//! What it does as Rhombus is said to: a bearer token; userName immutable, and unique without regard to case;
//! `active=false` removes the account; no groups. The rest is SCIM 2.0 by the letter: filters, paging, PATCH in every
//! form, discovery. It keeps its accounts, and no password. `docs/sandbox.md` tells a client's author the same.

mod accounts;
mod answer;
mod discovery;
mod dressing;
mod faults;
mod filter;
mod oddities;
mod patch;
mod path;
mod projection;
mod routes;
mod schemas;
mod server;
mod user;

pub use accounts::{Accounts, Shown};
pub use faults::Faults;
pub use server::{Sandbox, SandboxError, Settings};
