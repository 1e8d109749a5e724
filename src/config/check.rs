//! What the shape alone does not show: limits, addresses, schedules, and what goes with what.

use super::address::{Query, Reach, address, proxy};
use super::error::Fault;
use super::raw::{Raw, RawLimits, RawRhombus};
use crate::model::{Duration, Moment};
use crate::schedule::{CronSchedule, ScheduleError};

/// More requests at once than this is a mistake, not a options.
const CONCURRENCY_MAX: u32 = 1_000;

pub(super) fn check(raw: &Raw) -> Result<(), Fault> {
    if let Some(rhombus) = &raw.rhombus {
        self::rhombus(rhombus)?;
    }
    if raw.guard.window == Duration::from_seconds(0) {
        return Err(Fault::plain("[guard] window is 0: nothing would be remembered"));
    }
    let kinds = [
        ("absent", raw.guard.absent.0),
        ("suspended", raw.guard.suspended.0),
        ("create", raw.guard.create.0),
        ("update", raw.guard.update.0),
    ];
    for (name, RawLimits { percent_max, .. }) in kinds {
        if percent_max > 100 {
            return Err(Fault::owned(format!("[guard.{name}] percent_max is more than 100")));
        }
    }
    let zone = &raw.schedule.time_zone;
    for (key, cron) in [("cron", &raw.schedule.cron), ("refresh_cron", &raw.schedule.refresh_cron)] {
        if key == "refresh_cron" && cron.is_empty() {
            continue;
        }
        let cron_schedule = CronSchedule::parse(cron, zone).map_err(|error| {
            Fault::owned(match error {
                ScheduleError::Cron(_) => {
                    format!("[schedule] {key} is not a cron expression of six fields (seconds first), such as `0 */5 * * * *`")
                }
                ScheduleError::TimeZone => "[schedule] time_zone is not known to this system".to_owned(),
            })
        })?;
        if cron_schedule.next_after(Moment(0)).is_none() {
            return Err(Fault::owned(format!("[schedule] {key} never fires")));
        }
    }
    Ok(())
}

fn rhombus(rhombus: &RawRhombus) -> Result<(), Fault> {
    if let Some(base_url) = &rhombus.base_url {
        let reach = address(base_url, "[rhombus] base_url", Query::Refused)?;
        if reach == Reach::Loopback && rhombus.proxy.is_some() {
            return Err(Fault::plain(
                "[rhombus] proxy cannot reach base_url, which is on loopback; remove one of them",
            ));
        }
        if rhombus.token_file.is_none() && rhombus.token_credential.is_none() {
            return Err(Fault::plain("[rhombus] token_file (or token_credential) is missing"));
        }
    }
    if let Some(text) = &rhombus.proxy {
        proxy(text, "[rhombus] proxy")?;
    }
    if rhombus.token_file.is_some() && rhombus.token_credential.is_some() {
        return Err(Fault::plain("[rhombus] has both token_file and token_credential"));
    }
    if let Some(name) = &rhombus.token_credential
        && (name.is_empty() || name.contains('/'))
    {
        return Err(Fault::plain("[rhombus] token_credential is the name of a credential, not a path"));
    }
    if rhombus.concurrency_max == 0 || rhombus.concurrency_max > CONCURRENCY_MAX {
        return Err(Fault::plain("[rhombus] concurrency_max is not between 1 and 1000"));
    }
    if rhombus.requests_per_second_max == 0 {
        return Err(Fault::plain("[rhombus] requests_per_second_max is 0"));
    }
    if rhombus.timeout == Duration::from_seconds(0) {
        return Err(Fault::plain("[rhombus] timeout is 0"));
    }
    Ok(())
}
