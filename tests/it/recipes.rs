//! The recipes of docs/exports.md, read from the page itself: each configuration is tried on files that the tool wrote, and each
//! command replaces the export by a rename.

use crate::support::plans::render;
use rhombus_sync::config::Config;
use rhombus_sync::cycle::{CompareError, Known, compare, open_export};
use rhombus_sync::model::{Moment, chain};
use rhombus_sync::store;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Those of the six invented people who may come in.
const FOUR: [&str; 4] =
    ["ann.archer@example.com", "bela.mueller@example.com", "eve.oneil@example.com", "finn@example.com"];
/// The tools that a recipe is promised for, by the beginning of its heading.
const TOOLS: [&str; 15] = [
    "JumpCloud: PowerShell module",
    "JumpCloud: jc-cli",
    "JumpCloud: API with curl",
    "Entra: portal",
    "Microsoft 365",
    "Entra: Microsoft Graph",
    "Active Directory",
    "Okta",
    "Google: Admin console",
    "Google: GAM",
    "Keycloak",
    "1Password",
    "Workday",
    "BambooHR",
    "A spreadsheet",
];

/// One section of the page.
#[derive(Default, Debug)]
struct Recipe {
    tool: String,
    command: String,
    configuration: String,
    /// The export, and the members file where there is one.
    tried_on: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn recipes() -> Vec<Recipe> {
    let page = std::fs::read_to_string(root().join("docs/exports.md")).expect("the page");
    let sections = page.split("\n## ").skip(1);
    sections
        .map(|section| {
            let mut recipe =
                Recipe { tool: section.lines().next().unwrap_or_default().to_owned(), ..Recipe::default() };
            let mut fence = None;
            for line in section.lines() {
                match (line.strip_prefix("```"), fence) {
                    (Some(_), Some(_)) => fence = None,
                    (Some(language), None) => fence = Some(language),
                    (None, Some("toml")) => recipe.configuration += &format!("{line}\n"),
                    (None, Some(_)) => recipe.command += &format!("{line}\n"),
                    (None, None) => {
                        if let Some(files) = line.strip_prefix("<!-- tried on: ") {
                            let files = files.trim_end_matches(" -->").split(' ').map(str::to_owned);
                            recipe.tried_on = files.collect();
                        }
                    }
                }
            }
            recipe
        })
        .collect()
}

/// The configuration, reading the files that it is tried on.
fn tried(recipe: &Recipe, folder: &Path) -> PathBuf {
    let fixture = |name: &str| root().join("tests/fixtures/exports").join(name).display().to_string();
    let line = |line: &str| match (line.split(" = ").next(), recipe.tried_on.as_slice()) {
        (Some("path"), [export, ..]) => format!("path = {:?}\n", fixture(export)),
        (Some("members_path"), [_, members]) => format!("members_path = {:?}\n", fixture(members)),
        (Some(_) | None, _) => format!("{line}\n"),
    };
    let path = folder.join("config.toml");
    std::fs::write(&path, recipe.configuration.lines().map(line).collect::<String>()).expect("written");
    path
}

/// Who would be made, or what is said.
fn created(recipe: &Recipe) -> Result<BTreeSet<String>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = crate::support::state(folder.path(), "https://x.example");
    let settings = Config::load(&tried(recipe, folder.path())).map_err(|error| chain(&error).join(": "))?.settings;
    let installation = store::installation(&connection).expect("an installation");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let now = Moment(now.as_millis() as i64);
    let compared = open_export(&settings, now, &installation, &Default::default())
        .map_err(CompareError::from)
        .and_then(|mut export| compare(&connection, &settings, &mut export, Known::default(), now))
        .map_err(|error| format!("{}\n  {}", chain(&error).join(": "), error.hint().unwrap_or_default()))?;
    let listed: Vec<_> = compared.plan.outstanding().iter().collect();
    if listed.is_empty() {
        return Ok(compared.plan.changes().map(|change| change.user_name().as_str().to_owned()).collect());
    }
    Err(render(&compared.plan))
}

#[test]
fn every_recipe_reads_the_right_people() {
    let mut faults = Vec::new();
    for recipe in recipes() {
        let fault = match created(&recipe) {
            Ok(created) if created == FOUR.map(str::to_owned).into() => continue,
            Ok(created) => format!("{created:?}"),
            Err(fault) => fault,
        };
        faults.push(format!("{} ({}): {fault}", recipe.tool, recipe.tried_on.join(" ")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn every_tool_has_a_recipe_whose_command_renames() {
    let recipes = recipes();
    let found: Vec<_> = recipes.iter().map(|recipe| recipe.tool.as_str()).collect();
    assert_eq!(found.len(), TOOLS.len(), "{found:?}");
    for (recipe, tool) in recipes.iter().zip(TOOLS) {
        assert!(recipe.tool.starts_with(tool), "{} where {tool} is expected", recipe.tool);
        let rename = ["mv directory.", "[IO.File]::Move(", "Move-Item -Force"];
        assert!(rename.iter().any(|command| recipe.command.contains(command)), "{tool}: {}", recipe.command);
        assert!(recipe.configuration.contains("[scope]") && !recipe.tried_on.is_empty(), "{recipe:?}");
        let fetched = ["&& mv ", "&&\nmv ", "set -e", "$ErrorActionPreference = 'Stop'"];
        assert!(fetched.iter().any(|guard| recipe.command.contains(guard)), "{tool}: a failure replaces nothing");
    }
}
