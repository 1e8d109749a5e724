//! `events tail`: the last events of the log; a table on a terminal, one event a line for a pipe. With `--follow` it goes on.

use super::{Arguments, Output, show, show_document};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::report::{event_text, events_table};
use crate::store::{self, Access};
use std::io::IsTerminal;
use std::time::Duration;

/// How often `--follow` looks for new events.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// How many new events it reads at a time.
const EVENTS_AT_A_TIME: u32 = 1_000;

/// When it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// After the last event.
    Now,
    /// If the reader goes away, or at a signal.
    Never,
}

pub(super) fn run(arguments: &Arguments, count: u32, end: End) -> Result<Output, Failure> {
    if arguments.json && end == End::Never {
        return Err(Failure::usage("--json is one document, and --follow does not end; a pipe gets one event a line"));
    }
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (reader, _) = deployment.state(Access::Read)?;
    let events = store::last_events(&reader, count)?;
    let mut last = events.last().map_or(store::head_of(&reader)?.sequence, |event| event.sequence);
    let lines: Vec<_> = events.into_iter().map(|event| event.line).collect();
    if arguments.json {
        return Ok(Output::done(format!("[{}]\n", lines.join(","))));
    }
    let for_people = std::io::stdout().is_terminal();
    let text = match for_people {
        true => events_table(&lines),
        false => lines.iter().map(|line| format!("{line}\n")).collect(),
    };
    if end == End::Now {
        return Ok(Output::done(text));
    }
    let mut out = text;
    loop {
        let shown = if for_people { show(&out) } else { show_document(&out) };
        match shown {
            Ok(()) => {}
            // Who has read enough goes away.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Output::done("")),
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(LOOK_PAUSE);
        out.clear();
        for event in store::pending(&reader, last, EVENTS_AT_A_TIME)? {
            last = event.sequence;
            out.push_str(&match for_people {
                true => format!("{last:>6}  {}", event_text(&event.line)),
                false => format!("{}\n", event.line),
            });
        }
    }
}
