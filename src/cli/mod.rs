//! The command line: what is asked, and how it ends. One file a command.

mod activate;
mod approve;
mod backup;
mod check;
mod deactivate;
mod events;
mod explain;
mod forget;
mod history;
mod plan;
mod progress;
mod reconcile;
mod sandbox;
mod status;

use crate::deployment::Mode;
use crate::failure::Failure;
use crate::model::Exit;
use crate::{daemon, logs, process};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Makes Rhombus Systems equal to a directory of users, over SCIM 2.0. Without a command it is the daemon: schedule and file
/// watch, until SIGTERM.
#[derive(Parser, Debug)]
#[command(version, about, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    /// The configuration; paths in it are relative to it
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "RHOMBUS_SYNC_CONFIG",
        default_value = "/etc/rhombus-sync/config.toml"
    )]
    config: PathBuf,
    /// Run one cycle, then exit
    #[arg(long)]
    reconcile: bool,
    /// Only this user: a directory id, a linked username, or a username of the export (repeatable)
    #[arg(long, global = true, value_name = "USER")]
    only: Vec<String>,
    /// With --reconcile and plan: first compare the snapshot with what Rhombus really holds
    #[arg(long, global = true)]
    refresh: bool,
    /// With --reconcile: only if the plan has exactly this digest, else exit 7
    #[arg(long, value_name = "PLAN")]
    expect: Option<String>,
    /// One JSON document on stdout and nothing else
    #[arg(long, global = true)]
    json: bool,
    /// A sandbox run: against a Rhombus simulator inside the process, with a state of its own
    #[arg(long, global = true)]
    sandbox: bool,
    /// How logs are written to stderr
    #[arg(long, global = true, value_name = "FORMAT", default_value = "auto")]
    log_format: logs::LogFormat,
    #[command(subcommand)]
    command: Option<Command>,
}

impl Arguments {
    fn mode(&self) -> Mode {
        if self.sandbox { Mode::Sandbox } else { Mode::Real }
    }
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 nothing was accepted; 2 the command line is wrong; 3 partial, tried again; \
4 the guard holds something; 5 another process sends; 6 deactivated; 7 the plan is not what was expected; \
78 the configuration is wrong";

#[derive(Subcommand, Debug)]
enum Command {
    /// Show what a cycle would do; sends and writes nothing
    Plan {
        /// Exit 7 where there are changes, held ones among them
        #[arg(long)]
        expect_no_changes: bool,
    },
    /// Show what the guard holds; with a hold's id, release exactly that, for one hour
    Approve {
        /// The id that the report shows
        hold: Option<String>,
    },
    /// Is the configuration good? Reads no secret
    Check {
        /// Prove endpoint, token and export too; changes nothing
        #[arg(long)]
        online: bool,
    },
    /// Prove endpoint and token, make or re-bind the state, begin managing
    Activate,
    /// Stop managing, at once; users stay as they are
    Deactivate,
    /// What is provisioned, what waits for what, and how far the sinks are
    Status,
    /// Why this user is, or is not, in Rhombus, step by step; changes nothing
    Explain {
        /// A directory id, a linked username, or a username of the export
        user: String,
    },
    /// What the log says of one user
    History {
        /// A directory id, a linked username, or a username of the export
        user: String,
    },
    /// Drop our link to an account, leave the account alone
    Forget {
        /// A directory id, a linked username, or a username of the export
        user: String,
    },
    /// A consistent copy of the state, also while another process writes
    Backup {
        /// A file that is not there yet
        file: PathBuf,
    },
    /// The audit log
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// The Rhombus simulator as a server; it keeps its accounts
    Sandbox {
        /// Where it listens; port 0 takes any that is free
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8484")]
        listen: std::net::SocketAddr,
        /// A JSON list of SCIM users to begin with, where it has none
        #[arg(long, value_name = "FILE")]
        users: Option<PathBuf>,
        /// What goes wrong and how often, as `drop_after:0.1,e503:0.05,delay_ms:20,seed:7`; --help has all names
        #[arg(long, value_name = "FAULTS", default_value = "", long_help = crate::sandbox::Faults::help())]
        faults: crate::sandbox::Faults,
    },
}

#[derive(Subcommand, Debug)]
enum EventsCommand {
    /// The last events
    Tail {
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
        count: u32,
    },
    /// Is the log whole and unchanged? Without FILE: the state and every file sink
    Verify {
        /// A file of events, one a line
        file: Option<PathBuf>,
    },
}

/// What a command came to: what it says, and its exit code.
struct Output {
    exit: Exit,
    text: String,
}

impl Output {
    fn done(text: impl Into<String>) -> Self {
        Self { exit: Exit::Done, text: text.into() }
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misunderstood(&error),
    };
    process::harden();
    let is_daemon = arguments.command.is_none() && !arguments.reconcile;
    logs::begin(arguments.log_format, if is_daemon { tracing::Level::INFO } else { tracing::Level::WARN });
    let output = run(&arguments);
    // Before anything else is said on stderr.
    logs::end();
    match output {
        Ok(output) => {
            match arguments.json {
                true => show_document(&output.text),
                false => show(&output.text),
            }
            output.exit.into()
        }
        Err(failure) => {
            if arguments.json {
                let document = crate::report::failure_document(failure.exit, &failure.error, failure.hint.as_deref());
                show_document(&format!("{document}\n"));
            }
            failure.show();
            failure.exit.into()
        }
    }
}

/// A command line that is wrong, or one that asks for help.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let exit = if error.exit_code() == 0 { Exit::Done } else { Exit::Usage };
    if exit != Exit::Done && std::env::args_os().any(|argument| argument == "--json") {
        let said = error.kind().to_string();
        show_document(&format!("{}\n", crate::report::failure_document(exit, &[said], Some("see --help"))));
    }
    // Nobody is left to tell that it could not be printed.
    let _ = error.print();
    exit.into()
}

fn run(arguments: &Arguments) -> Result<Output, Failure> {
    let takes_only = arguments.reconcile
        || matches!(arguments.command, Some(Command::Plan { .. } | Command::Approve { hold: Some(_) }));
    if (!arguments.only.is_empty() && !takes_only) || (arguments.expect.is_some() && !arguments.reconcile) {
        return Err(Failure::usage("--only goes with --reconcile, plan and approve HOLD, --expect with --reconcile"));
    }
    if arguments.refresh && !arguments.reconcile && !matches!(arguments.command, Some(Command::Plan { .. })) {
        return Err(Failure::usage("--refresh goes with --reconcile and plan"));
    }
    match (&arguments.command, arguments.reconcile) {
        (Some(_), true) => Err(Failure::usage("--reconcile stands alone, without a command")),
        (None, false) => daemon::run(&arguments.config, arguments.mode()).map(|()| Output::done("")),
        (None, true) => reconcile::run(arguments),
        (Some(Command::Plan { expect_no_changes }), false) => plan::run(arguments, *expect_no_changes),
        (Some(Command::Approve { hold }), false) => approve::run(arguments, hold.as_deref()),
        (Some(Command::Check { online }), false) => check::run(arguments, *online),
        (Some(Command::Forget { user }), false) => forget::run(arguments, user),
        (Some(Command::Explain { user }), false) => explain::run(arguments, user),
        (Some(Command::History { user }), false) => history::run(arguments, user),
        (Some(Command::Backup { file }), false) => backup::run(arguments, file),
        (Some(Command::Events { command: EventsCommand::Tail { count } }), false) => events::tail(arguments, *count),
        (Some(Command::Events { command: EventsCommand::Verify { file } }), false) => {
            events::verify(arguments, file.as_deref())
        }
        (Some(Command::Activate), false) => activate::run(arguments),
        (Some(Command::Deactivate), false) => deactivate::run(arguments),
        (Some(Command::Status), false) => status::run(arguments),
        (Some(Command::Sandbox { listen, users, faults }), false) => {
            sandbox::run(arguments, *listen, users.clone(), faults.clone())
        }
    }
}

/// A reader that has gone away is no failure of ours.
fn show(text: &str) {
    if text.is_empty() {
        // A sink that blocks may hold it, and there is nothing to say.
        return;
    }
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A JSON document goes out as it is: what takes colours out of a pipe would take DEL out of an id.
fn show_document(text: &str) {
    if text.is_empty() {
        return;
    }
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
