//! `status`: what is provisioned, what waits for what, and how far the sinks are. Off line, beside a running sender.

use super::deployment::Deployment;
use super::failure::Failure;
use super::process::SystemClock;
use super::{Arguments, Said};
use crate::cycle::Clock;
use crate::model::{Moment, OutstandingKind};
use crate::report::{outstanding_text, users_of};
use crate::schedule::CronSchedule;
use crate::store::{self, Access};
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) fn run(arguments: &Arguments) -> Result<Said, Failure> {
    let deployment = Deployment::load(arguments)?;
    let (reader, installation) = deployment.state(Access::Read)?;
    let outstanding = store::outstanding(&reader)?;
    let head = store::head_of(&reader)?;
    let places = store::sink_places(&reader)?;
    let hold = store::current_hold(&reader)?;
    let next_cycle = next_cycle(&deployment, SystemClock.now());
    let last_cycle: Value =
        installation.last_cycle.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let sinks: Vec<Value> = deployment
        .config
        .sinks
        .iter()
        .map(|sink| {
            let place = places.iter().find(|place| place.name == sink.name());
            let delivered = place.map_or(0, |place| place.delivered);
            let error = place.and_then(|place| place.error.as_deref());
            json!({"kind": sink.kind.as_str(), "delivered": delivered, "pending": head.sequence - delivered, "error": error})
        })
        .collect();
    if arguments.json {
        let mut document = json!({
            "active": installation.active,
            "restored": installation.restored,
            "provisioned": installation.provisioned_count,
            "last_cycle": last_cycle,
            "last_good_cycle": installation.last_good_cycle_at.map(|at| at.to_string()),
            "next_cycle": next_cycle.map(|at| at.to_string()),
            "hold": hold.as_ref().map(|hold| hold.as_str()),
            "sinks": sinks,
        });
        for kind in OutstandingKind::ALL {
            document[kind.as_str()] = users_of(&outstanding, kind);
        }
        return Ok(Said::done(format!("{document}\n")));
    }
    let mut text = String::new();
    let state = if installation.active { "active" } else { "deactivated" };
    let _ = writeln!(text, "{state}; {} users provisioned", installation.provisioned_count);
    if installation.restored {
        text.push_str("  the state was put back from a copy: the next cycle is a refresh, and its removals are held until they are approved\n");
    }
    let last_good = installation.last_good_cycle_at.map_or("none yet".to_owned(), |at| at.to_string());
    let _ = writeln!(text, "  last good cycle: {last_good}");
    if let Some(result) = last_cycle["result"].as_str() {
        let _ = writeln!(text, "  last cycle: {result} ({})", last_cycle["cycle"].as_str().unwrap_or_default());
    }
    outstanding_text(&mut text, &outstanding, SystemClock.now());
    if let Some(hold) = &hold {
        let _ = writeln!(text, "  next: `rhombus-sync approve {hold}` releases exactly what is held, for one hour");
    }
    for sink in sinks {
        let (kind, delivered, pending) = (&sink["kind"], &sink["delivered"], &sink["pending"]);
        let error = sink["error"].as_str().map(|error| format!(", {error}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  sink {}: {delivered} delivered, {pending} pending{error}",
            kind.as_str().unwrap_or_default()
        );
    }
    Ok(Said::done(text))
}

fn next_cycle(deployment: &Deployment, now: Moment) -> Option<Moment> {
    let schedule = &deployment.config.schedule;
    CronSchedule::parse(&schedule.cron, &schedule.time_zone).ok()?.next_after(now)
}
