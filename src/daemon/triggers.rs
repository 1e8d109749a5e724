//! What starts a cycle: the schedule, a changed export, the end of a wait, a backoff pause, or a request.

use super::backoff::Backoff;
use super::watch::{Changed, Watch, Watched};
use crate::config::{Config, TokenPlace};
use crate::event::Source;
use crate::model::{Clock, Duration as Span, Moment};
use crate::process::SystemClock;
use crate::schedule::{CronSchedule, Due};
use std::time::Duration;
use tokio::time::Instant;

/// How often to check whether the log's daily checkpoint is due.
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(600);
/// How long after an answer that proved nothing a new token is tried again.
const TOKEN_PAUSE: Duration = Duration::from_secs(10);

/// A requested cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    pub(super) source: Source,
    pub(super) refresh: bool,
}

/// Everything that can start a cycle.
#[derive(Default)]
pub(super) struct Triggers {
    cron: Option<Due>,
    refresh_cron: Option<Due>,
    watch: Option<Watch>,
    wanted: Option<Wanted>,
    wake_at: Option<Instant>,
    /// The same by the wall clock, to be told.
    wake_moment: Option<Moment>,
    checkpoint_at: Option<Instant>,
    token_at: Option<Instant>,
    pub(super) backoff: Backoff,
    /// A refresh was due and has not been done.
    pub(super) refresh_is_owed: bool,
    /// The last cycle followed another without a pause; that happens only once in a row.
    pub(super) was_at_once: bool,
}

impl Triggers {
    /// Follows this configuration from now on. What has not changed since `before` keeps its state.
    pub(super) fn follow(&mut self, config: &Config, before: Option<&Config>, now: Moment) -> std::io::Result<()> {
        // The configuration is valid, so both expressions parse.
        let due = |cron: &str| {
            let schedule = CronSchedule::parse(cron, &config.schedule.time_zone).ok();
            schedule.map(|schedule| Due::after(schedule, now))
        };
        if before.is_none_or(|before| before.schedule != config.schedule) {
            self.cron = due(&config.schedule.cron);
            self.refresh_cron = due(&config.schedule.refresh_cron).filter(|_| !config.schedule.refresh_cron.is_empty());
        }
        // A watch of the same files is kept: it may have seen a change and still wait for quiet.
        let watched = watched(config);
        let watch = self.watch.take();
        if watch.as_ref().is_some_and(|watch| !watch.is_of(&watched) && watch.is_of_export(&watched.export)) {
            // What it had seen, and waited for, is lost with it.
            self.want(Source::Watch, false);
        }
        self.watch = match watch.filter(|watch| watch.is_of(&watched)) {
            _ if watched == Watched::default() => None,
            Some(watch) => Some(watch),
            None => Some(Watch::start(watched)?),
        };
        Ok(())
    }

    pub(super) fn want(&mut self, source: Source, refresh: bool) {
        let refresh = refresh || self.refresh_is_owed;
        let wanted = self.wanted.get_or_insert(Wanted { source, refresh });
        wanted.refresh |= refresh;
    }

    pub(super) fn take(&mut self) -> Option<Wanted> {
        self.wanted.take()
    }

    /// Once a second. A tick that is due while a cycle runs is skipped.
    pub(super) fn tick(&mut self, now: Moment, is_running: bool) {
        let is_due = |due: &mut Option<Due>| due.as_mut().is_some_and(|due| due.is_due(now));
        let (tick, refresh) = (is_due(&mut self.cron), is_due(&mut self.refresh_cron));
        if refresh {
            self.want(Source::Schedule, true);
        } else if tick && !is_running {
            self.want(Source::Schedule, false);
        }
        if self.wake_at.is_some_and(|at| Instant::now() >= at) {
            self.wake_at = None;
            self.want(Source::Schedule, false);
        }
    }

    /// Waits until the export has changed and is complete, or the token was replaced.
    pub(super) async fn file_changed(&mut self) -> Changed {
        match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Asks for a cycle after `wait`; `None` cancels that.
    pub(super) fn wake_in(&mut self, wait: Option<Duration>) {
        self.wake_at = wait.map(|wait| Instant::now() + wait);
        let whole = |wait: Duration| Span::from_seconds(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX));
        self.wake_moment = wait.map(|wait| SystemClock.now().plus(whole(wait)));
    }

    /// Asks for a cycle after the next backoff pause.
    pub(super) fn wake_after_pause(&mut self) {
        let pause = self.backoff.longer();
        self.wake_in(Some(pause));
    }

    /// Whether it is time to look for a due checkpoint.
    pub(super) fn checkpoint_is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.checkpoint_at.is_none_or(|at| now >= at);
        if due {
            self.checkpoint_at = Some(now + CHECKPOINT_PAUSE);
        }
        due
    }

    /// Puts the next look at the token off.
    pub(super) fn ask_for_token_later(&mut self) {
        self.token_at = Some(Instant::now() + TOKEN_PAUSE);
    }

    /// Looks at the token with the next tick.
    pub(super) fn ask_for_token_now(&mut self) {
        self.token_at = None;
    }

    /// Whether it is time to look for another token.
    pub(super) fn token_is_due(&self) -> bool {
        self.token_at.is_none_or(|at| Instant::now() >= at)
    }

    /// When the next cycle starts: by the schedule, or earlier, because something is tried again.
    pub(super) fn next(&self) -> Option<Moment> {
        let again = self.wake_at.and(self.wake_moment);
        self.cron.as_ref().and_then(Due::next).into_iter().chain(again).min()
    }
}

/// The files whose change starts something.
fn watched(config: &Config) -> Watched {
    let export = config.settings.source.watched().into_iter().filter(|_| config.schedule.watch);
    let token = config.rhombus.as_ref().and_then(|rhombus| match &rhombus.token {
        TokenPlace::File(path) => Some(path.clone()),
        TokenPlace::Credential(_) => None,
    });
    Watched { export: export.map(Into::into).collect(), token }
}
