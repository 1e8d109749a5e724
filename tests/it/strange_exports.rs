//! Exports that nobody meant to write: a shell's message, an archive, a title above the header, two files in one, invisible
//! letters. Each is read right or refused with what leads on, and in place of a good export it takes nobody's account away.

use crate::exports::Installation;
use crate::support::plans::render;

const HEADER: &str = "_id,username,firstname,lastname,state,groups";
const ROWS: &str =
    "a,a@x.example,Ann,Ash,ACTIVATED,R;Staff\nb,b@x.example,Bea,Bay,ACTIVATED,R\nc,c@x.example,Cy,Cole,SUSPENDED,R\n";

/// What becomes of a file: what is planned on an empty snapshot, or what is said and hinted.
enum Becomes {
    Read(&'static str),
    Refused(&'static str, &'static str),
}

use Becomes::{Read, Refused};

const BOTH: Becomes = Read("create a | create b");

fn csv(of: impl Fn(&str) -> String) -> Vec<u8> {
    of(&format!("{HEADER}\n{ROWS}")).into_bytes()
}

fn json(of_a: &str, of_all: &str) -> String {
    let user = |id: &str, more: &str| {
        format!("{{\"_id\":\"{id}\",\"username\":\"{id}@x.example\",\"state\":\"ACTIVATED\",\"groups\":{more}}}")
    };
    format!("[{},{}]", user("a", of_a), user("b", of_all))
}

fn separated(by: &str) -> Vec<u8> {
    csv(|text| text.replace(',', by))
}

/// Formats that are neither JSON nor CSV.
fn formats() -> Vec<(Vec<u8>, Becomes)> {
    let of = |bytes: &[u8], said, hint| (bytes.to_vec(), Refused(said, hint));
    vec![
        of(b"PK\x03\x04\x14\0\0\0\x08\0\x9c", "", "a spreadsheet (xlsx) or another archive"),
        of(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "", "an empty archive"),
        of(b"\x1f\x8b\x08\0\0\0\0\0\x02\xff", "not UTF-8", "compressed (gzip)"),
        of(b"BZh91AY&SY\n", "", "compressed (bzip2)"),
        of(b"\x28\xb5\x2f\xfd\x04\0", "", "compressed (zstd)"),
        of(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "", "a spreadsheet (xls)"),
        of(b"SQLite format 3\0\x10\0\x01\x01\0\x40\x20\x20\0\0\0\0\0\0\0\0\0", "", "a database (SQLite)"),
        of(b"%PDF-1.7\n", "", "a PDF"),
        of(b"BEGIN:VCARD\nEND:VCARD\n", "", "vCards"),
        of(b"_\0i\0d\0,\0u\0s\0e\0r\0n\0a\0m\0e\0\n\0", "", "UTF-16 without a byte order mark"),
        of(b"_\0\0\0i\0\0\0d\0\0\0,\0\0\0u\0\0\0s\0\0\0e\0\0\0r\0\0\0n\0\0\0a\0\0\0", "", "UTF-32"),
        of(b"\xff\xfe\0\0_\0\0\0i\0\0\0d\0\0\0,\0\0\0u\0\0\0s\0\0\0e\0\0\0", "", "UTF-32"),
        of(b"\0\0\xfe\xff\0\0\0_\0\0\0i\0\0\0d\0\0\0,\0\0\0u\0\0\0s\0\0\0e", "", "UTF-32"),
        of(b"curl: (22) The requested URL returned error: 401\n", "", "the message of a command that failed"),
        of(b"Unauthorized\n", "", "the message of a command that failed"),
        of(b"[{\"code\":401,\"message\":\"x\"}]", "its only record", "the answer to a failed request"),
        of(b" _id | username \n-----+----------\n a   | a@x.example\n(1 row)\n", "", "a table for reading"),
        of(b"_id username state\n--- -------- -----\na a@x.example ACTIVATED\n", "", "a table for reading"),
        of(b"[{'_id': 'a', 'username': 'a@x.example', 'suspended': True}]", "", "Python's own notation"),
        of(b"{\"_id\":\"a\"},\n{\"_id\":\"b\"}\n", "trailing data", "a comma follows each object"),
        of(b"{\"data\":{\"users\":[{\"id\":\"a\",\"username\":\"a@x.example\"}]}}", "", "jq '.data.users'"),
        of(b"[{\"_id\":{\"$oid\":\"a\"},\"username\":\"a@x.example\"}]", "id is not a string", "id = \"_id.$oid\""),
        of(b"[[{\"_id\":\"a\"}]]", "a record that is not an object", ""),
        of(
            b"[{\"_id\":\"a\",\"username\":\"a@x.example\",\"suspended\":false},]",
            "a record that is not an object",
            "",
        ),
        of(b"[{\"_id\":\"a\",\"username\":\"a@x.example\",\"lastname\": NaN}]", "", "`NaN` is not JSON"),
        of(b"Fetching users: 2\n[{\"_id\":\"a\"}]\n", "no `_id`", "something stands above the JSON"),
        of(b"{\"a\":{\"username\":\"a@x.example\"}}", "neither one user per line", "write an array of users"),
        of(b"{\"totalCount\":\"2\",\"results\":[]}", "a total that is not a number", "nothing was sent"),
        of(
            b"{\"totalCount\":1,\"results\":[{\"_id\":\"a\",\"username\":\"a@x.example\",\"state\":\"ACTIVATED\"}],\"errors\":[{\"message\":\"x\"}]}",
            "its `errors` says that it is not complete",
            "fix the export job",
        ),
    ]
}

/// CSV that is not quite as it should be.
fn tables() -> Vec<(Vec<u8>, Becomes)> {
    vec![
        (separated("|"), Refused("`|` instead of commas", "separated by `|`")),
        (separated(" | "), Refused("`|` instead of commas", "separated by `|`")),
        (csv(|text| text.replace('\n', "\r")), Refused("", "a carriage return alone")),
        (csv(|text| format!("User report\n\n{text}")), Refused("no `_id`", "the header is not on the first line")),
        (csv(|text| format!("# of today\n{text}")), Refused("no `_id`", "the header is not on the first line")),
        (csv(|text| format!("#TYPE A\n#TYPE B\n{text}")), Refused("no `_id`", "the header is not on the first line")),
        (csv(|text| format!("{text}Total: 3\n")), Refused("1 cells under 6 columns", "no title and no total")),
        (
            csv(|text| format!("{text}Total,3,,,,\n")),
            Read("create a | create b | refused Total: username is not an e-mail address"),
        ),
        (
            csv(|text| text.replace(HEADER, "_id,username,firstname,lastname,state,STATE")),
            Refused("two columns `state`", ""),
        ),
        (csv(|text| text.replace(HEADER, "_id,username,_ID,lastname,state,groups")), Refused("two columns `_id`", "")),
        (csv(|text| format!("\u{feff}\u{feff}{text}")), BOTH),
        (csv(|text| text.replace("_id", "\"\u{feff}_id\"")), BOTH),
        (csv(|text| text.replace("username", "\u{200b}username\u{a0}")), BOTH),
        (
            csv(|text| format!("{text}\u{feff}{HEADER}\nd,d@x.example,D,D,ACTIVATED,R\n")),
            Refused("the header is repeated", ""),
        ),
        (csv(|text| text.replace('\n', "\r\n").replacen("\r\n", "\n", 2)), BOTH),
        (csv(|text| text.replace("ED,", "ED  ,")), BOTH),
        (
            csv(|text| text.replace("SUSPENDED", "null")),
            Read("create a | create b | refused c: state \"null\" is not one of the known words"),
        ),
        (
            csv(|text| {
                text.replace("state", "suspended").replace("ACTIVATED", " False ").replace("SUSPENDED", "TRUE ")
            }),
            BOTH,
        ),
        (csv(|text| text.replace("a,a@", "\u{a0}a,a@")), Read("create b | create \u{a0}a")),
    ]
}

/// Lists of groups, where only those of `R` are wanted; `a` has an odd one.
fn groups() -> Vec<(Vec<u8>, Becomes)> {
    let odd = "refused a: groups is not a list of names separated by group_separator, or spells a group of [scope] \
               otherwise";
    let of = |list: &str, expected| (json(list, "[\"R\"]").into_bytes(), expected);
    let refused: &'static str = Box::leak(format!("create b | {odd}").into_boxed_str());
    vec![
        of("[\" R \"]", BOTH),
        of("[\"R,Staff\"]", Read(refused)),
        of("[\"Staff\",\"Staff | r\"]", Read(refused)),
        of("[\"R\u{200b}\"]", Read(refused)),
        of("[\"r\"]", Read(refused)),
        of("[\"R-Admins\",\"Staff\"]", Read("create b")),
        of("[]", Read("create b")),
        (csv(|text| text.replace("R;Staff", "null")), Read(refused)),
        (csv(|text| text.replace("R;Staff", "NULL")), Read(refused)),
        (csv(|text| text.replace("R;Staff", "System.String[]")), Read(refused)),
        (csv(|text| text.replace("R;Staff", "Array")), Read(refused)),
        (csv(|text| text.replace("R;Staff", "Staff;More...")), Read(refused)),
        (csv(|text| text.replace("R;Staff", "R\u{200b};Staff")), Read(refused)),
        (csv(|text| text.replace("R;Staff", "R\u{a0};Staff")), BOTH),
    ]
}

#[track_caller]
fn check(files: Vec<(Vec<u8>, Becomes)>, groups: &str) {
    let mut faults = Vec::new();
    let fresh = Installation::new();
    let mut running = Installation::new();
    crate::support::link(&mut running.connection, "a a@x.example|b b@x.example|c c@x.example");
    let path = fresh.folder.path().join("export");
    for (bytes, becomes) in files {
        std::fs::write(&path, &bytes).expect("written");
        let found = fresh.plan_of(&path, "", groups).map(|plan| render(&plan));
        let right = match (&becomes, &found) {
            (Read(expected), Ok(said)) => said == expected,
            (Refused(said, hinted), Err((error, hint))) => {
                error.contains("rejected as a whole") && error.contains(said) && hint.contains(hinted)
            }
            (Read(_), Err(_)) | (Refused(..), Ok(_)) => false,
        };
        let text = String::from_utf8_lossy(&bytes);
        if !right {
            faults.push(format!("{text:?}\n  {found:?}"));
        }
        let wanted = |id: &str| !text.contains("[]") && !text.contains("R-Admins") && id != "c";
        if let Ok(plan) = running.plan_of(&path, "", groups) {
            let removed = plan.changes().filter(|change| change.action().removes());
            let removed: Vec<_> = removed.filter(|change| wanted(change.directory_id().as_str())).collect();
            if !removed.is_empty() {
                faults.push(format!("{text:?}\n  removes {}", render(&plan)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_not_an_export_is_named_with_the_way_out() {
    check(formats(), "");
}

#[test]
fn a_table_that_is_not_quite_a_csv_is_read_right_or_leads_on() {
    check(tables(), "");
}

#[test]
fn a_group_that_is_written_otherwise_takes_nobody_out() {
    check(groups(), "\"R\"");
}
