//! The daemon: a loop that decides when a cycle begins, until it is told to stop. One cycle at a time; a tick during one is
//! skipped, and whatever else asks for one then starts one more after it.

use super::failure::Failure;
use super::process::{SystemClock, chance, cycle_id};
use super::scene::{Scene, inactive};
use super::sending::Sending;
use super::{Arguments, Said};
use crate::cycle::{Clock, Wish, World, reconcile};
use crate::daemon::{FALLBACK, Manager, Pauses, Watch, start};
use crate::event::Source;
use crate::model::{Moment, StandingKind};
use crate::report::{CycleReport, Resume, TokenProof};
use crate::schedule::{Due, Timetable};
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
/// How many users are named in one line of the log.
const IDS_SHOWN_MAX: usize = 20;

pub(super) fn run(arguments: &Arguments) -> Result<Said, Failure> {
    let scene = Scene::load(arguments)?;
    scene.endpoint()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async { Daemon::new(arguments, scene)?.live().await })?;
    Ok(Said::done(""))
}

/// A cycle that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wanted {
    source: Source,
    refresh: bool,
}

/// A cycle under way.
struct Running {
    cycle: JoinHandle<Result<CycleReport, JournalError>>,
    stop: CancellationToken,
    deactivated: Rc<Cell<bool>>,
}

pub(super) struct Daemon<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) scene: Scene,
    pub(super) token: Option<Token>,
    pub(super) manager: Manager,
    pub(super) cron: Option<Due>,
    pub(super) refresh_cron: Option<Due>,
    pub(super) watch: Option<Watch>,
    /// None: idle, with nothing to send to or by.
    pub(super) sending: Option<Sending>,
    running: Option<Running>,
    wanted: Option<Wanted>,
    wake_at: Option<Instant>,
    pauses: Pauses,
    checkpoint_at: Instant,
    token_is_refused: bool,
    stopping: bool,
}

impl<'a> Daemon<'a> {
    fn new(arguments: &'a Arguments, scene: Scene) -> Result<Self, Failure> {
        let mut daemon = Self {
            arguments,
            scene,
            token: None,
            manager: Manager::find(),
            cron: None,
            refresh_cron: None,
            watch: None,
            sending: None,
            running: None,
            wanted: None,
            wake_at: None,
            pauses: Pauses::default(),
            checkpoint_at: Instant::now(),
            token_is_refused: false,
            stopping: false,
        };
        daemon.keep_time()?;
        Ok(daemon)
    }

    /// Schedule and watch of the present configuration.
    pub(super) fn keep_time(&mut self) -> Result<(), Failure> {
        let (config, now) = (&self.scene.config, SystemClock.now());
        let due = |cron: &str| {
            let timetable = Timetable::parse(cron, &config.schedule.time_zone);
            timetable
                .map(|timetable| Due::after(timetable, now))
                .map_err(|error| Failure::new(78, format!("[schedule] cannot be read: {error:?}"), None))
        };
        let refresh_cron = &config.schedule.refresh_cron;
        let (cron, refresh) =
            (due(&config.schedule.cron)?, if refresh_cron.is_empty() { None } else { Some(due(refresh_cron)?) });
        // A watch of the same file goes on: it may have seen a change that is not quiet yet.
        let same = self.watch.take().filter(|watch| watch.is_of(&config.settings.export_path));
        let watch = same.or_else(|| Some(Watch::new(&config.settings.export_path)));
        self.watch = watch.filter(|_| config.schedule.watch);
        (self.cron, self.refresh_cron) = (Some(cron), refresh);
        Ok(())
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
        let mut reload = false;
        while !(self.stopping && self.running.is_none()) {
            tokio::select! {
                biased;
                _ = terminate.recv() => self.stop(),
                _ = interrupt.recv() => self.stop(),
                _ = hangup.recv() => reload = true,
                _ = now.recv() => self.want(Source::Signal, false),
                ended = ended(&mut self.running) => self.after(ended)?,
                Some(()) = beats.recv() => self.beat().await?,
                _ = fallback.tick() => self.beat().await?,
            }
            if self.running.is_some() || self.stopping {
                continue;
            }
            if std::mem::take(&mut reload) {
                self.reload().await;
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

    fn want(&mut self, source: Source, refresh: bool) {
        let wanted = self.wanted.get_or_insert(Wanted { source, refresh });
        wanted.refresh |= refresh;
    }

    /// Takes the lock and opens the state, or says why there is nothing to do. Once it lives, only what cannot pass by
    /// itself ends it.
    fn begin(&mut self, source: Source) -> Result<(), Failure> {
        let first = source == Source::Startup;
        if !self.scene.rehearsal && !self.scene.state_path.exists() {
            self.say("idle: there is no state yet; run `rhombus-sync activate`, or put the backup back");
            return Ok(());
        }
        match Sending::begin(&self.scene) {
            Ok(sending) => {
                self.sending = Some(sending);
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
        let orders = sending.orders(&self.scene)?;
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
        if self.token_is_refused && self.running.is_none() && self.take_up_new_token().await {
            self.token_is_refused = false;
            self.want(Source::Schedule, false);
        }
        Ok(())
    }

    /// Lets go of lock and state, and says why.
    fn rest(&mut self, why: &str) {
        self.sending = None;
        self.say(why);
    }

    fn start_cycle(&mut self, wanted: Wanted) {
        match self.try_start_cycle(wanted) {
            Ok(()) => {}
            Err(failure) if matches!(failure.exit, 6 | 78) => self.rest(&format!("idle: {}", failure.in_one_line())),
            Err(failure) => self.say(&format!("no cycle: {}", failure.in_one_line())),
        }
    }

    fn try_start_cycle(&mut self, wanted: Wanted) -> Result<(), Failure> {
        let Some(sending) = &self.sending else { return Ok(()) };
        if self.token.is_none() && !self.scene.rehearsal {
            self.token = Some(self.scene.token()?);
        }
        let fingerprint = self.token.as_ref().map(|token| token.fingerprint(&sending.installation_id));
        let target = self.scene.target_with(self.token.clone())?;
        let (reader, installation) = self.scene.state(store::Access::Read)?;
        if !installation.active {
            return Err(inactive());
        }
        let (stop, deactivated) = (CancellationToken::new(), Rc::new(Cell::new(false)));
        let (settings, journal) = (self.scene.config.settings.clone(), sending.journal.clone());
        let (stopped, off) = (stop.clone(), deactivated.clone());
        let cycle = tokio::task::spawn_local(async move {
            let world = World {
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
                wish: Wish { refresh: wanted.refresh, ..Wish::default() },
            };
            reconcile(&world).await
        });
        self.running = Some(Running { cycle, stop, deactivated });
        Ok(())
    }

    /// What follows from a cycle. A state that cannot be written, and a bug, end the process.
    fn after(&mut self, ended: Result<CycleReport, Failure>) -> Result<(), Failure> {
        self.running = None;
        let report = ended?;
        if let Some(sending) = &self.sending {
            sending.shipping.knock();
        }
        let (cycle, counts, took_ms) = (report.cycle.as_str(), report.counts(), report.took_ms);
        match report.error.is_empty() {
            true => tracing::info!(cycle, result = report.result.as_str(), counts, took_ms, "a cycle ended"),
            false => {
                tracing::warn!(cycle, error = report.error.join(": "), hint = report.hint, counts, "a cycle failed")
            }
        }
        if report.exit == 6 {
            self.rest("idle: deactivated; run `rhombus-sync activate` to manage users again");
            return Ok(());
        }
        self.token_is_refused = report.token == TokenProof::Refused;
        if self.token_is_refused {
            name_waiting_removals(&report);
        }
        match report.resume {
            Resume::AfterPause => self.wake_at = Some(Instant::now() + self.pauses.longer()),
            Resume::AtOnce => self.want(Source::Schedule, false),
            Resume::WithTheNext => self.wake_at = self.wakes_at(&report),
        }
        let line = self.status_line(&report);
        self.say(&line);
        Ok(())
    }

    /// When somebody's wait is over: a create that settles, a failure that is tried again, or what Rhombus asked for.
    fn wakes_at(&mut self, report: &CycleReport) -> Option<Instant> {
        let waits = [StandingKind::Waiting, StandingKind::Failed];
        let of_users = report.standings.iter().filter(|one| waits.contains(&one.kind)).filter_map(|one| one.until);
        let asked = self.sending.as_ref().and_then(|sending| sending.not_before(SystemClock.now()));
        let Some(until) = of_users.chain(asked).min() else {
            self.pauses.over();
            return None;
        };
        let wait_ms = until.since_ms(SystemClock.now());
        // What could go on at once and did not, cannot: it is tried less and less often.
        let wait = if wait_ms <= 1_000 { self.pauses.longer() } else { Duration::from_millis(wait_ms.unsigned_abs()) };
        Some(Instant::now() + wait)
    }

    fn status_line(&self, report: &CycleReport) -> String {
        let provisioned = self.sending.as_ref().map_or(0, Sending::provisioned);
        let next = self.cron.as_ref().and_then(Due::next).map(|at| format!("; next cycle {at}")).unwrap_or_default();
        if report.error.is_empty() {
            let lists = StandingKind::ALL.map(|kind| (kind, report.count(kind)));
            let lists = lists.iter().filter(|(_, count)| *count > 0);
            let lists: String = lists.map(|(kind, count)| format!(", {count} {}", kind.as_str())).collect();
            return format!("{}: {provisioned} provisioned{lists}{next}", report.result.as_str());
        }
        let hint = report.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}{next}", report.result.as_str(), report.error.join(": "))
    }

    /// One line for the service manager, and for the log where it is news.
    pub(super) fn say(&mut self, line: &str) {
        if self.manager.status(line) {
            tracing::info!("{line}");
        }
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

/// Leavers who still have a door key because of a refused token, by id.
fn name_waiting_removals(report: &CycleReport) {
    let removals: Vec<_> = report
        .standings
        .iter()
        .filter(|one| one.action.is_some_and(|action| action.removes()))
        .filter_map(|one| one.directory_id.as_ref())
        .collect();
    if !removals.is_empty() {
        let ids: Vec<_> = removals.iter().take(IDS_SHOWN_MAX).map(ToString::to_string).collect();
        tracing::warn!(count = removals.len(), ids = ids.join(","), "removals wait for a valid token");
    }
}

/// So that the clock is named in one place.
pub(super) fn now() -> Moment {
    SystemClock.now()
}
