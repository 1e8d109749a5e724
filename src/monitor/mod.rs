//! SHELL: the monitor. A thread of its own answers `/`, `/healthz` and `/metrics` over HTTP, and asks the heartbeat's address after
//! each good cycle. All of it shows one value, [`Health`]; nothing can be changed here.
//!
//! # Guarantees
//! The daemon never waits for it: what it is told lies in a channel of one. It holds no connection to the state between two
//! questions. No username, no name and no address of a person is shown.

mod answer;
mod heartbeat;
mod look;
mod metrics;
mod page;
mod pictures;
mod server;
mod style;

pub(crate) use heartbeat::Heartbeat;

use crate::config::SinkConfig;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::health::Health;
use crate::meter::Meter;
use crate::model::Exit;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

/// The daemon's handle. The thread ends once it is dropped.
pub(crate) struct Monitor {
    health: watch::Sender<Arc<Health>>,
    place: watch::Sender<Arc<Place>>,
    beats: mpsc::Sender<()>,
}

/// What is looked at.
struct Place {
    state: PathBuf,
    sinks: Vec<SinkConfig>,
    meter: Arc<Meter>,
    heartbeat: Option<Heartbeat>,
}

impl Place {
    fn of(deployment: &Deployment) -> Result<Self, Failure> {
        Ok(Self {
            state: deployment.state_path.clone(),
            sinks: deployment.config.sinks.clone(),
            meter: deployment.meter.clone(),
            heartbeat: Heartbeat::read(deployment)?,
        })
    }
}

impl Monitor {
    /// Listens from now on, if the configuration wants it.
    ///
    /// # Errors
    /// The address is in use, or the heartbeat's file cannot be used.
    pub(crate) fn start(deployment: &Deployment, health: &Health) -> Result<Option<Self>, Failure> {
        let Some(config) = &deployment.config.monitor else { return Ok(None) };
        let place = Place::of(deployment)?;
        let listen = config.listen;
        let listener = TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener = listener.map_err(|error| {
            let hint = "another process may listen there: each daemon needs a [monitor] listen of its own";
            Failure::new(Exit::Failed, format!("the monitor cannot listen on {listen}: {error}"), Some(hint))
        })?;
        let address = listener.local_addr()?;
        let (health, health_told) = watch::channel(Arc::new(health.clone()));
        let (place, place_told) = watch::channel(Arc::new(place));
        let (beats, beats_heard) = mpsc::channel(1);
        let seen = look::Looker::new(health_told, place_told, address.ip().to_canonical().is_loopback());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("monitor".to_owned()).spawn(move || {
            let served = server::serve(listener, Arc::new(seen), beats_heard);
            if let Err(error) = LocalSet::new().block_on(&runtime, served) {
                tracing::error!(%error, "the monitor has ended");
            }
        })?;
        tracing::info!(%address, "the monitor listens");
        Ok(Some(Self { health, place, beats }))
    }

    /// This is how the daemon is from now on.
    pub(crate) fn tell(&self, health: &Health) {
        self.health.send_replace(Arc::new(health.clone()));
    }

    /// Looks at this deployment from now on; the address stays.
    ///
    /// # Errors
    /// The heartbeat's file cannot be used.
    pub(crate) fn follow(&self, deployment: &Deployment) -> Result<(), Failure> {
        self.place.send_replace(Arc::new(Place::of(deployment)?));
        Ok(())
    }

    /// A cycle was a good one.
    pub(crate) fn beat(&self) {
        // Full: the last one has not been sent yet, and one says as much as two.
        let _ = self.beats.try_send(());
    }
}
