//! The directory, simulated: people who come, go, and change, and the exports that tell of them, good and bad. It remembers
//! what each export said, for the oracle.

use super::weather::{Trouble, Weather};
use crate::support::chance::Chance;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// People who stay as they are: somebody can always be read.
const PILLARS: usize = 3;
const GIVEN: [&str; 7] = ["Ann", "Anna", "\u{c5}sa", "Zo\u{eb}", "N'Z\u{e9}", "O\"B", ""];
const FAMILY: [&str; 5] = ["Bee", "Zed", "von der H\u{f6}h", "\u{738b}", ""];

/// What a record says of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Active,
    Suspended,
    Staged,
    /// In no scoped group.
    Out,
}

#[derive(Clone)]
struct Person {
    username: String,
    given: &'static str,
    family: &'static str,
    state: State,
    is_there: bool,
}

/// What an export means for somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Says {
    /// An account with these names.
    Wanted { given: String, family: String },
    /// None, by a suspension.
    Suspended,
    /// None, by a group.
    Out,
    /// Nothing: the record cannot be used.
    Unusable,
}

/// An export that was in place.
pub(super) struct Placed {
    /// Whether it can be believed at all.
    pub(super) usable: bool,
    /// By directory id; who is missing is absent.
    pub(super) says: BTreeMap<String, Says>,
    /// A record a line: nothing says that it is whole.
    pub(super) by_lines: bool,
    text: String,
    written_at: i64,
}

pub(super) struct People {
    people: BTreeMap<String, Person>,
    /// Every username that somebody ever had.
    owners: BTreeMap<String, String>,
    pub(super) placed: Vec<Placed>,
    next: usize,
}

impl People {
    pub(super) fn new(count: usize, chance: &mut Chance) -> Self {
        let mut people = Self { people: BTreeMap::new(), owners: BTreeMap::new(), placed: Vec::new(), next: 0 };
        (0..count).for_each(|_| people.hire(chance));
        people
    }

    /// Whose username this is.
    pub(super) fn owner(&self, user_name: &str) -> Option<&str> {
        self.owners.get(&user_name.to_lowercase()).map(String::as_str)
    }

    /// Every username of somebody.
    pub(super) fn usernames(&self, id: &str) -> BTreeSet<&str> {
        self.owners.iter().filter(|(_, owner)| *owner == id).map(|(name, _)| name.as_str()).collect()
    }

    /// Everybody who was ever there.
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.people.keys()
    }

    /// The present username of somebody.
    pub(super) fn username(&self, id: &str) -> &str {
        &self.people[id].username
    }

    fn hire(&mut self, chance: &mut Chance) {
        let (id, username) = (format!("p{}", self.next), format!("P{}@x.example", self.next));
        self.next += 1;
        let (given, family) = (chance.pick(&GIVEN), chance.pick(&FAMILY));
        self.owners.insert(username.to_lowercase(), id.clone());
        self.people.insert(id, Person { username, given, family, state: State::Active, is_there: true });
    }

    /// So many things happen to people.
    pub(super) fn change(&mut self, count: u64, chance: &mut Chance) {
        for _ in 0..count {
            if chance.per_mille(200) {
                self.hire(chance);
                continue;
            }
            let place = usize::try_from(chance.below(self.people.len() as u64)).expect("small");
            let id = format!("p{place}");
            let Some(person) = self.people.get_mut(&id).filter(|_| place >= PILLARS) else { continue };
            match chance.below(12) {
                0 | 1 => person.is_there = false,
                2 | 3 => person.is_there = true,
                4 => person.state = State::Suspended,
                5 => person.state = chance.pick(&[State::Staged, State::Out]),
                6 | 7 => (person.is_there, person.state) = (true, State::Active),
                8 | 9 => person.given = chance.pick(&GIVEN),
                10 => person.family = chance.pick(&FAMILY),
                _ => {
                    person.username = format!("P{place}r{}@x.example", self.owners.len());
                    self.owners.insert(person.username.to_lowercase(), id);
                }
            }
        }
    }

    /// Writes an export, good or as the weather is.
    pub(super) fn place(&mut self, path: &Path, now: i64, weather: &mut Weather, chance: &mut Chance) {
        let placed = self.export(now, weather, chance);
        std::fs::write(path, &placed.text).expect("an export");
        let written_at = SystemTime::UNIX_EPOCH + Duration::from_millis(placed.written_at.unsigned_abs());
        let file = std::fs::File::options().write(true).open(path).expect("the export");
        file.set_modified(written_at).expect("a time");
        self.placed.push(placed);
    }

    fn export(&self, now: i64, weather: &mut Weather, chance: &mut Chance) -> Placed {
        const RATE: u64 = 150;
        if weather.comes(Trouble::OldExport, RATE, chance)
            && let Some(old) =
                self.placed.get(usize::try_from(chance.below(self.placed.len().max(1) as u64)).expect("small"))
        {
            let (says, text) = (old.says.clone(), old.text.clone());
            return Placed { usable: old.usable, says, by_lines: old.by_lines, text, written_at: old.written_at };
        }
        if weather.comes(Trouble::GarbageExport, RATE, chance) {
            let text = chance.pick(&["", "[]", "<html>", "{}", "null\n"]).to_owned();
            return Placed { usable: false, says: BTreeMap::new(), by_lines: false, text, written_at: now };
        }
        let mut records: Vec<(String, Value)> = Vec::new();
        let mut says = BTreeMap::new();
        for (id, person) in self.people.iter().filter(|(_, person)| person.is_there) {
            records.push((id.clone(), record(id, person)));
            says.insert(id.clone(), meaning(person));
        }
        let mut anybody = || usize::try_from(chance.next() % records.len() as u64).expect("small");
        let (bad, doubled) = (anybody(), anybody());
        if weather.comes(Trouble::BadRecord, RATE, chance) {
            let (id, record) = &mut records[bad];
            let (member, value) = chance.pick(&[("username", "nobody"), ("state", "GONE"), ("firstname", "A\u{7}B")]);
            record[member] = value.into();
            says.insert(id.clone(), Says::Unusable);
        }
        if weather.comes(Trouble::DoubledRecord, RATE, chance) {
            let (id, mut record) = records[doubled].clone();
            record["firstname"] = "Twice".into();
            says.insert(id.clone(), Says::Unusable);
            records.push((id, record));
        }
        if weather.comes(Trouble::CutLines, RATE, chance) {
            let cut = usize::try_from(chance.between(1, 4)).expect("small").min(records.len() - 1);
            let gone = records.split_off(records.len() - cut);
            // Two records with one id of which one was cut off are one record.
            for (id, _) in gone {
                match records.iter().any(|(other, _)| *other == id) {
                    true => drop(says.insert(id.clone(), meaning(&self.people[&id]))),
                    false => drop(says.remove(&id)),
                }
            }
        }
        let text: Vec<String> = records.iter().map(|(_, record)| record.to_string()).collect();
        let mut text = if weather.by_lines { text.join("\n") + "\n" } else { format!("[{}]", text.join(",")) };
        let mut usable = true;
        if weather.comes(Trouble::TruncatedExport, RATE, chance) {
            // Cut in the middle of the last record.
            let last = text.rfind("{\"").unwrap_or(0);
            let mut at = last + 1 + usize::try_from(chance.below((text.len() - last - 3) as u64)).expect("small");
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.truncate(at);
            usable = false;
        }
        Placed { usable, says, by_lines: weather.by_lines, text, written_at: now }
    }
}

fn record(id: &str, person: &Person) -> Value {
    let groups = if person.state == State::Out { json!(["Everyone"]) } else { json!(["R", "Everyone"]) };
    let state = match person.state {
        State::Active | State::Out => "ACTIVATED",
        State::Suspended => "SUSPENDED",
        State::Staged => "STAGED",
    };
    json!({
        "_id": id, "username": person.username, "firstname": person.given, "lastname": person.family,
        "state": state, "groups": groups,
    })
}

fn meaning(person: &Person) -> Says {
    match person.state {
        State::Active => Says::Wanted { given: person.given.to_owned(), family: person.family.to_owned() },
        State::Suspended | State::Staged => Says::Suspended,
        State::Out => Says::Out,
    }
}
