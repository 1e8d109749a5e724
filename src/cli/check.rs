//! `check`: is the configuration good? Reads no secret and calls nobody.

use super::failure::Failure;
use super::process::SystemClock;
use super::scene::Scene;
use super::{Arguments, Said};
use crate::cycle::Clock;
use crate::schedule::Timetable;
use serde_json::json;
use std::fmt::Write;

/// How many of the coming runs are shown.
const RUNS_SHOWN: usize = 3;

pub(super) fn run(arguments: &Arguments) -> Result<Said, Failure> {
    let scene = Scene::load(arguments)?;
    scene.endpoint()?;
    let config = &scene.config;
    let runs = next_runs(&config.schedule.cron, &config.schedule.time_zone);
    if arguments.json {
        return Ok(Said::done(format!("{}\n", json!({"result": "done", "exit": 0, "next_runs": runs}))));
    }
    let mut text = format!("the configuration {} is good\n", arguments.config.display());
    let settings = &config.settings;
    let _ = writeln!(text, "  export: {}", settings.export_path.display());
    if let (Some(rhombus), false) = (&config.rhombus, scene.rehearsal) {
        let _ = writeln!(text, "  Rhombus: {}", rhombus.base_url);
    }
    let _ = writeln!(text, "  state: {}", scene.state_path.display());
    for sink in &config.sinks {
        let _ = writeln!(text, "  sink: {}", sink.name());
    }
    let _ = writeln!(text, "  next runs: {}", runs.join(", "));
    Ok(Said::done(text))
}

fn next_runs(cron: &str, zone: &str) -> Vec<String> {
    let Ok(timetable) = Timetable::parse(cron, zone) else { return Vec::new() };
    let first = timetable.next_after(SystemClock.now());
    std::iter::successors(first, |run| timetable.next_after(*run)).take(RUNS_SHOWN).map(|run| run.to_string()).collect()
}
