//! Export and snapshot joined, and the plan that comes of it. Nothing is written and nobody is called: `plan` uses it too.

use crate::config::Settings;
use crate::model::{DirectoryId, InDoubt, Loose, Moment, Standing, StandingKind};
use crate::plan::{self, ApprovedPlan, Comparison, Doubled, Inputs, Plan, Suspects, Whole};
use crate::source::{Export, ExportRead, SourceError};
use crate::store::{self, InstallationRow, Snapshot};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// A wall clock further behind the last event than this stops removals, in milliseconds.
const CLOCK_BEHIND_MS_MAX: i64 = 60_000;

/// Opens the export, where its age allows it.
///
/// # Errors
/// It cannot be read, or is refused.
pub fn open_export(settings: &Settings, now: Moment, installation: &InstallationRow) -> Result<Export, SourceError> {
    let export = Export::open(&settings.export_path, settings.format, &settings.id_attribute)?;
    export.check_age(now, settings.max_age, installation.export_written_at)?;
    Ok(export)
}

/// What a comparison brought.
pub struct Compared {
    /// What may be done.
    pub plan: ApprovedPlan,
    /// What was read.
    pub export: ExportRead,
    /// Users missing from an export that cannot prove that it is whole.
    pub sightings: Vec<DirectoryId>,
}

/// Reads the export beside the snapshot and lets the guard judge the plan.
///
/// # Errors
/// The export, or the state beside it, cannot be read or is refused: nothing follows from it.
pub fn compare(
    reader: &Connection,
    settings: &Settings,
    export: &mut Export,
    in_doubt: BTreeMap<DirectoryId, InDoubt>,
    now: Moment,
) -> Result<Compared, SourceError> {
    let state = |export: &Export, error: rusqlite::Error| {
        export.refuse(
            format!("the state beside it cannot be read: {error}"),
            "look at the state's disk; nothing was sent",
        )
    };
    let mut inputs = Inputs {
        now,
        scope: settings.scope.clone(),
        policy: settings.policy,
        failed: failed(reader).map_err(|error| state(export, error))?,
        in_doubt,
        absences: store::absences(reader).map_err(|error| state(export, error))?,
        doubled: Doubled::default(),
    };
    let mut suspects = Suspects::default();
    let (mut plan, read) = join(reader, settings, export, inputs.clone(), Some(&mut suspects))?;
    if suspects.nominate() {
        export.read(&mut |user| suspects.look(user))?;
        inputs.doubled = suspects.doubled();
        if inputs.doubled != Doubled::default() {
            (plan, _) = join(reader, settings, export, inputs, None)?;
        }
    }
    let sightings = std::mem::take(&mut plan.sightings);
    let mut ledger = store::ledger(reader, now, settings.window).map_err(|error| state(export, error))?;
    ledger.limits.clone_from(&settings.limits);
    let head = store::head_of(reader).map_err(|error| state(export, error))?;
    let behind_ms = head.timestamp.since_ms(now);
    if behind_ms > CLOCK_BEHIND_MS_MAX {
        ledger.removals_stopped = Some(format!("the clock is {} s behind the last event", behind_ms / 1000));
    }
    Ok(Compared { plan: plan::approve(plan, &ledger), export: read, sightings })
}

/// One reading of the export beside the snapshot.
fn join(
    reader: &Connection,
    settings: &Settings,
    export: &mut Export,
    inputs: Inputs,
    mut suspects: Option<&mut Suspects>,
) -> Result<(Plan, ExportRead), SourceError> {
    let mut fault: Option<rusqlite::Error> = None;
    let mut comparison = Comparison::new(inputs);
    let mut ordered = match Snapshot::ordered(reader) {
        Ok(ordered) => ordered,
        Err(error) => return Err(unreadable(export, &error)),
    };
    let mut snapshot = Snapshot::begin(reader, &mut ordered).map_err(|error| unreadable(export, &error))?;
    let read = export.read(&mut |user| {
        if let Some(suspects) = &mut suspects {
            suspects.note(user);
        }
        let row = match &user.id {
            Loose::Text(id) if !id.is_empty() && fault.is_none() => snapshot.find(id),
            Loose::Text(_) | Loose::Absent | Loose::Null | Loose::Flag(_) | Loose::Other => Ok(None),
        };
        match row {
            Ok(row) => comparison.record(user, row.as_ref()),
            Err(error) => fault = Some(error),
        }
    })?;
    believable(settings, export, &read)?;
    if fault.is_none() {
        fault = snapshot.missing(&mut |row| comparison.missing(row)).err();
    }
    let whole = Whole { proof: read.proof, written_at: read.written_at };
    let plan = comparison.finish(whole, &mut |folded| match store::link_of(reader, folded) {
        Ok(row) => row,
        Err(error) => {
            fault = Some(error);
            None
        }
    });
    match fault {
        Some(error) => Err(unreadable(export, &error)),
        None => Ok((plan, read)),
    }
}

fn unreadable(export: &Export, error: &rusqlite::Error) -> SourceError {
    export.refuse(format!("the state beside it cannot be read: {error}"), "look at the state's disk; nothing was sent")
}

/// What only the whole content shows: too few users, or a scope by groups over users without any.
fn believable(settings: &Settings, export: &Export, read: &ExportRead) -> Result<(), SourceError> {
    if read.users_count < settings.users_count_min {
        return Err(export.refuse(
            format!("it holds {} users, min_users is {}", read.users_count, settings.users_count_min),
            "look at the export job; set [directory] min_users lower only if so few users are right; nothing was sent",
        ));
    }
    if settings.scope.by_groups() && read.with_groups_count == 0 {
        return Err(export.refuse(
            "no user in it has groups, and the scope is by groups",
            "let the export job write `groups`, or empty [scope] groups; nothing was sent",
        ));
    }
    Ok(())
}

/// Failures that earlier cycles stored, by user.
pub(super) fn failed(reader: &Connection) -> rusqlite::Result<BTreeMap<DirectoryId, Standing>> {
    let standings = store::standings(reader)?;
    Ok(standings
        .into_iter()
        .filter(|standing| standing.kind == StandingKind::Failed)
        .filter_map(|standing| Some((standing.directory_id.clone()?, standing)))
        .collect())
}
