//! A read that ends anywhere leaves the old spool or the new one, never half of one, and the next cycle is right.

use super::{Published, Site, csv, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Spool and note, as they lie in the folder.
struct Kept {
    spool: Vec<u8>,
    note: Vec<u8>,
}

impl Site {
    fn spool(&self, suffix: &str) -> PathBuf {
        self.run.path(&format!("state.db.spool{suffix}"))
    }

    fn kept(&self) -> Kept {
        let read = |suffix| std::fs::read(self.spool(suffix)).expect("a file");
        Kept { spool: read(""), note: read(".json") }
    }

    /// What a kill left: these files, and no others.
    fn lay(&self, files: &[(&str, &[u8])]) {
        for suffix in ["", ".json", ".part", ".json.part"] {
            let _ = std::fs::remove_file(self.spool(suffix));
        }
        for (suffix, bytes) in files {
            std::fs::write(self.spool(suffix), bytes).expect("written");
        }
    }

    fn leftovers(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.run.folder.path()).expect("a folder").flatten();
        let mut names: Vec<_> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name.contains("spool"));
        names.sort();
        names
    }
}

/// A note of a read that ended a moment ago.
fn written_now(note: &[u8]) -> Vec<u8> {
    let mut note: serde_json::Value = serde_json::from_slice(note).expect("a note");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis();
    note["written_at"] = u64::try_from(now).expect("a number").into();
    serde_json::to_vec(&note).expect("JSON")
}

/// Every state that the folder passes through while a new spool is written and takes the place of the old one.
fn states<'k>(old: &'k Kept, new: &'k Kept) -> Vec<Vec<(&'static str, &'k [u8])>> {
    let half = |bytes: &'k [u8]| &bytes[..bytes.len() / 2];
    let mut states = Vec::new();
    for part in [&[][..], half(&new.spool), &new.spool] {
        states.push(vec![("", &old.spool[..]), (".json", &old.note), (".part", part)]);
    }
    states.push(vec![("", &new.spool), (".json", &old.note)]);
    for part in [&[][..], half(&new.note), &new.note] {
        states.push(vec![("", &new.spool), (".json", &old.note), (".json.part", part)]);
    }
    states.push(vec![("", &new.spool), (".json", &new.note)]);
    // The very first read.
    states.push(vec![(".part", half(&new.spool))]);
    states.push(vec![("", &new.spool)]);
    states.push(vec![("", &new.spool), (".json.part", half(&new.note))]);
    states
}

#[test]
fn whatever_a_kill_leaves_of_a_spool_the_next_cycle_is_right() {
    for (body, tag) in [(json as fn(std::ops::Range<usize>) -> String, true), (json, false), (csv, true), (csv, false)]
    {
        let publish = |at: &mut Published, count: usize, etag: &'static str| {
            (at.body, at.etag) = (body(0..count), tag.then_some(etag));
        };
        // What both reads leave, from another folder: versions and times are those of a real read.
        let site = Site::open("");
        site.publish(|at| publish(at, 6, "\"one\""));
        site.run.activate();
        assert_eq!(site.accounts_after(0), 6);
        let old = site.kept();
        site.publish(|at| publish(at, 5, "\"two\""));
        site.run.reconcile(0);
        let new = site.kept();
        let is_proven = body(0..1).starts_with('[');
        for number in 0..states(&old, &new).len() {
            site.publish(|at| publish(at, 6, "\"one\""));
            assert_eq!(site.accounts_after(0), 6, "back at the beginning");
            let read_before = site.kept();
            assert_eq!(read_before.spool, old.spool);
            let new = Kept { spool: new.spool.clone(), note: written_now(&new.note) };
            let state = states(&old, &new).swap_remove(number);
            site.publish(|at| publish(at, 5, "\"two\""));
            site.lay(&state);
            let expected = if is_proven { 5 } else { 6 };
            assert_eq!(site.accounts_after(0), expected, "state {number}, proven: {is_proven}, with a tag: {tag}");
            assert_eq!(site.leftovers(), ["state.db.spool", "state.db.spool.json"], "state {number}");
            assert_eq!(site.kept().spool, new.spool, "state {number}");
            // The same export again is no second sighting.
            assert_eq!(site.accounts_after(0), expected, "state {number}, again");
        }
    }
}

#[test]
fn a_lost_spool_does_not_make_a_second_sighting_of_the_same_export() {
    let site = Site::open("");
    site.publish(|at| (at.body, at.etag) = (csv(0..6), Some("\"one\"")));
    site.run.activate();
    assert_eq!(site.accounts_after(0), 6);
    site.publish(|at| (at.body, at.etag) = (csv(0..5), Some("\"two\"")));
    assert_eq!(site.accounts_after(0), 6, "first missing");
    let whole = std::fs::read(site.spool("")).expect("a spool");
    for damage in [None, Some(&whole[..9]), Some(&[][..])] {
        match damage {
            None => std::fs::remove_file(site.spool("")).expect("removed"),
            Some(bytes) => std::fs::write(site.spool(""), bytes).expect("damaged"),
        }
        assert_eq!(site.accounts_after(0), 6, "it is the same export, fetched once more");
    }
    site.publish(|at| at.etag = Some("\"three\""));
    assert_eq!(site.accounts_after(0), 5);
}

#[test]
fn a_kill_at_any_request_of_a_read_changes_nothing() {
    let site = Site::open("");
    let hash = |body: &str| {
        use sha2::Digest;
        Some(rhombus_sync::model::hex(&sha2::Sha256::digest(body)))
    };
    let publish = |count: usize| {
        site.publish(|at| (at.body, at.checksum) = (csv(0..count), hash(&csv(0..count))));
    };
    publish(6);
    site.run.activate();
    assert_eq!(site.accounts_after(0), 6);
    publish(4);
    for at in 1..=2 {
        let (child, counted) = (Arc::new(Mutex::new(None::<std::process::Child>)), AtomicUsize::new(0));
        let of = child.clone();
        site.publish(|published| {
            published.at_each = Some(Arc::new(move || {
                if counted.fetch_add(1, Ordering::SeqCst) + 1 == at {
                    of.lock().expect("whole").as_mut().expect("it runs").kill().expect("killed");
                }
            }));
        });
        {
            let mut slot = child.lock().expect("whole");
            let command = &mut site.run.command(&["--reconcile"]);
            *slot = Some(command.stderr(std::process::Stdio::null()).spawn().expect("it runs"));
        }
        // Not waited for under the lock: the kill needs it.
        while child.lock().expect("whole").as_mut().expect("it runs").try_wait().expect("it can be asked").is_none() {
            std::thread::yield_now();
        }
        assert_eq!(site.run.accounts().len(), 6, "killed at request {at}");
    }
    site.publish(|at| at.at_each = None);
    assert_eq!(site.accounts_after(0), 4);
    assert_eq!(site.leftovers(), ["state.db.spool", "state.db.spool.json"]);
}

#[test]
fn a_server_that_wants_to_be_left_alone_is_waited_for_or_ends_the_read() {
    let site = Site::open("");
    site.publish(|at| at.body = json(0..3));
    site.run.activate();
    assert_eq!(site.accounts_after(0), 3);
    let said = |status: u16, after: &str| {
        Some(format!("HTTP/1.1 {status} No\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n"))
    };
    for (status, after, words) in [(429, "31", "retry after 31 s"), (503, "86400", "retry after 86400 s")] {
        site.publish(|at| at.raw = said(status, after));
        site.refuses(words);
        assert_eq!(site.leftovers().last().map(String::as_str), Some("state.db.spool.wait"));
    }
    // Once, and then the export.
    site.publish(|at| {
        (at.body, at.raw, at.raw_count) = (json(0..2), said(503, "1"), Some(1));
    });
    let started = std::time::Instant::now();
    assert_eq!(site.accounts_after(0), 2);
    assert!(started.elapsed().as_millis() >= 1_000);
    assert_eq!(site.leftovers(), ["state.db.spool", "state.db.spool.json"]);
}
