//! Whether this process may send: on a host with a standby beside it, only while it leads.

/// Asked before each request. A trait, because the endpoint's room knows no lease, and tests replace it.
pub trait Fence: Send + Sync {
    /// Whether a request may start now, so that it has ended when another host may send.
    fn may_send(&self) -> bool;
}
