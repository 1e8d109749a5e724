//! A stand-in for Litestream that copies: its control socket, and a program `litestream` that restores what was copied.

use rusqlite::{Connection, OpenFlags, backup::Backup};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What `litestream restore -o FILE file:///PLACE` does here.
const RESTORE: &str =
    "#!/bin/sh\n[ \"$1\" = restore ] && [ \"$2\" = -o ] || exit 2\nexec cp \"${4#file://}/copy.db\" \"$3\"\n";

/// Control sockets of any number of hosts, and the folder that all of them replicate to.
pub(crate) struct Replicas {
    pub(crate) folder: PathBuf,
}

impl Replicas {
    pub(crate) fn start(folder: &Path) -> Self {
        let bin = folder.join("bin");
        std::fs::create_dir_all(&bin).expect("a folder");
        let program = bin.join("litestream");
        std::fs::write(&program, RESTORE).expect("a program");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("executable");
        Self { folder: folder.to_owned() }
    }

    /// Where all reigns are replicated to.
    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.folder.join("replica").display())
    }

    /// `PATH` with the program.
    pub(crate) fn path(&self) -> String {
        format!("{}:{}", self.folder.join("bin").display(), std::env::var("PATH").unwrap_or_default())
    }

    /// The control socket of one host.
    pub(crate) fn socket(&self, host: &str) -> PathBuf {
        let socket = self.folder.join(format!("{host}.sock"));
        let listener = UnixListener::bind(&socket).expect("a socket");
        let places: Arc<Mutex<BTreeMap<String, PathBuf>>> = Arc::default();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let places = places.clone();
                std::thread::spawn(move || serve(stream, &mut places.lock().expect("whole")));
            }
        });
        socket
    }
}

fn serve(mut stream: UnixStream, places: &mut BTreeMap<String, PathBuf>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let (mut first, mut length, mut line) = (String::new(), 0, String::new());
    while reader.read_line(&mut line).is_ok_and(|count| count > 0) && line != "\r\n" {
        if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().expect("a length");
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let (status, answer) = answer(&first, &serde_json::from_slice(&body).expect("JSON"), places);
    let answer = answer.to_string();
    let head = format!("HTTP/1.0 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
    let _ = stream.write_all(format!("{head}{answer}").as_bytes());
}

fn answer(first: &str, body: &Value, places: &mut BTreeMap<String, PathBuf>) -> (u16, Value) {
    let path = body["path"].as_str().expect("a path").to_owned();
    let unknown = || (404, json!({"error": format!("database not found: {path}")}));
    match first.split(' ').nth(1) {
        Some("/register") if places.contains_key(&path) => (200, json!({"status": "already_registered", "path": path})),
        Some("/register") => {
            let url = body["replica_url"].as_str().expect("a replica");
            places.insert(path.clone(), PathBuf::from(url.strip_prefix("file://").expect("a folder")));
            (200, json!({"status": "registered", "path": path}))
        }
        Some("/unregister") => match places.remove(&path) {
            Some(_) => (200, json!({"status": "unregistered", "path": path})),
            None => unknown(),
        },
        Some("/sync") => match places.get(&path) {
            Some(place) => {
                copy(Path::new(&path), place);
                (200, json!({"status": "synced", "path": path, "txid": 1, "replicated_txid": 1}))
            }
            None => unknown(),
        },
        other => panic!("nobody asks Litestream for {other:?}"),
    }
}

/// A whole copy, then renamed: who restores meanwhile has one or the other.
fn copy(state: &Path, place: &Path) {
    std::fs::create_dir_all(place).expect("a folder");
    let new = place.join("new.db");
    let _ = std::fs::remove_file(&new);
    let from = Connection::open_with_flags(state, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a state");
    let mut to = Connection::open(&new).expect("a copy");
    Backup::new(&from, &mut to).expect("a backup").run_to_completion(10_000, Duration::ZERO, None).expect("copied");
    to.close().map_err(|(_, error)| error).expect("closed");
    std::fs::rename(&new, place.join("copy.db")).expect("renamed");
}
