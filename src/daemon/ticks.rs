//! A tick each second. The scheduler is used for nothing else: jobs of its own overlap, freeze their zone's offset and go on
//! after a shutdown. What is due is asked of `schedule`.

use std::time::Duration;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// How long after the last tick the daemon looks by itself: for a wall clock that was set back, or a scheduler that died.
pub(super) const FALLBACK: Duration = Duration::from_secs(5);

/// Starts ticking into a channel of one, so that a tick that nobody heard is not heard twice.
///
/// # Errors
/// The scheduler does not start.
pub(super) async fn start(tick: mpsc::Sender<()>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let job = Job::new("* * * * * *", move |_, _| {
        // Full: the last one has not been heard yet.
        let _ = tick.try_send(());
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}
