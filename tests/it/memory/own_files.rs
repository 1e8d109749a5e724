//! Files of the program that are a gigabyte of nothing, or begin well and go on with it.

use super::*;
use crate::support::real_binary::{RealBinary, people};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, PermissionsExt};

const GIB: u64 = 1 << 30;

/// A file of a gigabyte that takes no space.
fn sparse(run: &RealBinary, name: &str) {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(run.path(name)).expect(name);
    file.set_len(GIB).expect("sparse");
    file.set_permissions(PermissionsExt::from_mode(0o600)).expect("private");
}

#[test]
fn a_file_of_a_gigabyte_is_not_read() {
    for (name, words, exit, expected) in [
        ("config.toml", &["check"][..], 78, "longer than"),
        ("config.toml", &["--reconcile"], 78, "longer than"),
        ("sandbox/token", &["--reconcile"], 1, "too long"),
        ("seal.key", &["--reconcile"], 1, "too long"),
        ("ca.pem", &["--reconcile"], 78, "longer than"),
        ("directory.json.sha256", &["plan"], 1, "checksum"),
        ("state.db.lock", &["--reconcile"], 0, "3 created"),
        ("new.json", &["check"], 0, ""),
    ] {
        let run = RealBinary::open("");
        run.export(&people(0..3));
        run.activate();
        let text = std::fs::read_to_string(run.path("config.toml")).expect("a configuration");
        let text = match name {
            "seal.key" => text.replace("[state]\n", "[state]\nseal_key_file = \"seal.key\"\n"),
            "ca.pem" => text.replace("[rhombus]\n", "[rhombus]\nca_file = \"ca.pem\"\n"),
            _ => text,
        };
        std::fs::write(run.path("config.toml"), text).expect("written");
        sparse(&run, name);
        bounded(name, &mut run.command(words)).with(name, exit, expected);
    }
}

/// A log of ours that goes on with a gigabyte of nothing, with and without a line end behind it.
#[test]
fn a_log_of_a_gigabyte_is_verified_and_mended_in_little_memory() {
    for (what, then) in [("torn", ""), ("a line of nothing", "\n"), ("a line of nothing, then torn", "\n{\"@version\"")]
    {
        let run = RealBinary::open("");
        run.export(&people(0..3));
        run.activate();
        run.reconcile(0);
        let log = run.path("events.ndjson");
        let whole = std::fs::read(&log).expect("a log");
        let file = File::options().write(true).open(&log).expect("the log");
        file.write_all_at(then.as_bytes(), GIB).expect("written");
        file.set_len(GIB + then.len() as u64).expect("sparse");
        drop(file);
        bounded(what, &mut run.command(&["events", "verify"])).with(what, 1, "the line is longer than an event can be");
        run.export(&people(0..4));
        bounded(what, &mut run.command(&["--reconcile"])).with(what, 0, "1 created");
        let mended = File::open(&log).expect("the log");
        let mut begins = vec![0; whole.len()];
        mended.read_exact_at(&mut begins, 0).expect("as long as it was");
        assert!(begins == whole, "{what}: what was delivered stays");
    }
}

#[test]
fn a_line_of_a_foreign_log_may_hold_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.ndjson");
    let mut file = File::create(&path).expect("a file");
    writeln!(file, "{{\"sequence\":1,\"x\":[{}0]}}", "{\"a\":0},".repeat(900_000)).expect("written");
    let mut command = Command::new(crate::support::real_binary::BINARY);
    command.args(["events", "verify"]).arg(&path);
    bounded("many values", &mut command).with("many values", 1, "event 1: the line has no chain");
}
