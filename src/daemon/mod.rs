//! SHELL: what a daemon lives by: a tick each second, the export's file, the service manager, and a thread that ships.
//!
//! What is deliberately absent: any decision about users. When a cycle begins is `cli/daemon.rs`; what it does is `cycle`.

mod backoff;
mod shipping;
mod systemd;
mod ticks;
mod watch;

pub use backoff::Backoff;
pub use shipping::Shipping;
pub use systemd::ServiceManager;
pub use ticks::{FALLBACK, start};
pub use watch::Watch;
