//! A damaged export. Every prefix of one, in every format: nobody is removed, and nobody is updated in a way that the whole
//! file would not have caused. And a byte that was turned into another: beside a checksum nothing is
//! believed; without one it cannot touch anybody but the user whose record it hit.

use crate::support::{link, settings, state};
use rhombus_sync::config::Settings;
use rhombus_sync::cycle::{CompareError, Known, compare, open_export};
use rhombus_sync::model::{Change, hex};
use rhombus_sync::store;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeSet;

const USERS_COUNT: usize = 80;
const FLIPS: usize = 1_000;

/// Snapshot and export differ: every fifth user is called otherwise, and none has left.
fn user(number: usize) -> (String, String, String) {
    let family = if number.is_multiple_of(5) { format!("Öz-{number}") } else { format!("Li{number}") };
    (format!("i{number:03}"), format!("u{number}@x.example"), family)
}

fn json(number: usize) -> String {
    let (id, name, family) = user(number);
    format!(r#"{{"_id":"{id}","username":"{name}","lastname":"{family}","groups":["R"]}}"#)
}

fn array() -> String {
    format!("[{}]", (0..USERS_COUNT).map(json).collect::<Vec<_>>().join(","))
}

fn pages() -> String {
    let page = |users: std::ops::Range<usize>| {
        let records: Vec<_> = users.map(json).collect();
        format!(r#"{{"totalCount":{USERS_COUNT},"results":[{}]}}"#, records.join(","))
    };
    format!("{}\n{}", page(0..USERS_COUNT / 2), page(USERS_COUNT / 2..USERS_COUNT))
}

fn ndjson() -> String {
    (0..USERS_COUNT).map(|number| json(number) + "\n").collect()
}

fn csv() -> String {
    let row = |(id, name, family)| format!("{id},{name},\"{family}\",R\n");
    format!("_id,username,lastname,groups\n{}", (0..USERS_COUNT).map(user).map(row).collect::<String>())
}

struct Bench {
    folder: tempfile::TempDir,
    connection: Connection,
    settings: Settings,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut connection = state(folder.path(), "https://x.example");
        let snapshot: Vec<_> =
            (0..USERS_COUNT).map(|number| format!("i{number:03} u{number}@x.example G Li{number}")).collect();
        link(&mut connection, &snapshot.join("|"));
        let settings = settings(folder.path());
        Self { folder, connection, settings }
    }

    /// What a cycle would do; none where the export is rejected as a whole.
    fn plan(&self, bytes: &[u8]) -> Option<Vec<Change>> {
        let path = self.folder.path().join("directory.json");
        // Gone first: ext4 flushes a file that is cut and written anew to the disk, and that takes longer than the plan.
        let _ = std::fs::remove_file(&path);
        std::fs::write(path, bytes).expect("an export");
        let (settings, now) = (&self.settings, crate::support::NOW);
        let installation = store::installation(&self.connection).expect("an installation");
        let planned = open_export(settings, now, &installation, &Default::default())
            .map_err(CompareError::from)
            .and_then(|mut export| compare(&self.connection, settings, &mut export, Known::default(), now));
        planned.ok().map(|compared| compared.plan.changes().map(Cow::into_owned).collect())
    }
}

fn texts(changes: Vec<Change>) -> BTreeSet<String> {
    changes.into_iter().map(|change| format!("{change:?}")).collect()
}

/// How many prefixes were believed.
fn check_prefixes(whole: &str) -> usize {
    let bench = Bench::new();
    let caused = texts(bench.plan(whole.as_bytes()).expect("the whole file is good"));
    assert_eq!(caused.len(), USERS_COUNT / 5);
    let mut believed = 0;
    for cut in 0..whole.len() {
        for change in bench.plan(&whole.as_bytes()[..cut]).into_iter().inspect(|_| believed += 1).flatten() {
            assert!(!change.action().removes(), "cut at {cut}: {change:?}");
            assert!(caused.contains(&format!("{change:?}")), "cut at {cut}: {change:?}");
        }
    }
    believed
}

/// How many damaged files were believed without a checksum.
fn check_flips(whole: &str) -> usize {
    let bench = Bench::new();
    let caused = texts(bench.plan(whole.as_bytes()).expect("the whole file is good"));
    let ids: Vec<_> = (0..USERS_COUNT).map(|number| whole.find(&user(number).0).expect("its id")).collect();
    let checksum = bench.folder.path().join("directory.json.sha256");
    let (mut random, mut believed) = (0x9e37_79b9_7f4a_7c15_u64, 0);
    for _ in 0..FLIPS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut bytes = whole.as_bytes().to_vec();
        let at = random as usize % bytes.len();
        bytes[at] ^= 1 << (random >> 60 & 7);
        std::fs::write(&checksum, hex(&Sha256::digest(whole))).expect("a checksum");
        assert_eq!(bench.plan(&bytes), None, "byte {at}: a checksum that does not fit refuses the file");
        std::fs::remove_file(&checksum).expect("removed");
        let Some(changes) = bench.plan(&bytes) else { continue };
        believed += 1;
        // Whose record was hit: its id is the last one that begins before the byte, or the next one after it.
        let after = ids.partition_point(|begin| *begin <= at);
        for change in changes.into_iter().filter(|change| !caused.contains(&format!("{change:?}"))) {
            let of_ours =
                change.scim_id().map(|id| id.as_str().trim_start_matches("scim-i").parse().expect("a number"));
            let hit = of_ours.is_none_or(|number: usize| number == after || number + 1 == after);
            assert!(hit, "byte {at}, between the ids of {} and {after}: {change:?}", after.saturating_sub(1));
        }
    }
    believed
}

#[test]
fn no_prefix_of_a_json_array_is_believed() {
    assert_eq!(check_prefixes(&array()), 0);
}

#[test]
fn no_prefix_of_pages_is_believed() {
    assert_eq!(check_prefixes(&pages()), 0);
}

#[test]
fn a_prefix_of_ndjson_removes_and_changes_nobody() {
    assert_eq!(check_prefixes(&ndjson()), USERS_COUNT - 1, "cut at a line end it still parses");
}

#[test]
fn a_prefix_of_csv_removes_and_changes_nobody() {
    assert_eq!(check_prefixes(&csv()), USERS_COUNT - 1, "cut at a line end it still parses");
}

#[test]
fn a_flipped_byte_touches_nobody_else_and_beside_a_checksum_nobody() {
    for whole in [array(), pages(), ndjson(), csv()] {
        let believed = check_flips(&whole);
        assert!((1..FLIPS).contains(&believed), "{believed} of {FLIPS} were believed");
    }
}
