//! The groups of `[scope]`: when an export named each last, and by which of them each user was wanted.

use crate::model::{Moment, UnnamedGroup};
use crate::plan::{GroupMemory, GroupsSeen};
use rusqlite::{Connection, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// What is remembered of them.
///
/// # Errors
/// The state cannot be read.
pub fn group_memory(connection: &Connection) -> rusqlite::Result<GroupMemory> {
    let named_before = connection
        .prepare("SELECT name FROM scope_groups WHERE named_at IS NOT NULL")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let sets = connection
        .prepare("SELECT id, names FROM group_sets")?
        .query_map([], |row| {
            let names: BTreeSet<String> = serde_json::from_str(row.get_ref(1)?.as_str()?).unwrap_or_default();
            Ok((row.get(0)?, names))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(GroupMemory { named_before, sets })
}

/// Remembers what an export said of them, and for everybody by which each user is wanted. A group that `[scope]` has no more is
/// forgotten.
///
/// # Errors
/// The state cannot be written.
pub fn note_groups(
    transaction: &Transaction<'_>,
    seen: &GroupsSeen,
    for_everybody: bool,
    written_at: Moment,
) -> rusqlite::Result<()> {
    let names = serde_json::json!(seen.named.keys().collect::<Vec<_>>()).to_string();
    transaction.execute("DELETE FROM scope_groups WHERE name NOT IN (SELECT value FROM json_each(?1))", [names])?;
    for (name, named) in &seen.named {
        transaction.execute(
            "INSERT INTO scope_groups (name, named_at, named) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET
             named_at = ifnull(excluded.named_at, named_at), named = excluded.named",
            (name, named.then_some(written_at.0), named),
        )?;
    }
    if !for_everybody {
        return Ok(());
    }
    for (id, names) in &seen.sets {
        let names = serde_json::json!(names).to_string();
        transaction
            .execute("INSERT INTO group_sets (id, names) VALUES (?1, ?2) ON CONFLICT DO NOTHING", (id, names))?;
    }
    let mut update = transaction.prepare_cached("UPDATE links SET wanted_by = ?2 WHERE directory_id = ?1")?;
    for (id, set) in &seen.regrouped {
        update.execute((id.as_str(), set))?;
    }
    Ok(())
}

/// When an export last named each of them, if one did.
///
/// # Errors
/// The state cannot be read.
pub fn groups_named_at(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Moment>> {
    connection
        .prepare("SELECT name, named_at FROM scope_groups WHERE named_at IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, Moment(row.get(1)?))))?
        .collect()
}

/// Those that the last export does not name.
///
/// # Errors
/// The state cannot be read.
pub fn unnamed_groups(connection: &Connection) -> rusqlite::Result<Vec<UnnamedGroup>> {
    connection
        .prepare("SELECT name, named_at FROM scope_groups WHERE NOT named ORDER BY name")?
        .query_map([], |row| {
            Ok(UnnamedGroup { name: row.get(0)?, named_at: row.get::<_, Option<i64>>(1)?.map(Moment) })
        })?
        .collect()
}
