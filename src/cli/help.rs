//! What the help of each command says: only the flags that apply to it, examples, its exit codes; the main help by what one
//! wants to do; and a tip for a command or flag that does not exist.

use crate::model::{command, is_near, note_invocation};
use clap::builder::ArgAction;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

/// The main help: all of it on one screen.
const MAIN: &str = "\
Keeps users in Rhombus Systems in sync with a directory, over SCIM 2.0

Usage: rhombus-sync [-c FILE]              the daemon: schedule and new exports
       rhombus-sync [-c FILE] --reconcile  one cycle, then exit
       rhombus-sync [-c FILE] COMMAND      COMMAND --help has examples

Look (changes nothing)
  status           is anything wrong, and whose changes wait for what
  plan             what a cycle would do
  explain USER     why this user is, or is not, in Rhombus
  history USER     what was done for this user
  events           the audit log: tail, verify, dead, replay

Do
  --reconcile      run one cycle; takes --refresh, --only USER, --expect PLAN
  approve [HOLD]   show what is held; with a hold's id, release exactly that
  activate         verify endpoint and token, begin managing users
  deactivate       stop managing users, at once; they stay as they are
  forget USER      drop our link to an account; the account stays as it is
  backup FILE      write a consistent copy of the state
  lead             with [standby]: lead from now on
  resign           with [standby]: hand the lead over
  import           list who is in Rhombus but not in the directory

Try, set up
  check            is the configuration good, and how is the export read?
  --sandbox        with --reconcile and others: act on a built-in simulator
  sandbox          the simulator of Rhombus as a server
  completions SHELL  a script that completes commands in a shell
  man DIR            the manual pages

Options
  -c, --config FILE  default /etc/rhombus-sync/config.toml; RHOMBUS_SYNC_CONFIG
      --json         one JSON document on stdout, and nothing else
      --log-format   auto, pretty, text or json; RUST_LOG=info shows more
  -h, --help         this help; -V, --version: version, commit, schema

Files (paths in a configuration are relative to it)
  /etc/rhombus-sync/config.toml  names all others
  [state] path          the state; PATH.lock beside it: held by whoever sends
  [rhombus] token_file  the token; refused if others can read it
  [[sinks]] path        the audit log, with kind = \"file\"

Exit codes: 0 done; 1 failed, nothing was accepted; 2 wrong command line;
3 incomplete, tried again; 4 something is held; 5 another process or host sends;
6 deactivated; 7 the plan differs; 78 wrong configuration
";

/// What the help of a command adds.
struct HelpPage {
    /// The words of the command.
    command: &'static [&'static str],
    /// Global flags that mean something to it, besides `-c`, `--json` and `--log-format`.
    flags: &'static [&'static str],
    /// Examples and exit codes.
    after: &'static str,
}

const PAGES: [HelpPage; 22] = [
    HelpPage {
        command: &["plan"],
        flags: &["only", "refresh", "sandbox"],
        after: "Examples:\n  rhombus-sync plan\n  rhombus-sync plan --all | less\n  rhombus-sync plan --refresh --only \
                ann@example.com   asks Rhombus\n\nExit codes: 0 shown; 1 the export is rejected, or \
                Rhombus cannot be read; 7 --expect-no-changes and there are changes",
    },
    HelpPage {
        command: &["approve"],
        flags: &["only", "sandbox"],
        after: "Examples:\n  rhombus-sync approve                              who is held, and why\n  rhombus-sync approve 4717ae51\n  rhombus-sync approve 4717ae51 --only bob@example.com\n\nExit \
                codes: 0 shown, or released; 1 no such hold, or nothing in it is still held",
    },
    HelpPage {
        command: &["check"],
        flags: &[],
        after: "Examples:\n  rhombus-sync -c config.toml check\n  rhombus-sync check --online\n  rhombus-sync check \
                --show\n\nExit codes: 0 good, also if the export would be rejected, which it says; 1 --online: export, endpoint or token is bad; 78 the configuration is wrong",
    },
    HelpPage {
        command: &["activate"],
        flags: &[],
        after: "Examples:\n  rhombus-sync activate\n  rhombus-sync -c /etc/rhombus-sync/acme.toml activate\n\nRun \
                it as the service's user: the state belongs to whoever creates it.\n\nExit codes: 0 users are managed now; 1 endpoint, \
                token or state cannot be used; 78 the configuration is wrong",
    },
    HelpPage {
        command: &["deactivate"],
        flags: &[],
        after: "Examples:\n  rhombus-sync deactivate\n\nA running daemon obeys within seconds, even during a cycle. \
         `activate` resumes.\n\nExit codes: 0 users are no longer managed; 1 the state cannot be used",
    },
    HelpPage {
        command: &["lead"],
        flags: &[],
        after: "Examples:\n  rhombus-sync lead\n  rhombus-sync lead --force    without etcd; asks whether the other host is off\n\n\
                With etcd the host that leads finishes its requests and hands over; one that is gone is waited for until \
                its lease has lapsed.\n\nExit codes: 0 this host leads; 1 it does not, and why; 2 --force with etcd, or \
                neither; 78 there is no [standby]",
    },
    HelpPage {
        command: &["resign"],
        flags: &[],
        after: "Examples:\n  rhombus-sync resign\n\nRequests on their way end first. This host leads again after `lead`, or \
                once another has led and is gone.\n\nExit codes: 0 handed over; 1 it was not; 5 another host leads; 78 there is \
                no [standby]",
    },
    HelpPage {
        command: &["status"],
        flags: &["sandbox"],
        after: "Examples:\n  rhombus-sync status\n  rhombus-sync status --all | less\n  rhombus-sync status --watch            redrawn until q\n  rhombus-sync status --exit-code || \
                alert    for a monitor\n\nExit codes: 0 shown; 1 the state cannot be used; with --exit-code 6 \
                deactivated, 1 red, else 0, 3 or 4 as in the last cycle without --only",
    },
    HelpPage {
        command: &["explain"],
        flags: &["sandbox"],
        after: "Examples:\n  rhombus-sync explain ann@example.com\n  rhombus-sync explain 5f2b8c1e --json\n\nExit \
                codes: 0 explained; 1 no user matches",
    },
    HelpPage {
        command: &["history"],
        flags: &["sandbox"],
        after: "Examples:\n  rhombus-sync history bob@example.com\n  rhombus-sync history bob@example.com --json | \
                jq\n\nExit codes: 0 shown; 1 no events for this user",
    },
    HelpPage {
        command: &["forget"],
        flags: &["sandbox"],
        after: "Examples:\n  rhombus-sync forget ewa@example.com\n\nA user who is still wanted is linked again by the next \
                cycle.\n\nExit codes: 0 the link is dropped; 1 no linked user matches",
    },
    HelpPage {
        command: &["backup"],
        flags: &[],
        after: "Examples:\n  rhombus-sync backup /var/backups/rhombus-sync.$(date +%F).db\n\nExit codes: 0 written; 1 the file \
                exists, or the state cannot be used",
    },
    HelpPage {
        command: &["events"],
        flags: &["sandbox"],
        after: "Exit codes: 0 done; 1 it does not verify, or cannot be read",
    },
    HelpPage {
        command: &["events", "tail"],
        flags: &["sandbox"],
        after: "Examples:\n  rhombus-sync events tail\n  rhombus-sync events tail -f               follows until \
                Ctrl-C\n  \
                rhombus-sync events tail --user ann@example.com --outcome failure\n  \
                rhombus-sync events tail -f --kind reconcile_held --kind reconcile_failed\n  \
                rhombus-sync events tail -n 1000 | jq .event_type\n\nA user is a directory id, or any username that \
                the log has; filters narrow each other.\n\nOn a terminal it is a table; a pipe gets the \
                events unchanged, one per line.\n\nExit codes: 0 shown; 1 no user matches, or the state cannot be used",
    },
    HelpPage {
        command: &["events", "verify"],
        flags: &["sandbox"],
        after: "Examples:\n  rhombus-sync events verify\n  rhombus-sync events verify /var/log/rhombus-sync/events.ndjson.1\n\n\
                Exit codes: 0 complete and unchanged; 1 not: the first bad event is named",
    },
    HelpPage {
        command: &["events", "dead"],
        flags: &["sandbox"],
        after: "Exit codes: 0 shown; 1 the state cannot be used",
    },
    HelpPage {
        command: &["events", "replay"],
        flags: &["sandbox"],
        after: "Examples:\n  rhombus-sync events replay --from 4711\n  rhombus-sync events replay --from 4711 \
                --sink siem\n\nWorks while the daemon runs.\n\nExit codes: 0 sent; 1 nothing could be sent; 3 sent in part",
    },
    HelpPage {
        command: &["import"],
        flags: &["sandbox"],
        after: "Examples:\n  rhombus-sync import --new-only\n  rhombus-sync import --csv new.csv\n  rhombus-sync import --create \
                ann@example.com\n\nOnly --create sends anything, and only with source = \"jumpcloud\" and without \
                --sandbox.\n\nExit codes: 0 done; 1 Rhombus or the directory cannot be read, or JumpCloud took nobody; \
                2 --create with another source; 3 JumpCloud refused one; 5 another process is sending; 6 --create \
                while deactivated",
    },
    HelpPage {
        command: &["sandbox"],
        flags: &[],
        after: "Examples:\n  rhombus-sync sandbox\n  rhombus-sync sandbox --faults \
                drop_after:0.1,e503:0.05\n\nExit codes: 0 stopped by a signal; 1 the address or the files cannot be used",
    },
    HelpPage {
        command: &["completions"],
        flags: &[],
        after: "Examples:\n  rhombus-sync completions bash >/etc/bash_completion.d/rhombus-sync\n  rhombus-sync completions fish \
                >~/.config/fish/completions/rhombus-sync.fish\n\nExit codes: 0 printed; 2 it is not one of these shells",
    },
    HelpPage {
        command: &["man"],
        flags: &[],
        after: "Examples:\n  rhombus-sync man man && man -l man/rhombus-sync.1\n\nExit codes: 0 written; 1 the folder cannot be \
                written to",
    },
    HelpPage { command: &["help"], flags: &[], after: "" },
];

/// Flags of the main command that a subcommand takes only if its page says so.
const FLAGS: [&str; 3] = ["only", "refresh", "sandbox"];

/// The command line with its help.
pub(super) fn with_help(command: Command) -> Command {
    let command = command.override_help(MAIN).version(version());
    PAGES.iter().fold(command, |command, page| dressed(command, page.command, page))
}

fn dressed(command: Command, words: &'static [&'static str], page: &HelpPage) -> Command {
    let [word, rest @ ..] = words else { return own_flags(command, page).after_help(page.after) };
    if command.find_subcommand(word).is_none() {
        return command;
    }
    command.mut_subcommand(word, |command| dressed(command, rest, page))
}

/// A global flag that does not apply is still understood, so that its message can say where it does; it is not in the help.
fn own_flags(command: Command, page: &HelpPage) -> Command {
    FLAGS.iter().filter(|flag| !page.flags.contains(flag)).fold(command, |command, flag| {
        let action = if *flag == "only" { ArgAction::Append } else { ArgAction::SetTrue };
        command.arg(Arg::new(*flag).long(*flag).action(action).hide(true))
    })
}

fn version() -> &'static str {
    let commit = option_env!("RHOMBUS_SYNC_COMMIT").map(|commit| format!("commit {commit}, ")).unwrap_or_default();
    let version = format!("{} ({commit}schema {} of the state)", env!("CARGO_PKG_VERSION"), crate::store::SCHEMA);
    // Once in a process.
    Box::leak(version.into_boxed_str())
}

/// Words that people type, and what they mean here.
const TIPS: [(&[&str], &str); 14] = [
    (
        &["reconcile", "sync", "apply", "run", "start", "restart", "once", "daemon", "serve"],
        "`rhombus-sync --reconcile` runs one cycle; without --reconcile it is the daemon",
    ),
    (&["diff", "dry-run", "dryrun", "preview", "show"], "`rhombus-sync plan` shows what a cycle would do"),
    (
        &["--dry-run", "--dryrun", "-n", "--check"],
        "`rhombus-sync plan` shows what a cycle would do and changes nothing; --reconcile does it",
    ),
    (
        &["--apply", "--yes", "-y", "--force", "-f"],
        "there are no prompts: `rhombus-sync --reconcile` runs a cycle, and what the guard holds needs approve HOLD",
    ),
    (&["-v", "-vv", "--verbose", "--debug", "-d"], "RUST_LOG=info (or debug) in the environment shows more on stderr"),
    (&["version"], "`rhombus-sync --version`"),
    (
        &["list", "users", "ls", "held", "holds"],
        "`rhombus-sync status --all` lists who waits for what, `rhombus-sync plan --all` all changes, `rhombus-sync approve` what is held",
    ),
    (
        &["log", "logs", "audit", "tail"],
        "`rhombus-sync events tail` shows the audit log; the daemon's own log is on stderr: journalctl -u rhombus-sync",
    ),
    (&["verify"], "`rhombus-sync events verify` verifies the audit log, `rhombus-sync check` the configuration"),
    (&["init", "setup", "login", "enable"], "`rhombus-sync check` first, then `rhombus-sync activate`"),
    (&["disable", "stop", "pause"], "`rhombus-sync deactivate` stops managing users; they stay as they are"),
    (&["why", "who", "user", "find"], "`rhombus-sync explain USER` tells why a user is, or is not, in Rhombus"),
    (
        &["remove", "delete", "add", "create", "rollback", "undo", "revert"],
        "the directory decides who is in Rhombus: change it there; `rhombus-sync plan` shows what follows",
    ),
    (&["--status"], "`rhombus-sync status`"),
];

/// A tip whose commands are written as this call was made, though its command line could not be understood.
pub(super) fn as_called(tip: &str) -> String {
    let words: Vec<_> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let after = |word: &String| joined_config(word).map(str::to_owned);
    let behind = |pair: &[String]| matches!(pair[0].as_str(), "-c" | "--config").then(|| pair[1].clone());
    let config = words.windows(2).find_map(behind).or_else(|| words.iter().find_map(after));
    note_invocation(config.as_deref(), words.iter().any(|word| word == "--sandbox"));
    tip.replace("`rhombus-sync ", &format!("`{}", command("")))
}

/// The configuration of a word that holds flag and value: `--config=FILE`, `-cFILE` or `-c=FILE`.
fn joined_config(word: &str) -> Option<&str> {
    let short = || word.strip_prefix("-c").map(|value| value.strip_prefix('=').unwrap_or(value));
    word.strip_prefix("--config=").or_else(short).filter(|value| !value.is_empty())
}

/// What a wrong command line is told instead of a word that is not near.
pub(super) fn tip(error: &mut clap::Error) -> Option<&'static str> {
    let (word, suggested) = if error.kind() == ErrorKind::InvalidSubcommand {
        (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand)
    } else if error.kind() == ErrorKind::UnknownArgument {
        (ContextKind::InvalidArg, ContextKind::SuggestedArg)
    } else {
        return None;
    };
    let Some(ContextValue::String(word)) = error.get(word) else { return None };
    let word = word.split('=').next().unwrap_or_default().to_owned();
    let tip = TIPS.iter().find(|(words, _)| words.contains(&word.as_str())).map(|(_, tip)| *tip);
    let far = |one: &str| !is_near(&word, one);
    let is_far = match error.get(suggested) {
        Some(ContextValue::String(one)) => far(one),
        Some(ContextValue::Strings(all)) => all.iter().all(|one| far(one)),
        _ => false,
    };
    if tip.is_some() || is_far {
        error.remove(suggested);
        error.remove(ContextKind::TrailingArg);
        error.remove(ContextKind::Suggested);
    }
    tip
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn all(command: &Command, words: &[String], found: &mut Vec<Vec<String>>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let words = [words, &[sub.get_name().to_owned()]].concat();
            all(sub, &words, found);
            found.push(words);
        }
    }

    #[test]
    fn each_command_is_in_the_main_help_and_has_a_page_of_its_own() {
        let (mut command, mut found) = (super::super::Arguments::command(), Vec::new());
        command.build();
        all(&command, &[], &mut found);
        for words in found.iter().filter(|words| !words.contains(&"help".to_owned())) {
            assert!(MAIN.contains(&format!("\n  {} ", words[0])), "{words:?} is not in the main help");
            assert!(PAGES.iter().any(|page| page.command == *words), "{words:?} has no page");
        }
        assert!(MAIN.lines().count() <= 46 && MAIN.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn the_help_of_a_command_has_only_its_own_flags() {
        for (word, has, lacks) in
            [("explain", "--sandbox", "--refresh"), ("plan", "--only", "--expect "), ("check", "--online", "--sandbox")]
        {
            let mut command = with_help(super::super::Arguments::command());
            command.build();
            let text = command.find_subcommand_mut(word).expect("a command").render_long_help().to_string();
            assert!(text.contains(has) && !text.contains(lacks) && text.contains("Examples:"), "{text}");
        }
    }

    #[test]
    fn a_configuration_that_is_joined_to_its_flag_is_seen() {
        for (word, config) in [
            ("-ca.toml", Some("a.toml")),
            ("-c=a.toml", Some("a.toml")),
            ("--config=a.toml", Some("a.toml")),
            ("-c", None),
            ("--check", None),
            ("check", None),
        ] {
            assert_eq!(joined_config(word), config, "{word}");
        }
    }

    #[test]
    fn a_word_that_one_would_type_gets_a_tip_and_a_far_word_no_suggestion() {
        for (typed, says) in [
            ("reconcile", Some("--reconcile")),
            ("--dry-run", Some("plan")),
            ("-v", Some("RUST_LOG")),
            ("version", Some("--version")),
            ("list", Some("status --all")),
            ("statsu", None),
            ("zebra", None),
        ] {
            let command = with_help(super::super::Arguments::command());
            let mut error = command.try_get_matches_from(["rhombus-sync", typed]).expect_err("not a word of ours");
            let tip = tip(&mut error);
            assert_eq!(tip.is_some(), says.is_some(), "{typed}");
            assert!(tip.unwrap_or_default().contains(says.unwrap_or_default()), "{typed}: {tip:?}");
            assert_eq!(error.to_string().contains("similar"), typed == "statsu", "{error}");
        }
    }
}
