//! Every prefix of an export, in every format: nobody is removed, and nobody is updated in a way that the whole file would
//! not have caused (failures, row 43).

mod support;

use rhombus_sync::cycle::{CompareError, compare, open_export};
use rhombus_sync::model::{Change, Moment};
use rhombus_sync::store;
use std::collections::{BTreeMap, BTreeSet};
use support::{link, settings, state};

const USERS_COUNT: usize = 50;

/// Snapshot and export differ: every fifth user is called otherwise, and none has left.
fn user(number: usize) -> (String, String, String) {
    let family = if number.is_multiple_of(5) { format!("Öz-{number}") } else { format!("Li{number}") };
    (format!("i{number:02}"), format!("u{number}@x.example"), family)
}

fn check(whole: &str) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let mut connection = state(folder.path(), "https://x.example");
    let snapshot: Vec<_> =
        (0..USERS_COUNT).map(|number| format!("i{number:02} u{number}@x.example G Li{number}")).collect();
    link(&mut connection, &snapshot.join("|"));
    let settings = settings(folder.path());
    let installation = store::installation(&connection).expect("an installation");
    let plan = |bytes: &[u8]| -> Option<Vec<Change>> {
        std::fs::write(folder.path().join("directory.json"), bytes).expect("an export");
        let planned = open_export(&settings, Moment(3_000), &installation)
            .map_err(CompareError::from)
            .and_then(|mut export| compare(&connection, &settings, &mut export, BTreeMap::new(), &[], Moment(3_000)));
        planned.ok().map(|compared| compared.plan.into_changes().0)
    };
    let caused: BTreeSet<String> =
        plan(whole.as_bytes()).expect("the whole file is good").iter().map(|c| format!("{c:?}")).collect();
    assert_eq!(caused.len(), USERS_COUNT / 5);
    let mut believed = 0;
    for cut in 0..whole.len() {
        for change in plan(&whole.as_bytes()[..cut]).into_iter().inspect(|_| believed += 1).flatten() {
            assert!(!change.action().removes(), "cut at {cut}: {change:?}");
            assert!(caused.contains(&format!("{change:?}")), "cut at {cut}: {change:?}");
        }
    }
    believed
}

#[test]
fn no_prefix_of_a_json_array_is_believed() {
    let records: Vec<_> = (0..USERS_COUNT)
        .map(user)
        .map(|(id, name, family)| {
            format!(r#"{{"_id":"{id}","username":"{name}","lastname":"{family}","groups":["R"]}}"#)
        })
        .collect();
    assert_eq!(check(&format!("[{}]", records.join(","))), 0);
}

#[test]
fn no_prefix_of_pages_is_believed() {
    let records: Vec<_> = (0..USERS_COUNT)
        .map(user)
        .map(|(id, name, family)| {
            format!(r#"{{"_id":"{id}","username":"{name}","lastname":"{family}","groups":["R"]}}"#)
        })
        .collect();
    let (first, second) = records.split_at(USERS_COUNT / 2);
    let page = |records: &[String]| format!(r#"{{"totalCount":{USERS_COUNT},"results":[{}]}}"#, records.join(","));
    assert_eq!(check(&format!("{}\n{}", page(first), page(second))), 0);
}

#[test]
fn a_prefix_of_ndjson_removes_and_changes_nobody() {
    let whole: String = (0..USERS_COUNT)
        .map(user)
        .map(|(id, name, family)| {
            format!("{{\"_id\":\"{id}\",\"username\":\"{name}\",\"lastname\":\"{family}\",\"groups\":[\"R\"]}}\n")
        })
        .collect();
    assert_eq!(check(&whole), USERS_COUNT - 1, "cut at a line end it still parses");
}

#[test]
fn a_prefix_of_csv_removes_and_changes_nobody() {
    let rows: String =
        (0..USERS_COUNT).map(user).map(|(id, name, family)| format!("{id},{name},\"{family}\",R\n")).collect();
    assert_eq!(
        check(&format!("_id,username,lastname,groups\n{rows}")),
        USERS_COUNT - 1,
        "cut at a line end it still parses"
    );
}
