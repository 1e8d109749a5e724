//! The daemon's loop: it starts cycles, one at a time, until a signal stops it. A tick during a cycle is skipped; any other
//! request during a cycle starts one more afterwards.
//!
//! # Guarantees
//! The loop only listens, ticks and feeds the watchdog. Anything that may take long has its own thread: a cycle, opening or
//! closing the state, reading and checking a configuration or a token, watching the export, a sink.

use super::news::News;
use super::sending::Sending;
use super::state_check::checked;
use super::systemd::{ServiceManager, last_word};
use super::ticks::{FALLBACK, start};
use super::triggers::{Triggers, Wanted};
use super::waits::{closed, ended, lead_changed, opened, verified};
use super::watch::Changed;
use super::word::Progress;
use super::{Daemon, Running};
use crate::cycle::CycleOptions;
use crate::cycle_thread::{CycleStart, CycleThread};
use crate::deployment::{Deployment, Mode};
use crate::event::Source;
use crate::failure::Failure;
use crate::health::{Health, Idle, Latest};
use crate::leading::Lead;
use crate::model::{Clock, Exit, command};
use crate::monitor::Monitor;
use crate::process::{StopSignals, SystemClock, spawn};
use crate::secret::Token;
use crate::standby::{Asks, Left};
use crate::store::{self, JournalError};
use rusqlite::Transaction;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval};

/// How often the state is checked for commands during a cycle, so that `deactivate` stops it at once.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
const MOVED: &str = "the state was removed or replaced; it will be opened again";

/// Runs the daemon until a signal, or until an error that retrying cannot mend.
pub(crate) fn run(config: &Path, mode: Mode) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = LocalSet::new().block_on(&runtime, async {
        let mut signals = Signals::listen()?;
        let from = config.to_owned();
        let mut loading = spawn("loading", move || {
            let deployment = Deployment::load(&from, mode)?;
            deployment.endpoint()?;
            Ok(deployment)
        })?;
        let crashed = || Err(Failure::new(Exit::Failed, "reading the configuration crashed (this is a bug)", None));
        let deployment = tokio::select! {
            biased;
            () = signals.stop.recv() => return Ok(()),
            loaded = loading.done() => loaded.unwrap_or_else(crashed)?,
        };
        Daemon::new(config, mode, deployment)?.live(signals).await
    });
    if let Err(failure) = &ended {
        last_word(&format!("stopped: {}", failure.in_one_line()));
    }
    ended
}

/// Every signal that the daemon obeys. It listens before it does anything else: until then each signal ends the process.
struct Signals {
    stop: StopSignals,
    reload: Signal,
    cycle: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let (reload, cycle) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?);
        Ok(Self { stop: StopSignals::listen()?, reload, cycle })
    }
}

impl Daemon {
    fn new(config: &Path, mode: Mode, deployment: Deployment) -> Result<Self, Failure> {
        let mut triggers = Triggers::default();
        let now = SystemClock.now();
        triggers.follow(&deployment.config, None, now)?;
        let unhealthy_after = deployment.unhealthy_after();
        let health = Health { started_at: now, unhealthy_after, ..Health::default() };
        let monitor = Monitor::start(&deployment, &health)?;
        let lead = Lead::start(&deployment, Asks::Always)?;
        Ok(Self {
            config: config.to_owned(),
            mode,
            deployment,
            token: None,
            refused_token: None,
            manager: ServiceManager::find(),
            lead,
            could_not_lead: None,
            is_at_rest: false,
            triggers,
            health,
            monitor,
            news: News::default(),
            opening: None,
            sending: None,
            closing: None,
            running: None,
            verification: None,
            checking: None,
            noting: JoinSet::new(),
            is_ready: false,
            stopping_since: None,
        })
    }

    async fn live(mut self, signals: Signals) -> Result<(), Failure> {
        let Signals { mut stop, reload: mut hangup, cycle: mut now } = signals;
        let (tick, mut ticks) = mpsc::channel(1);
        let scheduler = start(tick).await;
        if let Err(error) = &scheduler {
            tracing::error!(error = %error, "cannot start the scheduler; the daemon checks its schedule every five seconds instead");
        }
        let (mut fallback, mut look) = (interval(FALLBACK), interval(LOOK_PAUSE));
        fallback.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.open(Source::Startup)?;
        while !(self.health.is_stopping && self.running.is_none()) {
            tokio::select! {
                biased;
                () = stop.recv() => self.stop(),
                _ = hangup.recv() => self.reload()?,
                _ = now.recv() => self.triggers.want(Source::Signal, false),
                ended = ended(&mut self.running) => self.after(ended)?,
                (source, opened) = opened(&mut self.opening) => self.opened(source, opened)?,
                () = closed(&mut self.closing) => self.closing = None,
                checked = checked(&mut self.checking) => self.state_checked(checked)?,
                verified = verified(&mut self.verification) => self.take(verified)?,
                Some(noted) = self.noting.join_next() => self.noted(noted.unwrap_or(Ok(())))?,
                changed = self.triggers.file_changed() => match changed {
                    Changed::Export => self.triggers.want(Source::Watch, false),
                    Changed::Token => self.triggers.ask_for_token_now(),
                },
                Some(()) = ticks.recv() => self.tick()?,
                () = lead_changed(self.lead.as_ref()) => self.tick()?,
                _ = fallback.tick() => self.tick()?,
                _ = look.tick(), if self.running.is_some() => self.look()?,
            }
            self.next_cycle()?;
        }
        self.stop();
        tracing::info!("stopped by a signal");
        if let Some(sending) = self.sending.take() {
            tokio::select! {
                // A second signal: do not wait for the sinks.
                () = stop.recv() => {}
                () = sending.end() => {}
            }
        }
        if let Some(lead) = self.lead.take() {
            lead.release(Some(Left::Stopped));
        }
        if let Ok(mut scheduler) = scheduler {
            let _ = scheduler.shutdown().await;
        }
        self.manager.status(&self.health.last_word());
        Ok(())
    }

    fn stop(&mut self) {
        if !std::mem::replace(&mut self.health.is_stopping, true) {
            self.manager.stopping();
        }
        if let Some(running) = &self.running {
            running.cycle.stop();
            if self.stopping_since.is_none() {
                tracing::info!("told to stop: no new request is sent, and those in flight are waited for");
            }
        }
        if let Some(sending) = &mut self.sending {
            sending.hurry();
        }
        self.stopping_since.get_or_insert_with(Instant::now);
        self.tell();
    }

    /// Once a second: everything that comes without a signal.
    fn tick(&mut self) -> Result<(), Failure> {
        self.manager.alive();
        self.follow_lead();
        self.tell();
        let now = SystemClock.now();
        SystemClock.look();
        self.triggers.tick(now, self.running.is_some());
        if self.sending.is_none() {
            return self.open(Source::Activate);
        }
        self.look()?;
        if self.sending.is_some() && self.triggers.checkpoint_is_due() {
            self.note(move |transaction| store::checkpoint(transaction, now));
        }
        self.check_state_if_due(Instant::now())?;
        if self.health.token_is_refused
            && self.running.is_none()
            && self.verification.is_none()
            && self.triggers.token_is_due()
        {
            self.look_for_new_token()?;
        }
        Ok(())
    }

    /// Obeys what other commands wrote to the state.
    fn look(&mut self) -> Result<(), Failure> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let commands = sending.commands(&self.deployment)?;
        let verified = commands.token_fingerprint.as_ref();
        let is_another =
            |token: &Token| verified.is_some_and(|verified| *verified != token.fingerprint(&sending.installation_id));
        if self.running.is_none() && self.token.as_ref().is_some_and(is_another) {
            // `activate` verified another one.
            self.token = None;
        }
        match (&self.running, commands.moved, commands.deactivated) {
            (Some(running), true, _) => running.cycle.stop(),
            (Some(running), false, true) => {
                running.cycle.deactivate();
                sending.hurry();
            }
            (None, true, _) => self.rest(Idle::CannotSend, MOVED),
            (None, false, true) => self.rest_deactivated(),
            (_, false, false) if commands.approved => self.triggers.want(Source::Approve, false),
            (_, false, false) => {}
        }
        Ok(())
    }

    /// Releases lock and state, and says why.
    pub(super) fn rest(&mut self, idle: Idle, why: &str) {
        if let Some(sending) = self.sending.take() {
            self.closing = Some(tokio::task::spawn_local(sending.end()));
        }
        self.say(Latest::Idle(idle, why.to_owned()));
    }

    /// Releases lock and state because of `deactivate`.
    pub(super) fn rest_deactivated(&mut self) {
        self.rest(Idle::Deactivated, &deactivated());
    }

    /// Releases a state that was removed or replaced. Returns whether it was.
    pub(super) fn rest_if_moved(&mut self) -> bool {
        let moved = self.sending.as_ref().is_some_and(Sending::has_moved);
        if moved {
            self.rest(Idle::CannotSend, MOVED);
        }
        moved
    }

    /// Starts the requested cycle. A request made while the daemon is idle is dropped.
    fn next_cycle(&mut self) -> Result<(), Failure> {
        if self.running.is_some() || self.health.is_stopping || self.opening.is_some() {
            return Ok(());
        }
        // What starts a cycle while nothing may be sent starts it as soon as it may.
        if self.sending.is_some() && !self.may_send() {
            return Ok(());
        }
        match self.triggers.take() {
            Some(wanted) if self.sending.is_some() => self.start_cycle(wanted),
            Some(_) | None => Ok(()),
        }
    }

    fn start_cycle(&mut self, wanted: Wanted) -> Result<(), Failure> {
        let Some(sending) = &self.sending else { return Ok(()) };
        let progress = Arc::new(Progress::default());
        let noted = progress.clone();
        let cycle = CycleThread::start(CycleStart {
            deployment: self.deployment.clone(),
            journal: sending.journal.clone(),
            token: self.token.clone(),
            fence: self.lead.as_ref().map(Lead::fence),
            source: wanted.source,
            options: CycleOptions { refresh: wanted.refresh, ..CycleOptions::default() },
            progress: Box::new(move |done, all| noted.note(done, all)),
        })?;
        let pending_count = sending.pending(&self.deployment.config.sinks);
        self.running = Some(Running { cycle, refresh: wanted.refresh, progress, pending_count });
        self.health.running_since = Some(SystemClock.now());
        self.tell();
        Ok(())
    }

    /// Writes to the state without blocking the loop, then wakes the sinks.
    pub(super) fn note(&mut self, write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static) {
        let Some(sending) = &self.sending else { return };
        let journal = sending.journal.clone();
        self.noting.spawn_local(async move { journal.write(write).await });
    }

    /// A state that cannot be written ends the process.
    fn noted(&mut self, noted: Result<(), JournalError>) -> Result<(), Failure> {
        match noted {
            Ok(()) => {
                if let Some(sending) = &self.sending {
                    sending.shipping.wake();
                }
                Ok(())
            }
            // The state was released, removed or replaced in the meantime.
            Err(_) if self.sending.is_none() || self.running.is_some() || self.rest_if_moved() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why the daemon is idle.
pub(super) fn deactivated() -> String {
    format!("deactivated; run `{}` to manage users again", command("activate"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Access;

    /// A daemon on a sandbox state of its own, with the lock.
    async fn check<F: Future>(test: impl FnOnce(Daemon) -> F) {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, "[directory]\npath = \"d.json\"\n[schedule]\nwatch = false\n").expect("written");
        let deployment = Deployment::load(&config, Mode::Sandbox).unwrap_or_else(|failure| panic!("{failure:?}"));
        let mut daemon = Daemon::new(&config, Mode::Sandbox, deployment).expect("a daemon");
        daemon.sending = Sending::begin(&daemon.deployment, None).ok();
        LocalSet::new().run_until(test(daemon)).await;
    }

    #[tokio::test]
    async fn a_deactivation_that_was_seen_too_late_for_its_cycle_is_obeyed_after_it() {
        check(async |mut daemon| {
            daemon.start_cycle(Wanted { source: Source::Startup, refresh: false }).expect("a thread");
            let ended = ended(&mut daemon.running).await;
            let (mut commands, _) = daemon.deployment.state(Access::Write).expect("the state");
            let transaction = commands.transaction().expect("a transaction");
            let endpoint = daemon.deployment.endpoint().expect("an endpoint");
            store::set_active(&transaction, false, &endpoint, None).expect("deactivated");
            transaction.commit().expect("deactivated");
            daemon.look().expect("seen, by a cycle that is over");
            daemon.after(ended).expect("the end of the cycle");
            daemon.look().expect("seen again");
            assert!(daemon.sending.is_none());
        })
        .await;
    }

    #[tokio::test]
    async fn the_whole_state_is_checked_once_a_day_and_damage_ends_the_process() {
        check(async |mut daemon| {
            let since = daemon.sending.as_ref().expect("the lock").checked_at;
            let later = |hours: u64| since + Duration::from_secs(hours * 3_600);
            daemon.check_state_if_due(later(22)).expect("not yet");
            assert!(daemon.checking.is_none());
            daemon.check_state_if_due(later(23)).expect("a thread");
            let found = checked(&mut daemon.checking).await;
            daemon.state_checked(found).expect("it is whole");
            while let Some(noted) = daemon.noting.join_next().await {
                noted.expect("a task").expect("noted");
            }
            daemon.check_state_if_due(later(24)).expect("not again");
            assert!(daemon.checking.is_none());
            let damaged = || Err(Failure::new(Exit::Failed, "damaged", None));
            assert!(daemon.state_checked(damaged()).is_err());
            daemon.sending = None;
            daemon.state_checked(damaged()).expect("it was let go of");
        })
        .await;
    }

    #[tokio::test]
    async fn a_token_of_a_reload_is_newer_than_one_that_was_read_for_opening() {
        check(async |mut daemon| {
            let sending = daemon.sending.take().expect("the lock");
            let [before, reloaded] = ["before", "reloaded"].map(|text| Token::from_text(text).expect("a token"));
            daemon.open(Source::Activate).expect("a thread");
            daemon.take_configuration(daemon.deployment.clone(), Some(reloaded.clone())).expect("taken");
            daemon.opened(Source::Activate, Ok((Some(before), sending))).expect("open");
            assert_eq!(daemon.token.map(|token| token.expose().to_owned()), Some(reloaded.expose().to_owned()));
        })
        .await;
    }

    #[tokio::test]
    async fn what_was_wanted_while_nobody_was_managed_does_not_name_the_first_cycle_after() {
        check(async |mut daemon| {
            let sending = daemon.sending.take().expect("the lock");
            daemon.triggers.want(Source::Schedule, true);
            daemon.next_cycle().expect("nothing to do");
            daemon.opened(Source::Activate, Ok((None, sending))).expect("open");
            assert_eq!(daemon.triggers.take(), Some(Wanted { source: Source::Activate, refresh: false }));
        })
        .await;
    }

    #[tokio::test]
    async fn a_signal_that_comes_while_the_state_is_opened_is_obeyed_by_the_first_cycle() {
        check(async |mut daemon| {
            let sending = daemon.sending.take().expect("the lock");
            daemon.open(Source::Startup).expect("a thread");
            daemon.triggers.want(Source::Schedule, true);
            daemon.next_cycle().expect("not yet");
            daemon.opened(Source::Startup, Ok((None, sending))).expect("open");
            assert_eq!(daemon.triggers.take(), Some(Wanted { source: Source::Startup, refresh: true }));
        })
        .await;
    }
}
