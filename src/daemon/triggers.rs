//! What starts a cycle: the schedule, a changed export, the end of a wait, a backoff pause, or a request.

use super::backoff::Backoff;
use super::watch::Watch;
use crate::config::Config;
use crate::event::Source;
use crate::model::Moment;
use crate::schedule::{CronSchedule, Due};
use std::time::Duration;
use tokio::time::Instant;

/// How often to check whether the log's daily checkpoint is due.
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(600);

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
    checkpoint_at: Option<Instant>,
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
        // A watch of the same paths is kept: it may have seen a change and still wait for quiet.
        let (path, members_path) = (&config.settings.export_path, config.settings.members_path.as_deref());
        let same = self.watch.take().filter(|watch| watch.is_of(path, members_path));
        self.watch = match same {
            _ if !config.schedule.watch => None,
            Some(watch) => Some(watch),
            None => Some(Watch::start(path, members_path)?),
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

    /// Waits until the export has changed and is quiet again.
    pub(super) async fn export_changed(&mut self) {
        match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Asks for a cycle after `wait`; `None` cancels that.
    pub(super) fn wake_in(&mut self, wait: Option<Duration>) {
        self.wake_at = wait.map(|wait| Instant::now() + wait);
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

    /// When the schedule starts the next cycle.
    pub(super) fn next(&self) -> Option<Moment> {
        self.cron.as_ref().and_then(Due::next)
    }
}
