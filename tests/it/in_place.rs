//! Odd files over a good export, as jobs, databases, spreadsheets and people leave them. Each says of everybody what the good one
//! says, or less. So nobody loses an account, the newcomer alone may get one, and no name changes; the guard stops nothing here.

use crate::support::plans::render;
use crate::support::{NOW, link, settings, state};
use rhombus_sync::config::Settings;
use rhombus_sync::cycle::{CompareError, Known, compare, open_export};
use rhombus_sync::model::{Action, Spoken, WithoutState};
use rhombus_sync::plan::{ApprovedPlan, GroupsSeen, Scope};
use rhombus_sync::store;
use rusqlite::Connection;

const HEADER: &str = "_id,username,firstname,lastname,state,suspended,groups";
/// Ann to Fay have accounts; Gil is suspended, Hal staged, Ida in no scoped group, and Jo is new.
const ROWS: [&str; 10] = [
    "00411,ann@x.example,Ann,Ash,ACTIVATED,false,Doors;Staff",
    "5f0000000000000000000002,bea@x.example,Bea,Bay,ACTIVATED,false,Doors",
    "00413,cy@x.example,Cy,Cole,ACTIVATED,false,Staff;Doors",
    "73928e05,dee@x.example,Dee,Zo\u{eb},ACTIVATED,false,Doors;Staff",
    "612345678901234567890123,eve@x.example,Eve,O'Neil,ACTIVATED,false,Doors",
    "6f9619ff-8b86-d011-b42d-00c04fc964ff,fay@x.example,Fay,Finch,ACTIVATED,false,Doors;Staff",
    "5f0000000000000000000007,gil@x.example,Gil,Gray,SUSPENDED,true,Doors",
    "5f0000000000000000000008,hal@x.example,Hal,Hart,STAGED,false,Doors",
    "5f0000000000000000000009,ida@x.example,Ida,Ives,ACTIVATED,false,Staff",
    "5f000000000000000000000a,jo@x.example,Jo,Jones,ACTIVATED,false,Doors;Staff",
];
const LINKED: usize = 6;
const NEWCOMER: &str = "jo@x.example";

fn csv() -> String {
    format!("{HEADER}\n{}\n", ROWS.join("\n"))
}

fn objects() -> Vec<String> {
    let object = |row: &&str| {
        let cells: Vec<_> = row.split(',').collect();
        let groups: Vec<_> = cells[6].split(';').collect();
        let names: Vec<_> = HEADER.split(',').collect();
        let texts: String = (0..5).map(|at| format!("{:?}:{},", names[at], serde_json::json!(cells[at]))).collect();
        format!("{{{texts}\"suspended\":{},\"groups\":{}}}", cells[5], serde_json::json!(groups))
    };
    ROWS.iter().map(object).collect()
}

fn json() -> String {
    format!("[{}]", objects().join(","))
}

/// Somebody's row or record in other words.
fn edited(text: &str, edits: &[(&str, &str)]) -> Vec<u8> {
    let mut text = text.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from:?} is not in {text}");
        text = text.replace(from, to);
    }
    text.into_bytes()
}

/// Only in this person's line.
fn of(who: &str, from: &str, to: &str) -> Vec<u8> {
    let line = |line: &str| if line.contains(who) { line.replacen(from, to, 1) } else { line.to_owned() };
    let text: String = csv().lines().map(|text| line(text) + "\n").collect();
    assert_ne!(text, csv(), "{who}: {from}");
    text.into_bytes()
}

/// What databases and spreadsheets make of cells.
fn cells() -> Vec<Vec<u8>> {
    let mut files: Vec<_> = [
        "Staff, Doors",
        "Staff|Doors",
        "Staff / Doors",
        "Staff\\nDoors",
        "Doors (direct)",
        "Staff;doors",
        "cn=doors;cn=staff",
        "b'Doors'",
        "\\N",
        "(null)",
        "#N/A",
        "#REF!",
        "System.Object[]",
        "[object Object]",
        "Doors\u{200b}",
        "Staff;...",
        "Staff;2 more",
        "Staff; etc.",
        "Staff:Doors",
    ]
    .into_iter()
    .map(|cell| of("bea@", ",Doors", &format!(",\"{cell}\"")))
    .collect();
    files.push(of("bea@", ",Doors", &format!(",\"{}\"", &"Staff;".repeat(200)[..1_024])));
    for state in ["Suspended (legal)", "", "0", "\\N", "ACTIVATED?", "n/a", "SUSPENDIERT"] {
        files.push(of("gil@", "SUSPENDED,true", &format!("{state},")));
    }
    for suspended in ["Y", "T", "wahr", "-1", "2024-01-01", "\\N", "1.0", "on"] {
        files.push(of("gil@", "SUSPENDED,true", &format!("ACTIVATED,{suspended}")));
    }
    for id in ["null", "#REF!", "System.Byte[]", "\"=\"\"00413\"\"\"", "'00413", "413.0", "\"00,413\"", "00413 ", "0"] {
        files.push(of("cy@", "00413", id));
    }
    for name in ["mailto:ann@x.example", "<ann@x.example>", "ANN@X.EXAMPLE", "ann@x.example ", "ann", "'ann@x.example"]
    {
        files.push(of("ann@", "ann@x.example", name));
    }
    for name in ["Zo?", "Zo\u{c3}\u{ab}", "null", "#NAME?", "Zoe\u{308}", "System.Object[]"] {
        files.push(of("dee@", "Zo\u{eb}", name));
    }
    files
}

/// What jobs make of a table as a whole.
fn tables() -> Vec<Vec<u8>> {
    let good = csv();
    let all = |edits: &[(&str, &str)]| edited(&good, edits);
    let quoted = |text: &str| text.lines().map(|line| format!("\"{line}\"\n")).collect::<String>().into_bytes();
    vec![
        all(&[
            ("00411", "411"),
            ("00413", "413"),
            ("73928e05", "7392800000"),
            ("612345678901234567890123", "6.12346E+23"),
        ]),
        all(&[("6f9619ff-8b86-d011-b42d-00c04fc964ff", "{6F9619FF-8B86-D011-B42D-00C04FC964FF}")]),
        all(&[("5f00000000000000000000", "5F00000000000000000000")]),
        all(&[
            ("Doors;Staff", "Staff,Doors"),
            (",Staff;Doors", ",\"Staff,Doors\""),
            (",Staff,Doors", ",\"Staff,Doors\""),
        ]),
        all(&[("Doors", "Rhombus")]),
        all(&[(",Doors;Staff", ","), (",Staff;Doors", ","), (",Doors\n", ",\n"), (",Staff\n", ",\n")]),
        all(&[("suspended", "Suspended?")]),
        all(&[("state,suspended", "suspended,state")]),
        all(&[(HEADER, "_id,username,firstname,lastname,state,STATE,groups")]),
        all(&[(HEADER, "_id,username,firstname,lastname,accountEnabled,AccountEnabled,groups")]),
        all(&[("state", "status"), ("suspended", "blocked")]),
        all(&[("ACTIVATED", "enabled"), ("SUSPENDED", "disabled"), ("STAGED", "pending")]),
        all(&[("false", "N"), ("true", "Y")]),
        all(&[("false", ""), ("true", "")]),
        all(&[("ACTIVATED", ""), ("SUSPENDED", ""), ("STAGED", "")]),
        all(&[("Cy,Cole", "Cy,Cole, Jr.")]),
        all(&[("Cy,Cole,ACTIVATED", "Cy,Cole, Jr.")]),
        all(&[("\n", "\r\r\n")]),
        all(&[("\n", "\r")]),
        all(&[("\n", "\\n")]),
        all(&[("ED,false,Doors", "ED,false,Doors,")]),
        all(&[(",false,Doors\n", "\n")]),
        all(&[("'", "\\\"")]),
        quoted(&good),
        format!("{good}\0\0\0\0").into_bytes(),
        format!("{good}{good}").into_bytes(),
        format!("{good}\n10 rows\n").into_bytes(),
        format!("{good}ann@x.example,00411,Ann,Ash,SUSPENDED,true,Doors\n").into_bytes(),
        format!("{good}00411,ann@x.example,Ann,Ash,ACTIVATED,false,Staff\n").into_bytes(),
        good.lines().map(|line| format!("{line};\n")).collect::<String>().into_bytes(),
        good.lines().map(|line| format!("| {} |\n", line.replace(',', " | "))).collect::<String>().into_bytes(),
        good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        good.chars().map(|c| c as u8).collect(),
        good.replace('\u{eb}', "\u{c3}\u{ab}").into_bytes(),
        good.replace(',', "\t").into_bytes(),
    ]
}

/// What programs make of a document.
fn documents() -> Vec<Vec<u8>> {
    let good = json();
    let all = |edits: &[(&str, &str)]| edited(&good, edits);
    let page = |more: &str| format!("{{\"totalCount\":10,\"results\":{good}{more}}}").into_bytes();
    let two_pages = |more: &str| {
        let half = |from: usize, to: usize| objects()[from..to].join(",");
        format!(
            "{{\"totalCount\":10,\"results\":[{}]{more}}}{{\"totalCount\":10,\"results\":[{}]}}",
            half(0, 5),
            half(5, 10)
        )
    };
    vec![
        all(&[("[\"Doors\"]", "\"Doors\"")]),
        all(&[("[\"Doors\"]", "{\"Doors\":true}")]),
        all(&[("[\"Doors\"]", "[[\"Doors\"]]")]),
        all(&[("[\"Doors\"]", "[{\"displayName\":\"Doors\"}]")]),
        all(&[("[\"Doors\"]", "[{\"name\":null}]")]),
        all(&[("[\"Doors\"]", "[\"CN=Doors,OU=Groups,DC=x\"]")]),
        all(&[("[\"Doors\"]", "[\"/Staff/Doors\"]")]),
        all(&[("[\"Doors\"]", "[\"staff:doors\"]")]),
        all(&[("[\"Doors\"]", "[\"b'Doors'\"]")]),
        all(&[("[\"Doors\"]", "[101]")]),
        all(&[("[\"Doors\"]", "null")]),
        all(&[("\"groups\"", "\"memberOf\"")]),
        all(&[("\"ACTIVATED\"", "true"), ("\"SUSPENDED\"", "false")]),
        all(&[("\"SUSPENDED\",\"suspended\":true", "{\"value\":\"SUSPENDED\"},\"suspended\":null")]),
        all(&[("\"SUSPENDED\",\"suspended\":true", "\"ACTIVATED\",\"suspended\":\"true\"")]),
        all(&[("\"SUSPENDED\",\"suspended\":true", "\"ACTIVATED\",\"suspended\":null")]),
        all(&[("\"SUSPENDED\",\"suspended\":true", "\"ACTIVATED\",\"suspended\":2")]),
        all(&[("\"_id\":\"00411\"", "\"_id\":411")]),
        all(&[("\"_id\":\"00411\"", "\"_id\":411.0")]),
        all(&[("\"_id\":\"612345678901234567890123\"", "\"_id\":612345678901234567890123")]),
        all(&[("\"_id\":\"612345678901234567890123\"", "\"_id\":6.123456789012346e+23")]),
        all(&[("\"_id\":\"00411\"", "\"_id\":{\"$oid\":\"00411\"}")]),
        all(&[("\"_id\":\"00411\"", "\"_id\":[0,4,1,1]")]),
        all(&[("\"_id\":\"00411\"", "\"_id\":\"undefined\"")]),
        all(&[("\"_id\":\"00411\"", "\"_id\":\"00411\",\"_ID\":\"x\"")]),
        all(&[("\"_id\":\"00411\",", "")]),
        page(",\"errors\":[{\"message\":\"2 users could not be read\"}]"),
        page(",\"nextPageToken\":\"x\""),
        page(",\"@odata.nextLink\":\"https://x.example\""),
        page(",\"status\":\"partial\""),
        two_pages(",\"errors\":[{\"message\":\"x\"}]").into_bytes(),
        two_pages(",\"incomplete_results\":true").into_bytes(),
        format!("{good}{good}").into_bytes(),
        format!("{good}\0\0").into_bytes(),
        serde_json::json!(good).to_string().into_bytes(),
        format!("{{\"value\":{good},\"Count\":10}}\n").into_bytes(),
        format!("{{\"users\":{good}}}").into_bytes(),
        b"{\"error\":{\"code\":\"InvalidAuthenticationToken\",\"message\":\"x\",\"innerError\":{}}}".to_vec(),
        b"<!DOCTYPE html><title>Sign in</title>".to_vec(),
        objects().iter().map(|object| format!("{object},\n")).collect::<String>().into_bytes(),
        format!("{}\n{{\"error\":\"timeout\"}}\n", objects()[..8].join("\n")).into_bytes(),
        format!("{}\n{}", objects()[0], "Killed\n").into_bytes(),
    ]
}

/// An installation that has read the good export, and whose guard is wide open.
fn installation(folder: &std::path::Path) -> (Connection, Settings) {
    let mut connection = state(folder, "https://x.example");
    let user = |row: &&str| row.split(',').take(4).collect::<Vec<_>>().join(" ");
    link(&mut connection, &ROWS[..LINKED].iter().map(user).collect::<Vec<_>>().join("|"));
    let transaction = connection.transaction().expect("a transaction");
    let all = ROWS.len() as u64;
    let spoken = Spoken { records_count: all, state: all, activated: 0, suspended: all, groups: all };
    store::note_spoken(&transaction, 1, &spoken).expect("noted");
    let seen = GroupsSeen { named: [("Doors".to_owned(), true)].into(), ..GroupsSeen::default() };
    store::note_groups(&transaction, &seen, true, NOW).expect("noted");
    // The same scope then and now: what is in the export is the only cause of a removal.
    transaction.execute("UPDATE settings SET json = replace(json, '\"R\"', '\"Doors\"')", []).expect("a scope");
    let then = store::scope_versions(&transaction).expect("scopes").remove(0).1.expect("a scope");
    transaction.commit().expect("a commit");
    let scope = Scope::new(&["Doors".to_owned()], &[]);
    let settings = Settings { without_state: WithoutState::Refuse, scope, wanted_under: then, ..settings(folder) };
    (connection, settings)
}

/// Plans from a file; `None` if it is refused whole.
fn plan(folder: &std::path::Path, connection: &Connection, settings: &Settings, file: &[u8]) -> Option<ApprovedPlan> {
    std::fs::write(folder.join("directory.json"), file).expect("an export");
    let installation = store::installation(connection).expect("an installation");
    let planned = open_export(settings, NOW, &installation, &Default::default())
        .map_err(CompareError::from)
        .and_then(|mut export| compare(connection, settings, &mut export, Known::default(), NOW));
    planned.ok().map(|compared| compared.plan)
}

#[test]
fn no_odd_file_takes_a_key_or_gives_one_to_anybody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (connection, settings) = installation(folder.path());
    for good in [
        csv().into_bytes(),
        json().into_bytes(),
        objects().iter().map(|o| format!("{o}\n").into_bytes()).collect::<Vec<_>>().concat(),
    ] {
        let plan = plan(folder.path(), &connection, &settings, &good).expect("a plan");
        assert_eq!(render(&plan), "create 5f000000000000000000000a");
    }
    let left = edited(
        &csv(),
        &[(
            "00411,ann@x.example,Ann,Ash,ACTIVATED,false,Doors;Staff",
            "00411,ann@x.example,Ann,Ash,ACTIVATED,false,Staff",
        )],
    );
    let plan_of_leaver = plan(folder.path(), &connection, &settings, &left).expect("a plan");
    assert!(render(&plan_of_leaver).contains("delete 00411"), "the guard is open: {}", render(&plan_of_leaver));
    let files = [cells(), tables(), documents()].concat();
    assert!(files.len() >= 120, "{}", files.len());
    let mut faults = Vec::new();
    for file in files {
        let Some(plan) = plan(folder.path(), &connection, &settings, &file) else { continue };
        let wrong = |change: &rhombus_sync::model::Change| match change.action() {
            Action::Create | Action::Link => change.user_name().as_str() != NEWCOMER,
            Action::Relink => false,
            Action::Update | Action::Deactivate | Action::Delete => true,
        };
        if plan.changes().any(|change| wrong(&change)) {
            faults.push(format!("{}\n  {}", String::from_utf8_lossy(&file), render(&plan)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
