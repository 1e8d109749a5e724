//! The lease as the rest of the program sees it: a thread asks for it, renews it and notes the head of the log under it; [`Agent`]
//! is told what to do, and says how it stands.

use super::fence::steady_ms;
use super::gateway::{AskedBy, Gateway, GatewayError};
use super::keys::{Left, Note};
use super::shared::{Asks, Numbered, Order, Shared, View};
use super::term::Term;
use crate::config::LeaseConfig;
use crate::model::{Duration, Fence};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc as answers};
use tokio::sync::mpsc;

/// How long a commit waits until its head is noted. After that nothing is sent until it is.
const NOTE_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// How long the end of a process waits until the lease is given back; without that it lapses.
const RELEASE_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// A handle of the lease's thread, which ends with the last one. A lease that was not given back lapses.
#[derive(Clone)]
pub struct Agent {
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
    host: String,
}

impl Agent {
    /// Starts the thread. `timeout`: the longest that a request takes.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used, or the thread cannot be started.
    pub fn start(config: &LeaseConfig, host: &str, timeout: Duration, asks: Asks) -> Result<Self, GatewayError> {
        // Made here, so that a wrong file is said at the start.
        drop(Gateway::new(config, AskedBy::Lease)?);
        let shared = Arc::new(Shared::new(timeout));
        let (orders, told) = mpsc::unbounded_channel();
        let (config, name, thread) = (config.clone(), host.to_owned(), shared.clone());
        std::thread::Builder::new()
            .name("lease".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match (runtime, Gateway::new(&config, AskedBy::Lease)) {
                    (Ok(runtime), Ok(gateway)) => {
                        runtime.block_on(Term::new(gateway, &config, name, timeout, asks, thread).live(told));
                    }
                    (Err(error), _) => thread.set_trouble(Some(error.to_string())),
                    (_, Err(error)) => thread.set_trouble(Some(error.to_string())),
                }
            })
            .map_err(|error| GatewayError::Away(error.to_string()))?;
        Ok(Self { shared, orders, host: host.to_owned() })
    }

    /// What decides whether a request may start.
    #[must_use]
    pub fn fence(&self) -> Arc<dyn Fence> {
        Arc::new(FenceOf(self.shared.clone()))
    }

    /// The name of this host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How it stands now.
    #[must_use]
    pub fn view(&self) -> View {
        let (role, note, trouble) = self.shared.seen().clone();
        let fence = &self.shared.fence;
        View { role, note, trouble, hands_over: fence.hands_over(), may_send: fence.may_send(), at_ms: steady_ms() }
    }

    /// Waits until this host is something else to the others.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Whether this host has a state to lead with. One that has neither that nor a replica to restore does not ask.
    pub fn note_state(&self, there: bool) {
        self.shared.has_state.store(there, Ordering::SeqCst);
    }

    /// Notes the head of the log under the lease, and waits for it. False: it is not noted, and no request starts until it is.
    pub fn note(&self, note: Note) -> bool {
        let (answer, noted) = answers::channel();
        let number = self.shared.fence.ask_note();
        let told = self.orders.send(Order::Note(Numbered { number, note }, answer)).is_ok();
        let noted = told && noted.recv_timeout(NOTE_WAIT).unwrap_or(false);
        if !noted {
            self.shared.fence.owe_note(number);
        }
        noted
    }

    /// Gives the lease back, and waits for it, but not for long.
    pub fn release(&self, left: Option<Left>) {
        let (answer, released) = answers::channel();
        if self.orders.send(Order::Release(left, answer)).is_ok() {
            let _ = released.recv_timeout(RELEASE_WAIT);
        }
    }
}

struct FenceOf(Arc<Shared>);

impl Fence for FenceOf {
    fn may_send(&self) -> bool {
        self.0.fence.may_send()
    }
}
