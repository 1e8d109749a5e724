//! A stand-in for Litestream's control socket, and an endpoint and receiver that know what the replica has: whatever comes before
//! its commit was replicated is a violation.

use super::raw_endpoint::{Asked, EMPTY_LIST, Endpoint};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the socket answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    /// That the replica has everything, after so long.
    Answers(Duration),
    /// It keeps the connection open and is silent.
    Hangs,
    /// With an error.
    Refuses,
    /// With the first half of an answer.
    Half,
}

/// What the replica has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replicated {
    /// Directory ids, or accounts, of the changes whose intent it has.
    pub(crate) intents: BTreeSet<String>,
    /// The last event.
    pub(crate) sequence: i64,
}

#[derive(Default)]
struct Seen {
    replicated: Replicated,
    /// What it was asked to copy and has not answered.
    asked: Replicated,
    syncs_count: usize,
    bodies: Vec<Value>,
    violations: Vec<String>,
    accounts: BTreeMap<String, Value>,
    /// Events by number, as the receiver has them.
    events: BTreeMap<i64, String>,
}

/// The socket.
pub(crate) struct StandIn {
    pub(crate) socket: PathBuf,
    mood: Arc<Mutex<Mood>>,
    seen: Arc<Mutex<Seen>>,
}

impl StandIn {
    pub(crate) fn start(folder: &Path, mood: Mood) -> Self {
        let socket = folder.join("litestream.sock");
        let one = Self { socket, mood: Arc::new(Mutex::new(mood)), seen: Arc::default() };
        one.listen(&folder.join("state.db"));
        one
    }

    fn listen(&self, state: &Path) {
        let listener = UnixListener::bind(&self.socket).expect("a socket");
        let (mood, seen, state) = (self.mood.clone(), self.seen.clone(), state.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mood, seen, state) = (mood.clone(), seen.clone(), state.clone());
                std::thread::spawn(move || serve(stream, &mood, &seen, &state));
            }
        });
    }

    /// A SCIM endpoint at `/scim/v2`, and a receiver of events at `/events`.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let seen = self.seen.clone();
        Endpoint::start(move |asked| take(asked, &seen))
    }

    pub(crate) fn be(&self, mood: Mood) {
        *self.mood.lock().expect("whole") = mood;
    }

    pub(crate) fn syncs_count(&self) -> usize {
        self.seen.lock().expect("whole").syncs_count
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.seen.lock().expect("whole").bodies.clone()
    }

    pub(crate) fn asked(&self) -> Replicated {
        self.seen.lock().expect("whole").asked.clone()
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.seen.lock().expect("whole").violations.clone()
    }

    pub(crate) fn accounts(&self) -> Vec<String> {
        self.seen.lock().expect("whole").accounts.keys().cloned().collect()
    }

    pub(crate) fn events_count(&self) -> usize {
        self.seen.lock().expect("whole").events.len()
    }
}

/// What is committed now.
fn look(state: &Path) -> Replicated {
    let read = || -> rusqlite::Result<Replicated> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(state, flags)?;
        let intents = connection
            .prepare("SELECT ifnull(scim_id, directory_id) FROM intents UNION SELECT directory_id FROM intents")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Replicated { intents, sequence: connection.query_row("SELECT sequence FROM head", [], |row| row.get(0))? })
    };
    read().unwrap_or_default()
}

fn serve(mut stream: UnixStream, mood: &Mutex<Mood>, seen: &Mutex<Seen>, state: &Path) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).is_ok_and(|count| count > 0) && line != "\r\n" {
        if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().expect("a length");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let committed = look(state);
    {
        let mut seen = seen.lock().expect("whole");
        seen.bodies.push(serde_json::from_slice(&body).expect("JSON"));
        seen.asked = committed.clone();
    }
    let mood = *mood.lock().expect("whole");
    let answer = json!({"status": "synced", "path": state, "txid": 9, "replicated_txid": 9}).to_string();
    let whole = |status: &str, body: &str| {
        format!("HTTP/1.0 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let text = match mood {
        Mood::Answers(after) => {
            std::thread::sleep(after);
            let mut seen = seen.lock().expect("whole");
            seen.replicated = committed;
            seen.syncs_count += 1;
            whole("200 OK", &answer)
        }
        Mood::Refuses => whole("500 Internal Server Error", r#"{"error":"sync database: replica sync: no space"}"#),
        Mood::Half => {
            let text = whole("200 OK", &answer);
            text[..text.len() / 2].to_owned()
        }
        Mood::Hangs => {
            // Until the caller hangs up.
            let _ = reader.read(&mut [0]);
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes());
}

/// One request, of the sync or of its sink.
fn take(asked: &mut Asked<'_>, seen: &Mutex<Seen>) {
    let mut seen = seen.lock().expect("whole");
    let mut words = asked.line.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    if path.starts_with("/events") {
        for line in asked.body.lines() {
            let event: Value = serde_json::from_str(line).expect("an event");
            let sequence = event["sequence"].as_i64().expect("a number");
            if sequence > seen.replicated.sequence {
                let has = seen.replicated.sequence;
                seen.violations.push(format!("event {sequence} left, and the replica has {has}"));
            }
            seen.events.insert(sequence, line.to_owned());
        }
        return asked.answer(200, "", "");
    }
    let id = path.rsplit('/').next().unwrap_or_default().to_owned();
    let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    if method != "GET" {
        let whose =
            if method == "POST" { body["externalId"].as_str().unwrap_or_default().to_owned() } else { id.clone() };
        if !seen.replicated.intents.contains(&whose) {
            seen.violations.push(format!("{method} for {whose} left before its intent was at the replica"));
        }
    }
    match method.as_str() {
        "POST" => {
            let mut account = body;
            let id = format!("account-{}", seen.accounts.len() + 1);
            account["id"] = id.as_str().into();
            asked.answer(201, "Content-Type: application/scim+json\r\n", &account.to_string());
            seen.accounts.insert(id, account);
        }
        "DELETE" => {
            let there = seen.accounts.remove(&id).is_some();
            asked.answer(if there { 204 } else { 404 }, "", "");
        }
        "GET" if path.contains("/Users?") => {
            let wanted = path.split("%22").nth(1).map(|name| name.replace("%40", "@"));
            let is_meant = |account: &&Value| wanted.as_ref().is_none_or(|name| account["userName"] == name.as_str());
            let found: Vec<_> = seen.accounts.values().filter(is_meant).cloned().collect();
            let mut list: Value = serde_json::from_str(EMPTY_LIST).expect("JSON");
            (list["totalResults"], list["Resources"]) = (found.len().into(), found.into());
            asked.answer(200, "Content-Type: application/scim+json\r\n", &list.to_string());
        }
        _ => match seen.accounts.get(&id) {
            Some(account) => asked.answer(200, "Content-Type: application/scim+json\r\n", &account.to_string()),
            None => asked.answer(404, "", ""),
        },
    }
}
