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
                    store::approve(transaction, &held, &approval(&hold), now).expect("approved");
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
            let count = std::cell::Cell::new(0);
            run.refuse(move |_| {
                count.set(count.get() + 1);
                (count.get() % every == 0).then(|| answer(500, "busy"))
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
                "UPDATE fingerprints SET entries = entries || x'00'",
                "DELETE FROM fingerprints WHERE segment < 4294967296",
                "DELETE FROM fingerprints WHERE segment >= 4294967296",
                "UPDATE fingerprints_head SET head = substr(head, 1, 200)",
                "UPDATE fingerprints_head SET head = replace(head, '1', '2')",
                "UPDATE fingerprints_head SET head = NULL",
            ]);
            change(run, |transaction| drop(transaction.execute(damage, []).expect("damaged")));
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
