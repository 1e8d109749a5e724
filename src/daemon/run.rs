//! The daemon: a loop that decides when a cycle begins, until it is told to stop. One cycle at a time; a tick during one is
//! skipped, and whatever else asks for one then starts one more after it.

use super::deployment::{Deployment, inactive};
use super::failure::Failure;
use super::process::{SystemClock, chance, cycle_id};
use super::reload::{Proving, proven};
use super::sending::Sending;
use super::{Arguments, Said};
use crate::cycle::{Clock, CycleContext, CycleOptions, reconcile};
use crate::daemon::{Backoff, FALLBACK, ServiceManager, Watch, start};
use crate::event::Source;
use crate::model::Moment;
use crate::report::CycleReport;
use crate::schedule::{CronSchedule, Due};
use crate::secret::Token;
use crate::store::{self, JournalError};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often the log is asked whether its daily checkpoint is due.
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(600);

pub(super) fn run(arguments: &Arguments) -> Result<Said, Failure> {
    let deployment = Deployment::load(arguments)?;
    deployment.endpoint()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async { Daemon::new(arguments, deployment).live().await })?;
    Ok(Said::done(""))
}

/// A cycle that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wanted {
    source: Source,
    refresh: bool,
}

/// A cycle under way.
pub(super) struct Running {
    cycle: JoinHandle<Result<CycleReport, JournalError>>,
    stop: CancellationToken,
    deactivated: Rc<Cell<bool>>,
    pub(super) refresh: bool,
}

pub(super) struct Daemon<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) deployment: Deployment,
    pub(super) token: Option<Token>,
    pub(super) manager: ServiceManager,
    pub(super) cron: Option<Due>,
    pub(super) refresh_cron: Option<Due>,
    pub(super) watch: Option<Watch>,
    /// None: idle, with nothing to send to or by.
    pub(super) sending: Option<Sending>,
    pub(super) running: Option<Running>,
    wanted: Option<Wanted>,
    pub(super) wake_at: Option<Instant>,
    pub(super) backoff: Backoff,
    checkpoint_at: Instant,
    /// A refresh was due and has not been done.
    pub(super) refresh_is_owed: bool,
    /// The last cycle was started at once after another: once is enough.
    pub(super) was_at_once: bool,
    pub(super) token_is_refused: bool,
    /// The last token on disk that was no good either.
    pub(super) refused_token: Option<Token>,
    /// A reload, or a new token, being proven.
    pub(super) proving: Option<Proving>,
    stopping: bool,
}

impl<'a> Daemon<'a> {
    fn new(arguments: &'a Arguments, deployment: Deployment) -> Self {
        let mut daemon = Self {
            arguments,
            deployment,
            token: None,
            manager: ServiceManager::find(),
            cron: None,
            refresh_cron: None,
            watch: None,
            sending: None,
            running: None,
            wanted: None,
            wake_at: None,
            backoff: Backoff::default(),
            checkpoint_at: Instant::now(),
            refresh_is_owed: false,
            was_at_once: false,
            token_is_refused: false,
            refused_token: None,
            proving: None,
            stopping: false,
        };
        daemon.keep_time(None);
        daemon
    }

    /// Schedule and watch of the present configuration; what has not changed since `before` goes on as it was.
    pub(super) fn keep_time(&mut self, before: Option<&Deployment>) {
        let (config, now) = (&self.deployment.config, SystemClock.now());
        // The configuration was checked: both expressions can be read.
        let due = |cron: &str| {
            CronSchedule::parse(cron, &config.schedule.time_zone)
                .ok()
                .map(|cron_schedule| Due::after(cron_schedule, now))
        };
        if before.is_none_or(|before| before.config.schedule != config.schedule) {
            self.cron = due(&config.schedule.cron);
            self.refresh_cron = due(&config.schedule.refresh_cron).filter(|_| !config.schedule.refresh_cron.is_empty());
        }
        // It may have seen a change that is not quiet yet.
        let same = self.watch.take().filter(|watch| watch.is_of(&config.settings.export_path));
        let watch = same.unwrap_or_else(|| Watch::new(&config.settings.export_path));
        self.watch = Some(watch).filter(|_| config.schedule.watch);
    }

    async fn live(mut self) -> Result<(), Failure> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (mut hangup, mut now) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?);
        let (knock, mut beats) = mpsc::channel(1);
        let scheduler = start(knock).await;
        if let Err(error) = &scheduler {
            tracing::error!(error = %error, "the scheduler does not start; the daemon looks every five seconds by itself");
        }
        let mut fallback = interval(FALLBACK);
        fallback.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.begin(Source::Startup)?;
        self.manager.ready();
        while !(self.stopping && self.running.is_none()) {
            tokio::select! {
                biased;
                _ = terminate.recv() => self.stop(),
                _ = interrupt.recv() => self.stop(),
                _ = hangup.recv() => self.reload(),
                _ = now.recv() => self.want(Source::Signal, false),
                ended = ended(&mut self.running) => self.after(ended)?,
                proven = proven(&mut self.proving) => self.take(proven).await,
                Some(()) = beats.recv() => self.beat().await?,
                _ = fallback.tick() => self.beat().await?,
            }
            if self.running.is_some() || self.stopping {
                continue;
            }
            if let Some(wanted) = self.wanted.take().filter(|_| self.sending.is_some()) {
                self.start_cycle(wanted);
            }
        }
        self.manager.stopping();
        tracing::info!("stopped by a signal");
        if let Ok(mut scheduler) = scheduler {
            let _ = scheduler.shutdown().await;
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.stopping = true;
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
    }

    pub(super) fn want(&mut self, source: Source, refresh: bool) {
        let refresh = refresh || self.refresh_is_owed;
        let wanted = self.wanted.get_or_insert(Wanted { source, refresh });
        wanted.refresh |= refresh;
    }

    /// Takes the lock and opens the state, or says why there is nothing to do. Once it lives, only what cannot pass by
    /// itself ends it.
    fn begin(&mut self, source: Source) -> Result<(), Failure> {
        let first = source == Source::Startup;
        if !self.deployment.is_sandbox && !self.deployment.state_path.exists() {
            self.say("idle: there is no state yet; run `rhombus-sync activate`, or put the backup back");
            return Ok(());
        }
        match self.token().and_then(|token| Ok((token, Sending::begin(&self.deployment)?))) {
            Ok((token, sending)) => {
                (self.token, self.sending) = (token, Some(sending));
                self.want(source, false);
                self.say("active");
                Ok(())
            }
            Err(failure) if failure.exit == 6 => {
                self.say("idle: deactivated; run `rhombus-sync activate` to manage users again");
                Ok(())
            }
            Err(failure) if first => Err(failure),
            Err(failure) => {
                self.say(&format!("idle: {}", failure.in_one_line()));
                Ok(())
            }
        }
    }

    /// The token that lies on the disk, and a client that can be made with it. One that others can read is never used.
    fn token(&self) -> Result<Option<Token>, Failure> {
        let token = if self.deployment.is_sandbox { None } else { Some(self.deployment.token()?) };
        if token.is_some() {
            self.deployment.target_with(token.clone())?;
        }
        Ok(token)
    }

    /// Once a second: everything that nobody signals.
    async fn beat(&mut self) -> Result<(), Failure> {
        self.manager.alive();
        let now = SystemClock.now();
        let is_due = |due: &mut Option<Due>| due.as_mut().is_some_and(|due| due.is_due(now));
        let (tick, refresh) = (is_due(&mut self.cron), is_due(&mut self.refresh_cron));
        if refresh {
            self.want(Source::Schedule, true);
        } else if tick && self.running.is_none() {
            self.want(Source::Schedule, false);
        }
        if self.watch.as_mut().is_some_and(|watch| watch.has_settled(std::time::Instant::now())) {
            self.want(Source::Watch, false);
        }
        if self.wake_at.is_some_and(|at| Instant::now() >= at) {
            self.wake_at = None;
            self.want(Source::Schedule, false);
        }
        let Some(sending) = &mut self.sending else { return self.begin(Source::Activate) };
        let orders = sending.orders(&self.deployment)?;
        let another = |token: &Token| {
            orders
                .token_fingerprint
                .as_ref()
                .is_some_and(|proven| *proven != token.fingerprint(&sending.installation_id))
        };
        if self.running.is_none() && self.token.as_ref().is_some_and(another) {
            // `activate` proved another one.
            self.token = None;
        }
        if orders.moved {
            match &self.running {
                Some(running) => running.stop.cancel(),
                None => self.rest("idle: the state was removed or replaced; it is looked at anew"),
            }
            return Ok(());
        }
        if orders.deactivated {
            match &self.running {
                Some(running) => {
                    running.deactivated.set(true);
                    running.stop.cancel();
                }
                None => self.rest("idle: deactivated; run `rhombus-sync activate` to manage users again"),
            }
            return Ok(());
        }
        if orders.approved {
            self.want(Source::Approve, false);
        }
        if let Some(sending) = self.sending.as_ref().filter(|_| Instant::now() >= self.checkpoint_at) {
            self.checkpoint_at = Instant::now() + CHECKPOINT_PAUSE;
            sending.journal.write(move |transaction| store::checkpoint(transaction, now)).await?;
            sending.shipping.knock();
        }
        if self.token_is_refused && self.running.is_none() && self.proving.is_none() {
            self.look_for_new_token();
        }
        Ok(())
    }

    /// Lets go of lock and state, and says why.
    pub(super) fn rest(&mut self, why: &str) {
        self.sending = None;
        self.say(why);
    }

    fn start_cycle(&mut self, wanted: Wanted) {
        match self.try_start_cycle(wanted) {
            Ok(()) => {}
            Err(failure) if matches!(failure.exit, 6 | 78) => self.rest(&format!("idle: {}", failure.in_one_line())),
            Err(failure) => {
                self.say(&format!("no cycle: {}", failure.in_one_line()));
                self.refresh_is_owed |= wanted.refresh;
                self.wake_at = Some(Instant::now() + self.backoff.longer());
            }
        }
    }

    fn try_start_cycle(&mut self, wanted: Wanted) -> Result<(), Failure> {
        let Some(sending) = &self.sending else { return Ok(()) };
        if self.token.is_none() && !self.deployment.is_sandbox {
            self.token = Some(self.deployment.token()?);
        }
        let fingerprint = self.token.as_ref().map(|token| token.fingerprint(&sending.installation_id));
        let target = self.deployment.target_with(self.token.clone())?;
        let (reader, installation) = self.deployment.state(store::Access::Read)?;
        if !installation.active {
            return Err(inactive());
        }
        let (stop, deactivated) = (CancellationToken::new(), Rc::new(Cell::new(false)));
        let (settings, journal) = (self.deployment.config.settings.clone(), sending.journal.clone());
        let (stopped, off) = (stop.clone(), deactivated.clone());
        let cycle = tokio::task::spawn_local(async move {
            let context = CycleContext {
                settings: &settings,
                target,
                journal,
                reader,
                clock: &SystemClock,
                random: chance,
                stop: stopped,
                deactivated: off,
                cycle: cycle_id(),
                source: wanted.source,
                token_fingerprint: fingerprint,
                progress: &|_, _| {},
                options: CycleOptions { refresh: wanted.refresh, ..CycleOptions::default() },
            };
            reconcile(&context).await
        });
        self.running = Some(Running { cycle, stop, deactivated, refresh: wanted.refresh });
        Ok(())
    }

    /// One line for the service manager, and for the log where it is news; whether it was.
    pub(super) fn say(&mut self, line: &str) -> bool {
        let news = self.manager.status(line);
        if news {
            tracing::info!("{line}");
        }
        news
    }
}

/// The end of the cycle under way; never, where none is.
async fn ended(running: &mut Option<Running>) -> Result<CycleReport, Failure> {
    let Some(running) = running else { return std::future::pending().await };
    match (&mut running.cycle).await {
        Ok(report) => Ok(report?),
        Err(error) => Err(Failure::new(1, format!("a cycle came to an end of its own: {error}"), None)),
    }
}

/// So that the clock is named in one place.
pub(super) fn now() -> Moment {
    SystemClock.now()
}
