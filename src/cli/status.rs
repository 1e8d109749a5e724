//! `status`: what is provisioned, what waits for what, and how far the sinks are. Off line, beside a running sender.

use super::{Arguments, Output};
use crate::config::SinkConfig;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{Clock, Moment, OutstandingKind};
use crate::process::SystemClock;
use crate::report::{groups_document, groups_text, outstanding_text, users_of};
use crate::schedule::CronSchedule;
use crate::store::{self, Access, SinkPlace};
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) fn run(arguments: &Arguments) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (reader, installation) = deployment.state(Access::Read)?;
    let outstanding = store::outstanding(&reader)?;
    let head = store::head_of(&reader)?;
    let places = store::sink_places(&reader)?;
    let hold = store::current_hold(&reader)?;
    let groups_unnamed = store::unnamed_groups(&reader)?;
    let next_cycle = next_cycle(&deployment, SystemClock.now());
    let last_cycle: Value =
        installation.last_cycle.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let sinks: Vec<_> = deployment.config.sinks.iter().map(|sink| Standing::of(sink, &places, head.sequence)).collect();
    if arguments.json {
        let mut document = json!({
            "active": installation.active,
            "restored": installation.restored,
            "provisioned": installation.provisioned_count,
            "last_cycle": last_cycle,
            "last_good_cycle": installation.last_good_cycle_at.map(|at| at.to_string()),
            "next_cycle": next_cycle.map(|at| at.to_string()),
            "groups_unnamed": groups_document(&groups_unnamed),
            "hold": hold.as_ref().map(|hold| hold.as_str()),
            "sinks": sinks.iter().map(Standing::document).collect::<Vec<_>>(),
        });
        for kind in OutstandingKind::ALL {
            document[kind.as_str()] = users_of(&outstanding, kind);
        }
        return Ok(Output::done(format!("{document}\n")));
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
    groups_text(&mut text, &groups_unnamed);
    outstanding_text(&mut text, &outstanding, SystemClock.now());
    if let Some(hold) = &hold {
        let _ = writeln!(text, "  next: `rhombus-sync approve {hold}` releases exactly what is held, for one hour");
    }
    for sink in &sinks {
        let _ = writeln!(text, "  {}", sink.text(SystemClock.now()));
    }
    Ok(Output::done(text))
}

fn next_cycle(deployment: &Deployment, now: Moment) -> Option<Moment> {
    let schedule = &deployment.config.schedule;
    CronSchedule::parse(&schedule.cron, &schedule.time_zone).ok()?.next_after(now)
}

/// How far a sink is.
struct Standing<'s> {
    sink: &'s SinkConfig,
    place: SinkPlace,
    pending_count: i64,
}

impl<'s> Standing<'s> {
    fn of(sink: &'s SinkConfig, places: &[SinkPlace], head: i64) -> Self {
        let place = places.iter().find(|place| place.name == sink.place()).cloned();
        let place = place.unwrap_or_else(|| SinkPlace::begin(&sink.place()));
        Self { sink, pending_count: head - place.delivered, place }
    }

    fn document(&self) -> Value {
        let SinkPlace { delivered, dead_letters, error, since, .. } = &self.place;
        json!({
            "name": self.sink.name, "kind": self.sink.kind.as_str(), "delivered": delivered, "pending": self.pending_count,
            "dead_letters": dead_letters, "error": error, "since": since.map(|since| since.to_string()),
        })
    }

    fn text(&self, now: Moment) -> String {
        let SinkPlace { delivered, error, since, .. } = &self.place;
        let name = crate::model::clean(&self.sink.name);
        let error = error.as_ref().map(|error| format!(", {}", crate::model::clean(error))).unwrap_or_default();
        let since = since.map(|since| format!(" for {} s", now.since_ms(since).max(0) / 1000)).unwrap_or_default();
        format!("sink {name}: {delivered} delivered, {} pending{error}{since}", self.pending_count)
    }
}
