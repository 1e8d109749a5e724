//! A file sink across what log rotation does to its file.

use crate::support::outbox::Outbox;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_file_that_is_renamed_or_emptied_loses_nothing() {
    let outbox = Outbox::new("kind = \"file\"\npath = \"events.ndjson\"\nmode = \"0640\"");
    let read = |name: &str| std::fs::read_to_string(outbox.path(name)).unwrap_or_default();
    outbox.log_count(600);
    outbox.ship();
    std::fs::rename(outbox.path("events.ndjson"), outbox.path("events.ndjson.1")).expect("renamed");
    outbox.log_count(700);
    outbox.ship();
    std::fs::copy(outbox.path("events.ndjson"), outbox.path("events.ndjson.2")).expect("copied");
    std::fs::OpenOptions::new().write(true).truncate(true).open(outbox.path("events.ndjson")).expect("emptied");
    outbox.log_count(800);
    outbox.ship();
    let all = read("events.ndjson.1") + &read("events.ndjson.2") + &read("events.ndjson");
    assert!(all.lines().eq(outbox.lines().iter().map(String::as_str)), "every line once, in order");
    let mode = std::fs::metadata(outbox.path("events.ndjson")).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn a_line_that_was_torn_is_written_again_in_every_format() {
    for format in ["directory-insights", "ocsf", "ecs", "cef"] {
        let outbox = Outbox::new(&format!("kind = \"file\"\npath = \"events\"\nformat = \"{format}\""));
        outbox.log_count(5);
        outbox.ship();
        let whole = std::fs::read(outbox.path("events")).expect("a file");
        std::fs::write(outbox.path("events"), &whole[..whole.len() - 20]).expect("torn");
        outbox.ship();
        outbox.log_count(0);
        assert_eq!(std::fs::read(outbox.path("events")).expect("a file"), whole, "{format}");
    }
}

#[test]
fn a_group_that_does_not_exist_is_said() {
    let outbox = Outbox::new("kind = \"file\"\npath = \"events\"\ngroup = \"no-such-group\"");
    outbox.log_count(1);
    outbox.ship_until(|place| {
        place.error.as_ref().is_some_and(|error| error.contains("there is no group no-such-group"))
    });
}
