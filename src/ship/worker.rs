//! The thread that brings the log to the sinks: a sink that blocks holds up neither a cycle nor the watchdog.

use crate::ship::{PATIENCE, ship};
use crate::sink::Sink;
use crate::store::{Journal, JournalError};
use rusqlite::Connection;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

/// How often a sink that is behind is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The shipping thread.
pub struct Shipping {
    knock: Option<SyncSender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Shipping {
    /// Starts it; what waits already is shipped at once.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        sinks: impl FnOnce() -> Vec<Box<dyn Sink>> + Send + 'static,
        reader: Connection,
        journal: Journal,
    ) -> std::io::Result<Self> {
        let (knock, knocks) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("shipping".to_owned()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
            let mut sinks = sinks();
            loop {
                if let Err(error) = runtime.block_on(ship_once(&mut sinks, &reader, &journal)) {
                    // The cycle meets the same error, and ends the process with it.
                    tracing::warn!(%error, "events cannot be shipped");
                    return;
                }
                match knocks.recv_timeout(AGAIN) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        let _ = runtime.block_on(ship(&mut sinks, &reader, &journal));
                        return;
                    }
                }
            }
        })?;
        Ok(Self { knock: Some(knock), thread: Some(thread) })
    }

    /// There is something to ship.
    pub fn knock(&self) {
        match self.knock.as_ref().map(|knock| knock.try_send(())) {
            // It is told already, or has ended.
            Some(Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(()))) | None => {}
        }
    }
}

async fn ship_once(sinks: &mut [Box<dyn Sink>], reader: &Connection, journal: &Journal) -> Result<(), JournalError> {
    for sink in ship(sinks, reader, journal).await? {
        let error = sink.error.as_deref().unwrap_or_default();
        tracing::warn!(sink = %sink.name, delivered = sink.delivered, error, "a sink is behind; its events stay queued");
    }
    Ok(())
}

impl Shipping {
    /// Ships what is left, for as long as a one-shot run would wait; a sink that blocks longer is left behind.
    pub fn end(&mut self) {
        self.knock = None;
        let started = Instant::now();
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some(thread) = self.thread.take().filter(std::thread::JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

impl Drop for Shipping {
    fn drop(&mut self) {
        self.end();
    }
}
