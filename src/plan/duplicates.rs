//! Two records with one id, or two ids with one username: both are unusable, and the users they stand for present. And a
//! record with the username of a link whose id no record has: it may be the same user.
//!
//! A hash of each id and of each folded name is kept while reading, 16 bytes a record. Two equal hashes only nominate: a
//! second reading of the same handle looks at those records themselves, and its findings decide.

use super::mapping::valid_id;
use crate::model::{DirectoryId, DirectoryUser, ProvisionedUser, RawValue, UserName, folded};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

/// The hashes of one reading.
#[derive(Debug, Default)]
pub struct DuplicateFinder {
    ids: Vec<u64>,
    /// The id before, as long as each was greater than the one before it: then none stands twice.
    last_id: String,
    /// Whether one was not.
    ids_out_of_order: bool,
    names: Vec<u64>,
    found: Option<DuplicatesFound>,
}

#[derive(Debug, Default)]
struct DuplicatesFound {
    ids: HashSet<u64>,
    names: HashSet<u64>,
    records_by_id: BTreeMap<String, u32>,
    ids_by_name: BTreeMap<String, BTreeSet<String>>,
    /// Links whose ids no record has, by the hash of their usernames.
    absent: HashMap<u64, Vec<ProvisionedUser>>,
    namesakes: BTreeMap<String, ProvisionedUser>,
}

/// What a second reading proved.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Duplicates {
    /// Ids that stand in more than one record.
    pub ids: BTreeSet<String>,
    /// Ids whose username another id carries too.
    pub by_name: BTreeSet<String>,
    /// Records with the username of a link whose id no record has: by their id, that link.
    pub namesakes: BTreeMap<String, ProvisionedUser>,
}

/// The hashes by which doubles of a record are found: of its id, if that can stand for a user, and of its folded username.
#[must_use]
pub fn hashes_of(user: &DirectoryUser<'_>) -> (Option<u64>, Option<u64>) {
    let Ok(id) = valid_id(&user.id) else { return (None, None) };
    let name = match &user.username {
        RawValue::Text(name) => Some(hash_of_name(name)),
        RawValue::Absent | RawValue::Null | RawValue::Flag(_) | RawValue::Other => None,
    };
    (Some(xxh3_64(id.as_bytes())), name)
}

/// The hash of an id, as [`hashes_of`] has it.
#[must_use]
pub fn hash_of_id(id: &DirectoryId) -> u64 {
    xxh3_64(id.as_str().as_bytes())
}

impl DuplicateFinder {
    /// Remembers one record of the first reading; one without a valid id doubles nobody.
    pub fn note(&mut self, user: &DirectoryUser<'_>) {
        let Ok(id) = valid_id(&user.id) else { return };
        self.ids.push(xxh3_64(id.as_bytes()));
        if !self.ids_out_of_order {
            self.ids_out_of_order = *id <= *self.last_id;
            self.last_id.clear();
            self.last_id.push_str(id);
        }
        if let RawValue::Text(name) = &user.username {
            self.names.push(hash_of_name(name));
        }
    }

    /// The hashes of the ids and of the usernames of all that were noted, for somebody who looks for doubles otherwise.
    pub fn take_hashes(&mut self) -> (Vec<u64>, Vec<u64>) {
        (std::mem::take(&mut self.ids), std::mem::take(&mut self.names))
    }

    /// Whether a second reading is needed; then give each record to [`DuplicateFinder::look`]. `absent`: the links whose ids
    /// no record has.
    pub fn nominate(&mut self, absent: Vec<ProvisionedUser>) -> bool {
        let ids = std::mem::take(&mut self.ids);
        let ids = if self.ids_out_of_order { repeated(ids) } else { HashSet::new() };
        let names = std::mem::take(&mut self.names);
        let mut absent_by_name: HashMap<u64, Vec<ProvisionedUser>> = HashMap::new();
        for row in absent {
            absent_by_name.entry(hash_of_name(row.user_name.as_str())).or_default().push(row);
        }
        let has_namesakes = !absent_by_name.is_empty() && names.iter().any(|name| absent_by_name.contains_key(name));
        let names = repeated(names);
        let needed = !ids.is_empty() || !names.is_empty() || has_namesakes;
        self.found = Some(DuplicatesFound { ids, names, absent: absent_by_name, ..DuplicatesFound::default() });
        needed
    }

    /// Looks at one record of the second reading.
    pub fn look(&mut self, user: &DirectoryUser<'_>) {
        let (Some(found), Ok(id)) = (&mut self.found, valid_id(&user.id)) else { return };
        if found.ids.contains(&xxh3_64(id.as_bytes())) {
            *found.records_by_id.entry(id.to_string()).or_default() += 1;
        }
        let RawValue::Text(name) = &user.username else { return };
        let hash = hash_of_name(name);
        if found.names.contains(&hash) {
            let name = UserName::of_account(name).casefolded();
            found.ids_by_name.entry(name).or_default().insert(id.to_string());
        }
        if let Some(rows) = found.absent.get(&hash) {
            let same = |row: &&ProvisionedUser| row.user_name.folded() == folded(name);
            let namesake = rows.iter().find(same).map(|row| (id.to_string(), row.clone()));
            found.namesakes.extend(namesake);
        }
    }

    /// What was proven.
    #[must_use]
    pub fn doubled(self) -> Duplicates {
        let found = self.found.unwrap_or_default();
        Duplicates {
            ids: found.records_by_id.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id).collect(),
            by_name: found.ids_by_name.into_values().filter(|ids| ids.len() > 1).flatten().collect(),
            namesakes: found.namesakes,
        }
    }
}

/// The hash of a username, folded.
#[must_use]
pub fn hash_of_name(name: &str) -> u64 {
    if name.is_ascii() {
        let mut folded = [0_u8; crate::model::USER_NAME_BYTES_MAX];
        if let Some(room) = folded.get_mut(..name.len()) {
            room.copy_from_slice(name.as_bytes());
            room.make_ascii_lowercase();
            return xxh3_64(room);
        }
    }
    xxh3_64(UserName::of_account(name).casefolded().as_bytes())
}

fn repeated(mut hashes: Vec<u64>) -> HashSet<u64> {
    hashes.sort_unstable();
    hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
}
