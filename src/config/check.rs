//! What the shape alone does not show: limits, URLs, schedules, and which keys go together.

use super::address::{Query, Reach, address, proxy};
use super::error::Problem;
use super::raw::{Raw, RawLimits, RawRhombus};
use crate::model::{Duration, Moment};
use crate::schedule::{CronSchedule, ScheduleError};

/// More requests at once than this are a mistake.
const CONCURRENCY_MAX: u32 = 1_000;

pub(super) fn check(raw: &Raw) -> Result<(), Problem> {
    if let Some(rhombus) = &raw.rhombus {
        self::rhombus(rhombus)?;
    }
    if raw.state.seal_key_file.is_some() && raw.state.seal_key_credential.is_some() {
        return Err(Problem::plain("[state] has both seal_key_file and seal_key_credential"));
    }
    if raw.state.seal_key_credential.as_ref().is_some_and(|name| name.is_empty() || name.contains('/')) {
        return Err(Problem::plain("[state] seal_key_credential is the name of a credential, not a path"));
    }
    if raw.guard.window == Duration::from_seconds(0) {
        return Err(Problem::plain("[guard] window is 0: nothing would be remembered"));
    }
    let kinds = [
        ("absent", raw.guard.absent.0),
        ("suspended", raw.guard.suspended.0),
        ("create", raw.guard.create.0),
        ("update", raw.guard.update.0),
    ];
    for (name, RawLimits { percent_max, .. }) in kinds {
        if percent_max > 100 {
            return Err(Problem::owned(format!("[guard.{name}] percent_max is more than 100")));
        }
    }
    let zone = &raw.schedule.time_zone;
    for (key, cron) in [("cron", &raw.schedule.cron), ("refresh_cron", &raw.schedule.refresh_cron)] {
        if key == "refresh_cron" && cron.is_empty() {
            continue;
        }
        let cron_schedule = CronSchedule::parse(cron, zone).map_err(|error| {
            Problem::owned(match error {
                ScheduleError::Cron(_) => {
                    format!("[schedule] {key} is not a cron expression of six fields (seconds first), such as `0 */5 * * * *`")
                }
                ScheduleError::TimeZone => "[schedule] time_zone is not a known time zone (is tzdata installed?)".to_owned(),
            })
        })?;
        if cron_schedule.next_after(Moment(jiff::Timestamp::now().as_millisecond())).is_none() {
            return Err(Problem::owned(format!("[schedule] {key} never fires")));
        }
    }
    Ok(())
}

fn rhombus(rhombus: &RawRhombus) -> Result<(), Problem> {
    if let Some(base_url) = &rhombus.base_url {
        let reach = address(base_url, "[rhombus] base_url", Query::Refused)?;
        if reach == Reach::Loopback && rhombus.proxy.is_some() {
            return Err(Problem::plain(
                "[rhombus] proxy cannot reach base_url, which is on loopback; remove one of them",
            ));
        }
        if rhombus.token_file.is_none() && rhombus.token_credential.is_none() {
            return Err(Problem::plain("[rhombus] token_file (or token_credential) is missing"));
        }
    }
    if let Some(text) = &rhombus.proxy {
        proxy(text, "[rhombus] proxy")?;
    }
    if rhombus.token_file.is_some() && rhombus.token_credential.is_some() {
        return Err(Problem::plain("[rhombus] has both token_file and token_credential"));
    }
    if let Some(name) = &rhombus.token_credential
        && (name.is_empty() || name.contains('/'))
    {
        return Err(Problem::plain("[rhombus] token_credential must be the name of a credential, not a path"));
    }
    if rhombus.concurrency_max == 0 || rhombus.concurrency_max > CONCURRENCY_MAX {
        return Err(Problem::plain("[rhombus] concurrency_max must be between 1 and 1000"));
    }
    if rhombus.requests_per_second_max == 0 {
        return Err(Problem::plain("[rhombus] requests_per_second_max is 0"));
    }
    if rhombus.timeout == Duration::from_seconds(0) {
        return Err(Problem::plain("[rhombus] timeout is 0"));
    }
    Ok(())
}
