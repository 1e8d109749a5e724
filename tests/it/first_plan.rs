//! From the file that an administrator has to the first plan, with the real binary: `check` says which lines to add, they are
//! added, and a sandbox run makes the right four people. Personnel systems, identity providers and directories alike.

use crate::exports;
use crate::support::real_binary::BINARY;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Files of personnel systems among them, by whose they are.
const PERSONNEL: [&str; 3] = ["bamboohr-report.csv", "bamboohr-report-renamed.csv", "workday-raas.json"];

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("-c").arg(folder.join("config.toml")).args(arguments).env("NO_COLOR", "1");
    command.output().expect("it runs")
}

/// A configuration whose `[directory]` has these lines too.
fn configure(folder: &Path, export: &Path, lines: &str) {
    let text = format!(
        "[directory]\npath = {:?}\n{}\n[scope]\ngroups = []\n[rhombus]\nbase_url = \"https://rhombus.invalid/scim/v2\"\n\
         token_file = \"token\"\n",
        export.display().to_string(),
        lines.replacen("[directory]\n", "", 1)
    );
    std::fs::write(folder.join("config.toml"), text).expect("a configuration");
}

/// The lines that `check` says to add.
fn lines(said: &str) -> String {
    let (_, after) = said.split_once("add to the configuration:\n").unwrap_or_default();
    let is_one = |line: &&str| line.starts_with('[') || line.starts_with('#') || line.contains(" = ");
    after.lines().map(str::trim).take_while(is_one).map(|line| format!("{line}\n")).collect()
}

/// Who gets an account in a sandbox run.
fn first_plan(file: &str) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let export = exports::fixtures().join(file);
    configure(folder.path(), &export, "");
    let before = String::from_utf8_lossy(&run(folder.path(), &["check"]).stdout).into_owned();
    if !before.contains("it would be rejected as a whole") {
        return Err(format!("not refused: {before}"));
    }
    configure(folder.path(), &export, &lines(&before));
    let after = String::from_utf8_lossy(&run(folder.path(), &["check"]).stdout).into_owned();
    if !after.contains("4 wanted") || after.contains("rejected as a whole") {
        return Err(format!("{before}\nwith the lines:\n{after}"));
    }
    let cycle = run(folder.path(), &["--reconcile", "--sandbox", "--json"]);
    let report: Value = serde_json::from_slice(&cycle.stdout).map_err(|error| error.to_string())?;
    if report["created"] != 4 || report["exit"] != 0 {
        return Err(report.to_string());
    }
    let tail = run(folder.path(), &["events", "tail", "--sandbox"]);
    let events = String::from_utf8_lossy(&tail.stdout).into_owned();
    let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made = events.filter(|event| event["event_type"] == "user_create_provision" && event["success"] == true);
    let mut made: Vec<_> = made.filter_map(|event| event["resource"]["username"].as_str().map(str::to_owned)).collect();
    made.sort();
    Ok(made)
}

#[test]
fn the_lines_that_check_says_make_the_first_plan_right() {
    let files: Vec<_> = exports::mended().collect();
    for file in PERSONNEL {
        assert!(files.contains(&file), "{file}");
    }
    let mut faults = Vec::new();
    for file in files {
        match first_plan(file) {
            Ok(made) if made == exports::FOUR => {}
            Ok(made) => faults.push(format!("{file}: {made:?}")),
            Err(fault) => faults.push(format!("{file}: {fault}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
