//! `events tail`: the last events of the log, of all or of those asked for; a table on a terminal, one event a line for a pipe. With
//! `--follow` it goes on.

use super::unknown::{WHO_IS_KNOWN, unknown_user};
use super::{Arguments, Output, show, show_document};
use crate::deployment::Deployment;
use crate::event::EventType;
use crate::failure::Failure;
use crate::process::StopSignals;
use crate::report::{event_text, events_table};
use crate::store::{self, Access, EventFilter};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use rusqlite::Connection;
use std::io::IsTerminal;
use std::time::Duration;

/// How often `--follow` looks for new events.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// How many new events it reads at a time.
const EVENTS_AT_A_TIME: u32 = 1_000;

/// Which events to show.
#[derive(clap::Args, Debug)]
pub(super) struct Tail {
    /// The number of events
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    count: u32,
    /// Keep showing new events until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only events about this user: a directory id, or any username that the log has
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only events of this type; more than once: of any of them
    #[arg(long, value_name = "TYPE")]
    kind: Vec<EventType>,
    /// Only what was accepted, or only what was not
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<Outcome>,
}

/// Whether it was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Outcome {
    Success,
    Failure,
}

impl ValueEnum for EventType {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

impl Tail {
    pub(super) fn run(&self, arguments: &Arguments) -> Result<Output, Failure> {
        if arguments.json && self.follow {
            return Err(Failure::usage(
                "--json is one document, and --follow does not end; a pipe gets one event a line",
            ));
        }
        let deployment = Deployment::load(&arguments.config, arguments.mode())?;
        let (reader, _) = deployment.state(Access::Read)?;
        let filter = self.filter(&deployment, &reader)?;
        // What comes while the last ones are read is shown by the next look.
        let head = store::head_of(&reader)?.sequence;
        let events = store::last_events(&reader, &filter, self.count)?;
        let last = events.last().map_or(head, |event| event.sequence.max(head));
        let lines: Vec<_> = events.into_iter().map(|event| event.line).collect();
        if arguments.json {
            return Ok(Output::done(format!("[{}]\n", lines.join(","))));
        }
        let for_people = std::io::stdout().is_terminal();
        let text = match for_people {
            true => events_table(&lines),
            false => lines.iter().map(|line| format!("{line}\n")).collect(),
        };
        if !self.follow {
            return Ok(Output::done(text));
        }
        let follower = Follower { reader, filter, for_people };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(follower.follow(text, last))?;
        Ok(Output::done(""))
    }

    fn filter(&self, deployment: &Deployment, reader: &Connection) -> Result<EventFilter, Failure> {
        let user = match &self.user {
            None => None,
            Some(text) => match deployment.find_user(reader, text)? {
                Some(id) => Some(id),
                None => return Err(unknown_user(reader, "no audit events for", text, WHO_IS_KNOWN)?),
            },
        };
        let success = self.outcome.map(|outcome| outcome == Outcome::Success);
        Ok(EventFilter { user, types: self.kind.clone(), success })
    }
}

/// Shows what comes.
struct Follower {
    reader: Connection,
    filter: EventFilter,
    for_people: bool,
}

impl Follower {
    /// Until the reader goes away, or a signal comes. `out` is shown first; what is new stands behind `last`.
    async fn follow(self, mut out: String, mut last: i64) -> Result<(), Failure> {
        let mut signals = StopSignals::listen()?;
        // One that comes while nobody reads what is shown ends it, too.
        crate::process::exit_on_stop(crate::model::Exit::Done);
        loop {
            let shown = if self.for_people { show(&out) } else { show_document(&out) };
            match shown {
                Ok(()) => {}
                // Who has read enough goes away.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = signals.recv() => return Ok(()),
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
            let (events, reached) = store::next_events(&self.reader, &self.filter, last, EVENTS_AT_A_TIME)?;
            last = reached;
            out = events.iter().map(|event| self.row(event.sequence, &event.line)).collect();
        }
    }

    fn row(&self, sequence: i64, line: &str) -> String {
        match self.for_people {
            true => format!("{sequence:>6}  {}", event_text(line)),
            false => format!("{line}\n"),
        }
    }
}
