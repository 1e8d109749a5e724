//! When what is remembered of an export's records may be used, and what is remembered of this one. In doubt nothing is used: a
//! record that is skipped wrongly is somebody who keeps a door, or gets none.

use crate::config::Settings;
use crate::fingerprints::{Doubles, Entry, Head, Key, Recorder, SEED_BYTES, Said, Sets, Walked, each_entry, is_worn};
use crate::model::{DirectoryId, DirectoryUser, Duration, Moment, OutstandingUser, ProvisionedUser};
use crate::plan::{DuplicateFinder, Inputs, hash_of_id, hash_of_name, hashes_of};
use crate::source::Export;
use crate::store::{self, BaseSpool, Fingerprints, Remembered, Segments, Table};
use rusqlite::Connection;
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_64;

/// How long a table is used after the last reading of every record.
const WHOLE_AFTER: Duration = Duration::from_seconds(24 * 3_600);
/// After so many tables in a row that fitted no export, none is written for as long.
const WASTED_MAX: i64 = 2;
/// If more users than these are to be parsed whatever their bytes, everybody is.
const PARSED_ANYWAY_MAX: usize = 4096;

/// What a cycle that may use the table brings; without it every record is parsed, and nothing is remembered.
#[derive(Clone, Debug)]
pub struct Recall {
    /// Randomness for the key of a new table.
    pub seed: [u8; SEED_BYTES],
    /// Whether every record has to be parsed this time.
    pub whole: bool,
}

/// What a table is bound to: under anything else, the same bytes may mean something else.
pub(super) fn bound_to(reader: &Connection, settings: &Settings, inputs: &Inputs) -> rusqlite::Result<String> {
    let installation = store::installation(reader)?;
    let numbers = [
        store::SCHEMA.to_string(),
        settings.number().to_string(),
        settings.directory_number.to_string(),
        settings.keys.to_json(),
        inputs.scope_versions.present.0.to_string(),
        installation.generation.to_string(),
        store::reign(reader)?.to_string(),
    ];
    let texts = [
        env!("CARGO_PKG_VERSION"),
        option_env!("RHOMBUS_SYNC_COMMIT").unwrap_or_default(),
        installation.installation_id.as_str(),
        installation.base_url.as_str(),
        installation.directory_organization.as_deref().unwrap_or_default(),
    ];
    Ok(crate::model::short_digest(texts.into_iter().chain(numbers.iter().map(String::as_str))))
}

/// The hash of what the records begin with.
pub(super) fn opening_of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The table that may be used now, and whose records are parsed all the same. Asked in the transaction in which it is used.
pub(super) fn usable(
    reader: &Connection,
    settings: &Settings,
    (inputs, outstanding): (&Inputs, &[OutstandingUser]),
    recall: &Recall,
    export: &Export,
) -> rusqlite::Result<Option<(Head, Fingerprints, HashSet<u64>)>> {
    let state = store::fingerprints(reader)?;
    let Some(head) = state.head.clone() else { return Ok(None) };
    let age_ms = inputs.now.since_ms(Moment(head.full_at));
    // What was read of accounts, and whom a lost log may have had, is judged beside every record.
    let is_plain = inputs.seen.is_empty() && inputs.listed.is_empty() && inputs.stranded.is_empty();
    if recall.whole
        || !is_plain
        || export.has_memberships()
        || export.are_states_expected()
        || !(0..WHOLE_AFTER.milliseconds()).contains(&age_ms)
        || head.bound_to != bound_to(reader, settings, inputs)?
    {
        return Ok(None);
    }
    let Some(changed) = store::changed_links(reader)? else { return Ok(None) };
    let ids = changed.iter().chain(standing(inputs, outstanding));
    let parsed_anyway: HashSet<_> = ids.map(hash_of_id).collect();
    Ok((parsed_anyway.len() <= PARSED_ANYWAY_MAX).then_some((head, state, parsed_anyway)))
}

/// Everybody of whom something is stored beside the link.
fn standing<'i>(inputs: &'i Inputs, outstanding: &'i [OutstandingUser]) -> impl Iterator<Item = &'i DirectoryId> {
    let listed = outstanding.iter().flat_map(|entry| [&entry.directory_id, &entry.former_id]).flatten();
    let apart = inputs.told_apart.iter().flat_map(|(former, now)| [former, now]);
    listed
        .chain(apart)
        .chain(inputs.failed.keys())
        .chain(inputs.in_doubt.keys())
        .chain(inputs.absences.keys())
        .chain(inputs.unlisted.keys())
}

/// What is written down of the records of a reading.
pub(super) struct Recording {
    pub(super) head: Head,
    key: Key,
    recorder: Recorder<BaseSpool>,
    seen: (i64, i64),
}

impl Recording {
    /// One of a reading of every record; none if tables have fitted no export lately.
    pub(super) fn begin(
        reader: &Connection,
        settings: &Settings,
        inputs: &Inputs,
        recall: &Recall,
        export: &Export,
    ) -> rusqlite::Result<Option<Self>> {
        if export.has_memberships() || export.are_states_expected() {
            return Ok(None);
        }
        let state = store::fingerprints(reader)?;
        let (wasted, wasted_at) = state.wasted;
        let lately = (0..WHOLE_AFTER.milliseconds()).contains(&inputs.now.since_ms(wasted_at));
        if wasted >= WASTED_MAX && lately {
            return Ok(None);
        }
        let head = Head {
            seed: recall.seed,
            reading: reading_of(recall, inputs.now),
            bound_to: bound_to(reader, settings, inputs)?,
            opening: 0,
            full_at: inputs.now.0,
            base_count: 0,
            edits_count: 0,
            sets: Sets::default(),
        };
        Ok(Some(Self::of(reader, head, (state.epoch, state.last_change))))
    }

    /// One that takes the place of a table with many edits.
    pub(super) fn anew(
        reader: &Connection,
        worn: &Head,
        (recall, now): (&Recall, Moment),
        state: &Fingerprints,
    ) -> Option<Self> {
        is_worn(worn).then(|| {
            let head = Head { reading: reading_of(recall, now), ..worn.clone() };
            Self::of(reader, head, (state.epoch, state.last_change))
        })
    }

    fn of(reader: &Connection, head: Head, seen: (i64, i64)) -> Self {
        let key = head.key();
        let recorder = Recorder::new(key.clone(), head.reading, BaseSpool::beside(reader));
        Self { head, key, recorder, seen }
    }

    pub(super) fn begins(&mut self, opening: &[u8]) {
        self.head.opening = opening_of(opening);
    }

    /// Notes a record that was parsed: its row, and the number of the set of scoped groups that it names, if it met its row.
    pub(super) fn note(&mut self, entry: &Entry) {
        self.recorder.push(entry);
    }

    /// Whether it is still of use.
    pub(super) fn is_at_work(&self) -> bool {
        self.recorder.is_at_work()
    }

    pub(super) fn hash(&self, record: &str) -> u128 {
        self.key.hash(record.as_bytes())
    }

    /// What is left of it.
    pub(super) fn finish(self, was_of_use: bool) -> Remembered {
        let Self { head, recorder, seen, .. } = self;
        let table = match recorder.finish() {
            Some((spool, base_count)) => Table::Base(Head { base_count, edits_count: 0, ..head }, spool),
            None => Table::None,
        };
        Remembered { table, was_of_use, seen }
    }
}

/// The number of a new table.
fn reading_of(recall: &Recall, now: Moment) -> u64 {
    xxh3_64(&recall.seed) ^ now.0.cast_unsigned()
}

/// The entry of a record that was parsed.
pub(super) fn entry_of(
    user: &DirectoryUser<'_>,
    (record, hash): (&str, u128),
    said: Said,
    met: Option<(u32, u8)>,
) -> Entry {
    let (id, name) = hashes_of(user);
    let length = u32::try_from(record.len()).unwrap_or(0);
    let settled = met.is_some() && id.is_some() && name.is_some() && length > 0;
    let (row, set) = met.filter(|_| settled).unwrap_or_default();
    Entry { hash, id: id.unwrap_or(0), name: name.unwrap_or(0), length, row, said, set, settled }
}

/// Whether no record that was parsed has the id or username of another, or the username of a link whose id no record has.
pub(super) fn is_without_doubles(
    segments: &mut Segments<'_>,
    head: &Head,
    walked: &Walked,
    finder: &mut DuplicateFinder,
    absent: &[ProvisionedUser],
) -> bool {
    let absent: Vec<_> = absent.iter().map(|row| hash_of_name(row.user_name.as_str())).collect();
    let (ids, names) = finder.take_hashes();
    let Some(doubles) = Doubles::of(ids, names, &absent) else { return false };
    if doubles.is_empty() || walked.skipped_count == 0 {
        return true;
    }
    let mut met = false;
    let read = each_entry(segments, head, &mut |number, entry| {
        met |= doubles.meets(entry.id, entry.name) && walked.has_skipped(number);
    });
    read.is_ok() && !met
}

/// What is left of a table that was used.
pub(super) fn left_of(head: Head, sets: Sets, walked: Walked, anew: Option<Recording>, seen: (i64, i64)) -> Remembered {
    let was_of_use = walked.skipped_count > 0;
    match (walked.gave_up, anew, walked.edits) {
        (true, ..) => Remembered { table: Table::Wasted, was_of_use: false, seen },
        (false, Some(mut anew), _) => {
            anew.head.sets = sets;
            anew.finish(was_of_use)
        }
        (false, None, Some(edits)) => {
            let head = Head { edits_count: edits.count(), sets, ..head };
            Remembered { table: Table::Edits(head, edits), was_of_use, seen }
        }
        (false, None, None) => Remembered { table: Table::None, was_of_use, seen },
    }
}
