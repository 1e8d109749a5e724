//! Answers without end, and answers that become a hundred times as much in memory.

use super::*;
use crate::support::raw_endpoint::{Asked, EMPTY_LIST, Endpoint};
use crate::support::real_binary::{BINARY, people};
use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// As long as an answer may be, in bytes.
const LONGEST: usize = (8 << 20) - 64;
/// An object of one member takes more memory than any other text of its length.
const COSTLY: &str = "{\"a\":0},";

/// A folder with a configuration, and an export of eight users.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new(base_url: &str, directory: &str, keys: &str) -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a folder") };
        for (name, text) in [("token", "CANARY-0123456789abcdef0123456789abcdef"), ("key", "k-0123456789abcdef")] {
            std::fs::write(desk.path(name), text).expect("a secret");
            std::fs::set_permissions(desk.path(name), PermissionsExt::from_mode(0o600)).expect("private");
        }
        let text = format!(
            "[directory]\n{directory}\n[rhombus]\nbase_url = \"{base_url}\"\ntoken_file = \"token\"\n\
             requests_per_second_max = 100000\ntimeout = \"20s\"\n{keys}\n[state]\npath = \"state.db\"\n"
        );
        std::fs::write(desk.path("config.toml"), text).expect("a configuration");
        desk.export(8, "Doe");
        desk
    }

    /// An export of so many users.
    fn export(&self, count: usize, last_name: &str) {
        let mut people = people(0..count);
        people.iter_mut().for_each(|person| person["lastname"] = last_name.into());
        std::fs::write(self.path("directory.json"), Value::from(people).to_string()).expect("an export");
    }

    fn of_file(base_url: &str, keys: &str) -> Self {
        Self::new(base_url, "path = \"directory.json\"", keys)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A state with these users linked, so that accounts are read and changed.
    fn with_links(self, base_url: &str) -> Self {
        let path = self.path("state.db");
        drop(
            rhombus_sync::store::create(&path, base_url, rhombus_sync::model::Moment(1_000), [7; 16]).expect("a state"),
        );
        self
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-c").arg(self.path("config.toml")).args(words).env("NO_COLOR", "1");
        command
    }
}

/// Writes an answer whose body is this text before, so many of these, and that after.
fn long(asked: &mut Asked<'_>, status: u16, (before, each, after): (&str, &str, &str)) {
    let body =
        format!("{before}{}{after}", each.repeat(LONGEST.saturating_sub(before.len() + after.len()) / each.len()));
    asked.answer(status, "", &body);
}

/// Answers a look-up with nobody, a create as it was asked for, and a read with the account.
fn obey(asked: &mut Asked<'_>) {
    if asked.is_list() {
        return asked.answer(200, "", EMPTY_LIST);
    }
    let mut account: Value = serde_json::from_str(&asked.body).unwrap_or_else(|_| json!({}));
    account["id"] = format!("id-of-{}", account["userName"].as_str().unwrap_or_default()).into();
    asked.answer(201, "", &account.to_string());
}

#[test]
fn answers_to_a_change_become_no_tree() {
    let account = "{\"id\":\"1\",\"userName\":\"p1@x.example\",\"x\":[";
    for (what, status, parts, keys) in [
        ("objects beside an account", 201, (account, COSTLY, "0]}"), ""),
        ("numbers", 201, (account, "0,", "0]}"), ""),
        ("members", 201, ("{\"id\":\"1\",", "\"a\":0,", "\"b\":0}"), ""),
        ("an escaped text", 201, ("{\"id\":\"1\",\"x\":\"", "\\u0041", "\"}"), ""),
        ("objects and an escape", 201, ("{\"id\":\"\\u0031\",\"x\":[", COSTLY, "0]}"), ""),
        ("a number for an id", 201, ("{\"id\":1", "7", "}"), ""),
        ("an error of objects", 400, ("{\"detail\":\"no\",\"x\":[", COSTLY, "0]}"), ""),
        ("an error of text", 503, ("", "no ", ""), ""),
        ("a page", 200, ("<html>", "<p>", ""), ""),
        ("32 at once", 201, (account, "0,", "0]}"), "concurrency_max = 32"),
    ] {
        let endpoint = Endpoint::start(move |asked| match asked.line.starts_with("POST") {
            true => long(asked, status, parts),
            false => obey(asked),
        });
        let desk = Desk::of_file(&endpoint.base_url, keys).with_links(&endpoint.base_url);
        let ended = bounded(what, &mut desk.command(&["--reconcile"]));
        assert!(matches!(ended.exit, 0 | 1 | 3), "{what}: exit {}: {}", ended.exit, ended.said);
        assert!(endpoint.seen().iter().any(|request| request.starts_with("POST")), "{what}");
    }
}

#[test]
fn accounts_that_are_sent_back_are_held_one_at_a_time() {
    let names = |account: &Value| account["name"]["familyName"].as_str().unwrap_or_default().to_owned();
    for (what, each) in [("a photo", "x"), ("objects", COSTLY)] {
        let stored = std::sync::Mutex::new(std::collections::BTreeMap::<String, Value>::new());
        let endpoint = Endpoint::start(move |asked| {
            let mut stored = stored.lock().expect("whole");
            let id = asked.line.split([' ', '?']).nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            let id = id.to_owned();
            if asked.line.starts_with("POST") {
                let mut account: Value = serde_json::from_str(&asked.body).expect("an account");
                account["id"] = format!("id-{}", account["externalId"].as_str().unwrap_or_default()).into();
                stored.insert(account["id"].as_str().unwrap_or_default().to_owned(), account.clone());
                return asked.answer(201, "", &account.to_string());
            }
            let Some(account) = stored.get(&id).cloned() else { return asked.answer(200, "", EMPTY_LIST) };
            if asked.line.starts_with("PUT") {
                assert!(asked.body.len() > LONGEST / 2, "all of it goes back");
                let put: Value = serde_json::from_str(&asked.body).expect("an account");
                let mut account = account;
                account["name"] = put["name"].clone();
                stored.insert(id, account.clone());
                return asked.answer(200, "", &account.to_string());
            }
            let (text, around) = (account.to_string(), if each == "x" { ("\"", "\"}") } else { ("[", "0]}") });
            let before = format!("{},\"photo\":{}", &text[..text.len() - 1], around.0);
            long(asked, 200, (&before, each, around.1));
        });
        let desk = Desk::of_file(&endpoint.base_url, "update_method = \"put\"").with_links(&endpoint.base_url);
        desk.export(4, "Doe");
        bounded(what, &mut desk.command(&["--reconcile"])).with(what, 0, "4 created");
        desk.export(4, "Roe");
        let ended = bounded(what, &mut desk.command(&["--reconcile"]));
        if each == "x" {
            ended.with(what, 0, "4 updated");
            let put = endpoint.seen().into_iter().find(|request| request.starts_with("PUT")).expect("a PUT");
            let body: Value = serde_json::from_str(put.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
            assert_eq!(names(&body), "Roe");
        } else {
            ended.with(what, 1, "could not read the account before the PUT");
        }
    }
}

#[test]
fn lists_without_end_stay_small() {
    let begin = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"totalResults\":1000000000,\"Resources\":[";
    type Record = fn(u64) -> String;
    let usual: Record = |n| format!("{{\"id\":\"{n:032}\",\"externalId\":\"e{n}\",\"userName\":\"p{n}@x.example\"}},");
    let odd: Record = |n| {
        let wide = "w".repeat(200);
        format!("{{\"id\":\"{n:01000}\",\"externalId\":\"{n:0250}\",\"userName\":\"{wide}{n}\",\"x\":{}}},", "[0]")
    };
    for (what, record, count, exit) in [("strangers", usual, 150_000, 0), ("wide strangers", odd, 40_000, 0)] {
        let endpoint = Endpoint::start(move |asked| {
            let mut stream = std::io::BufWriter::with_capacity(1 << 16, &mut *asked.stream);
            let written = stream.write_all(begin.replace("1000000000", &count.to_string()).as_bytes());
            let written = written.and_then(|()| (1..count).try_for_each(|n| stream.write_all(record(n).as_bytes())));
            let last = record(count);
            let _ = written
                .and_then(|()| stream.write_all(format!("{}]}}", last.trim_end_matches(',')).as_bytes()))
                .and_then(|()| stream.flush());
            drop(stream);
            let _ = asked.stream.shutdown(std::net::Shutdown::Both);
        });
        let desk = Desk::of_file(&endpoint.base_url, "");
        bounded(what, &mut desk.command(&["activate"])).with(what, exit, &format!("Rhombus has {count} accounts"));
        let ended = bounded(what, &mut desk.command(&["plan", "--refresh"]));
        assert!(matches!(ended.exit, 0 | 1), "{what}: {}", ended.said);
    }
}

#[test]
fn heads_of_any_length_stay_small() {
    let filler = "x".repeat(1 << 20);
    for (what, headers) in [
        ("Retry-After", format!("Retry-After: {}\r\n", "7".repeat(1 << 20))),
        ("Date", format!("Date: {filler}\r\n")),
        ("many", "X-Filler: y\r\n".repeat(200_000)),
        ("a name", format!("{filler}: x\r\n")),
    ] {
        for status in [429, 200, 503] {
            let headers = headers.clone();
            let endpoint = Endpoint::start(move |asked| asked.answer(status, &headers, EMPTY_LIST));
            let desk = Desk::of_file(&endpoint.base_url, "").with_links(&endpoint.base_url);
            let ended = bounded(what, &mut desk.command(&["check", "--online"]));
            assert_eq!(ended.exit, 1, "{what} {status}: {}", ended.said);
        }
    }
}

#[test]
fn pages_of_a_directory_stay_small() {
    let source = |url: &str| {
        format!(
            "source = \"jumpcloud\"\napi_url = \"{url}\"\napi_key_file = \"key\"\napplication_id = \"6f0000000000000000000001\"\n"
        )
    };
    for (what, parts) in [
        ("records", ("{\"totalCount\":100,\"results\":[", COSTLY, "0]}")),
        ("empty ones", ("{\"totalCount\":100,\"results\":[", "{},", "{}]}")),
        ("numbers", ("[", "0,", "0]")),
        ("one wide", ("{\"totalCount\":1,\"results\":[{\"_id\":\"1\",\"username\":\"", "x", "\"}]}")),
    ] {
        let endpoint = Endpoint::start(move |asked| match asked.line.contains("/api/organizations") {
            true => asked.answer(200, "", r#"{"totalCount":1,"results":[{"_id":"5f0000000000000000000001"}]}"#),
            false => long(asked, 200, parts),
        });
        let url = endpoint.base_url.trim_end_matches("/scim/v2");
        let desk = Desk::new("https://rhombus.example/scim/v2", &source(url), "")
            .with_links("https://rhombus.example/scim/v2");
        bounded(what, &mut desk.command(&["plan"])).with(what, 1, "");
    }
}

#[test]
fn answers_of_receivers_stay_small() {
    for (style, keys, parts) in [
        ("elastic-bulk", "index = \"audit\"", ("{\"items\":[", COSTLY, "0]}")),
        ("elastic-bulk", "index = \"audit\"", ("{\"errors\":true,\"items\":[", "{\"create\":{}},", "0]}")),
        ("splunk-hec", "", ("{\"code\":6,\"x\":[", COSTLY, "0]}")),
        ("splunk-hec", "", ("{\"text\":\"", "\\u0041", "\"}")),
        ("otlp", "", ("{\"partialSuccess\":{\"rejectedLogRecords\":1},\"x\":[", COSTLY, "0]}")),
        ("ndjson", "", ("", "x", "")),
    ] {
        for status in [200, 400, 503] {
            let receiver = Endpoint::start(move |asked| long(asked, status, parts));
            let rhombus = Endpoint::start(obey);
            let desk = Desk::of_file(&rhombus.base_url, "").with_links(&rhombus.base_url);
            let mut text = std::fs::read_to_string(desk.path("config.toml")).expect("a configuration");
            text +=
                &format!("[[sinks]]\nkind = \"http\"\nstyle = \"{style}\"\nurl = \"{}\"\n{keys}\n", receiver.base_url);
            std::fs::write(desk.path("config.toml"), text).expect("written");
            let what = format!("{style} {status}");
            bounded(&what, &mut desk.command(&["--reconcile"])).with(&what, 0, "8 created");
        }
    }
}
