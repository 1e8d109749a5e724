//! The daemon's loop decides when a cycle begins, until it is told to stop. One cycle at a time; a tick during one is skipped,
//! and whatever else asks for one then starts one more after it.
//!
//! # Guarantees
//! The loop only listens, ticks and feeds the watchdog. Whatever may take long has a thread of its own: a cycle, opening or
//! closing the state, reading and proving a configuration or a token, looking at the export, a sink.

use super::reload::{Proven, Proving};
use super::sending::Sending;
use super::systemd::ServiceManager;
use super::ticks::{FALLBACK, start};
use super::triggers::{Triggers, Wanted};
use super::{Daemon, Opening, Running};
use crate::cycle::CycleOptions;
use crate::cycle_thread::{CycleEnded, CycleStart, CycleThread};
use crate::deployment::{Deployment, Mode};
use crate::event::Source;
use crate::failure::Failure;
use crate::health::{Health, Latest};
use crate::model::{Clock, Exit};
use crate::process::{StopSignals, SystemClock, aside};
use crate::secret::Token;
use crate::store::{self, JournalError};
use rusqlite::Transaction;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked for what other commands wrote while a cycle runs, so that `deactivate` stops it at once.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Why nobody is managed.
const DEACTIVATED: &str = "deactivated; run `rhombus-sync activate` to manage users again";
const MOVED: &str = "the state was removed or replaced; it is looked at anew";

/// Runs it until a signal, or what cannot pass by itself.
pub(crate) fn run(config: &Path, mode: Mode) -> Result<(), Failure> {
    let deployment = Deployment::load(config, mode)?;
    deployment.endpoint()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async { Daemon::new(config, mode, deployment)?.live().await })
}

impl Daemon {
    fn new(config: &Path, mode: Mode, deployment: Deployment) -> Result<Self, Failure> {
        let mut triggers = Triggers::default();
        triggers.follow(&deployment.config, None, SystemClock.now())?;
        Ok(Self {
            config: config.to_owned(),
            mode,
            deployment,
            token: None,
            refused_token: None,
            manager: ServiceManager::find(),
            triggers,
            health: Health::default(),
            opening: None,
            sending: None,
            closing: None,
            running: None,
            proving: None,
            noting: JoinSet::new(),
            is_ready: false,
            stopping: false,
        })
    }

    async fn live(mut self) -> Result<(), Failure> {
        let mut stop = StopSignals::listen()?;
        let (mut hangup, mut now) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?);
        let (tick, mut ticks) = mpsc::channel(1);
        let scheduler = start(tick).await;
        if let Err(error) = &scheduler {
            tracing::error!(error = %error, "the scheduler does not start; the daemon looks every five seconds by itself");
        }
        let (mut fallback, mut look) = (interval(FALLBACK), interval(LOOK_PAUSE));
        fallback.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.open(Source::Startup)?;
        while !(self.stopping && self.running.is_none()) {
            tokio::select! {
                biased;
                () = stop.recv() => self.stop(),
                _ = hangup.recv() => self.reload()?,
                _ = now.recv() => self.triggers.want(Source::Signal, false),
                ended = ended(&mut self.running) => self.after(ended)?,
                (source, opened) = opened(&mut self.opening) => self.opened(source, opened)?,
                () = closed(&mut self.closing) => self.closing = None,
                proven = proven(&mut self.proving) => self.take(proven)?,
                Some(noted) = self.noting.join_next() => self.noted(noted.unwrap_or(Ok(())))?,
                () = self.triggers.export_changed() => self.triggers.want(Source::Watch, false),
                Some(()) = ticks.recv() => self.tick()?,
                _ = fallback.tick() => self.tick()?,
                _ = look.tick(), if self.running.is_some() => self.look()?,
            }
            if self.running.is_some() || self.stopping || self.sending.is_none() {
                continue;
            }
            if let Some(wanted) = self.triggers.take() {
                self.start_cycle(wanted)?;
            }
        }
        self.manager.stopping();
        tracing::info!("stopped by a signal");
        if let Some(sending) = self.sending.take() {
            tokio::select! {
                // Who asks twice is in a hurry.
                () = stop.recv() => {}
                () = sending.end() => {}
            }
        }
        if let Ok(mut scheduler) = scheduler {
            let _ = scheduler.shutdown().await;
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.stopping = true;
        if let Some(running) = &self.running {
            running.cycle.stop();
        }
    }

    /// Takes the lock and opens the state aside, or says why there is nothing to do.
    fn open(&mut self, source: Source) -> Result<(), Failure> {
        if self.opening.is_some() || self.closing.is_some() {
            return Ok(());
        }
        if !self.deployment.is_sandbox && !self.deployment.state_path.exists() {
            self.say(Latest::Idle(
                "there is no state yet; run `rhombus-sync activate`, or put the backup back".to_owned(),
            ));
            self.ready();
            return Ok(());
        }
        let deployment = self.deployment.clone();
        let state = aside("opening", move || {
            let token = if deployment.is_sandbox { None } else { Some(deployment.token()?) };
            if token.is_some() {
                // A client can be made with it. A token that others can read is never used.
                deployment.target_with(token.clone())?;
            }
            Ok((token, Sending::begin(&deployment)?))
        })?;
        self.opening = Some(Opening { state, source });
        Ok(())
    }

    /// The state is open, or cannot be opened. Once it lives, only what cannot pass by itself ends it.
    fn opened(&mut self, source: Source, opened: Result<(Option<Token>, Sending), Failure>) -> Result<(), Failure> {
        self.opening = None;
        match opened {
            Ok((token, mut sending)) => {
                // They may have been changed meanwhile.
                sending.shipping.change(&self.deployment.config.sinks)?;
                (self.token, self.sending) = (token, Some(sending));
                self.triggers.want(source, false);
                self.say(Latest::Active);
            }
            Err(failure) if failure.exit == Exit::Inactive => drop(self.say(Latest::Idle(DEACTIVATED.to_owned()))),
            Err(failure) if source == Source::Startup => return Err(failure),
            Err(failure) => drop(self.say(Latest::Idle(failure.in_one_line()))),
        }
        self.ready();
        Ok(())
    }

    fn ready(&mut self) {
        if !std::mem::replace(&mut self.is_ready, true) {
            self.manager.ready();
        }
    }

    /// Once a second: everything that nobody signals.
    fn tick(&mut self) -> Result<(), Failure> {
        self.manager.alive();
        let now = SystemClock.now();
        self.triggers.tick(now, self.running.is_some());
        if self.sending.is_none() {
            return self.open(Source::Activate);
        }
        self.look()?;
        if self.sending.is_some() && self.triggers.checkpoint_is_due() {
            self.note(move |transaction| store::checkpoint(transaction, now));
        }
        if self.health.token_is_refused && self.running.is_none() && self.proving.is_none() {
            self.look_for_new_token()?;
        }
        Ok(())
    }

    /// Looks for what other commands wrote.
    fn look(&mut self) -> Result<(), Failure> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let commands = sending.commands(&self.deployment)?;
        let proven = commands.token_fingerprint.as_ref();
        let is_another =
            |token: &Token| proven.is_some_and(|proven| *proven != token.fingerprint(&sending.installation_id));
        if self.running.is_none() && self.token.as_ref().is_some_and(is_another) {
            // `activate` proved another one.
            self.token = None;
        }
        match (&self.running, commands.moved, commands.deactivated) {
            (Some(running), true, _) => running.cycle.stop(),
            (Some(running), false, true) => running.cycle.deactivate(),
            (None, true, _) => self.rest(MOVED),
            (None, false, true) => self.rest(DEACTIVATED),
            (_, false, false) if commands.approved => self.triggers.want(Source::Approve, false),
            (_, false, false) => {}
        }
        Ok(())
    }

    /// Lets go of lock and state, and says why.
    pub(super) fn rest(&mut self, why: &str) {
        if let Some(sending) = self.sending.take() {
            self.closing = Some(tokio::task::spawn_local(sending.end()));
        }
        self.say(Latest::Idle(why.to_owned()));
    }

    /// Says why nobody is managed any more.
    pub(super) fn rest_deactivated(&mut self) {
        self.rest(DEACTIVATED);
    }

    /// Lets go of a state that lies there no more; false where it still does.
    pub(super) fn rest_if_moved(&mut self) -> bool {
        let moved = self.sending.as_ref().is_some_and(Sending::has_moved);
        if moved {
            self.rest(MOVED);
        }
        moved
    }

    fn start_cycle(&mut self, wanted: Wanted) -> Result<(), Failure> {
        let Some(sending) = &self.sending else { return Ok(()) };
        let cycle = CycleThread::start(CycleStart {
            deployment: self.deployment.clone(),
            journal: sending.journal.clone(),
            token: self.token.clone(),
            source: wanted.source,
            options: CycleOptions { refresh: wanted.refresh, ..CycleOptions::default() },
            progress: Box::new(|_, _| {}),
        })?;
        self.running = Some(Running { cycle, refresh: wanted.refresh });
        Ok(())
    }

    /// Writes to the state beside the loop; the sinks are told once it is there.
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
            // It was let go of meanwhile, or lies there no more.
            Err(_) if self.sending.is_none() || self.running.is_some() || self.rest_if_moved() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// One line for the service manager, and for the log where it is news; whether it was.
    pub(super) fn say(&mut self, latest: Latest) -> bool {
        self.health.latest = latest;
        self.health.next_cycle = self.triggers.next();
        let line = self.health.line();
        let news = self.manager.status(&line);
        if news {
            tracing::info!("{line}");
        }
        news
    }
}

/// The end of the cycle under way; never, where none is.
async fn ended(running: &mut Option<Running>) -> CycleEnded {
    match running {
        Some(running) => running.cycle.ended().await,
        None => std::future::pending().await,
    }
}

/// The state that was being opened; never, where none is.
async fn opened(opening: &mut Option<Opening>) -> (Source, Result<(Option<Token>, Sending), Failure>) {
    let Some(Opening { state, source }) = opening else { return std::future::pending().await };
    let crashed = || Err(Failure::new(Exit::Failed, "opening the state crashed (this is a bug)", None));
    (*source, state.done().await.unwrap_or_else(crashed))
}

/// The end of what is being let go of; never, where nothing is.
async fn closed(closing: &mut Option<JoinHandle<()>>) {
    match closing {
        Some(closing) => drop(closing.await),
        None => std::future::pending().await,
    }
}

/// What came of the proof under way; never, where none is.
async fn proven(proving: &mut Option<Proving>) -> Proven {
    match proving {
        Some(proving) => proving.ended().await,
        None => std::future::pending().await,
    }
}
