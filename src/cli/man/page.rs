//! A command as a manual page: its flags from the command line, examples and exit codes from its help.

use super::prose::{plain, section};
use clap::{Arg, ArgAction, Command};
use std::fmt::Write;

/// What only the page of the program itself has.
const OF_THE_PROGRAM: &str = "\
.SH SIGNALS
.TP
SIGTERM, SIGINT
send no new request; those in flight end or are looked up next time
.TP
SIGHUP
read configuration and secrets again, all or nothing
.TP
SIGUSR1
run a cycle now
.SH EXIT STATUS
.TP
0
done
.TP
1
failed, nothing was accepted
.TP
2
the command line is wrong
.TP
3
incomplete; it is tried again
.TP
4
the guard holds something
.TP
5
another process sends
.TP
6
deactivated
.TP
7
the plan is another one than was expected
.TP
78
the configuration is wrong
.SH FILES
.TP
/etc/rhombus\\-sync/config.toml
the configuration; \\fBrhombus\\-sync.toml\\fR(5)
.SH ENVIRONMENT
.TP
RHOMBUS_SYNC_CONFIG
names another configuration, as \\fB\\-c\\fR does
.TP
NO_COLOR
no colour, no progress bar
.TP
RUST_LOG
\\fBinfo\\fR or \\fBdebug\\fR: more of the log on stderr
.SH SEE ALSO
\\fBrhombus\\-sync.toml\\fR(5), \\fBrhombus\\-sync\\-events\\fR(5)
";

/// Title and name.
pub(super) fn head(name: &str, section: &str, about: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        ".TH \"{}\" {section} \"\" \"rhombus\\-sync {version}\" \"rhombus\\-sync\"\n.SH NAME\n{} \\- {}\n",
        plain(&name.to_uppercase()),
        plain(name),
        plain(about)
    )
}

/// The page of one command.
pub(super) fn of(command: &Command) -> String {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let (brief, _) = about.split_once(". ").unwrap_or((&about, ""));
    let mut page = head(name, "1", brief);
    synopsis(&mut page, command);
    let _ = write!(page, ".SH DESCRIPTION\n{}\n", plain(&about));
    let shown = || command.get_arguments().filter(|argument| !argument.is_hide_set());
    if shown().next().is_some() {
        page += ".SH OPTIONS\n";
        shown().for_each(|argument| option(&mut page, argument));
    }
    let commands: Vec<_> =
        command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help").collect();
    if !commands.is_empty() {
        page += ".SH COMMANDS\n";
    }
    for one in commands {
        let (name, about) = (one.get_name(), one.get_about().map(ToString::to_string).unwrap_or_default());
        let _ = write!(page, ".TP\n\\fB{}\\fR\n{}\n", plain(name), plain(&about));
    }
    match command.get_after_help() {
        Some(after) => notes(&mut page, &after.to_string()),
        None => page += OF_THE_PROGRAM,
    }
    page
}

fn synopsis(page: &mut String, command: &Command) {
    let words = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let _ = write!(page, ".SH SYNOPSIS\n\\fB{}\\fR", plain(words));
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let term = term(argument);
        let _ = if argument.is_required_set() { write!(page, " {term}") } else { write!(page, " [{term}]") };
    }
    *page += if command.has_subcommands() { " [\\fIcommand\\fR]\n" } else { "\n" };
}

/// `--only USER`, or `HOLD`.
fn term(argument: &Arg) -> String {
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let value = argument.get_value_names().and_then(|names| names.first());
    let value = value.filter(|_| takes_value).map(|value| format!("\\fI{}\\fR", plain(value)));
    let flags =
        [argument.get_short().map(|short| format!("-{short}")), argument.get_long().map(|long| format!("--{long}"))];
    let flags: Vec<_> = flags.into_iter().flatten().map(|flag| format!("\\fB{}\\fR", plain(&flag))).collect();
    match (flags.is_empty(), value) {
        (true, value) => value.unwrap_or_else(|| plain(argument.get_id().as_str())),
        (false, Some(value)) => format!("{} {value}", flags.join(", ")),
        (false, None) => flags.join(", "),
    }
}

fn option(page: &mut String, argument: &Arg) {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, ".TP\n{}\n{}", term(argument), plain(&help));
    let values: Vec<_> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) && !values.is_empty() {
        let _ = write!(page, " ({})", plain(&values.join(", ")));
    }
    let default = argument.get_default_values().iter().map(|value| value.to_string_lossy());
    let default = default.filter(|value| !value.is_empty() && value != "false").collect::<Vec<_>>().join(" ");
    if !default.is_empty() {
        let _ = write!(page, "; default {}", plain(&default));
    }
    page.push('\n');
}

/// The examples, exit codes and remarks at the end of a help.
fn notes(page: &mut String, after: &str) {
    for block in after.split("\n\n") {
        if let Some(examples) = block.strip_prefix("Examples:\n") {
            page.push_str(".SH EXAMPLES\n.nf\n");
            examples.lines().for_each(|line| *page += &format!("{}\n", plain(line.trim_start())));
            page.push_str(".fi\n");
        } else if let Some(codes) = block.strip_prefix("Exit codes:") {
            section(page, "EXIT STATUS", codes.trim());
        } else if !block.trim().is_empty() {
            section(page, "NOTES", block.trim());
        }
    }
}
