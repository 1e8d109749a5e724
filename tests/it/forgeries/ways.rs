//! Each single way to tamper with a log and its witnesses.

use super::{Copy, chain, continued, forged};

pub(super) type Tamper = fn(&Copy, &[String]);

/// Each single way. The first word says what is touched: two ways of one kind are no pair.
pub(super) const WAYS: [(&str, Tamper); 34] = [
    ("file: edited", |copy, lines| {
        let mut lines = lines.to_vec();
        lines[2] = lines[2].replace("Created", "created");
        copy.file(&lines);
    }),
    ("file: cut", |copy, lines| copy.file(&lines[..lines.len() - 2])),
    ("file: without a line", |copy, lines| copy.file(&[&lines[..3], &lines[4..]].concat())),
    ("file: swapped", |copy, lines| {
        let mut lines = lines.to_vec();
        lines.swap(2, 3);
        copy.file(&lines);
    }),
    ("file: with a line of its own", |copy, lines| {
        let own = lines[2].replace("@x.example", "@y.example");
        copy.file(&[&lines[..3], &[own], &lines[3..]].concat());
    }),
    ("file: sealed anew", |copy, lines| copy.file(&forged(lines))),
    ("file: continued", |copy, lines| copy.file(&continued(lines))),
    ("file: sealed anew and continued", |copy, lines| copy.file(&continued(&forged(lines)))),
    ("file: emptied", |copy, _| copy.file(&[])),
    ("file: removed", |copy, _| std::fs::remove_file(copy.path("events.ndjson")).expect("gone")),
    ("file: begins later", |copy, lines| copy.file(&lines[4..])),
    ("events: edited", |copy, _| {
        copy.sql("UPDATE events SET line = replace(line, 'Created', 'created') WHERE sequence = 3")
    }),
    ("events: cut", |copy, lines| copy.sql(&format!("DELETE FROM events WHERE sequence > {}", lines.len() - 2))),
    ("events: all removed", |copy, _| copy.sql("DELETE FROM events")),
    ("events: the oldest removed", |copy, _| copy.sql("DELETE FROM events WHERE sequence < 4")),
    ("events: a hole with a reason", |copy, lines| {
        copy.sql("DELETE FROM events WHERE sequence IN (4, 5)");
        copy.sql(&format!("INSERT INTO restorations (first, chain_before) VALUES (6, '{}')", chain(&lines[4])));
    }),
    ("events: sealed anew with the head", |copy, lines| {
        let forged = forged(lines);
        copy.events(&forged);
        copy.sql(&format!("UPDATE head SET chain = '{}'", chain(&forged[forged.len() - 1])));
    }),
    ("events: cut with the head", |copy, lines| {
        let left = &lines[..lines.len() - 2];
        copy.events(left);
        copy.sql(&format!("UPDATE head SET sequence = {}, chain = '{}'", left.len(), chain(&left[left.len() - 1])));
    }),
    ("events: swapped", |copy, lines| {
        let mut lines = lines.to_vec();
        lines.swap(2, 3);
        copy.events(&lines);
    }),
    ("events: with one of its own", |copy, lines| {
        let mut lines = lines.to_vec();
        lines[3] = lines[3].replace("@x.example", "@y.example");
        copy.events(&lines);
    }),
    ("events: continued", |copy, lines| copy.events(&continued(lines))),
    ("events: continued with the head", |copy, lines| {
        let more = continued(lines);
        copy.events(&more);
        copy.sql(&format!("UPDATE head SET sequence = {}, chain = '{}'", more.len(), chain(&more[more.len() - 1])));
    }),
    ("head: removed", |copy, _| copy.sql("DELETE FROM head")),
    ("head: another chain", |copy, _| copy.sql(&format!("UPDATE head SET chain = '{}'", "0".repeat(64)))),
    ("head: moved", |copy, _| copy.sql("UPDATE head SET sequence = sequence - 1")),
    ("lock: removed", |copy, _| std::fs::remove_file(copy.path("state.db.lock")).expect("gone")),
    ("lock: another chain", |copy, lines| {
        let text = std::fs::read_to_string(copy.path("state.db.lock")).expect("a note");
        std::fs::write(copy.path("state.db.lock"), text.replace(chain(&lines[lines.len() - 1]), &"0".repeat(64)))
            .expect("written");
    }),
    ("lock: behind", |copy, lines| {
        let text = std::fs::read_to_string(copy.path("state.db.lock")).expect("a note");
        let (last, before) = (chain(&lines[lines.len() - 1]), chain(&lines[lines.len() - 2]));
        let text =
            text.replace(last, before).replacen(&format!(" {} ", lines.len()), &format!(" {} ", lines.len() - 1), 1);
        std::fs::write(copy.path("state.db.lock"), text).expect("written");
    }),
    ("place: behind", |copy, _| copy.sql("UPDATE sinks SET delivered = 1")),
    ("place: removed", |copy, _| copy.sql("DELETE FROM sinks")),
    ("place: ahead", |copy, _| copy.sql("UPDATE sinks SET delivered = 1000")),
    ("mark: moved", |copy, _| copy.sql("UPDATE pruned SET sequence = 3")),
    ("mark: moved with the events before it", |copy, lines| {
        copy.sql("DELETE FROM events WHERE sequence <= 4");
        copy.sql(&format!("UPDATE pruned SET sequence = 4, chain = '{}'", chain(&lines[3])));
    }),
    ("mark: removed", |copy, _| copy.sql("DELETE FROM pruned")),
];
