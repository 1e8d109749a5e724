//! A record that stands where it stood is not parsed, and nothing else follows from that: over exports, states and settings
//! that change at random, the plan with the table is the plan without, byte for byte. And a table that is damaged, foreign, or
//! was cut short is none. `RHOMBUS_SYNC_EDITS=10000 cargo test --release --test it fingerprints::` walks through more edits.

mod directory;

use crate::support::chance::Chance;
use crate::support::fake_rhombus::{Fate, answer};
use crate::support::in_process::{InProcess, Steps, approval};
use directory::Directory;
use rhombus_sync::cycle::{CompareError, Compared, Known, Recall, compare, open_export};
use rhombus_sync::model::{Duration, InDoubt, Moment, Removals, chain};
use rhombus_sync::plan::{Limits, Scope};
use rhombus_sync::store::{self, Access};
use rusqlite::Connection;
use std::sync::atomic::Ordering;

/// So many edits of exports the suite walks through.
const EDITS: u64 = 600;
/// Edits of one installation.
const EDITS_EACH: u64 = 40;

fn now(run: &InProcess) -> Moment {
    Moment(run.clock.load(Ordering::SeqCst))
}

fn reader(run: &InProcess) -> Connection {
    store::open(&run.path("state.db"), Access::Read).expect("the state opens")
}

fn change(run: &InProcess, with: impl FnOnce(&rusqlite::Transaction<'_>)) {
    let mut connection = store::open(&run.path("state.db"), Access::Write).expect("the state opens");
    let transaction = connection.transaction().expect("a transaction");
    with(&transaction);
    transaction.commit().expect("a commit");
}

/// What a cycle would plan now.
fn planned(run: &InProcess, recall: Option<Recall>) -> Result<Compared, CompareError> {
    let (reader, now) = (reader(run), now(run));
    let installation = store::installation(&reader).expect("an installation");
    let outstanding = store::outstanding(&reader).expect("entries");
    let in_doubt = store::open_intents(&reader).expect("intents").into_iter().map(|intent| {
        let (action, until) = (intent.key.action, now.plus(Duration::from_seconds(60)));
        (intent.key.directory_id, InDoubt { action, user_name: intent.user_name, until, again: None })
    });
    let known = Known { in_doubt: in_doubt.collect(), outstanding: &outstanding, recall, ..Known::default() };
    let mut export = open_export(&run.settings, now, &installation, &Default::default())?;
    compare(&reader, &run.settings, &mut export, known, now)
}

fn recall() -> Option<Recall> {
    Some(Recall { seed: [3; 32], whole: false })
}

/// Everything that comes of a plan, as text.
fn said(planned: &Result<Compared, CompareError>) -> String {
    match planned {
        Ok(compared) => {
            let Compared {
                plan,
                export,
                usability,
                sightings,
                unlisted,
                only,
                planned_at,
                renamed_there,
                vanished,
                left_behind,
                groups,
                remembered: _,
            } = compared;
            format!(
                "{plan:?}\n{export:?}\n{usability:?}\n{sightings:?} {unlisted:?} {only:?} {planned_at:?} {renamed_there:?} \
                 {vanished:?} {left_behind:?} {groups:?}"
            )
        }
        Err(error) => chain(error).join(": "),
    }
}

/// Whether a table was of use.
fn is_of_use(planned: &Result<Compared, CompareError>) -> bool {
    let remembered = planned.as_ref().ok().and_then(|compared| compared.remembered.as_ref());
    remembered.is_some_and(|remembered| remembered.was_of_use)
}

/// The plan with the table, which is the plan without.
fn compare_both(run: &InProcess, how: &str) -> bool {
    let (with, without) = (planned(run, recall()), planned(run, None));
    assert_eq!(said(&with), said(&without), "{how}");
    if let (Ok(with), Ok(without)) = (&with, &without) {
        assert_eq!(with.plan.digest(), without.plan.digest(), "{how}");
    }
    is_of_use(&with)
}

fn cycle(run: &InProcess) {
    drop(run.run_export(&Steps::new(u32::MAX, Fate::GoOn)));
}

/// What is not the export changes.
fn change_something_else(run: &mut InProcess, chance: &mut Chance) -> &'static str {
    let links = store::linked_ids(&reader(run)).expect("links");
    let somebody = (!links.is_empty()).then(|| links[chance.below(links.len() as u64) as usize].clone());
    match chance.below(16) {
        0 => {
            let groups = chance.pick(&[&["R"][..], &["R", "S"], &["S"], &[]]);
            let groups: Vec<_> = groups.iter().map(|name| (*name).to_owned()).collect();
            let protected = [format!("u{}@x.example", chance.below(9))];
            run.settings.scope = Scope::new(&groups, &protected);
            run.settings.wanted_under.scope = run.settings.scope.clone();
            "scope"
        }
        1 => {
            run.settings.policy.on_removed = chance.pick(&[Removals::Delete, Removals::Keep, Removals::Deactivate]);
            "policy"
        }
        2 => {
            let tight = Limits { count_free: 1, percent_max: 1, count_max: 1 };
            run.settings.limits.values_mut().for_each(|limits| *limits = tight);
            "tight limits"
        }
        3 => {
            let wide = Limits { count_free: 1_000_000, percent_max: 100, count_max: 1_000_000 };
            run.settings.limits.values_mut().for_each(|limits| *limits = wide);
            "wide limits"
        }
        4 => {
            if let Some(id) = &somebody {
                change(run, |transaction| store::forget(transaction, id).expect("forgotten"));
            }
            "forget"
        }
        5 => {
            let now = now(run);
            change(run, |transaction| {
                if let Some(hold) = store::current_hold(transaction).expect("read") {
                    let held = store::held_of(transaction, &hold).expect("read").unwrap_or_default();
                    store::approve(transaction, &held, &approval(&hold), "", now).expect("approved");
                }
            });
            "approve"
        }
        6 | 7 => {
            // By hand: nothing of the program's own tells of it.
            if let Some(id) = &somebody {
                let sql = chance.pick(&[
                    "UPDATE links SET given_name = 'Other' WHERE directory_id = ?1",
                    "UPDATE links SET active = 0 WHERE directory_id = ?1",
                    "UPDATE links SET active = 2 WHERE directory_id = ?1",
                    "UPDATE links SET wanted_by = 5 WHERE directory_id = ?1",
                    "UPDATE links SET user_name = 'o' || user_name, folded = 'o' || folded WHERE directory_id = ?1",
                    "UPDATE links SET directory_id = directory_id || 'x' WHERE directory_id = ?1",
                    "DELETE FROM links WHERE directory_id = ?1",
                ]);
                change(run, |transaction| {
                    transaction.execute(sql, [id.as_str()]).expect("changed");
                    let counts = "UPDATE counts SET provisioned = (SELECT count(*) FROM links)";
                    transaction.execute(counts, []).expect("counted");
                });
            }
            "a link by hand"
        }
        8 => {
            run.refresh.set(!run.refresh.get());
            "refresh"
        }
        9 => {
            run.later(chance.pick(&[60, 7_200, 90_000]));
            "later"
        }
        10 => {
            change(run, |transaction| {
                transaction.execute("UPDATE installation SET restored = 1", []).map(drop).expect("changed");
            });
            "restored"
        }
        11 => {
            let every = chance.between(1, 4) as u32;
            let count = std::cell::Cell::new(0_u32);
            run.refuse(move |_| {
                count.set(count.get() + 1);
                count.get().is_multiple_of(every).then(|| answer(500, "busy"))
            });
            "failures"
        }
        12 => {
            run.obey();
            "no failures"
        }
        13 => {
            let ids: Vec<_> = run.accounts.borrow().by_id.keys().cloned().collect();
            if let Some(id) = ids.get(chance.below(ids.len().max(1) as u64) as usize) {
                run.accounts.borrow_mut().by_id.remove(id);
            }
            "an account is gone"
        }
        14 => {
            let damage = chance.pick(&[
                "UPDATE fingerprints SET entries = zeroblob(length(entries)) WHERE segment = 0",
                "UPDATE fingerprints SET entries = substr(entries, 1, length(entries) - 1)",
                "UPDATE fingerprints SET entries = CAST(entries || x'00' AS BLOB)",
                "DELETE FROM fingerprints WHERE segment < 4294967296",
                "DELETE FROM fingerprints WHERE segment >= 4294967296",
                "UPDATE fingerprints_head SET head = substr(head, 1, 200)",
                "UPDATE fingerprints_head SET head = replace(head, '1', '2')",
                "UPDATE fingerprints_head SET head = NULL",
            ]);
            change(run, |transaction| transaction.execute(damage, []).map(drop).expect("damaged"));
            "damage"
        }
        _ => {
            run.settings.users_count_min = chance.between(1, 4);
            "min_users"
        }
    }
}

#[test]
fn the_plan_with_the_table_is_the_plan_without() {
    let edits = std::env::var("RHOMBUS_SYNC_EDITS").ok().and_then(|text| text.parse().ok()).unwrap_or(EDITS);
    let first: u64 = std::env::var("RHOMBUS_SYNC_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut of_use, mut compared) = (0, 0);
    for seed in first..first + edits.div_ceil(EDITS_EACH) {
        let mut chance = Chance::new(seed);
        let mut run = InProcess::in_memory();
        let count = chance.pick(&[6, 12, 30, 150]);
        let mut directory = Directory::new(&mut chance, count);
        let mut how = vec![format!("seed {seed}: {:?}", directory.form)];
        for _ in 0..EDITS_EACH {
            for _ in 0..chance.between(0, 3) {
                how.push(directory.edit(&mut chance).to_owned());
            }
            if chance.per_mille(30) {
                directory.write_otherwise(&mut chance);
            }
            if chance.per_mille(250) {
                directory.tidy();
            }
            if chance.per_mille(300) {
                how.push(change_something_else(&mut run, &mut chance).to_owned());
            }
            let mut text = directory.text();
            if chance.per_mille(20) {
                text.truncate(text.len() / 2);
            }
            std::fs::write(run.path("directory.json"), text).expect("an export");
            compared += 1;
            of_use += u64::from(compare_both(&run, &how.join(", ")));
            cycle(&run);
            // What the cycle stored is not of another export than the next one that it is compared with.
            of_use += u64::from(compare_both(&run, &how.join(", ")));
        }
    }
    assert!(of_use * 4 > compared, "of {compared} comparisons only {of_use} had a table that was of use");
}

/// Thirty users with accounts, a table of their export, and the next export: one of them is suspended, one has another title.
fn with_a_table() -> (InProcess, String) {
    let run = InProcess::in_memory();
    let record = |number: usize, state: &str, title: usize| {
        format!(
            "{{\"_id\":\"u{number:02}\",\"username\":\"u{number}@x.example\",\"firstname\":\"Given\",\"state\":\"{state}\",\
             \"groups\":[\"R\"],\"title\":{title}}}"
        )
    };
    let export = |title: usize, state: &str| {
        let of = |number: usize| match number {
            7 => record(number, "ACTIVATED", title),
            21 => record(number, state, 0),
            _ => record(number, "ACTIVATED", 0),
        };
        format!("[{}]", (0..30).map(of).collect::<Vec<_>>().join(","))
    };
    for title in 0..3 {
        std::fs::write(run.path("directory.json"), export(title, "ACTIVATED")).expect("an export");
        cycle(&run);
    }
    assert_eq!(store::linked_ids(&reader(&run)).expect("links").len(), 30);
    (run, export(3, "SUSPENDED"))
}

/// Whether the next export is read by the table. Its plan is the same either way.
#[track_caller]
fn check_use(run: &InProcess, export: &str, of_use: bool, how: &str) {
    std::fs::write(run.path("directory.json"), export).expect("an export");
    assert_eq!(compare_both(run, how), of_use, "{how}");
    let planned = planned(run, recall()).expect("a plan");
    let outstanding = planned.plan.outstanding().iter().filter_map(|entry| entry.directory_id.as_ref());
    let mut users: Vec<_> = planned.plan.changes().map(|change| change.directory_id().to_string()).collect();
    users.extend(outstanding.map(ToString::to_string));
    assert_eq!(users, ["u21"], "{how}");
}

#[test]
fn an_intact_table_is_used_and_what_it_may_not_know_ends_it() {
    let (run, export) = with_a_table();
    check_use(&run, &export, true, "nothing happened");
    type Happens = fn(&mut InProcess);
    let happens: [(&str, Happens); 9] = [
        ("a day passed", |run| run.later(86_400)),
        ("the clock went back", |run| run.later(-7_200)),
        ("another protected user", |run| {
            run.settings.scope =
                Scope::new(&["R".to_owned()], &["root@x.example".to_owned(), "u3@x.example".to_owned()]);
        }),
        ("another limit", |run| run.settings.window = Duration::from_seconds(7)),
        ("a user was forgotten", |run| {
            let id = rhombus_sync::model::DirectoryId::new("nobody");
            change(run, |transaction| store::forget(transaction, &id).expect("forgotten"));
        }),
        ("a hold was approved", |run| {
            let (hold, now) = (rhombus_sync::model::HoldId::new("0011"), now(run));
            change(run, |transaction| store::approve(transaction, &[], &approval(&hold), "", now).expect("approved"));
        }),
        ("it was activated", |run| {
            let activate = |transaction: &rusqlite::Transaction<'_>| {
                store::set_active(transaction, true, "https://x.example", None)
            };
            change(run, |transaction| activate(transaction).expect("activated"));
        }),
        ("another reign", |run| {
            let sql = "UPDATE installation SET reign = reign + 1";
            change(run, |transaction| transaction.execute(sql, []).map(drop).expect("changed"));
        }),
        ("too many links changed", |run| {
            let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
                       INSERT INTO links_changed (directory_id) SELECT n FROM n";
            change(run, |transaction| transaction.execute(sql, []).map(drop).expect("changed"));
        }),
    ];
    for (how, happens) in happens {
        let (mut run, export) = with_a_table();
        happens(&mut run);
        check_use(&run, &export, false, how);
        // The whole reading writes the next table.
        std::fs::write(run.path("directory.json"), export.replace("SUSPENDED", "ACTIVATED")).expect("an export");
        cycle(&run);
        if how != "the clock went back" {
            check_use(&run, &export, true, &format!("{how}, and a cycle after it"));
        }
    }
}

#[test]
fn a_refresh_and_a_restored_state_are_whole_readings() {
    let (run, export) = with_a_table();
    std::fs::write(run.path("directory.json"), &export).expect("an export");
    let whole = planned(&run, Some(Recall { seed: [3; 32], whole: true }));
    assert!(!is_of_use(&whole));
    for restored in [false, true] {
        let (run, export) = with_a_table();
        run.refresh.set(!restored);
        let sql = "UPDATE installation SET restored = ?1";
        change(&run, |transaction| transaction.execute(sql, [restored]).map(drop).expect("changed"));
        let before = store::fingerprints(&reader(&run)).expect("a head").head.expect("a table").reading;
        std::fs::write(run.path("directory.json"), export.replace("SUSPENDED", "ACTIVATED")).expect("an export");
        cycle(&run);
        let after = store::fingerprints(&reader(&run)).expect("a head").head.expect("a table").reading;
        assert_ne!(before, after, "restored: {restored}");
    }
}

#[test]
fn a_table_that_is_damaged_anywhere_is_none() {
    let (run, export) = with_a_table();
    let text: String =
        reader(&run).query_row("SELECT head FROM fingerprints_head", [], |row| row.get(0)).expect("a head");
    let segments: Vec<(i64, Vec<u8>)> = reader(&run)
        .prepare("SELECT segment, entries FROM fingerprints")
        .and_then(|mut rows| rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .expect("segments");
    assert!(segments.len() > 1, "a base and its edits");
    let put = |segment: i64, entries: &[u8]| {
        let sql = "UPDATE fingerprints SET entries = ?2 WHERE segment = ?1";
        change(&run, |transaction| transaction.execute(sql, (segment, entries)).map(drop).expect("put"));
    };
    for (segment, entries) in &segments {
        for at in (0..entries.len()).step_by(entries.len() / 40 + 1) {
            let mut damaged = entries.clone();
            damaged[at] ^= 1 << (at % 8);
            put(*segment, &damaged);
            check_use(&run, &export, false, &format!("a bit of byte {at} of segment {segment}"));
            put(*segment, &entries[..at]);
            check_use(&run, &export, false, &format!("segment {segment} up to byte {at}"));
        }
        put(*segment, entries);
    }
    check_use(&run, &export, true, "as it was");
    for at in (0..text.len()).step_by(text.len() / 40 + 1) {
        let mut damaged = text.clone().into_bytes();
        damaged[at] ^= 2;
        let damaged = String::from_utf8(damaged).expect("it was ASCII");
        for head in [damaged.as_str(), &text[..at]] {
            let sql = "UPDATE fingerprints_head SET head = ?1";
            change(&run, |transaction| transaction.execute(sql, [head]).map(drop).expect("put"));
            check_use(&run, &export, false, &format!("the head at byte {at}"));
        }
    }
}

#[test]
fn a_kill_at_any_step_leaves_the_old_table_or_the_new_one() {
    for step in 1.. {
        let (run, export) = with_a_table();
        std::fs::write(run.path("directory.json"), &export).expect("an export");
        let steps = Steps::new(step, Fate::Die);
        drop(run.run_export(&steps));
        for title in [4, 5] {
            let next = export.replace("\"title\":3", &format!("\"title\":{title}"));
            std::fs::write(run.path("directory.json"), &next).expect("an export");
            compare_both(&run, &format!("killed at step {step}"));
            cycle(&run);
        }
        let accounts = run.accounts.borrow();
        let is_of_u21 = |account: &&serde_json::Value| account["userName"] == "u21@x.example";
        let left = accounts.by_id.values().find(is_of_u21);
        assert!(left.is_none_or(|account| account["active"] == false), "step {step}: {left:?}");
        drop(accounts);
        if steps.passed.load(Ordering::SeqCst) < step {
            assert!(step > 10, "only {step} steps were walked");
            return;
        }
    }
}
