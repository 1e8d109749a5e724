//! SHELL: the built-in Rhombus simulator, for sandbox runs of this program and for testing other SCIM clients. It has
//! its own thread, its own SQLite file, and speaks HTTP on loopback, so that `scim` runs unchanged against it.
//!
//! Like Rhombus: a bearer token; userName immutable, and unique regardless of case; `active=false` deletes the account;
//! no groups. The rest is SCIM 2.0 by the book: filters, paging, PATCH in every form, discovery. It stores accounts,
//! but never passwords. `docs/sandbox.md` says the same to the authors of clients.

mod accounts;
mod answer;
mod digits;
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

pub use accounts::{Accounts, Visibility};
pub use faults::Faults;
pub use server::{Sandbox, SandboxError, Settings};
