//! Reads the export beside the snapshot: every record of it, or only those that do not stand where they stood. What the second
//! way comes to is what the first would have come to; in doubt it is given up, and the first is taken.

use super::believe::believable;
use super::error::CompareError;
use super::recall::{self, Recall, Recording, entry_of, is_without_doubles, opening_of};
use super::selection::Selection;
use crate::config::Settings;
use crate::fingerprints::{Key, Said, Sets, Walk};
use crate::model::{DirectoryUser, OutstandingUser, Proof, RawValue, SpokenBefore};
use crate::plan::{Comparison, DuplicateFinder, Duplicates, Inputs, Memberships, Plan, Silence, Usability, Whole};
use crate::source::{Export, ExportRead, Recipient, SourceError};
use crate::store::{self, Remembered, Segments, Snapshot};
use rusqlite::Connection;
use std::collections::HashSet;

/// An export with more unusable records than one in ten is rejected as a whole, and most records have more than a tenth of this, in bytes.
const BYTES_PER_DETAIL: u64 = 1_000;
/// So many are remembered in any case.
const DETAILS_FREE: u64 = 1_000;

/// What one reading of the export came to.
pub(super) struct Joined {
    pub(super) plan: Plan,
    pub(super) read: ExportRead,
    pub(super) silence: Silence,
    pub(super) usability: Usability,
}

/// Called for each record that is parsed.
type Beside<'b> = dyn FnMut(&DirectoryUser<'_>) + 'b;

/// Parses every record; more than once if only that tells what it means.
pub(super) fn join_whole(
    reader: &Connection,
    settings: &Settings,
    export: &mut Export,
    mut inputs: Inputs,
    (selection, recall): (&mut Selection, Option<&Recall>),
) -> Result<(Joined, Option<Remembered>), CompareError> {
    let mut finder = DuplicateFinder::default();
    let mut beside = |user: &DirectoryUser<'_>| {
        finder.note(user);
        selection.look(user);
    };
    let (mut joined, mut remembered) = join(reader, settings, export, inputs.clone(), (&mut beside, recall))?;
    if export.expects_states(&joined.read.spoken) {
        (joined, remembered) = join(reader, settings, export, inputs.clone(), (&mut |_| {}, None))?;
    }
    if finder.nominate(std::mem::take(&mut joined.plan.absent)) {
        remembered = None;
        export.read(&mut |user| finder.look(user))?;
        inputs.doubled = finder.doubled();
        if inputs.doubled != Duplicates::default() {
            (joined, _) = join(reader, settings, export, inputs, (&mut |_| {}, None))?;
        }
    }
    // Without a new table the old one ends: every record was parsed because it could not be used.
    let remembered = remembered.or_else(|| recall.map(|_| Remembered::nothing()));
    Ok((joined, remembered))
}

/// Parses only the records that do not stand where they stood; `None`: every record has to be parsed.
pub(super) fn join_known(
    reader: &Connection,
    settings: &Settings,
    export: &mut Export,
    (inputs, outstanding): (Inputs, &[OutstandingUser]),
    recall: &Recall,
) -> Result<Option<(Joined, Option<Remembered>)>, CompareError> {
    let tried = Snapshot::open(reader, |snapshot| {
        known_beside(reader, settings, export, snapshot, (inputs, outstanding, recall))
    });
    match tried {
        // What is wrong is told by a reading of every record.
        Err(error) if !matches!(error, CompareError::Source(SourceError::Stopped { .. })) => Ok(None),
        tried => tried,
    }
}

fn known_beside(
    reader: &Connection,
    settings: &Settings,
    export: &mut Export,
    mut snapshot: Snapshot<'_>,
    (inputs, outstanding, recall): (Inputs, &[OutstandingUser], &Recall),
) -> Result<Option<(Joined, Option<Remembered>)>, CompareError> {
    let usable = recall::usable(reader, settings, (&inputs, outstanding), recall, export)?;
    let Some((head, state, parsed_anyway)) = usable else { return Ok(None) };
    let before = store::spoken_before(reader)?;
    let mut segments = Segments::of(reader)?;
    let Ok(walk) = Walk::begin(&mut segments, &head, parsed_anyway) else { return Ok(None) };
    let (details_max, now) = (details_max(export), inputs.now);
    let mut comparison = Comparison::new(inputs).bounded(details_max);
    let mut finder = DuplicateFinder::default();
    snapshot.look_up_each();
    let mut reading = Reading {
        snapshot: &mut snapshot,
        comparison: &mut comparison,
        beside: &mut |user| finder.note(user),
        fault: None,
        sets: head.sets.clone(),
        recording: Recording::anew(reader, &head, (recall, now), &state),
        known: Some(KnownRecords { walk, key: head.key(), opening: head.opening, noted: HashSet::new() }),
        begins_otherwise: false,
    };
    let read = export.read_for(&mut reading)?;
    let Reading { fault, sets, recording, known, begins_otherwise, .. } = reading;
    let Some(known) = known.filter(|_| fault.is_none() && !begins_otherwise) else { return Ok(None) };
    let Ok(walked) = known.walk.finish() else { return Ok(None) };
    if export.lacks_states(&read.spoken) {
        return Ok(None);
    }
    let Some(mut joined) = judged(reader, settings, export, (snapshot, comparison, read), &before)? else {
        return Ok(None);
    };
    if !is_without_doubles(&mut segments, &head, &walked, &mut finder, &joined.plan.absent) {
        return Ok(None);
    }
    joined.plan.absent.clear();
    let left = recall::left_of(head, sets, walked, recording, (state.epoch, state.last_change));
    Ok(Some((joined, Some(left))))
}

/// Reads the export beside the snapshot. An export with too many unusable records is rejected as a whole, so not all of them are remembered
/// at first; if there are many and not too many, it is read once more.
fn join(
    reader: &Connection,
    settings: &Settings,
    export: &mut Export,
    inputs: Inputs,
    (beside, recall): (&mut Beside<'_>, Option<&Recall>),
) -> Result<(Joined, Option<Remembered>), CompareError> {
    let details_max = details_max(export);
    if let Some(joined) = join_bounded(reader, settings, export, (inputs.clone(), details_max), (beside, recall))? {
        return Ok(joined);
    }
    let joined = join_bounded(reader, settings, export, (inputs, u64::MAX), (&mut |_| {}, None))?;
    joined.ok_or_else(|| export.changed_meanwhile().into())
}

fn details_max(export: &Export) -> u64 {
    (export.length_bytes() / BYTES_PER_DETAIL).max(DETAILS_FREE)
}

/// Reads the export once; `None`: more records are unusable than may be remembered.
fn join_bounded(
    reader: &Connection,
    settings: &Settings,
    export: &mut Export,
    (inputs, details_max): (Inputs, u64),
    (beside, recall): (&mut Beside<'_>, Option<&Recall>),
) -> Result<Option<(Joined, Option<Remembered>)>, CompareError> {
    let before = store::spoken_before(reader)?;
    Snapshot::open(reader, |mut snapshot| {
        let recording = match recall {
            Some(recall) => Recording::begin(reader, settings, &inputs, recall, export)?,
            None => None,
        };
        let mut comparison = Comparison::new(inputs).bounded(details_max);
        let mut reading = Reading {
            snapshot: &mut snapshot,
            comparison: &mut comparison,
            beside,
            fault: None,
            sets: Sets::default(),
            recording,
            known: None,
            begins_otherwise: false,
        };
        let read = export.read_for(&mut reading)?;
        let Reading { fault, sets, recording, .. } = reading;
        if let Some(error) = fault {
            return Err(error.into());
        }
        let remembered = recording.map(|mut recording| {
            recording.head.sets = sets;
            recording.finish(false)
        });
        let joined = judged(reader, settings, export, (snapshot, comparison, read), &before)?;
        Ok(joined.map(|joined| (joined, remembered)))
    })
}

/// What a reading came to; `None`: more records are unusable than may be remembered.
fn judged(
    reader: &Connection,
    settings: &Settings,
    export: &Export,
    (snapshot, mut comparison, read): (Snapshot<'_>, Comparison, ExportRead),
    before: &SpokenBefore,
) -> Result<Option<Joined>, CompareError> {
    let silence = believable(settings, export, &read, comparison.usability(), before)?;
    if comparison.is_cut() {
        return Ok(None);
    }
    let usability = comparison.usability().clone();
    let nobody_is_linked = snapshot.is_empty();
    snapshot.missing(&mut |row| comparison.missing(row))?;
    // If a record appears twice, another may be missing: pages shift while they are read.
    let proof = if comparison.has_doubled_ids() { Proof::Unproven } else { read.proof };
    let memberships = read.memberships.as_ref().map(|read| {
        read.of_nobody.iter().for_each(|user| {
            comparison.membership_of_nobody(user.id.as_deref(), user.user_name.as_deref());
        });
        Memberships { proof: read.proof, written_at: read.written_at, names_nobody: read.names_nobody }
    });
    let whole = Whole { proof, written_at: read.written_at, memberships };
    let mut fault: Option<rusqlite::Error> = None;
    let plan = comparison.finish(whole, &mut |folded| {
        // A first load asks for each of its users.
        if nobody_is_linked {
            return None;
        }
        store::link_of(reader, folded).unwrap_or_else(|error| {
            fault = Some(error);
            None
        })
    });
    match fault {
        Some(error) => Err(error.into()),
        None => Ok(Some(Joined { plan, read, silence, usability })),
    }
}

/// One reading of the export.
struct Reading<'r, 'w> {
    snapshot: &'r mut Snapshot<'w>,
    comparison: &'r mut Comparison,
    beside: &'r mut Beside<'r>,
    fault: Option<rusqlite::Error>,
    sets: Sets,
    /// What is written down of it.
    recording: Option<Recording>,
    /// What is known of its records.
    known: Option<KnownRecords<'r>>,
    /// Whether it begins otherwise than the one of which records are known.
    begins_otherwise: bool,
}

struct KnownRecords<'r> {
    walk: Walk<'r>,
    key: Key,
    opening: u64,
    /// The sets of scoped groups that were noted.
    noted: HashSet<u8>,
}

impl Recipient for Reading<'_, '_> {
    fn begins(&mut self, opening: &[u8]) {
        if let Some(recording) = &mut self.recording {
            recording.begins(opening);
        }
        if self.known.as_ref().is_some_and(|known| known.opening != opening_of(opening)) {
            (self.known, self.begins_otherwise) = (None, true);
        }
    }

    fn knows(&mut self, text: &str, silent: bool) -> Option<(usize, Said)> {
        let known = self.known.as_mut()?;
        let entry = known.walk.skip(text, silent)?;
        self.snapshot.found(entry.row);
        self.comparison.met_as_before();
        if known.noted.insert(entry.set) {
            match self.sets.get(entry.set) {
                Some(groups) => self.comparison.named_as_before(groups),
                // No such set: the table is not what it should be.
                None => self.begins_otherwise = true,
            }
        }
        if let Some(recording) = &mut self.recording {
            recording.note(&entry);
        }
        Some((entry.length as usize, entry.said))
    }

    fn take(&mut self, user: &DirectoryUser<'_>, record: &str, said: Said) {
        (self.beside)(user);
        if self.fault.is_some() {
            return;
        }
        let is_written_down = self.recording.as_ref().is_some_and(Recording::is_at_work)
            || self.known.as_ref().is_some_and(|known| !known.walk.gave_up());
        let sets = is_written_down.then_some(&mut self.sets);
        let met = match beside_its_row(user, self.snapshot, self.comparison, sets) {
            Ok(met) => met,
            Err(error) => return self.fault = Some(error),
        };
        if !is_written_down {
            return;
        }
        let hash = match (&self.known, &self.recording) {
            (Some(known), _) => known.key.hash(record.as_bytes()),
            (None, Some(recording)) => recording.hash(record),
            (None, None) => 0,
        };
        let entry = entry_of(user, (record, hash), said, met);
        if let Some(recording) = &mut self.recording {
            recording.note(&entry);
        }
        if let Some(known) = &mut self.known {
            known.walk.parsed(entry);
            if known.walk.gave_up() {
                self.snapshot.read_in_order();
                self.recording = None;
            }
        }
    }
}

/// Compares one record with the row of its id; the full row is read only if the compared columns are not enough. Returns the row
/// that it meets, and the number of the set of scoped groups that it names, if `sets` asks for it.
fn beside_its_row(
    user: &DirectoryUser<'_>,
    snapshot: &mut Snapshot<'_>,
    comparison: &mut Comparison,
    sets: Option<&mut Sets>,
) -> rusqlite::Result<Option<(u32, u8)>> {
    let id = match &user.id {
        RawValue::Text(id) if !id.is_empty() => id,
        RawValue::Text(_) | RawValue::Absent | RawValue::Null | RawValue::Flag(_) | RawValue::Other => {
            comparison.record(user, None);
            return Ok(None);
        }
    };
    match snapshot.row_view(id)? {
        Some(row) if comparison.is_met(user, &row) => {
            let Some(sets) = sets else { return Ok(None) };
            let set = comparison.groups_as_before(user, &row).and_then(|groups| sets.number(&groups));
            let row = u32::try_from(snapshot.last_row()).ok();
            return Ok(row.zip(set));
        }
        Some(_) => comparison.record(user, snapshot.whole(id)?),
        None => comparison.record(user, None),
    }
    Ok(None)
}
