//! `events verify`: whether the log, and the files it was shipped to, are complete and unchanged.

use super::{Arguments, Output};
use crate::config::SinkConfig;
use crate::deployment::Deployment;
use crate::event::{Before, Flaw, Verifier, chain_of};
use crate::failure::Failure;
use crate::model::Exit;
use crate::store::{self, Access};
use rusqlite::Connection;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// How many events are read from the state at a time.
const EVENTS_AT_A_TIME: u32 = 1_000;

/// A log that was verified, and what the proof rests on.
struct Verified {
    what: String,
    first: i64,
    last: i64,
    rests_on: &'static str,
}

/// Verifies the chain of a file, or of the state and every file sink.
pub(super) fn verify(arguments: &Arguments, file: Option<&Path>) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let verified = match file {
        // A log can be verified without the state, which only makes the proof stronger.
        Some(file) => vec![of_file(
            file,
            deployment.state(Access::Read).ok().map(|(reader, _)| reader).as_ref(),
            place_of(&deployment, file),
        )?],
        None => {
            let (reader, _) = deployment.state(Access::Read)?;
            let mut verified = vec![of_state(&reader)?];
            for sink in deployment.config.sinks.iter().filter(|sink| sink.format.can_be_verified()) {
                if let Some(path) = sink.file().filter(|path| path.exists()) {
                    verified.push(of_file(path, Some(&reader), Some(sink.place()))?);
                }
            }
            verified
        }
    };
    if arguments.json {
        let logs: Vec<_> = verified
            .iter()
            .map(|log| json!({"log": log.what, "first": log.first, "last": log.last, "rests_on": log.rests_on}))
            .collect();
        return Ok(Output::done(format!("{}\n", json!({"result": "done", "exit": 0, "logs": logs}))));
    }
    let text = verified.iter().map(|log| {
        let Verified { what, first, last, rests_on } = log;
        format!("{what}: events {first} to {last} verified ({rests_on})\n")
    });
    Ok(Output::done(text.collect::<String>()))
}

/// The sink that writes this file.
fn place_of(deployment: &Deployment, file: &Path) -> Option<String> {
    let same = |path: &Path| path == file || path.canonicalize().ok() == file.canonicalize().ok();
    deployment.config.sinks.iter().find(|sink| sink.file().is_some_and(same)).map(SinkConfig::place)
}

fn of_state(reader: &Connection) -> Result<Verified, Failure> {
    let head = store::head_of(reader)?;
    let mut verifier: Option<Verifier> = None;
    let (mut first, mut after) = (head.sequence + 1, 0);
    loop {
        let events = store::pending(reader, after, EVENTS_AT_A_TIME)?;
        let Some(last) = events.last().map(|event| event.sequence) else { break };
        let verifier = verifier.get_or_insert_with(|| {
            first = events[0].sequence;
            Verifier::begin(first, if first == 1 { Before::Nothing } else { Before::Trusted })
        });
        for event in &events {
            // The events of a state that was restored from a backup have a gap.
            if let Some(chain) = store::chain_before(reader, event.sequence)? {
                *verifier = Verifier::begin(event.sequence, Before::Known(chain));
            }
            verifier.take(&event.line).map_err(|flaw| broken("the state", &flaw))?;
        }
        after = last;
    }
    let end = verifier.as_ref().and_then(Verifier::last);
    if end.is_some_and(|(sequence, chain)| (sequence, chain) != (head.sequence, head.chain.as_str())) {
        return Err(broken(
            "the state",
            &Flaw { sequence: end.map_or(0, |(sequence, _)| sequence) + 1, what: "its end is cut off" },
        ));
    }
    let rests_on =
        if first == 1 { "from the first event" } else { "first event not verifiable: older ones were pruned" };
    Ok(Verified { what: "the state".to_owned(), first, last: head.sequence, rests_on })
}

fn of_file(path: &Path, state: Option<&Connection>, sink: Option<String>) -> Result<Verified, Failure> {
    let name = path.display().to_string();
    let file = File::open(path)
        .map_err(|error| Failure::new(Exit::Failed, format!("{name} cannot be read: {error}"), None))?;
    let mut lines = BufReader::new(file).split(b'\n').map(|line| {
        let line = line.map_err(|error| Failure::new(Exit::Failed, format!("{name} cannot be read: {error}"), None))?;
        String::from_utf8(line).map_err(|_| Failure::new(Exit::Failed, format!("{name} is not UTF-8"), None))
    });
    let Some(first_line) = lines.next().transpose()? else {
        return ended(name, None, state, sink.as_deref()).map(|()| Verified {
            what: path.display().to_string(),
            first: 1,
            last: 0,
            rests_on: "it is empty",
        });
    };
    let first = Verifier::sequence_of(&first_line).unwrap_or(1);
    let known = match state {
        Some(reader) if first > 1 => {
            store::event_line(reader, first - 1)?.and_then(|line| chain_of(&line).map(str::to_owned))
        }
        Some(_) | None => None,
    };
    let (before, rests_on) = match (first, known) {
        (1, _) => (Before::Nothing, "from the first event"),
        (_, Some(chain)) => (Before::Known(chain), "first event verified against the state"),
        (_, None) => (Before::Trusted, "first event not verifiable"),
    };
    let mut verifier = Verifier::begin(first, before);
    verifier.take(&first_line).map_err(|flaw| broken(&name, &flaw))?;
    for line in lines {
        let line = line?;
        // A gap: events that were lost with an earlier state, and that this file never had.
        let sequence = Verifier::sequence_of(&line).unwrap_or(0);
        let expected = verifier.last().map_or(0, |(last, _)| last) + 1;
        if sequence > expected
            && let Some(chain) = state.map(|reader| store::chain_before(reader, sequence)).transpose()?.flatten()
        {
            verifier = Verifier::begin(sequence, Before::Known(chain));
        }
        verifier.take(&line).map_err(|flaw| broken(&name, &flaw))?;
    }
    let last = verifier.last().map_or(0, |(sequence, _)| sequence);
    ended(name.clone(), verifier.last(), state, sink.as_deref())?;
    Ok(Verified { what: name, first, last, rests_on })
}

/// With the state: the last event must be the same there, and no event that the sink received may be missing.
fn ended(
    name: String,
    last: Option<(i64, &str)>,
    state: Option<&Connection>,
    sink: Option<&str>,
) -> Result<(), Failure> {
    let Some(reader) = state else { return Ok(()) };
    if let Some((sequence, chain)) = last
        && let Some(line) = store::event_line(reader, sequence)?
        && chain_of(&line) != Some(chain)
    {
        return Err(broken(
            &name,
            &Flaw { sequence, what: "the log was rewritten: the state has a different event here" },
        ));
    }
    let places = store::sink_places(reader)?;
    let delivered = places.iter().find(|place| Some(place.name.as_str()) == sink).map_or(0, |place| place.delivered);
    let last = last.map_or(0, |(sequence, _)| sequence);
    if last < delivered {
        return Err(broken(&name, &Flaw { sequence: last + 1, what: "its end is cut off" }));
    }
    Ok(())
}

fn broken(name: &str, flaw: &Flaw) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("{name} does not verify: event {}: {}", flaw.sequence, flaw.what),
        Some("compare it with another sink's copy; the events before that one are complete and unchanged"),
    )
}
