//! `check`: what it says of the export at hand before a cycle would, and that every export which was accepted once and is refused
//! now is named with the key that lifts it.

use crate::support::real_binary::BINARY;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

/// A folder with a configuration that nobody is called by.
struct Checked(tempfile::TempDir);

impl Checked {
    /// `directory`: further lines of `[directory]` and its tables; `groups`: of `[scope]`.
    fn new(directory: &str, groups: &str) -> Self {
        let checked = Self(tempfile::tempdir().expect("a folder"));
        checked.configure(directory, groups);
        checked
    }

    fn configure(&self, directory: &str, groups: &str) {
        let text = format!(
            "[directory]\npath = \"export\"\n{directory}\n[scope]\ngroups = [{groups}]\n[rhombus]\n\
             base_url = \"https://rhombus.invalid/scim/v2\"\ntoken_file = \"token\"\n"
        );
        std::fs::write(self.path("config.toml"), text).expect("a configuration");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), bytes).expect("written");
        self
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(BINARY)
            .arg("-c")
            .arg(self.path("config.toml"))
            .args(arguments)
            .env("NO_COLOR", "1")
            .output()
            .expect("it runs")
    }

    /// The exit code, and what a terminal of 80 columns shows, without colour.
    fn on_a_terminal(&self, arguments: &str) -> (Option<i32>, String) {
        let command = format!("stty cols 80; {BINARY:?} -c {:?} {arguments}", self.path("config.toml"));
        let output = Command::new("script")
            .args(["-q", "-e", "-c", &command, "/dev/null"])
            .env("NO_COLOR", "1")
            .stdin(std::process::Stdio::null())
            .output()
            .expect("script(1) runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).replace('\r', ""))
    }

    #[track_caller]
    fn said(&self) -> String {
        let output = self.run(&["check"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn says(&self, expected: &[&str]) {
        let said = self.said();
        for text in expected {
            assert!(said.contains(text), "{text} is not in\n{said}");
        }
    }
}

#[test]
fn it_counts_what_the_records_ask_for_and_names_groups_that_nobody_is_in() {
    let checked = Checked::new("", "\"R\", \"Typo\"");
    checked.says(&["there is none yet", "token is missing\n    hint: put the token that the Rhombus console shows"]);
    let header = "_id,username,state,groups\n";
    let rows = "a,a@x.example,ACTIVATED,R\nb,b@x.example,SUSPENDED,R\nc,c@x.example,STAGED,R\nd,d@x.example,ACTIVATED,S\ne,e,ACTIVATED,R\n";
    checked.write("export", format!("{header}{rows}")).write("token", "CANARY-0123456789abcdef");
    let file = std::fs::File::options().write(true).open(checked.path("export")).expect("it opens");
    file.set_modified(SystemTime::now() - Duration::from_secs(3 * 3_600)).expect("a time");
    std::fs::set_permissions(checked.path("token"), PermissionsExt::from_mode(0o644)).expect("exposed");
    let output = checked.run(&["check"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("token is readable by others") && said.contains("hint: chmod o-rwx "), "{said}");
    std::fs::set_permissions(checked.path("token"), PermissionsExt::from_mode(0o000)).expect("closed");
    checked.says(&[
        "written 3 h ago (",
        "4 of 5 records usable: 1 wanted, 1 suspended, 1 staged, 1 out of scope\n",
        "1 refused: username is not an e-mail address\n",
        "no record names the group Typo of [scope]\n",
        "does not prove that it is complete",
    ]);
    let said = checked.said();
    assert!(!said.contains("CANARY") && !said.contains("token is") && !said.contains("token can"), "{said}");
    let output = checked.run(&["check", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(found["export"]["staged"], 1, "{found}");
    assert_eq!(found["groups_unnamed"], serde_json::json!(["Typo"]), "{found}");
    assert!(!checked.path("state").exists(), "it writes nothing");
}

#[test]
fn a_group_that_nobody_is_in_is_compared_with_those_that_are_there() {
    let export = "_id,username,state,groups\na,a@x.example,ACTIVATED,Rhombus;Staff\nb,b@x.example,ACTIVATED,Staff\n";
    for (group, hint) in [
        ("Rhombsu", "hint: did you mean \"Rhombus\"? the export has 2 groups: \"Rhombus\", \"Staff\"\n"),
        (
            "Staff;Rhombus",
            "hint: the export has \"Staff\" and \"Rhombus\" as groups of their own: list each on its own",
        ),
        ("Doors;West", "hint: `;` separates the groups of a cell: set [directory] group_separator"),
        ("Doors", "hint: the export has 2 groups: \"Rhombus\", \"Staff\"\n"),
    ] {
        let checked = Checked::new("", &format!("{group:?}"));
        checked.write("export", export).says(&[&format!("no record names the group {group} of [scope]\n    {hint}")]);
        let found: Value = serde_json::from_slice(&checked.run(&["check", "--json"]).stdout).expect("one document");
        assert_eq!(found["groups_there"], serde_json::json!(["Rhombus", "Staff"]), "{found}");
        let plan = checked.run(&["--reconcile", "--sandbox"]);
        let said = String::from_utf8_lossy(&plan.stderr).into_owned();
        assert!(plan.status.code() == Some(1) && said.contains("` shows them"), "{said}");
    }
    let checked = Checked::new("members_path = \"members\"", "\"Rhombsu\"");
    checked.write("export", "_id,username,state\na,a@x.example,ACTIVATED\n");
    checked.write("members", "GroupName,UserID\nRhombus,a\nStaff,a\n");
    checked.says(&["hint: did you mean \"Rhombus\"? the export has 2 groups: \"Rhombus\", \"Staff\"\n"]);
}

#[test]
fn what_is_valid_and_seldom_meant_is_said() {
    let checked = Checked::new("", "");
    checked.write("export", "_id,username,state,groups\na,a@x.example,ACTIVATED,Doors\n");
    checked.says(&["warning: [scope] groups is empty: everyone in the export is wanted"]);
    let path = checked.path("config.toml");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    let scope = "groups = [\"Rhombus\"]\nprotected = [\"ann\", \"root@x.example\"]";
    let text = format!("{}[schedule]\ntime_zone = \"America/Los_Angeles\"\n", text.replace("groups = []", scope));
    std::fs::write(&path, text).expect("written");
    checked.says(&[
        "no record names the group Rhombus of [scope]\n    hint: the export has one group: \"Doors\"\n",
        "warning: [scope] protected names \"ann\", which is not an e-mail address: it protects nobody",
    ]);
    let said = checked.said();
    let runs = said.lines().find(|line| line.contains("next runs: ")).expect("the next runs");
    assert!(runs.ends_with(" PST") || runs.ends_with(" PDT"), "{said}");
    assert!(!said.contains("root@x.example"), "{said}");
}

#[test]
fn a_file_that_would_be_refused_is_said_with_what_leads_on() {
    let checked = Checked::new("max_age = \"1h\"", "");
    checked.write("export", "userPrincipalName,id,givenName,surname,accountEnabled\na@x.example,a,A,B,True\n");
    checked.says(&[
        "it would be rejected as a whole: the header has no `username`",
        "[directory.columns]\n    id = \"id\"\n    username = \"userPrincipalName\"",
    ]);
    checked.write("export", "_id,username,state\na,a@x.example,ACTIVATED\n");
    let file = std::fs::File::options().write(true).open(checked.path("export")).expect("it opens");
    file.set_modified(SystemTime::now() - Duration::from_secs(3 * 3_600)).expect("a time");
    checked.says(&["1 of 1 records usable", "it would be rejected as a whole: it was written ", "more than 1h ago"]);
    let said = checked.said();
    assert!(said.contains("is valid, but a cycle would refuse the export") && !said.contains("is good"), "{said}");
}

#[test]
fn a_column_that_is_called_like_a_status_and_not_read_is_named() {
    let checked = Checked::new("", "");
    checked.write("export", "_id,username,activated,is_suspended\na,a@x.example,true,true\nb,b@x.example,true,false\n");
    checked.says(&["warning: its column `is_suspended` is called like a status, and is not read"]);
    checked.write("export", "_id,username,activated,suspended\na,a@x.example,true,true\n");
    assert!(!checked.said().contains("called like a status"));
}

#[test]
fn a_checksum_or_an_export_that_is_a_pipe_is_named_and_waited_for_by_nobody() {
    let checked = Checked::new("", "");
    checked.write("export", "_id,username,state\na,a@x.example,ACTIVATED\n");
    let pipe = |name: &str| {
        assert!(Command::new("mkfifo").arg(checked.path(name)).status().expect("it runs").success());
    };
    pipe("export.sha256");
    checked.says(&["its checksum export.sha256 cannot be read: it is not a regular file"]);
    std::fs::remove_file(checked.path("export")).expect("gone");
    pipe("export");
    checked.says(&["it is not a regular file", "hint: set [directory] path (and members_path) to a regular file"]);
}

#[test]
fn first_records_fit_a_terminal_of_80_columns() {
    let checked = Checked::new("[directory.columns]\nusername = \"mail\"", "\"R\"");
    let long = "x".repeat(70);
    let rows: String =
        (0..9).map(|n| format!("p{n},p{n}@{long}.example,ACTIVATED,\"R;{}\"\n", "Group;".repeat(30))).collect();
    checked.write("export", format!("_id,mail,state,groups\n{rows}"));
    let (code, shown) = checked.on_a_terminal("check --show");
    assert_eq!(code, Some(0), "{shown}");
    for said in [
        "record 1: wanted",
        "record 5: wanted",
        "  id: \"p0\"",
        "  username (`mail`): \"p0@xxx",
        "  groups: \"R\", \"Group\"",
    ] {
        assert!(shown.contains(said), "{said} is not in\n{shown}");
    }
    assert!(!shown.contains("record 6"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    checked.write("export", format!("_id,mail,state,groups\n{rows}p,\n"));
    let (_, shown) = checked.on_a_terminal("check --show");
    assert!(
        shown.contains("record 5")
            && shown.contains(
                "it would be rejected as a whole: row 11: 2 cells under 4 \
         columns"
            ),
        "{shown}"
    );
    checked.write("export", "");
    let (code, shown) = checked.on_a_terminal("check --show");
    assert!(code == Some(1) && shown.contains("hint: an empty file"), "{shown}");
}

#[test]
fn a_checksum_that_is_odd_or_wrong_is_named_as_such() {
    let checked = Checked::new("", "");
    checked.write("export", "_id,username,state\na,a@x.example,ACTIVATED\n");
    for (checksum, said) in [
        ("", "its checksum export.sha256 cannot be used: it is empty"),
        (&"0".repeat(128), "its checksum export.sha256 cannot be used: it is a SHA-512, not a SHA-256"),
        ("0123", "its checksum export.sha256 cannot be used: it contains no SHA-256 of 64 hex digits"),
        (&"0".repeat(64), "its checksum export.sha256 is not the export's"),
    ] {
        checked.write("export.sha256", checksum).says(&["it would be rejected as a whole", said]);
    }
}

#[test]
fn both_files_of_a_pair_are_looked_at() {
    let checked = Checked::new("members_path = \"members\"", "\"R\"");
    checked.write("export", "_id,username,state\na,a@x.example,ACTIVATED\nb,b@x.example,ACTIVATED\n");
    checked.says(&["it would be rejected as a whole: the export ", "members cannot be read"]);
    checked.write("members", "GroupName,UserID\nR,a\n");
    checked.says(&["members file: ", "2 of 2 records usable: 1 wanted, 0 suspended, 0 staged, 1 out of scope\n"]);
    checked.write("members", "GroupName,UserID\nS,a\n");
    checked.says(&["no record names the group R of [scope]"]);
    checked.write("members", "Group,User\nR,a\n");
    checked.says(&["members is rejected as a whole: the header has no `GroupName` and no `UserID` (or `Username`)"]);
    checked.configure("members_path = \"members\"\n[directory.columns]\ngroups = \"memberOf\"", "\"R\"");
    let output = checked.run(&["check"]);
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn first_records_are_shown_on_a_terminal_only() {
    let checked = Checked::new("", "");
    checked.write("export", "_id,username,state\na,a@x.example,ACTIVATED\n");
    for arguments in [&["check", "--show"][..], &["check", "--show", "--json"], &["check", "--show", "--online"]] {
        let output = checked.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("a@x.example"));
    }
    let output = checked.run(&["check", "--show"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: it shows people's names"));
}

/// An export that an earlier release accepted, what `check` says of it now, the lines that lift the refusal, and how many are
/// wanted with them.
const ACCEPTED_BEFORE: &[(&str, &str, &str, u64)] = &[
    (
        "_id,username\na,a@x.example\nb,b@x.example\n",
        "no record in it says whether its user is active",
        "without_state = \"activated\"",
        2,
    ),
    (
        "[{\"_id\":\"a\",\"username\":\"a@x.example\",\"enabled\":true},{\"_id\":\"b\",\"username\":\"b@x.example\",\"enabled\":false}]",
        "its column `enabled` is not mapped",
        "[directory.columns]\nstate = \"enabled\"\n[directory.states]\nactivated = [\"true\"]\nsuspended = [\"false\"]",
        1,
    ),
    (
        "[{\"_id\":\"a\",\"username\":\"a@x.example\",\"enabled\":true}]",
        "without_state = \"activated\"",
        "without_state = \"activated\"",
        1,
    ),
    (
        "_id,username,state\na,a@x.example,WA\nb,b@x.example,\n",
        "`state` contains no known state in any record",
        "without_state = \"activated\"\n[directory.columns]\nstate = \"\"",
        2,
    ),
    (
        "[{\"_id\":\"a\",\"username\":\"ann\",\"email\":\"a@x.example\",\"state\":\"ACTIVATED\"}]",
        "its only record cannot be used",
        "[directory.columns]\nusername = \"email\"",
        1,
    ),
    (
        "{\"users\":[{\"_id\":\"a\",\"username\":\"a@x.example\",\"state\":\"ACTIVATED\"}]}\n",
        "records = \"users\"",
        "records = \"users\"",
        1,
    ),
];

#[test]
fn what_was_accepted_and_is_refused_now_is_said_with_the_key_that_lifts_it() {
    for (export, said, lines, wanted) in ACCEPTED_BEFORE {
        let checked = Checked::new("", "");
        checked.write("export", export).says(&["it would be rejected as a whole", said]);
        checked.configure(lines, "");
        let said = checked.said();
        assert!(
            !said.contains("rejected as a whole") && said.contains(&format!("{wanted} wanted")),
            "{export}\n{said}"
        );
    }
}

#[test]
fn the_changelog_lists_every_kind_of_them_with_its_key() {
    let changelog = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/CHANGELOG.md")).expect("the log");
    let (_, list) = changelog.split_once("- Accepted before and rejected now").expect("its list");
    for key in
        ["without_state", "[directory.columns]", "[directory.states]", "min_users", "records", "username = \"email\""]
    {
        assert!(list.contains(key), "{key}");
    }
}

#[test]
fn each_place_that_sinks_and_seals_need_is_looked_at() {
    let checked = Checked::new("", "");
    checked.write("export", "[]");
    let config = |more: &str| {
        checked.configure("", "");
        let text = std::fs::read_to_string(checked.path("config.toml")).expect("a configuration");
        checked.write("config.toml", format!("{text}{more}"));
    };
    config(
        "[state]\nseal_key_file = \"seal\"\n\
         [[sinks]]\nkind = \"file\"\npath = \"nowhere/x.ndjson\"\n\
         [[sinks]]\nkind = \"syslog\"\nname = \"t\"\naddress = \"tcp+tls://h.invalid:1\"\ncert_file = \"c.pem\"\nkey_file = \"k.pem\"\n\
         [[sinks]]\nkind = \"http\"\nstyle = \"splunk-hec\"\nurl = \"https://h.invalid/x\"\ntoken_file = \"hec\"\n\
         [[sinks]]\nkind = \"syslog\"\nname = \"u\"\naddress = \"unix:///nowhere/log\"\n",
    );
    let output = checked.run(&["check"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for place in [
        "/seal is missing",
        "/nowhere is missing",
        "/c.pem is missing",
        "/k.pem is missing",
        "/hec is missing",
        "/nowhere/log is missing",
    ] {
        assert!(said.contains(place), "{place}: {said}");
    }
    for sink in [
        "kind = \"syslog\"\naddress = \"tcp+tls://h.invalid:1\"\nca_file = \"ca.pem\"\n",
        "kind = \"http\"\nstyle = \"ndjson\"\nurl = \"https://h.invalid/x\"\nca_file = \"ca.pem\"\n",
    ] {
        config(&format!("[[sinks]]\n{sink}"));
        let output = checked.run(&["check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.contains("ca.pem")), (Some(78), true), "{said}");
    }
}

#[test]
fn durations_that_switch_off_what_they_are_for_are_warned_of() {
    let checked = Checked::new("", "\"R\"");
    checked.write("export", "[]");
    let text = |keys: &str| {
        let path = checked.path("config.toml");
        let plain = std::fs::read_to_string(&path).expect("a configuration");
        std::fs::write(&path, format!("{plain}{keys}")).expect("written");
        let output = checked.run(&["check"]);
        std::fs::write(&path, plain).expect("written");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (keys, warning) in [
        ("[state]\nkeep_history = \"0s\"\n", "warning: [state] keep_history is shorter than a day"),
        ("[state]\nkeep_history = \"1s\"\n", "warning: [state] keep_history is shorter than a day"),
        ("[guard]\nwindow = \"1s\"\n", "warning: [guard] window is shorter than an hour"),
        ("settle_time = \"0s\"\n", "warning: [rhombus] settle_time is 0s"),
    ] {
        let text = text(keys);
        assert!(text.contains(warning), "{keys}: {text}");
    }
    assert!(!text("").contains("warning: [state]"));
}
