//! The command line: parses the arguments, runs the command, sets the exit code. One file per command.

mod activate;
mod approve;
mod backup;
mod check;
mod clocks;
mod completions;
mod deactivate;
mod deliver;
mod events;
mod explain;
mod forget;
mod held;
mod help;
mod history;
mod identity;
mod import;
mod lead;
mod man;
mod plan;
mod progress;
mod reconcile;
mod replay;
mod sandbox;
mod shown;
mod start_over;
mod status;
mod tail;
mod unknown;
mod watch;
mod writes;

use crate::config::SinkConfig;
use crate::deployment::Deployment;
use crate::deployment::Mode;
use crate::failure::Failure;
use crate::leading::admit;
use crate::model::{Exit, note_invocation};
use crate::report::Extent;
use crate::{daemon, logs, process};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use deliver::and_deliver;
use identity::SameUser;
use shown::{introduce_the_daemon, show, show_document};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Keeps users in Rhombus Systems in sync with a directory, over SCIM 2.0. Without a command it runs as a daemon, on a
/// schedule and whenever the export changes, until SIGTERM.
#[derive(Parser, Debug)]
#[command(version, about, max_term_width = 100)]
struct Arguments {
    /// The configuration file; paths in it are relative to its folder
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
    /// Only this user: a directory id, a linked username, or a username in the export (repeatable)
    #[arg(long, global = true, value_name = "USER")]
    only: Vec<String>,
    /// First compare the snapshot with what Rhombus really has
    #[arg(long, global = true)]
    refresh: bool,
    /// With --reconcile: only if the plan has exactly this digest, else exit 7
    #[arg(long, value_name = "PLAN")]
    expect: Option<String>,
    /// Print one JSON document on stdout, and nothing else
    #[arg(long, global = true)]
    json: bool,
    /// A sandbox run: use a built-in Rhombus simulator, with its own state
    #[arg(long, global = true)]
    sandbox: bool,
    /// The format of the logs on stderr
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

#[derive(Subcommand, Debug)]
enum Command {
    /// Show what a cycle would do; sends and writes nothing
    Plan {
        /// Exit 7 if there are changes, including held ones
        #[arg(long)]
        expect_no_changes: bool,
        /// Show every change, not just a page
        #[arg(long)]
        all: bool,
    },
    /// Show what the guard holds; with a hold's id, release exactly that, for one hour
    Approve {
        /// The id of the hold, as the report shows it
        hold: Option<String>,
        /// Of users held for their identity: treat the newcomer as a different person
        #[arg(long, requires = "hold")]
        as_new: bool,
        /// The reason, for the audit log
        #[arg(long, requires = "hold", value_name = "TEXT")]
        reason: Option<String>,
    },
    /// With [standby]: make this host the one that leads
    Lead {
        /// Without etcd: a person answers that the other host is off
        #[arg(long)]
        force: bool,
    },
    /// With [standby]: hand the lead over; this host then waits until another has led
    Resign,
    /// Validate the configuration, and show how the export is read (reads no secrets)
    Check {
        /// Also verify endpoint, token and export; changes nothing
        #[arg(long)]
        online: bool,
        /// Show the first records as they are read; on a terminal only
        #[arg(long, conflicts_with = "online")]
        show: bool,
    },
    /// Verify endpoint and token, create or re-bind the state, start managing users
    Activate {
        /// Drop all links, after a backup, because the organisation was emptied
        #[arg(long)]
        start_over: bool,
    },
    /// Stop managing users, at once; they stay as they are
    Deactivate,
    /// Show whether anything is wrong, what is waiting and how to resolve it, and how far each sink is
    Status {
        /// Exit 6 if deactivated, 1 if red, else 0, 3 or 4 as in the last cycle without --only
        #[arg(long)]
        exit_code: bool,
        /// Show everybody, not just a page
        #[arg(long)]
        all: bool,
        /// Draw the page anew every two seconds, until q; on a terminal only
        #[arg(long, conflicts_with_all = ["all", "exit_code"])]
        watch: bool,
    },
    /// Explain step by step why a user is, or is not, in Rhombus; changes nothing
    Explain {
        /// A directory id, a linked username, or a username in the export
        user: String,
    },
    /// Show one user's audit events
    History {
        /// A directory id, a linked username, or a username in the export
        user: String,
    },
    /// Drop our link to an account; the account itself stays as it is
    Forget {
        /// A directory id, a linked username, or a username in the export
        user: String,
    },
    /// List Rhombus users that the directory lacks (new) or has (imported); create new ones in JumpCloud
    Import {
        /// Only those that the directory lacks
        #[arg(long)]
        new_only: bool,
        /// Also write the new ones into a file that does not exist yet, in the shape of JumpCloud's import template
        #[arg(long, value_name = "FILE")]
        csv: Option<PathBuf>,
        /// Create these in JumpCloud: usernames or account ids (source = "jumpcloud" only)
        #[arg(long, value_name = "USER", num_args = 0.., conflicts_with_all = ["new_only", "csv"])]
        create: Option<Vec<String>>,
        /// With --create: all new ones
        #[arg(long, requires = "create")]
        all: bool,
    },
    /// Write a consistent copy of the state, even while another process writes to it
    Backup {
        /// A file that does not exist yet
        file: PathBuf,
    },
    /// Show or verify the audit log, or send it again
    Events {
        #[command(subcommand)]
        command: events::EventsCommand,
    },
    /// Run the Rhombus simulator as a server; it keeps its accounts
    Sandbox {
        /// The address to listen on; port 0 picks a free one
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8484")]
        listen: std::net::SocketAddr,
        /// A JSON list of SCIM users to start with, if it has no accounts yet
        #[arg(long, value_name = "FILE")]
        users: Option<PathBuf>,
        /// Faults to inject and how often, e.g. `drop_after:0.1,e503:0.05,delay_ms:20,seed:7`; --help lists them all
        #[arg(long, value_name = "FAULTS", default_value = "", long_help = crate::sandbox::Faults::help())]
        faults: crate::sandbox::Faults,
    },
    /// Print a script that completes commands and flags in a shell
    Completions {
        /// Which shell
        #[arg(ignore_case = true)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages: one for each command, one for the configuration file, one for the events
    Man {
        /// A folder; it is created if it is missing
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// What a command prints, and its exit code.
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
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) => return misunderstood(error),
    };
    process::harden();
    if let Some(count) = process::too_few_files() {
        let said = format!("this process may open {count} files at once, and needs more");
        Failure::new(Exit::Failed, said, Some("raise the limit: ulimit -n 256")).show();
        return Exit::Failed.into();
    }
    process::survive_file_size_limit();
    let is_daemon = arguments.command.is_none() && !arguments.reconcile;
    logs::begin(arguments.log_format, if is_daemon { tracing::Level::INFO } else { tracing::Level::WARN });
    let output = run(&arguments);
    // Before anything else is written to stderr.
    logs::end();
    match output {
        Ok(output) => {
            let shown = match arguments.json {
                true => show_document(&output.text),
                false => show(&output.text),
            };
            ended(output.exit, shown).into()
        }
        Err(failure) => {
            if arguments.json {
                let document = crate::report::failure_document(failure.exit, &failure.error, failure.hint.as_deref());
                // That it failed is said below too.
                let _ = show_document(&format!("{document}\n"));
            }
            failure.show();
            failure.exit.into()
        }
    }
}

/// Reads the command line, and notes how this call was made.
fn parse() -> Result<Arguments, clap::Error> {
    let matches = help::with_help(Arguments::command()).try_get_matches()?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    // A global argument may stand behind the command, too.
    let named = |matches: &clap::ArgMatches| matches.value_source("config") == Some(ValueSource::CommandLine);
    let config = named(&matches) || matches.subcommand().is_some_and(|(_, matches)| named(matches));
    let config = config.then(|| arguments.config.to_string_lossy());
    note_invocation(config.as_deref(), arguments.sandbox);
    Ok(arguments)
}

/// The exit code, once the output is out or not: what nobody can read was not done.
fn ended(exit: Exit, shown: std::io::Result<()>) -> Exit {
    let Err(error) = shown else { return exit };
    // Who has read enough goes away: no failure of ours.
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return exit;
    }
    let hint = "check where standard output goes";
    Failure::new(Exit::Failed, format!("the output cannot be written: {error}"), Some(hint)).show();
    match exit {
        Exit::Done | Exit::Failed | Exit::Partial | Exit::Held => Exit::Failed,
        Exit::Usage | Exit::Busy | Exit::Inactive | Exit::Unexpected | Exit::Misconfigured => exit,
    }
}

/// Where events go. With `--json`, stdout holds one document and nothing else: a stdout sink waits.
fn sinks(deployment: &Deployment, arguments: &Arguments) -> Vec<SinkConfig> {
    let mut sinks = deployment.config.sinks.clone();
    sinks.retain(|sink| !(sink.is_stdout() && arguments.json));
    sinks
}

/// An invalid command line, or a request for help.
fn misunderstood(mut error: clap::Error) -> ExitCode {
    let tip = help::tip(&mut error).map(help::as_called);
    let exit = if error.exit_code() == 0 { Exit::Done } else { Exit::Usage };
    if exit != Exit::Done && std::env::args_os().any(|argument| argument == "--json") {
        let what = error.kind().to_string();
        let document = crate::report::failure_document(exit, &[what], tip.as_deref().or(Some("see --help")));
        let _ = show_document(&format!("{document}\n"));
    }
    let shown = error.print().and_then(|()| std::io::stdout().flush());
    if exit == Exit::Done {
        return ended(exit, shown).into();
    }
    if let Some(tip) = tip {
        let _ = writeln!(anstream::stderr(), "hint: {tip}");
    }
    exit.into()
}

fn run(arguments: &Arguments) -> Result<Output, Failure> {
    let takes_only = arguments.reconcile
        || matches!(arguments.command, Some(Command::Plan { .. } | Command::Approve { hold: Some(_), .. }));
    if (!arguments.only.is_empty() && !takes_only) || (arguments.expect.is_some() && !arguments.reconcile) {
        return Err(Failure::usage("--only needs --reconcile, plan or approve HOLD; --expect needs --reconcile"));
    }
    if arguments.refresh && !arguments.reconcile && !matches!(arguments.command, Some(Command::Plan { .. })) {
        return Err(Failure::usage("--refresh needs --reconcile or plan"));
    }
    if arguments.sandbox && matches!(arguments.command, Some(Command::Import { create: Some(_), .. })) {
        return Err(Failure::usage(
            "--create cannot be combined with --sandbox: the users of a sandbox would be created in the real JumpCloud",
        ));
    }
    if arguments.command.as_ref().is_some_and(Command::writes) {
        admit(&Deployment::load(&arguments.config, arguments.mode())?)?;
    }
    match (&arguments.command, arguments.reconcile) {
        (Some(_), true) => Err(Failure::usage("--reconcile cannot be combined with a command")),
        (None, false) => {
            introduce_the_daemon();
            daemon::run(&arguments.config, arguments.mode()).map(|()| Output::done(""))
        }
        (None, true) => reconcile::run(arguments),
        (Some(Command::Plan { expect_no_changes, all }), false) => {
            plan::run(arguments, *expect_no_changes, if *all { Extent::All } else { Extent::Page })
        }
        (Some(Command::Approve { hold, as_new, reason }), false) => {
            let identity = if *as_new { SameUser::No } else { SameUser::Yes };
            let output = approve::run(arguments, hold.as_deref(), identity, reason.as_deref());
            if hold.is_some() { and_deliver(arguments, output) } else { output }
        }
        (Some(Command::Lead { force }), false) => {
            lead::lead(arguments, if *force { lead::Force::Yes } else { lead::Force::No })
        }
        (Some(Command::Resign), false) => lead::resign(arguments),
        (Some(Command::Check { online, show }), false) => check::run(arguments, *online, *show),
        (Some(Command::Forget { user }), false) => and_deliver(arguments, forget::run(arguments, user)),
        (Some(Command::Explain { user }), false) => explain::run(arguments, user),
        (Some(Command::History { user }), false) => history::run(arguments, user),
        (Some(Command::Import { new_only, csv, create, all }), false) => {
            let whom = create.as_ref().map(|users| import::Whom::of(users, *all)).transpose()?;
            import::run(arguments, *new_only, csv.as_deref(), whom.as_ref())
        }
        (Some(Command::Backup { file }), false) => backup::run(arguments, file),
        (Some(Command::Events { command }), false) => command.run(arguments),
        (Some(Command::Activate { start_over }), false) => {
            let links = if *start_over { activate::Links::End } else { activate::Links::Stay };
            and_deliver(arguments, activate::run(arguments, links))
        }
        (Some(Command::Deactivate), false) => and_deliver(arguments, deactivate::run(arguments)),
        (Some(Command::Status { watch: true, .. }), false) => status::watch(arguments),
        (Some(Command::Status { exit_code, all, watch: false }), false) => status::run(
            arguments,
            if *all { Extent::All } else { Extent::Page },
            if *exit_code { status::ExitCode::OfTheSync } else { status::ExitCode::OfThisCommand },
        ),
        (Some(Command::Sandbox { listen, users, faults }), false) => {
            sandbox::run(arguments, *listen, users.clone(), faults.clone())
        }
        (Some(Command::Completions { .. }), false) if arguments.json => {
            Err(Failure::usage("completions prints a script: leave --json out"))
        }
        (Some(Command::Completions { shell }), false) => Ok(completions::run(*shell)),
        (Some(Command::Man { folder }), false) => man::run(arguments, folder),
    }
}
