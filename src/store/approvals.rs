//! Approvals: each is stored with the event that gave it, and believed only where the log has that event. Whoever can write to the
//! state's table alone releases nothing.

use super::holds::{BEGUN, read_fields};
use super::log;
use super::rows::exact;
use crate::clock::{AHEAD_MS_MAX, APPROVAL};
use crate::event::{ChainStart, Draft, EventType, Initiator, Released, SealKey, Source, Verifier, chain_of};
use crate::model::{Approval, ExactChange, HeldChange, HoldId, Moment, Person, ScimId, UserName};
use rusqlite::{Connection, Row, Transaction};
use std::collections::BTreeMap;

/// One approval names so many of its users in one event; who is beyond is named in further ones.
const TARGETS_MAX: usize = 100;

/// Releases changes of a hold, each once and as it was shown, for one hour, and logs it. `details`: what the first event adds.
///
/// # Errors
/// The state cannot be written.
pub fn approve(
    transaction: &Transaction<'_>,
    changes: &[HeldChange],
    approval: &Approval,
    details: &str,
    now: Moment,
) -> rusqlite::Result<()> {
    let Approval { hold, by, reason } = approval;
    super::fingerprints::forget_fingerprints(transaction)?;
    let before = log::head_of(transaction)?.sequence;
    log::append(transaction, &events(approval, changes, details), now)?;
    transaction.execute(
        "UPDATE holds SET approved_by = ?2, approved_at = ?3 WHERE id = ?1",
        (hold.as_str(), by.text(), now.0),
    )?;
    // What was approved for the same user before is not what was shown now; an intent that is open keeps what released it.
    let mut ends = transaction.prepare(
        "DELETE FROM approvals AS a WHERE action = ?1 AND directory_id = ?2 AND scim_id = ?3 AND content <> ?4
         AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.approval = a.expires_at AND i.directory_id = a.directory_id
         AND i.action = a.action AND i.content = a.content AND i.ended_at IS NULL)",
    )?;
    let mut insert = transaction.prepare(
        "INSERT OR REPLACE INTO approvals
         (action, directory_id, scim_id, content, hold_id, approved_by, account, claimed, reason, expires_at, event)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for (part, changes) in (1..).zip(changes.chunks(TARGETS_MAX)) {
        for HeldChange { exact: ExactChange { key, content }, .. } in changes {
            let (action, id, content) = (key.action.as_str(), key.directory_id.as_str(), content.as_str());
            let scim_id = key.scim_id.as_ref().map_or("", ScimId::as_str);
            ends.execute((action, id, scim_id, content))?;
            insert.execute((
                action,
                id,
                scim_id,
                content,
                hold.as_str(),
                &by.username,
                &by.account,
                by.claimed,
                reason,
                now.plus(APPROVAL).0,
                before + part,
            ))?;
        }
    }
    Ok(())
}

/// The events of an approval: the first names it and its first users, further ones the rest.
fn events(approval: &Approval, chosen: &[HeldChange], details: &str) -> Vec<Draft> {
    let parts = chosen.chunks(TARGETS_MAX);
    let parts_count = parts.len();
    let part = |(number, targets): (usize, &[HeldChange])| {
        let mut draft = Draft::new(EventType::ReconcileApproved, true, Source::Approve);
        draft.initiator = Initiator::Admin(approval.by.clone());
        let part = if parts_count > 1 { format!(" part={}/{parts_count}", number + 1) } else { String::new() };
        draft.response.details = format!("hold={} changes={}{details}{part}", approval.hold, chosen.len());
        draft.approval = Some(approval.clone());
        draft.targets = targets.to_vec();
        draft
    };
    parts.enumerate().map(part).collect()
}

/// What is released: every approval that was not used, has not expired or was begun, and stands in the log. None ends later than an
/// hour from now, whatever the clock said when it was given.
///
/// # Errors
/// The state cannot be read.
pub fn approvals(connection: &Connection, now: Moment) -> rusqlite::Result<BTreeMap<ExactChange, Approval>> {
    let (standing, _) = standing(connection, now)?;
    Ok(standing.into_iter().map(|row| (row.exact, row.approval)).collect())
}

/// How many approvals in the state release nothing, because the log has no event that gave them.
///
/// # Errors
/// The state cannot be read.
pub fn void_approvals_count(connection: &Connection, now: Moment) -> rusqlite::Result<u64> {
    Ok(standing(connection, now)?.1)
}

/// When the newest approval expires; 0 if there is none.
pub fn last_approval_ends(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT ifnull(max(expires_at), 0) FROM approvals WHERE NOT used", [], |row| row.get(0))
}

/// An approval that a coming cycle may still use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandingApproval {
    /// What was approved, as it was shown.
    pub change: HeldChange,
    /// Who approved it.
    pub by: Person,
    /// Until when.
    pub until: Moment,
}

/// What is released, as [`approvals`] has it, for people: with the values that were shown, and until when.
///
/// # Errors
/// The state cannot be read.
pub fn standing_approvals(connection: &Connection, now: Moment) -> rusqlite::Result<Vec<StandingApproval>> {
    let mut shown = connection.prepare(
        "SELECT username, fields FROM hold_changes
         WHERE hold_id = ?1 AND action = ?2 AND directory_id = ?3 AND scim_id = ?4 AND content = ?5",
    )?;
    let (standing, _) = standing(connection, now)?;
    let for_people = |StoredApproval { exact, approval, until, .. }| {
        let ExactChange { key, content } = &exact;
        let scim_id = key.scim_id.as_ref().map_or("", ScimId::as_str);
        let (action, id) = (key.action.as_str(), key.directory_id.as_str());
        let mut rows = shown.query((approval.hold.as_str(), action, id, scim_id, content.as_str()))?;
        let (user_name, fields) = match rows.next()? {
            Some(row) => (UserName::of_account(row.get_ref(0)?.as_str()?), read_fields(row.get_ref(1)?.as_str()?)),
            // What nothing knows any more is shown by its id.
            None => (UserName::of_account(id), Vec::new()),
        };
        Ok(StandingApproval { change: HeldChange { exact, user_name, fields }, by: approval.by, until })
    };
    standing.into_iter().map(for_people).collect()
}

/// An approval as its row has it.
struct StoredApproval {
    exact: ExactChange,
    approval: Approval,
    until: Moment,
    /// The number of the event that gave it.
    event: i64,
}

/// Those that are good now and stand in the log, and how many do not stand there.
fn standing(connection: &Connection, now: Moment) -> rusqlite::Result<(Vec<StoredApproval>, u64)> {
    let rows: Vec<StoredApproval> = connection
        .prepare_cached(&format!(
            "SELECT action, directory_id, scim_id, content, hold_id, approved_by, account, claimed, reason, expires_at, event
             FROM approvals a WHERE NOT used AND (expires_at BETWEEN ?1 + 1 AND ?2 OR {BEGUN}) ORDER BY action, directory_id"
        ))?
        .query_map((now.0, now.plus(APPROVAL).0 + AHEAD_MS_MAX), stored)?
        .collect::<rusqlite::Result<_>>()?;
    if rows.is_empty() {
        return Ok((rows, 0));
    }
    let mut log = Log { connection, key: log::seal_key(connection)?, read: BTreeMap::new() };
    let (all, mut believed) = (rows.len(), Vec::with_capacity(rows.len()));
    for row in rows {
        if log.gave(&row)? {
            believed.push(row);
        }
    }
    let void_count = (all - believed.len()) as u64;
    Ok((believed, void_count))
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredApproval> {
    let by = Person { username: row.get(5)?, account: row.get(6)?, claimed: row.get(7)? };
    let approval = Approval { hold: HoldId::new(row.get_ref(4)?.as_str()?), by, reason: row.get(8)? };
    Ok(StoredApproval { exact: exact(row, 0)?, approval, until: Moment(row.get(9)?), event: row.get(10)? })
}

/// The log, as far as it was read for approvals: one event gave up to a hundred of them.
struct Log<'c> {
    connection: &'c Connection,
    key: Option<SealKey>,
    read: BTreeMap<i64, Option<Released>>,
}

impl Log<'_> {
    fn gave(&mut self, row: &StoredApproval) -> rusqlite::Result<bool> {
        if !self.read.contains_key(&row.event) {
            let released = self.released(row.event)?;
            self.read.insert(row.event, released);
        }
        let released = self.read.get(&row.event).and_then(Option::as_ref);
        Ok(released.is_some_and(|released| released.covers(&row.exact, &row.approval)))
    }

    /// What an event released, if its chain is that of the log, and where there is a key its seal.
    fn released(&self, event: i64) -> rusqlite::Result<Option<Released>> {
        let Some(line) = log::event_line(self.connection, event)? else { return Ok(None) };
        let Some(before) = self.before(event)? else { return Ok(None) };
        let mut verifier = Verifier::begin(event, before).with_key(self.key.clone());
        let is_sound = verifier.verify(&line).is_ok() && (self.key.is_none() || verifier.sealed_from().is_some());
        Ok(Released::by(&line).filter(|_| is_sound))
    }

    fn before(&self, event: i64) -> rusqlite::Result<Option<ChainStart>> {
        if event == 1 {
            return Ok(Some(ChainStart::Nothing));
        }
        if let Some(line) = log::event_line(self.connection, event - 1)? {
            return Ok(chain_of(&line).map(|chain| ChainStart::Known(chain.to_owned())));
        }
        if let Some(chain) = super::restored::chain_before(self.connection, event)? {
            return Ok(Some(ChainStart::Known(chain)));
        }
        let mark = log::pruned(self.connection)?.filter(|(sequence, _)| *sequence == event - 1);
        Ok(mark.map(|(_, chain)| if chain.is_empty() { ChainStart::Trusted } else { ChainStart::Known(chain) }))
    }
}
