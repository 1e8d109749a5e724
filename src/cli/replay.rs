//! `events dead` and `events replay`: what sinks refused for good, and sending a part of the log again. It goes out beside a running
//! sender, whose place in the log stays as it is.

use super::{Arguments, Output, sinks};
use crate::config::SinkConfig;
use crate::deployment::Deployment;
use crate::event::{Outline, Sealed};
use crate::failure::Failure;
use crate::leading::leaves_up_to;
use crate::model::{Clock, Exit, chain, clean, command, quoted};
use crate::process::SystemClock;
use crate::ship;
use crate::sink::{self, Company, DeadLetter, SinkError};
use crate::store::{self, Access, DeadLetterRow};
use rusqlite::Connection;
use serde_json::{Value, json};

/// How many events are sent at a time.
const EVENTS_AT_A_TIME: u32 = 500;

/// The events that sinks refused.
pub(super) fn dead(arguments: &Arguments) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (reader, _) = deployment.state(Access::Read)?;
    let letters = store::dead_letters(&reader)?;
    let name = |place: &str| {
        let sink = deployment.config.sinks.iter().find(|sink| sink.place() == place);
        sink.map_or_else(|| place.to_owned(), |sink| sink.name.clone())
    };
    if arguments.json {
        let rows = letters.iter().map(|letter| {
            json!({"sink": name(&letter.sink), "sequence": letter.sequence, "why": letter.why, "at": letter.at.to_string(),
                "event": serde_json::from_str::<Value>(&letter.line).unwrap_or_default()})
        });
        return Ok(Output::done(format!("{}\n", Value::from(rows.collect::<Vec<_>>()))));
    }
    let Some(first) = letters.first() else { return Ok(Output::done("no sink has refused an event for good\n")) };
    let mut text: String = letters.iter().map(|letter| line_of(letter, &name(&letter.sink))).collect();
    let again = format!("events replay --from {} --sink {}", first.sequence, quoted(&name(&first.sink)));
    text.push_str(&format!("to send them again: {}\n", command(&again)));
    Ok(Output::done(text))
}

fn line_of(letter: &DeadLetterRow, sink: &str) -> String {
    let event = Sealed { sequence: letter.sequence, line: letter.line.clone() };
    let what = Outline::of(&event).map(|outline| outline.sentence).unwrap_or_default();
    format!("{}: event {} ({}), {}: {}\n", clean(sink), letter.sequence, letter.at, clean(&what), clean(&letter.why))
}

/// What was sent again to one sink.
struct Replayed {
    name: String,
    first: i64,
    last: i64,
    sent_count: usize,
    refused: Vec<DeadLetter>,
}

/// Sends the log again, from this event on, to every sink or to one.
pub(super) fn replay(arguments: &Arguments, from: i64, sink: Option<&str>) -> Result<Output, Failure> {
    if from < 1 {
        return Err(Failure::usage("--from is the sequence of an event: 1 or more"));
    }
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (reader, _) = deployment.state(Access::Read)?;
    let mut wanted = sinks(&deployment, arguments);
    wanted.retain(|config| sink.is_none_or(|name| config.name == name || config.place() == name));
    if wanted.is_empty() {
        return Err(no_sink(&deployment, sink));
    }
    let head = leaves_up_to(&deployment, &reader)?;
    if from > head {
        return Err(Failure::new(Exit::Failed, format!("the log ends with event {head}"), None));
    }
    let replayed: Vec<_> =
        wanted.iter().map(|config| replay_to(config, (from, head), &reader, &deployment)).collect::<Result<_, _>>()?;
    let is_whole = replayed.iter().all(|sink| sink.refused.is_empty());
    let exit = if is_whole { Exit::Done } else { Exit::Partial };
    if arguments.json {
        let rows = replayed.iter().map(|sink| {
            json!({"name": sink.name, "first": sink.first, "last": sink.last, "sent": sink.sent_count,
                "refused": sink.refused.iter().map(|letter| letter.sequence).collect::<Vec<_>>()})
        });
        let result = if is_whole { "done" } else { "partial" };
        let document = json!({"result": result, "exit": exit.code(), "sinks": rows.collect::<Vec<_>>()});
        return Ok(Output { exit, text: format!("{document}\n") });
    }
    let text = replayed.iter().map(|sink| {
        let refused = match sink.refused.len() {
            0 => String::new(),
            count => format!(", {count} refused: {}", command("events dead")),
        };
        format!("{}: events {} to {} sent again{refused}\n", clean(&sink.name), sink.first, sink.last)
    });
    Ok(Output { exit, text: text.collect() })
}

fn no_sink(deployment: &Deployment, name: Option<&str>) -> Failure {
    let names: Vec<_> = deployment.config.sinks.iter().map(|sink| sink.name.as_str()).collect();
    let known = format!("the sinks are: {}", names.join(", "));
    let (what, hint) = match name {
        Some(name) => (format!("there is no sink {}", clean(name)), known.as_str()),
        None => ("there is no sink to send to".to_owned(), "add one to the configuration: [[sinks]]"),
    };
    Failure::new(Exit::Failed, what, Some(hint))
}

fn replay_to(
    config: &SinkConfig,
    (from, head): (i64, i64),
    reader: &Connection,
    deployment: &Deployment,
) -> Result<Replayed, Failure> {
    let letters = store::dead_letters(reader)?;
    let place = config.place();
    let ours: Vec<_> = letters.into_iter().filter(|letter| letter.sink == place && letter.sequence >= from).collect();
    let owner = ship::owner(reader, &deployment.state_path)?;
    let mut sink = sink::open(config, Company::Beside, owner);
    let mut done =
        Replayed { name: config.name.clone(), first: from, last: from - 1, sent_count: 0, refused: Vec::new() };
    let failed = |error: &SinkError, last: i64| {
        let again = format!("events replay --from {} --sink {}", last + 1, quoted(&config.name));
        let hint = format!("once it is fixed: {}", command(&again));
        Failure { exit: Exit::Failed, error: chain(error), hint: Some(hint) }
    };
    sink.resume(from - 1).map_err(|error| failed(&error, done.last))?;
    // The log may have forgotten the oldest of those that were refused.
    let kept_from = store::pending(reader, from - 1, 1)?.first().map_or(i64::MAX, |event| event.sequence);
    let mut events: Vec<_> = ours
        .iter()
        .filter(|letter| letter.sequence < kept_from)
        .map(|letter| Sealed { sequence: letter.sequence, line: letter.line.clone() })
        .collect();
    loop {
        if events.is_empty() {
            events = store::pending(reader, done.last, EVENTS_AT_A_TIME)?;
            events.retain(|event| event.sequence <= head);
        }
        if events.is_empty() {
            let receipt = sink.settle(done.last).map_err(|error| failed(&error, from - 1))?;
            if receipt.settled >= done.last {
                break;
            }
            // What the receiver lost with its connection goes again.
            done.last = receipt.taken.clamp(from - 1, done.last);
            continue;
        }
        let receipt = sink.deliver(&events).map_err(|error| failed(&error, done.last))?;
        if receipt.taken < events[0].sequence - 1 && events[0].sequence > kept_from {
            events.clear();
            done.last = receipt.taken.max(from - 1);
            continue;
        }
        if done.sent_count == 0 {
            done.first = events[0].sequence;
        }
        let before_count = events.len();
        events.retain(|event| event.sequence > receipt.taken);
        done.sent_count += before_count - events.len();
        done.last = receipt.taken;
        done.refused.extend(receipt.refused);
    }
    note(deployment, &place, &ours, &done)?;
    Ok(done)
}

/// What was refused before and is there now is no dead letter any more; what was refused now is one.
fn note(deployment: &Deployment, place: &str, before: &[DeadLetterRow], done: &Replayed) -> Result<(), Failure> {
    let is_refused = |sequence: i64| done.refused.iter().any(|letter| letter.sequence == sequence);
    let taken: Vec<_> = before.iter().map(|letter| letter.sequence).filter(|sequence| !is_refused(*sequence)).collect();
    if taken.is_empty() && done.refused.is_empty() {
        return Ok(());
    }
    let (mut writer, _) = deployment.state(Access::Write)?;
    let transaction = writer.transaction()?;
    store::forget_dead_letters(&transaction, place, &taken)?;
    let refused: Vec<_> = done.refused.iter().map(|letter| (letter.sequence, letter.why.clone())).collect();
    store::put_aside(&transaction, place, &refused, SystemClock.now())?;
    transaction.commit()?;
    Ok(())
}
