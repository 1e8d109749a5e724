//! The mark of what was pruned, forged, moved and removed, alone and beside another forgery.

use super::ways::Tamper;
use super::*;

#[test]
fn what_was_pruned_cannot_be_put_back_or_forged() {
    let genuine = Genuine::new("keep_history = \"30d\"");
    {
        let mut state = Connection::open(genuine.run.path("state.db")).expect("the state");
        state.execute("UPDATE events SET stored_at = 1 WHERE sequence <= 4", []).expect("long ago");
        state.execute("UPDATE installation SET created_at = 1", []).expect("long ago");
        let transaction = state.transaction().expect("a transaction");
        let now = rhombus_sync::model::Moment(4_000_000_000_000);
        rhombus_sync::store::prune(&transaction, &[], now, rhombus_sync::model::Duration::from_seconds(3_000_000_000))
            .expect("pruned");
        transaction.commit().expect("committed");
    }
    let (count, mark) = (genuine.lines.len(), chain(&genuine.lines[3]).to_owned());
    let whole = said(&genuine.copy().verify(&[]));
    assert!(whole.contains(&format!("events 5 to {count}")), "{whole}");
    let older = genuine.lines[3].clone();
    let marks: [(&str, &str); 6] = [
        ("removed", "DELETE FROM pruned"),
        ("moved back", "UPDATE pruned SET sequence = 3"),
        ("moved on", "UPDATE pruned SET sequence = 5"),
        ("to the end", &format!("UPDATE pruned SET sequence = {count}")),
        ("another chain", "UPDATE pruned SET chain = replace(chain, 'a', 'b')"),
        ("as if nothing was pruned", "UPDATE pruned SET sequence = 0, chain = ''"),
    ];
    let others: [(&str, Tamper); 6] = [
        ("", |_, _| {}),
        ("the file begins later", |copy, lines| copy.file(&lines[4..])),
        ("the file is gone", |copy, _| std::fs::remove_file(copy.path("events.ndjson")).expect("gone")),
        ("without a lock file", |copy, _| std::fs::remove_file(copy.path("state.db.lock")).expect("gone")),
        ("without a place", |copy, _| copy.sql("DELETE FROM sinks")),
        ("one event less", |copy, _| copy.sql("DELETE FROM events WHERE sequence = 5")),
    ];
    for (how, sql) in marks {
        for (beside, tamper) in others {
            let copy = genuine.copy();
            copy.sql(sql);
            tamper(&copy, &genuine.lines);
            let output = copy.verify(&[]);
            assert_eq!(output.status.code(), Some(1), "{how}, {beside}: {}", said(&output));
        }
    }
    // An older event that is put back, and one that was never there.
    for line in [older.clone(), older.replace("@x.example", "@y.example")] {
        let copy = genuine.copy();
        let state = Connection::open(copy.path("state.db")).expect("the state");
        state.execute("INSERT INTO events VALUES (4, 0, NULL, ?1)", [&line]).expect("written");
        drop(state);
        assert_eq!(copy.verify(&[]).status.code(), Some(1), "{line}");
    }
    assert!(!mark.is_empty());
}
