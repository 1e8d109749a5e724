//! Joins export and snapshot and makes the plan. Writes nothing and calls nobody, so the `plan` command uses it too.

use super::error::CompareError;
use super::join::{Joined, join_known, join_whole};
use super::recall::Recall;
use super::selection::Selection;
use crate::clock;
use crate::config::Settings;
use crate::model::{
    Action, ChangeKey, ClockDoubt, Column, DirectoryId, ExistingAccounts, HeldBy, InDoubt, Mismatch, Moment, NotTried,
    OutstandingKind, OutstandingUser, Reason, ScopeVersionId, Seen, Shown, UsernameConflict,
};
use crate::plan::{self, ApprovedPlan, Duplicates, GroupsSeen, Inputs, Plan, ScopeVersions, Usability};
use crate::source::{self, Door, Export, ExportRead, Keep, SourceError};
use crate::store::{self, InstallationRow, Remembered};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;

/// The door to the export, as the state knows it.
#[must_use]
pub fn door<'d>(
    reader: &'d Connection,
    installation: &InstallationRow,
    keep: Keep,
    stop: &CancellationToken,
) -> Door<'d> {
    let linked = || store::linked_ids(reader).map_err(|error| error.to_string());
    let organization = installation.directory_organization.clone();
    Door { stop: stop.clone(), keep, linked: Some(Box::new(linked)), organization, ..Door::default() }
}

/// Opens the export, if its age is allowed.
///
/// # Errors
/// It cannot be read, or is refused.
pub fn open_export(
    settings: &Settings,
    now: Moment,
    installation: &InstallationRow,
    door: &Door<'_>,
) -> Result<Export, SourceError> {
    let export = source::open(settings, door)?;
    export.check_age(now, settings.max_age, installation.export_written_at)?;
    export.check_age_of_memberships(now, settings.max_age, installation.memberships_written_at)?;
    Ok(export)
}

/// The result of a comparison.
pub struct Compared {
    /// The plan, as the guard judged it.
    pub plan: ApprovedPlan,
    /// What the export held.
    pub export: ExportRead,
    /// What its records ask for, and how many cannot be used.
    pub usability: Usability,
    /// Users missing from an export that may be incomplete.
    pub sightings: Vec<DirectoryId>,
    /// Users whom a members file that cannot prove that it is whole lists in no scoped group.
    pub unlisted: Vec<DirectoryId>,
    /// The users selected by `--only`; `None`: everybody.
    pub only: Option<BTreeSet<DirectoryId>>,
    /// When the plan was made.
    pub planned_at: Moment,
    /// Accounts that have since got the username that the directory wants.
    pub renamed_there: Vec<DirectoryId>,
    /// Wanted users whose accounts are gone: their links end before the accounts are created again.
    pub vanished: Vec<DirectoryId>,
    /// If some links still have earlier settings: the users among them who are no longer wanted.
    pub left_behind: Option<Vec<DirectoryId>>,
    /// What the export says of the groups of `[scope]`.
    pub groups: GroupsSeen,
    /// What a cycle leaves of the bytes of the records.
    pub remembered: Option<Remembered>,
}

/// What was read of accounts before the plan.
#[derive(Clone, Debug, Default)]
pub struct Refreshed {
    /// Accounts that differ from the snapshot.
    pub seen: BTreeMap<DirectoryId, Seen>,
    /// What is listed whatever the export says: another `externalId`, and accounts that could not be read.
    pub listed: Vec<OutstandingUser>,
}

/// Inputs of a comparison besides export and snapshot.
#[derive(Default)]
pub struct Known<'k> {
    /// Users whose last request got no answer.
    pub in_doubt: BTreeMap<DirectoryId, InDoubt>,
    /// Users whose change earlier cycles left undone.
    pub outstanding: &'k [OutstandingUser],
    /// What was read of accounts before the plan.
    pub refreshed: Refreshed,
    /// Only these users; empty: everybody.
    pub only: &'k [String],
    /// When the guard's window began; `None`: by the wall clock.
    pub window_began: Option<Moment>,
    /// Rhombus's clock, if this cycle has seen it already.
    pub date: Option<Moment>,
    /// The state was restored from a backup, which no sender has noticed yet.
    pub restored: bool,
    /// Whether records may be known by their bytes; `None`: every record is parsed, and nothing is remembered.
    pub recall: Option<Recall>,
}

/// Joins export and snapshot and lets the guard judge the plan, for everybody or for the users in `only`.
///
/// # Errors
/// Export or state cannot be read, or the export is refused: conclude nothing. Or `only` matches no user.
pub fn compare(
    reader: &Connection,
    settings: &Settings,
    export: &mut Export,
    known: Known<'_>,
    now: Moment,
) -> Result<Compared, CompareError> {
    let Known { in_doubt, outstanding, refreshed, only, window_began, date, restored, recall } = known;
    let Refreshed { seen, listed } = refreshed;
    let gone = seen.iter().filter(|(_, seen)| **seen == Seen::Gone).map(|(id, _)| id.clone()).collect();
    // Whoever is asked for by name is tried at once.
    let mut failed = if only.is_empty() { failed(outstanding) } else { BTreeMap::new() };
    if settings.existing_accounts == ExistingAccounts::Adopt {
        failed.retain(|_, entry| entry.reason != Reason::Username(UsernameConflict::NotOurs));
    }
    let inputs = Inputs { failed, in_doubt, seen, listed, ..inputs_of(reader, settings, now)? };
    let mut selection = Selection::begin(only, reader)?;
    let recall = recall.filter(|_| only.is_empty());
    let known = match &recall {
        Some(recall) => {
            let whole = recall.whole || clock_doubt(store::head_of(reader)?.timestamp, now, date).is_some();
            let recall = Recall { whole, ..recall.clone() };
            join_known(reader, settings, export, (inputs.clone(), outstanding), &recall)?
        }
        None => None,
    };
    let (Joined { mut plan, read, silence, usability }, remembered) = match known {
        Some(joined) => joined,
        None => join_whole(reader, settings, export, inputs, (&mut selection, recall.as_ref()))?,
    };
    let (sightings, unlisted) = (std::mem::take(&mut plan.sightings), std::mem::take(&mut plan.unlisted));
    let mut only = if only.is_empty() { None } else { Some(selection.users().map_err(CompareError::UnknownUser)?) };
    only.iter_mut().for_each(|users| with_both_ids(users, &plan));
    let moved_on = (plan.settings_move_on && only.is_none()).then(|| std::mem::take(&mut plan.left_behind));
    let mut ledger = store::ledger(reader, now, window_began.unwrap_or(now.minus(settings.window)))?;
    if restored {
        // Approvals belong to the lost history.
        ledger.restored = true;
        ledger.approved.clear();
    }
    ledger.limits.clone_from(&settings.limits);
    (ledger.shown, ledger.approved_otherwise) = (shown(outstanding), approved_otherwise(outstanding));
    ledger.gone = gone;
    ledger.arrivals_stopped = silence.of_all.first().copied();
    ledger.unsaid = silence.of_users(std::mem::take(&mut plan.unsaid));
    ledger.removals_stopped = clock_doubt(store::head_of(reader)?.timestamp, now, date);
    let (mut vanished, renamed_there) = (std::mem::take(&mut plan.vanished), std::mem::take(&mut plan.renamed_there));
    let groups = std::mem::take(&mut plan.groups);
    let mut plan = plan::approve(plan, &ledger);
    if let Some(users) = &only {
        vanished.retain(|id| users.contains(id));
        plan = plan.only(users);
    }
    Ok(Compared {
        plan,
        usability,
        export: read,
        sightings,
        unlisted,
        only,
        vanished,
        renamed_there,
        planned_at: now,
        left_behind: moved_on,
        groups,
        remembered,
    })
}

/// What a comparison depends on besides this cycle's own findings.
fn inputs_of(reader: &Connection, settings: &Settings, now: Moment) -> Result<Inputs, CompareError> {
    let before = store::spoken_before(reader)?;
    let was_filled = |column: &Column| before.was_filled(settings.directory_number, *column);
    Ok(Inputs {
        now,
        scope: settings.scope.clone(),
        policy: settings.policy,
        failed: BTreeMap::new(),
        in_doubt: BTreeMap::new(),
        absences: store::absences(reader)?,
        unlisted: store::unlisted(reader)?,
        doubled: Duplicates::default(),
        scope_versions: scope_versions(reader, settings)?,
        seen: BTreeMap::new(),
        listed: Vec::new(),
        stranded: store::stranded(reader)?,
        told_apart: store::told_apart(reader)?,
        groups: store::group_memory(reader)?,
        filled_before: [Column::State, Column::Activated, Column::Suspended].into_iter().filter(was_filled).collect(),
    })
}

/// Whose id changed is meant by either.
fn with_both_ids(users: &mut BTreeSet<DirectoryId>, plan: &Plan) {
    for change in &plan.changes {
        if let Some(former_id) = change.former_id()
            && (users.contains(former_id) || users.contains(change.directory_id()))
        {
            users.extend([former_id.clone(), change.directory_id().clone()]);
        }
    }
}

/// The scope versions under which users were last wanted, including the present one.
fn scope_versions(reader: &Connection, settings: &Settings) -> rusqlite::Result<ScopeVersions> {
    let mut scope_versions = ScopeVersions::default();
    for (number, known) in store::scope_versions(reader)? {
        if known.as_ref() == Some(&settings.wanted_under) {
            scope_versions.present = number;
        }
        scope_versions.known.extend(known.map(|known| (number, known)));
    }
    // `plan` may run before a cycle has stored the present one.
    if scope_versions.present == ScopeVersionId::default() {
        scope_versions.known.insert(ScopeVersionId::default(), settings.wanted_under.clone());
    }
    Ok(scope_versions)
}

/// Why our clock is not believed, if it is not: it is behind the last event, or another one than Rhombus's.
fn clock_doubt(last_event: Moment, now: Moment, date: Option<Moment>) -> Option<ClockDoubt> {
    let behind = clock::is_ahead(last_event, now).then(|| ClockDoubt::BehindLog(last_event.since_ms(now) / 1000));
    let off = date.filter(|date| !clock::agree(now, *date)).map(|date| now.since_ms(date) / 60_000);
    behind.or(off.map(ClockDoubt::OffRhombus))
}

/// Changes that the last cycle held because something else was approved for their users.
fn approved_otherwise(outstanding: &[OutstandingUser]) -> BTreeSet<(Action, DirectoryId)> {
    let held =
        outstanding.iter().filter(|entry| matches!(entry.reason, Reason::Held { by: HeldBy::ApprovedOtherwise, .. }));
    held.filter_map(|entry| Some((entry.action?, entry.directory_id.clone()?))).collect()
}

/// What the accounts showed whose removals the last cycle held for it.
fn shown(outstanding: &[OutstandingUser]) -> BTreeMap<ChangeKey, (Mismatch, Shown)> {
    let held = outstanding.iter().filter(|entry| entry.kind == OutstandingKind::Held);
    held.filter_map(|entry| {
        let Reason::Mismatch { what, shown: Some(shown) } = &entry.reason else { return None };
        let (action, directory_id) = (entry.action?, entry.directory_id.clone()?);
        Some((ChangeKey { action, directory_id, scim_id: entry.scim_id.clone() }, (*what, shown.clone())))
    })
    .collect()
}

/// The users among them whose change failed, or is refused for what Rhombus shows, by id: they are tried again at a set time.
pub(super) fn failed(outstanding: &[OutstandingUser]) -> BTreeMap<DirectoryId, OutstandingUser> {
    outstanding
        .iter()
        .filter(|entry| match entry.kind {
            OutstandingKind::Failed => entry.action.is_some(),
            OutstandingKind::Refused => entry.until.is_some(),
            // The one whose long Retry-After ended the last cycle.
            OutstandingKind::Waiting => entry.attempts > 0 && entry.reason == Reason::from(NotTried::Throttled),
            OutstandingKind::Held | OutstandingKind::Parked | OutstandingKind::Kept | OutstandingKind::Drift => false,
        })
        .filter_map(|entry| Some((entry.directory_id.clone()?, entry.clone())))
        .collect()
}
