//! Provisioning sync: makes Rhombus Systems equal to a directory of users, over SCIM 2.0.
//!
//! The house and its rooms are drawn in ARCHITECTURE.md; `tests/tidy.rs` holds who may use whom.

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
pub mod folder;
pub mod health;
mod hints;
pub mod http;
mod logs;
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
pub mod store;
