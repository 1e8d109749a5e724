//! `completions SHELL`: a script that completes commands, flags and their values. Needs no configuration.

use super::{Arguments, Output, help};
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

/// What people type.
const PROGRAM: &str = "rhombus-sync";

pub(super) fn run(shell: Shell) -> Output {
    let mut command = help::with_help(Arguments::command());
    command.build();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(&command), PROGRAM, &mut script);
    Output::done(String::from_utf8_lossy(&script))
}

/// A command with what its help shows: a global flag that does not apply to it is only hidden there, and would be completed.
fn shown(command: &Command) -> Command {
    // Clap keeps names for ever; this happens once in a process.
    let name: &'static str = command.get_name().to_owned().leak();
    let mut copy = Command::new(name).disable_help_subcommand(true);
    if let Some(version) = command.get_version() {
        // As above.
        let version: &'static str = version.to_owned().leak();
        copy = copy.version(version);
    }
    if let Some(about) = command.get_about() {
        copy = copy.about(about.clone());
    }
    // Clap adds help and version by itself.
    let is_added = |argument: &Arg| matches!(argument.get_id().as_str(), "help" | "version");
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set() && !is_added(argument));
    // Each command lists its own, those that it inherits too.
    copy = copy.args(arguments.map(|argument| argument.clone().global(false)));
    let commands = command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help");
    copy.subcommands(commands.map(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_gets_the_commands_and_only_the_flags_that_apply() {
        for shell in Shell::value_variants() {
            let script = run(*shell).text;
            for word in ["reconcile", "status", "exit-code", "replay", "completions"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        let mut command = help::with_help(Arguments::command());
        command.build();
        let command = shown(&command);
        let check = command.find_subcommand("check").expect("a command");
        let flags: Vec<_> = check.get_arguments().filter_map(clap::Arg::get_long).collect();
        assert!(flags.contains(&"online") && flags.contains(&"config") && !flags.contains(&"refresh"), "{flags:?}");
    }
}
