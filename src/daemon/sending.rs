//! What the daemon holds while it may send: the lock, the journal, the sinks' workers, and a view of what commands write.

use crate::config::SinkConfig;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::health::{PastCycle, StuckSink, Waits};
use crate::leading::{self, Lead, Led};
use crate::model::{Clock, Moment};
use crate::process::{SystemClock, spawn};
use crate::ship::Shipping;
use crate::store::{self, Access, Journal};
use rusqlite::Connection;
use std::time::{Duration, Instant};

/// How long a daemon that stops waits for its sinks. Events that are left stay queued.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// The right to send, and everything that sending needs.
pub(super) struct Sending {
    pub(super) journal: Journal,
    pub(super) shipping: Shipping,
    pub(super) installation_id: String,
    commands: Connection,
    identity: Option<(u64, u64)>,
    seen: Option<i64>,
    approval_ends: i64,
    /// When the whole state was checked last, or began to be.
    pub(super) checked_at: Instant,
    /// Whether its journal no longer waits for the replica: nothing may be sent on the strength of it.
    pub(super) is_ending: bool,
}

/// What other processes wrote since the last check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Commands {
    /// `deactivate` was run, or the state was bound to another endpoint.
    pub(super) deactivated: bool,
    /// A hold was approved.
    pub(super) approved: bool,
    /// The state was removed or replaced; the open connection still reads the old file.
    pub(super) moved: bool,
    /// The fingerprint of the token that was verified last.
    pub(super) token_fingerprint: Option<String>,
}

impl Sending {
    /// Takes the lock and opens the state. This may take long: SQLite checks the whole file.
    pub(super) fn begin(deployment: &Deployment, lead: Option<&Lead>) -> Result<Self, Failure> {
        let Led { lock, writer, installation, barrier } = leading::open(deployment, lead)?;
        let (commands, _) = deployment.state(Access::Read)?;
        store::quick_check(&writer)?;
        store::note_check(&writer, Some(SystemClock.now()))?;
        let identity = store::identity(&commands);
        let journal = Journal::start_behind(barrier, writer, Some(lock), None)?;
        let shipping = Shipping::start(&deployment.config.sinks, &deployment.state_path, journal.clone())?;
        let (seen, approval_ends) = (store::data_version(&commands)?, store::last_approval_ends(&commands)?);
        Ok(Self {
            journal,
            shipping,
            installation_id: installation.installation_id,
            commands,
            identity,
            seen: Some(seen),
            approval_ends,
            checked_at: Instant::now(),
            is_ending: false,
        })
    }

    /// No request leaves from now on: what is left to write does not wait for a replica that does not answer.
    pub(super) fn hurry(&mut self) {
        self.is_ending = true;
        self.journal.hurry();
    }

    /// Releases the lock, even if a sink is blocked.
    pub(super) async fn end(mut self) {
        self.hurry();
        self.shipping.end(Instant::now() + LAST_EVENTS).await;
        let journal = self.journal.clone();
        drop(self);
        if let Ok(mut ended) = spawn("last", move || journal.end()) {
            ended.done().await;
        }
    }

    /// Whether the state was removed or replaced.
    pub(super) fn has_moved(&self) -> bool {
        store::identity(&self.commands) != self.identity
    }

    /// The next check reports everything again: what an earlier one reported may have come too late for its cycle.
    pub(super) fn look_again(&mut self) {
        self.seen = None;
    }

    /// What other commands wrote since the last check.
    pub(super) fn commands(&mut self, deployment: &Deployment) -> Result<Commands, Failure> {
        if self.has_moved() {
            return Ok(Commands { moved: true, ..Commands::default() });
        }
        let version = store::data_version(&self.commands)?;
        if self.seen.replace(version) == Some(version) {
            return Ok(Commands::default());
        }
        let installation = store::installation(&self.commands)?;
        let approval_ends = store::last_approval_ends(&self.commands)?;
        let approved = approval_ends > self.approval_ends;
        self.approval_ends = approval_ends;
        let elsewhere = installation.base_url != deployment.endpoint()?;
        let token_fingerprint = Some(installation.token_fingerprint).filter(|print| !print.is_empty());
        Ok(Commands { deactivated: !installation.active || elsewhere, approved, moved: false, token_fingerprint })
    }

    /// Until when Rhombus asked us to wait; `None` if that has passed.
    pub(super) fn not_before(&self, now: Moment) -> Option<Moment> {
        store::installation(&self.commands).ok().and_then(|row| row.retry_after(now))
    }

    /// The sinks that take nothing.
    pub(super) fn stuck(&self, deployment: &Deployment) -> Vec<StuckSink> {
        let places = store::sink_places(&self.commands).unwrap_or_default();
        let with_error = |sink: &SinkConfig| {
            let place = places.iter().find(|place| place.name == sink.place())?;
            let error = place.error.clone()?;
            let head = store::head_of(&self.commands).map_or(place.delivered, |head| head.sequence);
            let pending_count = head.saturating_sub(place.delivered);
            Some(StuckSink { name: sink.name.clone(), error, since: place.since, pending_count })
        };
        deployment.config.sinks.iter().filter_map(with_error).collect()
    }

    /// The number of provisioned users; 0 if the state cannot be read.
    pub(super) fn provisioned(&self) -> i64 {
        store::installation(&self.commands).map_or(0, |row| row.provisioned_count)
    }

    /// Everybody whose wanted change is not done, as the last cycle left them.
    pub(super) fn waits(&self) -> Vec<Waits> {
        store::outstanding(&self.commands).map(|outstanding| Waits::of(&outstanding)).unwrap_or_default()
    }

    /// What the log says of earlier cycles.
    pub(super) fn earlier(&self) -> Vec<PastCycle> {
        let lines = store::cycle_lines(&self.commands).unwrap_or_default();
        lines.iter().filter_map(|(at, line)| PastCycle::of_event(line, *at)).collect()
    }

    /// How many events the sink that is furthest behind lacks.
    pub(super) fn pending(&self, sinks: &[SinkConfig]) -> i64 {
        let places = store::sink_places(&self.commands).unwrap_or_default();
        let delivered = |sink: &SinkConfig| {
            places.iter().find(|place| place.name == sink.place()).map_or(0, |place| place.delivered)
        };
        let head = store::head_of(&self.commands).map_or(0, |head| head.sequence);
        sinks.iter().map(|sink| head - delivered(sink)).max().unwrap_or_default()
    }
}
