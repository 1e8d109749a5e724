//! The installation's one row: its identity, whether it is active, and what its last cycle left.

use super::fingerprints::forget_fingerprints;
use super::{health, intents, log};
use crate::clock::{WAIT_MAX, believed};
use crate::event::{Draft, EventType, Initiator, Source};
use crate::http::Method;
use crate::model::{ConfigKeys, DirectoryId, HoldId, Moment, ScopeVersionId};
use crate::plan::ScopeVersion;
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::collections::BTreeSet;

/// 24 hours, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// The export that left nothing to do: the same bytes under the same settings end a cycle early.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quiet {
    /// xxh3-128 of the export, as hex.
    pub digest: String,
    /// xxh3-128 of its first block, as hex.
    pub head: String,
    /// In bytes; a different length proves another file without hashing it.
    pub length: i64,
    /// A digest of the settings that the plan depends on.
    pub settings: i64,
}

/// The installation's row.
#[derive(Clone, PartialEq, Debug)]
pub struct InstallationRow {
    /// 24 hex digits; also the key of the token's fingerprint.
    pub installation_id: String,
    /// The endpoint the state is bound to.
    pub base_url: String,
    /// Whether users are managed.
    pub active: bool,
    /// HMAC of the last proven token; empty before the first.
    pub token_fingerprint: String,
    /// Rhombus asked us not to call before this time.
    pub not_before: Moment,
    /// When the last export that was read was written.
    pub export_written_at: Option<Moment>,
    /// When the last members file that was read was written.
    pub memberships_written_at: Option<Moment>,
    /// The last export, if it left nothing to do.
    pub quiet: Option<Quiet>,
    /// Number of users in the last export that was read.
    pub export_users_count: i64,
    /// When the last good cycle ended.
    pub last_good_cycle_at: Option<Moment>,
    /// Number of provisioned users.
    pub provisioned_count: i64,
    /// How many times commands have written to this state.
    pub generation: i64,
    /// Whether the state was restored from a backup, and no refresh has succeeded since.
    pub restored: bool,
    /// Methods that the endpoint answered with 405 or 501.
    pub not_supported: BTreeSet<Method>,
    /// The organisation of the directory that the state is bound to, if its source has one.
    pub directory_organization: Option<String>,
}

impl InstallationRow {
    /// Until when Rhombus asked us not to call; `None` if that has passed, or is further ahead than any wait.
    #[must_use]
    pub fn retry_after(&self, now: Moment) -> Option<Moment> {
        believed(self.not_before, now, WAIT_MAX)
    }
}

/// Reads the installation's row.
pub fn installation(connection: &Connection) -> rusqlite::Result<InstallationRow> {
    connection.query_row(
        "SELECT installation_id, base_url, active, not_before, export_written_at, quiet_digest, quiet_length, quiet_settings,
         last_good_cycle_at, provisioned, quiet_head, restored, generation, token_fingerprint,
         not_supported, export_users_count, memberships_written_at, directory_organization FROM installation, counts",
        [],
        |row| {
            let quiet = match (row.get::<_, Option<String>>(5)?, row.get(10)?, row.get(6)?, row.get(7)?) {
                (Some(digest), Some(head), Some(length), Some(settings)) => {
                    Some(Quiet { digest, head, length, settings })
                }
                _ => None,
            };
            Ok(InstallationRow {
                installation_id: row.get(0)?,
                base_url: row.get(1)?,
                active: row.get(2)?,
                not_before: Moment(row.get(3)?),
                export_written_at: row.get::<_, Option<i64>>(4)?.map(Moment),
                memberships_written_at: row.get::<_, Option<i64>>(16)?.map(Moment),
                quiet,
                export_users_count: row.get(15)?,
                last_good_cycle_at: row.get::<_, Option<i64>>(8)?.map(Moment),
                provisioned_count: row.get(9)?,
                restored: row.get(11)?,
                generation: row.get(12)?,
                token_fingerprint: row.get(13)?,
                not_supported: row.get_ref(14)?.as_str()?.split_whitespace().filter_map(Method::from_name).collect(),
                directory_organization: row.get(17)?,
            })
        },
    )
}

/// The report of the last cycle: JSON, for people. It may be long.
///
/// # Errors
/// The state cannot be read.
pub fn last_report(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT report FROM last_report", [], |row| row.get(0)).optional()
}

/// Starts or stops managing users, and binds the state to an endpoint.
pub fn set_active(
    transaction: &Transaction<'_>,
    active: bool,
    base_url: &str,
    fingerprint: Option<&str>,
) -> rusqlite::Result<()> {
    let proven: String = transaction.query_row("SELECT token_fingerprint FROM installation", [], |row| row.get(0))?;
    if fingerprint.is_some_and(|fingerprint| fingerprint != proven) {
        health::forget_proof(transaction)?;
    }
    transaction.execute(
        "UPDATE installation SET active = ?1, base_url = ?2, token_fingerprint = ifnull(?3, token_fingerprint), quiet_digest = NULL,
         generation = generation + 1, not_supported = CASE WHEN ?1 THEN '' ELSE not_supported END",
        (active, base_url, fingerprint),
    )?;
    forget_fingerprints(transaction)
}

/// Ends all links because the accounts are gone, with everything that was said or released about them. Creates whose answer was
/// lost stay open. Returns how many links there were.
pub fn start_over(transaction: &Transaction<'_>, now: Moment) -> rusqlite::Result<usize> {
    let count = transaction.execute("DELETE FROM links", [])?;
    for table in ["outstanding_users", "absences", "unlisted", "approvals", "hold_changes", "lookups_failed"] {
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
    }
    transaction.execute("UPDATE intents SET ended_at = ?1 WHERE ended_at IS NULL AND action <> 'create'", [now.0])?;
    transaction.execute("UPDATE counts SET provisioned = 0", [])?;
    transaction.execute("UPDATE installation SET hold = NULL, quiet_digest = NULL, generation = generation + 1", [])?;
    forget_fingerprints(transaction)?;
    Ok(count)
}

/// Remembers which methods the endpoint does not support.
pub fn note_not_supported(transaction: &Transaction<'_>, methods: &BTreeSet<Method>) -> rusqlite::Result<()> {
    let known = installation(transaction)?.not_supported;
    let all: Vec<_> = known.union(methods).map(|method| method.as_str()).collect();
    let all = all.join(" ");
    transaction.execute("UPDATE installation SET not_supported = ?1", [all])?;
    Ok(())
}

/// Remembers until when Rhombus asked us not to call; the latest time counts.
pub fn set_not_before(transaction: &Transaction<'_>, until: Moment) -> rusqlite::Result<()> {
    // One that lies more than the longest wait beyond it was stored under a wrong clock.
    transaction.execute(
        "UPDATE installation SET not_before = CASE WHEN not_before > ?2 THEN ?1 ELSE max(not_before, ?1) END",
        (until.0, until.plus(WAIT_MAX).0),
    )?;
    Ok(())
}

/// Binds the state to an organisation of the directory.
pub fn bind_organization(transaction: &Transaction<'_>, organization: &str) -> rusqlite::Result<()> {
    transaction.execute("UPDATE installation SET directory_organization = ?1", [organization]).map(drop)
}

/// Remembers the configuration of a cycle, and logs the keys whose value changed since the last one.
pub fn note_config(
    transaction: &Transaction<'_>,
    keys: &ConfigKeys,
    source: Source,
    now: Moment,
) -> rusqlite::Result<()> {
    let before: Option<String> = transaction.query_row("SELECT config_keys FROM installation", [], |row| row.get(0))?;
    let remembered = keys.to_json();
    if before.as_ref() == Some(&remembered) {
        return Ok(());
    }
    transaction.execute("UPDATE installation SET config_keys = ?1", [remembered])?;
    let changed = before.as_ref().map(|before| keys.changed_since(before)).unwrap_or_default();
    if !changed.is_empty() {
        let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, source);
        draft.response.details = format!("settings changed: {}", changed.join(", "));
        log::append(transaction, &[draft], now)?;
    }
    Ok(())
}

/// Remembers a token that Rhombus accepted, and logs it if it is new.
pub fn note_token(
    transaction: &Transaction<'_>,
    fingerprint: &str,
    (source, initiator): (Source, Initiator),
    now: Moment,
) -> rusqlite::Result<()> {
    let before: String = transaction.query_row("SELECT token_fingerprint FROM installation", [], |row| row.get(0))?;
    if before == fingerprint {
        return Ok(());
    }
    transaction.execute("UPDATE installation SET token_fingerprint = ?1", [fingerprint])?;
    health::forget_proof(transaction)?;
    if !before.is_empty() {
        let draft = Draft { initiator, ..Draft::new(EventType::IdmIntegrationReauth, true, source) };
        log::append(transaction, &[draft], now)?;
    }
    Ok(())
}

/// Logs the head of the log, at most once a day.
pub fn checkpoint(transaction: &Transaction<'_>, now: Moment) -> rusqlite::Result<()> {
    let last: i64 = transaction.query_row("SELECT checkpoint_at FROM installation", [], |row| row.get(0))?;
    if (0..DAY_MS).contains(&now.since_ms(Moment(last))) {
        return Ok(());
    }
    let head = log::head_of(transaction)?;
    let mut draft = Draft::new(EventType::LogCheckpoint, true, Source::Schedule);
    draft.response.details = format!("sequence={} chain={}", head.sequence, head.chain);
    log::append(transaction, &[draft], now)?;
    transaction.execute("UPDATE installation SET checkpoint_at = ?1", [now.0])?;
    Ok(())
}

/// The row number of this scope version; a new one is inserted.
pub fn scope_version_id(
    transaction: &Transaction<'_>,
    wanted_under: &ScopeVersion,
) -> rusqlite::Result<ScopeVersionId> {
    let known = scope_versions(transaction)?;
    // Compared by value, not by text: an earlier release may have written the same value differently.
    if let Some((id, _)) = known.into_iter().rev().find(|(_, known)| known.as_ref() == Some(wanted_under)) {
        return Ok(id);
    }
    transaction.execute("INSERT INTO settings (json) VALUES (?1)", [wanted_under.to_json()])?;
    Ok(ScopeVersionId(transaction.last_insert_rowid()))
}

/// Every scope version under which users were ever wanted, with its row number; `None` if it cannot be parsed.
pub fn scope_versions(connection: &Connection) -> rusqlite::Result<Vec<(ScopeVersionId, Option<ScopeVersion>)>> {
    connection
        .prepare("SELECT id, json FROM settings ORDER BY id")?
        .query_map([], |row| Ok((ScopeVersionId(row.get(0)?), ScopeVersion::from_json(row.get_ref(1)?.as_str()?))))?
        .collect()
}

/// Moves all links on to this scope version, except those of the users that the plan left behind.
pub fn advance_scope_version(
    transaction: &Transaction<'_>,
    scope_version: ScopeVersionId,
    left_behind: &[DirectoryId],
) -> rusqlite::Result<()> {
    transaction.execute_batch("CREATE TEMP TABLE left_behind (directory_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")?;
    let mut insert = transaction.prepare("INSERT INTO temp.left_behind VALUES (?1) ON CONFLICT DO NOTHING")?;
    for id in left_behind {
        insert.execute([id.as_str()])?;
    }
    drop(insert);
    transaction.execute(
        "UPDATE links SET settings = ?1 WHERE settings <> ?1 AND directory_id NOT IN (SELECT directory_id FROM temp.left_behind)",
        [scope_version.0],
    )?;
    transaction.execute_batch("DROP TABLE temp.left_behind")
}

/// Stores the end of a cycle.
pub fn finish_cycle(transaction: &Transaction<'_>, end: &LastCycle) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT OR REPLACE INTO last_report (one, token, report) VALUES (1, ?1, ?2)",
        (&end.token, &end.report),
    )?;
    transaction.execute(
        "UPDATE installation SET last_good_cycle_at = ifnull(?1, last_good_cycle_at),
         export_written_at = ifnull(?2, export_written_at),
         first_load = first_load AND (?3 OR NOT (SELECT links_made > 0 FROM counts)),
         quiet_digest = CASE WHEN generation = ?9 THEN ?4 END, quiet_length = ?5, quiet_settings = ?6, quiet_head = ?7,
         restored = restored AND NOT ?8, hold = ?10, export_users_count = ifnull(?11, export_users_count),
         memberships_written_at = ifnull(?12, memberships_written_at)",
        (
            end.good_at.map(|at| at.0),
            end.export_written_at.map(|at| at.0),
            end.creates_left,
            end.quiet.as_ref().map(|quiet| &quiet.digest),
            end.quiet.as_ref().map(|quiet| quiet.length),
            end.quiet.as_ref().map(|quiet| quiet.settings),
            end.quiet.as_ref().map(|quiet| &quiet.head),
            end.restored_over,
            end.generation,
            end.hold.as_ref().map(HoldId::as_str),
            end.export_users_count,
            end.memberships_written_at.map(|at| at.0),
        ),
    )?;
    // By a clock that is far ahead everything is old.
    if end.clock_is_confirmed { intents::prune(transaction, end.now, end.window_began) } else { Ok(()) }
}

/// What a cycle leaves in the installation's row.
#[derive(Clone, PartialEq, Debug)]
pub struct LastCycle {
    /// The report: JSON, for people.
    pub report: String,
    /// What it says of the token, if anything.
    pub token: Option<String>,
    /// The hold that it left.
    pub hold: Option<HoldId>,
    /// Number of users in its export, if it read one.
    pub export_users_count: Option<i64>,
    /// When it ended, if it was a good cycle.
    pub good_at: Option<Moment>,
    /// When its export was written, if it read one.
    pub export_written_at: Option<Moment>,
    /// When its members file was written, if it read one.
    pub memberships_written_at: Option<Moment>,
    /// Whether creates are left that are only waiting. A cycle before anybody was provisioned does not end the first load.
    pub creates_left: bool,
    /// How many times commands had written when it began: a later write starts another cycle.
    pub generation: i64,
    /// Whether it was the refresh that makes a restored state trustworthy again.
    pub restored_over: bool,
    /// Its export, if it left nothing to do.
    pub quiet: Option<Quiet>,
    /// The end of the cycle.
    pub now: Moment,
    /// When `[guard] window` began.
    pub window_began: Moment,
    /// Whether Rhombus showed that the clock is right; nothing is thrown away otherwise.
    pub clock_is_confirmed: bool,
}
