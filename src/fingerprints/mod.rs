//! PURE: what is remembered of each record of the last reading, so that a record whose bytes stand where they stood needs
//! neither be parsed nor compared. Skipped is only whom that reading found as wanted: its row is known, and what the record
//! adds to the counts of the whole export.
//!
//! # Guarantees
//! A skipped record has the same bytes as one that was parsed under the same settings, met its row, and whose row has not
//! changed since; no two entries have one id or username. A table that is torn, or whose checksums do not fit, is no table.
//!
//! Deliberately absent: where the table lies (`store`), and when it may be used (`cycle`).

mod doubles;
mod entry;
mod head;
mod key;
mod recorder;
mod sequence;
mod walk;

pub use doubles::Doubles;
pub use entry::{Entry, Said};
pub use head::{Head, Sets};
pub use key::{Key, Part, SEED_BYTES, Shelf};
pub use recorder::{Recorder, Spool};
pub use sequence::each_entry;
pub use walk::{Edits, Walk, Walked, is_worn};

/// Entries, or edits, of a segment.
pub const SEGMENT_ENTRIES: u32 = 4096;

/// The table cannot be used: a segment is missing, or is not what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashSet};

    /// A shelf and a spool of its own.
    #[derive(Clone, Default)]
    struct Lying(BTreeMap<(u8, u32), Vec<u8>>);

    impl Shelf for Lying {
        fn fetch(&mut self, part: Part, number: u32, into: &mut Vec<u8>) -> bool {
            let found = self.0.get(&(part.number(), number));
            found.inspect(|segment| into.clone_from(segment)).is_some()
        }
    }

    impl Spool for Lying {
        fn put(&mut self, segment: &[u8]) -> bool {
            self.0.insert((Part::Base.number(), self.0.len() as u32), segment.to_vec());
            true
        }
    }

    fn chance(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (*state >> 33) % below
    }

    /// A record: an id and what else it says.
    type Record = (u64, u64);

    fn text_of((id, rest): Record) -> String {
        format!("{id};{rest};{}", "x".repeat((rest % 7) as usize))
    }

    fn entry_of(key: &Key, record: Record) -> Entry {
        let text = text_of(record);
        let settled = !record.1.is_multiple_of(11);
        Entry {
            hash: key.hash(text.as_bytes()),
            id: record.0 + 1,
            name: record.0 + 1_000_000,
            length: text.len() as u32,
            row: record.0 as u32,
            settled,
            ..Entry::default()
        }
    }

    fn table(records: &[Record]) -> (Head, Lying) {
        let head = Head {
            seed: [9; SEED_BYTES],
            reading: 5,
            bound_to: String::new(),
            opening: 0,
            full_at: 0,
            base_count: 0,
            edits_count: 0,
            sets: Sets::default(),
        };
        let mut recorder = Recorder::new(head.key(), head.reading, Lying::default());
        records.iter().for_each(|record| recorder.push(&entry_of(&head.key(), *record)));
        let (shelf, base_count) = recorder.finish().expect("most may be skipped");
        (Head { base_count, ..head }, shelf)
    }

    /// Reads records beside a table: which were skipped, and the walk's end.
    fn read(
        head: &Head,
        shelf: &mut Lying,
        records: &[Record],
        anyway: &HashSet<u64>,
    ) -> Result<(Vec<bool>, Walked), Torn> {
        let key = head.key();
        let mut walk = Walk::begin(shelf, head, anyway.clone())?;
        let mut skipped = Vec::new();
        for (at, record) in records.iter().enumerate() {
            let rest: String = records[at..].iter().take(3).map(|record| text_of(*record)).collect();
            match walk.skip(&rest, false) {
                Some(entry) => {
                    let whole = entry_of(&key, *record);
                    assert_eq!((entry, whole.settled), (whole, true), "another record was skipped");
                    assert!(!anyway.contains(&entry.id), "it was to be parsed");
                    skipped.push(true);
                }
                None => {
                    walk.parsed(entry_of(&key, *record));
                    skipped.push(false);
                }
            }
        }
        Ok((skipped, walk.finish()?))
    }

    fn edited(records: &[Record], fresh: &mut u64, state: &mut u64) -> Vec<Record> {
        let mut edited = records.to_vec();
        for _ in 0..chance(state, 40) {
            let at = chance(state, edited.len() as u64) as usize;
            match chance(state, 8) {
                0 => drop(edited.remove(at)),
                1 | 2 => {
                    *fresh += 1;
                    edited.insert(at, (*fresh, chance(state, 1_000)));
                }
                3 => {
                    let to = chance(state, edited.len() as u64) as usize;
                    edited.swap(at, to);
                }
                4 => {
                    let end = edited.len().min(at + chance(state, 90) as usize);
                    drop(edited.drain(at..end));
                }
                _ => edited[at].1 = chance(state, 1_000),
            }
            if edited.len() < 100 {
                return edited;
            }
        }
        edited
    }

    #[test]
    fn what_is_skipped_stood_there_and_edits_lead_to_the_new_reading() {
        let (mut state, mut fresh, mut kept, mut gave_up) = (7, 10_000, 0, 0);
        for round in 0..16_u64 {
            let mut records: Vec<_> = (0..200 + chance(&mut state, if round % 8 == 0 { 9_000 } else { 900 }))
                .map(|id| (id, 1 + chance(&mut state, 1_000)))
                .collect();
            let (mut head, mut shelf) = table(&records);
            for _ in 0..8 {
                let next = edited(&records, &mut fresh, &mut state);
                let anyway: HashSet<_> = (0..chance(&mut state, 5)).map(|_| chance(&mut state, 9_000)).collect();
                let (skipped, walked) = read(&head, &mut shelf, &next, &anyway).expect("intact");
                assert_eq!(skipped.iter().filter(|skipped| **skipped).count() as u64, walked.skipped_count);
                let mut before = Vec::new();
                each_entry(&mut shelf, &head, &mut |number, entry| before.push((number, *entry))).expect("intact");
                let by_number = before.iter().filter(|(number, _)| walked.has_skipped(*number));
                let wanted = next.iter().zip(&skipped).filter(|(_, skipped)| **skipped);
                assert!(by_number.map(|(_, entry)| entry.id).eq(wanted.map(|(record, _)| record.0 + 1)), "{round}");
                let Some(edits) = walked.edits else {
                    gave_up += u32::from(walked.gave_up);
                    break;
                };
                shelf.0.retain(|(part, _), _| *part == Part::Base.number());
                head.edits_count = edits.count();
                let put = |number, segment: &[u8]| {
                    shelf.0.insert((Part::Edits.number(), number), segment.to_vec());
                    Ok::<_, Torn>(())
                };
                edits.segments(&head, put).expect("they are put");
                let mut now = Vec::new();
                each_entry(&mut shelf, &head, &mut |_, entry| now.push(*entry)).expect("intact");
                let wanted: Vec<_> = next.iter().map(|record| entry_of(&head.key(), *record)).collect();
                assert_eq!(now, wanted, "round {round}");
                (records, kept) = (next, kept + 1);
            }
        }
        assert!(kept > 30 && gave_up > 0, "{kept} tables were kept, {gave_up} given up");
    }

    #[test]
    fn a_table_with_a_torn_segment_is_none() {
        let records: Vec<_> = (0..9_000).map(|id| (id, 1)).collect();
        let (head, shelf) = table(&records);
        let next: Vec<_> = records.iter().map(|(id, rest)| (*id, rest + u64::from(id % 100 == 0))).collect();
        let anyway = HashSet::new();
        let (skipped, _) = read(&head, &mut shelf.clone(), &next, &anyway).expect("intact");
        assert_eq!(skipped.iter().filter(|skipped| **skipped).count(), 8_910);
        for number in 0..3 {
            let mut lacking = shelf.clone();
            lacking.0.remove(&(0, number));
            assert!(read(&head, &mut lacking, &next, &anyway).is_err(), "{number}");
            let mut damaged = shelf.clone();
            damaged.0.get_mut(&(0, number)).expect("a segment")[77] ^= 4;
            assert!(read(&head, &mut damaged, &next, &anyway).is_err(), "{number}");
            let mut moved = shelf.clone();
            let other = shelf.0[&(0, (number + 1) % 3)].clone();
            moved.0.insert((0, number), other);
            assert!(read(&head, &mut moved, &next, &anyway).is_err(), "{number}");
        }
        let other = Head { reading: 6, ..head };
        assert!(read(&other, &mut shelf.clone(), &next, &anyway).is_err());
    }

    #[test]
    fn other_records_end_the_walk_and_those_that_stand_do_not() {
        let records: Vec<_> = (0..5_000).map(|id| (id, 1)).collect();
        let (head, mut shelf) = table(&records);
        let touched: Vec<_> = records.iter().map(|(id, _)| (*id, 2)).collect();
        let (skipped, walked) = read(&head, &mut shelf, &touched, &HashSet::new()).expect("intact");
        assert!(walked.gave_up && walked.edits.is_none() && !skipped.contains(&true));
        let tail: Vec<_> = records.iter().map(|(id, rest)| (*id, rest + u64::from(*id < 63))).collect();
        let (skipped, walked) = read(&head, &mut shelf, &tail, &HashSet::new()).expect("intact");
        assert!(!walked.gave_up && skipped[63..].iter().all(|skipped| *skipped));
        // Whoever may not be skipped stands there all the same.
        let anyway: HashSet<_> = (0..3_000).collect();
        let (skipped, walked) = read(&head, &mut shelf, &records, &anyway).expect("intact");
        assert!(!walked.gave_up && walked.skipped_count == 2_001 && skipped[2_999..].iter().all(|skipped| *skipped));
        assert_eq!(walked.edits.map(|edits| edits.count()), Some(0));
    }
}
