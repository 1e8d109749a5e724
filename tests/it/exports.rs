//! Exports as real programs write them (`tests/fixtures/exports`): read right as they are, or refused with what leads on;
//! read right with the lines that the refusal prints; and in place of a good export they take nobody's account away.

use crate::support::plans::render;
use rhombus_sync::config::Config;
use rhombus_sync::cycle::{CompareError, Known, compare, open_export};
use rhombus_sync::model::Moment;
use rhombus_sync::plan::ApprovedPlan;
use rhombus_sync::store;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Those of the six invented people who may come in.
pub(crate) const FOUR: [&str; 4] =
    ["ann.archer@example.com", "bela.mueller@example.com", "eve.oneil@example.com", "finn@example.com"];

/// What becomes of a file as it is.
enum As {
    /// The right four people.
    Right,
    /// Refused; the message has the first text, the hint the second.
    Refused(&'static str, &'static str),
    /// The same, and the lines of the hint make it right.
    Mended(&'static str, &'static str),
}

use As::{Mended, Refused, Right};

/// Every file, and what becomes of it.
const FILES: &[(&str, As)] = &[
    ("1password-op-user-list.json", Mended("no username", "1Password")),
    ("az-ad-user-list.json", Refused("no username", "it lacks accountenabled: ask for it too")),
    ("backup-jcorganization-user-ps51.json", Right),
    ("backup-jcorganization-user-ps7.json", Right),
    ("backup-jcorganization-user.csv", Right),
    ("bamboohr-report-renamed.csv", Mended("`state` contains no known state in any record", "a personnel report")),
    (
        "bamboohr-report.csv",
        Mended("no `_id` (or `id`) and no `username`; it has 7 columns: Employee #, First Name", "BambooHR"),
    ),
    ("canonical.json", Right),
    ("convertto-json-one-user.json", Refused("neither one user per line nor a page", "ConvertTo-Json")),
    ("convertto-json-ps51-utf16.json", Right),
    ("convertto-json-value-count.json", Mended("neither one user per line nor a page", "records = \"value\"")),
    ("csv-booleans-1-0.csv", Right),
    ("csv-booleans-yes-no.csv", Right),
    ("csv-no-last-newline.csv", Refused("the last line has no newline", "cut short")),
    (
        "csv-spaces-after-comma.csv",
        Refused("a quote in a cell that does not begin with one", "there are spaces after the commas"),
    ),
    ("csv-state-lower-case.csv", Right),
    ("csv-trailing-empty-columns.csv", Right),
    ("csv-username-no-email.csv", Mended("username is not an e-mail address", "username = \"email\"")),
    (
        "entra-portal-download-users.csv",
        Mended("no `username`; it has 29 columns: userPrincipalName, displayName", "Entra"),
    ),
    ("excel-csv-ansi-comma.csv", Refused("not UTF-8", "CSV UTF-8")),
    ("excel-csv-semicolon-utf8.csv", Refused("`;` instead of commas", "separated by `;`")),
    ("excel-csv-utf8.csv", Right),
    ("excel-sep-line.csv", Refused("no `_id`", "tells Excel the separator")),
    ("excel-unicode-text.txt", Refused("tabs instead of commas", "separated by tabs")),
    ("gam-print-users-fields.csv", Mended("no `username`", "GAM")),
    ("gam-print-users-renamed.csv", Refused("its column `archived` is not mapped", "without_state")),
    ("gam-print-users.csv", Refused("it has 1 column: primaryEmail", "gam print users fields id,primaryemail")),
    ("get-aduser-export-csv-notype.csv", Mended("no `_id`", "Active Directory")),
    ("get-aduser-export-csv-ps51.csv", Mended("no `_id`", "Active Directory")),
    ("get-jcbackup-usergroupmembers.csv", Refused("it has 3 columns: GroupName, Username, UserID", "members_path")),
    ("get-jcbackup-users-ps51.csv", Right),
    ("get-jcbackup-users-ps7.csv", Right),
    ("get-mguser-convertto-json.json", Mended("no username", "Microsoft Graph")),
    ("google-admin-console-users.csv", Mended("no `_id` (or `id`) and no `username`", "Google Admin console")),
    ("groups/good.json", Refused("", "")),
    ("jc-cli-users-list-all.csv", Right),
    ("jc-cli-users-list-default.csv", Refused("no `_id` (or `id`)", "--fields _id,username")),
    ("jc-cli-users-list-fields.csv", Right),
    ("jc-cli-users-list.json", Right),
    ("jc-cli-users-list.ndjson", Right),
    ("jumpcloud-api-page.json", Right),
    ("jumpcloud-go-exporter.csv", Refused("no `_id` (or `id`)", "Go exporter")),
    (
        "jumpcloud-module-recipe-names-only.csv",
        Refused("says whether its user is active", "Get-JCUser -returnProperties"),
    ),
    ("keycloak-realm-users-file.json", Mended("neither one user per line nor a page", "records = \"users\"")),
    ("keycloak-users.json", Mended("its column `enabled` is not mapped", "Keycloak")),
    ("microsoft-365-export-users.csv", Mended("no `_id` (or `id`) and no `username`", "Microsoft 365")),
    ("msgraph-users-page-with-newline.json", Refused("no id", "records = \"value\"")),
    ("msgraph-users-page.json", Refused("neither one user per line nor a page", "records = \"value\"")),
    ("okta-api-users.json", Mended("no username", "Okta")),
    ("tab-separated.tsv", Refused("tabs instead of commas", "separated by tabs")),
    ("workday-raas.json", Mended("neither one user per line nor a page", "Workday")),
    ("written-by-tools/csvkit-2.2.0-csvjson.json", Refused("id is not a string", "")),
    // It has five of the six.
    ("written-by-tools/gam-7.49.0-print-users-allfields.csv", Refused("no `username`", "GAM")),
    ("written-by-tools/gnumeric-1.12.55.csv", Right),
    ("written-by-tools/jumpcloud-2.0.1-list-users-json.json", Right),
    ("written-by-tools/libreoffice-7.4.7-default.csv", Refused("not UTF-8", "UTF-8 locale")),
    ("written-by-tools/miller-6.6.0-null.csv", Right),
    ("written-by-tools/okta-cli-18.1.2-users-list.csv", Mended("no `username`", "Okta")),
    ("written-by-tools/okta-cli-18.1.2-users-list.json", Mended("no username", "Okta")),
    ("written-by-tools/okta-cli-18.1.2-users-list.txt", Refused("an e-mail address among their names", "")),
    ("written-by-tools/pandas-3.1.1-list-cell.csv", Right),
    ("written-by-tools/sqlite3-3.40.1.csv", Right),
    ("written-by-tools/xlsx2csv-0.8.6.csv", Right),
];

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exports")
}

/// Files that the lines of their refusal make right.
pub(crate) fn mended() -> impl Iterator<Item = &'static str> {
    FILES.iter().filter(|(_, becomes)| matches!(becomes, Mended(..))).map(|(file, _)| *file)
}

fn names() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&fixtures(), &mut found);
    let name = |path: PathBuf| path.strip_prefix(fixtures()).expect("inside").to_string_lossy().into_owned();
    found.into_iter().map(name).collect()
}

/// A state, and plans of files under configurations.
pub(crate) struct Installation {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) connection: Connection,
}

impl Installation {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = crate::support::state(folder.path(), "https://x.example");
        Self { folder, connection }
    }

    /// What is planned, or what is said and hinted.
    fn plan(&self, file: &str, directory: &str, groups: &str) -> Result<ApprovedPlan, (String, String)> {
        self.plan_of(&fixtures().join(file), directory, groups)
    }

    /// The same of a file anywhere.
    pub(crate) fn plan_of(&self, file: &Path, directory: &str, groups: &str) -> Result<ApprovedPlan, (String, String)> {
        let path = self.folder.path().join("config.toml");
        let text = format!(
            "[directory]\npath = {:?}\n{directory}\n[scope]\ngroups = [{groups}]\n",
            file.display().to_string()
        );
        std::fs::write(&path, &text).expect("written");
        let settings = Config::load(&path).unwrap_or_else(|error| panic!("{file:?}: {error:?}\n{text}")).settings;
        let installation = store::installation(&self.connection).expect("an installation");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let now = Moment(now.as_millis() as i64);
        let planned = open_export(&settings, now, &installation, &Default::default())
            .map_err(CompareError::from)
            .and_then(|mut export| compare(&self.connection, &settings, &mut export, Known::default(), now));
        match planned {
            Ok(compared) => Ok(compared.plan),
            Err(error) => Err((rhombus_sync::model::chain(&error).join(": "), error.hint().unwrap_or_default())),
        }
    }
}

fn created(plan: &ApprovedPlan) -> BTreeSet<String> {
    plan.changes().map(|change| change.user_name().as_str().to_owned()).collect()
}

fn right(plan: Result<ApprovedPlan, (String, String)>) -> Result<(), String> {
    let plan = plan.map_err(|(said, hint)| format!("refused: {said}\n  {hint}"))?;
    if created(&plan) == FOUR.map(str::to_owned).into() { Ok(()) } else { Err(render(&plan)) }
}

/// What is wrong with what became of a file.
fn judge(file: &str, becomes: &As) -> Result<(), String> {
    let plan = Installation::new().plan(file, "", "");
    let (said, hinted) = match becomes {
        Right => return right(plan),
        Refused(said, hinted) | Mended(said, hinted) => (said, hinted),
    };
    let (error, hint) = plan.map_or_else(Ok, |plan| Err(format!("not refused: {}", render(&plan))))?;
    let shown = format!("{error}\n  {hint}");
    let fits = error.contains("rejected as a whole") && error.contains(said) && hint.contains(hinted);
    if !fits || shown.contains("@example") {
        return Err(shown);
    }
    match becomes {
        Right | Refused(..) => Ok(()),
        Mended(..) => right(Installation::new().plan(file, &lines(&hint), ""))
            .map_err(|fault| format!("{shown}\nmended: {fault}")),
    }
}

/// The lines of a hint that go into the configuration, what is for `[directory]` itself first.
fn lines(hint: &str) -> String {
    let lines = hint.lines().skip_while(|line| !line.starts_with('['));
    lines.filter(|line| *line != "[directory]").collect::<Vec<_>>().join("\n")
}

#[test]
fn every_file_is_read_right_or_leads_on() {
    let files = FILES.iter().filter(|(file, _)| !file.starts_with("groups/"));
    let faults: Vec<_> =
        files.filter_map(|(file, becomes)| Some(format!("{file}: {}", judge(file, becomes).err()?))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn a_file_that_was_cut_in_any_format_is_said_to_be() {
    let installation = Installation::new();
    let (user, row) =
        ("{\"_id\":\"a\",\"username\":\"a@x.example\",\"state\":\"ACTIVATED\"}", "a,a@x.example,ACTIVATED\n");
    let utf_16: Vec<u8> = std::iter::once(0xfeff).chain(user.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for whole in [
        format!("[{user},{user}]").into_bytes(),
        format!("{user}\n{user}\n").into_bytes(),
        format!("_id,username,state\n{row}{row}").into_bytes(),
        utf_16,
    ] {
        let path = installation.folder.path().join("cut");
        std::fs::write(&path, &whole[..whole.len() - 1]).expect("written");
        let (error, hint) = installation.plan(path.to_str().expect("UTF-8"), "", "").expect_err("refused");
        assert!(hint.contains("cut short"), "{error}\n{hint}");
    }
    let path = installation.folder.path().join("odd");
    std::fs::write(&path, format!("[{user} {user}]")).expect("written");
    let (error, hint) = installation.plan(path.to_str().expect("UTF-8"), "", "").expect_err("refused");
    assert!(!hint.contains("cut short"), "{error}\n{hint}");
}

#[test]
fn every_file_of_the_folder_has_its_line() {
    let known: BTreeSet<_> = FILES.iter().map(|(file, _)| (*file).to_owned()).collect();
    let twice = "written-by-tools/libreoffice-7.4.7-utf8-out-after-csv-in.csv";
    let rest: Vec<_> = names().into_iter().filter(|name| !known.contains(name) && name != twice).collect();
    assert!(rest.iter().all(|name| name.starts_with("groups/groups-")), "{rest:?}");
}

#[test]
fn in_place_of_a_good_export_no_file_removes_anybody() {
    let mut installation = Installation::new();
    let good = installation.plan("canonical.json", "", "").expect("a plan");
    let users: Vec<_> =
        good.changes().map(|change| format!("{} {}", change.directory_id(), change.user_name())).collect();
    crate::support::link(&mut installation.connection, &users.join("|"));
    for file in names() {
        let Ok(plan) = installation.plan(&file, "", "") else { continue };
        let removed: Vec<_> = plan.changes().filter(|change| change.action().removes()).collect();
        assert!(removed.is_empty(), "{file}: {}", render(&plan));
    }
}

#[test]
fn groups_that_are_written_otherwise_remove_nobody() {
    for file in names().into_iter().filter(|name| name.starts_with("groups/")) {
        let mut installation = Installation::new();
        let users: Vec<_> = (0..10).map(|n| format!("id{n:02} user{n}@example.com First{n} Last{n}")).collect();
        crate::support::link(&mut installation.connection, &users.join("|"));
        let said = match installation.plan(&file, "", "\"Rhombus\"") {
            Ok(plan) => render(&plan),
            Err((said, _)) => said,
        };
        assert!(!said.contains("delete ") && !said.contains("deactivate "), "{file}: {said}");
        let understood = ["good", "semicolon"].iter().any(|name| file.contains(name));
        assert_eq!(said == "10 unchanged", understood, "{file}: {said}");
    }
}
