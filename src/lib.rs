//! The rhombus-sync library: see ARCHITECTURE.md.

pub mod event;
pub mod model;
pub mod plan;
pub mod records;
pub mod settlement;
pub mod source;
pub mod store;
