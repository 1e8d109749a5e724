//! `man DIR`: a manual page for each command, one for the configuration file and one for the events. The first come from the
//! command line itself, the other two from the documents in docs/. Needs no configuration.

mod page;
mod prose;

use super::{Arguments, Output, help};
use crate::failure::Failure;
use crate::model::Exit;
use clap::{Command, CommandFactory};
use serde_json::json;
use std::path::Path;

/// Pages made of a document: name, section, in one line, and the document.
const DOCUMENTS: [(&str, &str, &str, &str); 2] = [
    (
        "rhombus-sync.toml",
        "5",
        "configuration file of rhombus-sync",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")),
    ),
    (
        "rhombus-sync-events",
        "5",
        "audit events of rhombus-sync",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md")),
    ),
];

pub(super) fn run(arguments: &Arguments, folder: &Path) -> Result<Output, Failure> {
    let pages = pages();
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| pages.iter().try_for_each(|(file, text)| std::fs::write(folder.join(file), text)));
    written.map_err(|error| {
        let what = format!("the manual pages cannot be written to {}: {error}", folder.display());
        Failure::new(Exit::Failed, what, Some("name a folder that you can write to, such as man1"))
    })?;
    if arguments.json {
        let files: Vec<_> = pages.iter().map(|(file, _)| folder.join(file)).collect();
        return Ok(Output::done(format!("{}\n", json!({"result": "done", "exit": 0, "files": files}))));
    }
    Ok(Output::done(format!("{}: {} manual pages\n", folder.display(), pages.len())))
}

/// Every page by its file name.
fn pages() -> Vec<(String, String)> {
    let mut command = help::with_help(Arguments::command());
    command.build();
    let mut pages = Vec::new();
    of_commands(&command, &mut pages);
    for (name, section, about, document) in DOCUMENTS {
        let text = format!("{}{}", page::head(name, section, about), prose::of(document));
        pages.push((format!("{name}.{section}"), text));
    }
    pages
}

fn of_commands(command: &Command, pages: &mut Vec<(String, String)>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    pages.push((format!("{name}.1"), page::of(command)));
    for one in command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help") {
        of_commands(one, pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_every_command_one_for_the_configuration_and_one_for_the_events() {
        let pages = pages();
        let of = |file: &str| pages.iter().find(|(name, _)| name == file).map(|(_, text)| text.as_str());
        for file in ["rhombus-sync.1", "rhombus-sync-approve.1", "rhombus-sync-events-replay.1", "rhombus-sync-man.1"] {
            assert!(of(file).is_some_and(|text| text.contains(".SH EXIT STATUS")), "{file}");
        }
        let check = of("rhombus-sync-check.1").unwrap_or_default();
        assert!(check.contains("\\-\\-online") && !check.contains("\\-\\-refresh"), "only its own flags: {check}");
        let configuration = of("rhombus-sync.toml.5").unwrap_or_default();
        assert!(configuration.contains(".SH [guard.absent]") && configuration.contains("\\fBtoken_file\\fR"));
        assert!(of("rhombus-sync-events.5").is_some_and(|text| text.contains("\\fBmessage_chain.response_code\\fR")));
        for (file, text) in &pages {
            assert!(text.lines().all(|line| line.len() < 2_000), "{file}: prose is filled, samples are cut out");
        }
    }
}
