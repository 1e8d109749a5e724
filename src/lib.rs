//! Provisioning sync: keeps users in Rhombus Systems in sync with a directory, over SCIM 2.0.
//!
//! The rooms are described in ARCHITECTURE.md; `tests/it/tidy.rs` checks which room may use which.

mod apply;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cycle;
mod cycle_thread;
pub mod daemon;
mod deployment;
pub mod event;
mod failure;
pub mod files;
pub mod fingerprints;
pub mod folder;
pub mod health;
mod hints;
pub mod http;
mod leading;
mod logs;
mod memory;
pub mod meter;
pub mod model;
mod monitor;
pub mod outcome;
pub mod plan;
mod preview;
mod probe;
mod process;
pub mod records;
pub mod report;
pub mod retry;
pub mod sandbox;
pub mod schedule;
pub mod scim;
pub mod secret;
mod session;
pub mod settlement;
pub mod ship;
pub mod sink;
pub mod source;
pub mod standby;
pub mod store;
