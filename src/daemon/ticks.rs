//! A tick each second. The scheduler is used for nothing else: its jobs overlap, freeze their time zone's offset and keep
//! running after a shutdown. `schedule` says what is due.

use std::time::Duration;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// How often the daemon ticks without the scheduler, in case the wall clock was set back or the scheduler died.
pub(super) const FALLBACK: Duration = Duration::from_secs(5);

/// Starts ticking into a channel of one, so that missed ticks do not pile up.
///
/// # Errors
/// The scheduler cannot be started.
pub(super) async fn start(tick: mpsc::Sender<()>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let job = Job::new("* * * * * *", move |_, _| {
        // Full: the last tick has not been received yet.
        let _ = tick.try_send(());
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}
