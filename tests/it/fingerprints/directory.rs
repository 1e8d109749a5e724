//! A directory that changes at random, and the exports that it writes in each format.

use crate::support::chance::Chance;
use serde_json::json;

/// How an export is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Json,
    Spaced,
    Wrapped,
    Lines,
    Csv,
}

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Person {
    id: Option<String>,
    name: Option<String>,
    first: Option<String>,
    last: Option<String>,
    state: Option<&'static str>,
    suspended: Option<bool>,
    groups: Option<Vec<&'static str>>,
    /// What nobody maps.
    title: u64,
}

/// A directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) people: Vec<Person>,
    pub(super) form: Form,
    /// Another order of columns, and one that is called like a status.
    columns: [bool; 2],
    fresh: u64,
}

const GROUPS: [&[&str]; 6] = [&["R"], &["R", "Everyone"], &["S"], &["R", "S"], &["Everyone"], &[]];
const STATES: [Option<&str>; 6] =
    [Some("ACTIVATED"), Some("ACTIVATED"), Some("SUSPENDED"), Some("STAGED"), None, Some("FROZEN")];

impl Directory {
    pub(super) fn new(chance: &mut Chance, count: u64) -> Self {
        let form =
            chance.pick(&[Form::Json, Form::Json, Form::Spaced, Form::Wrapped, Form::Lines, Form::Csv, Form::Csv]);
        let mut directory = Self { people: Vec::new(), form, columns: [false; 2], fresh: 0 };
        for _ in 0..count {
            let person = directory.somebody(chance);
            directory.people.push(person);
        }
        directory
    }

    fn somebody(&mut self, chance: &mut Chance) -> Person {
        self.fresh += 1;
        let number = self.fresh;
        Person {
            id: Some(format!("u{number:05}")),
            name: Some(format!("u{number}@x.example")),
            first: Some(format!("Given{number}")),
            last: Some("Family".to_owned()),
            state: Some("ACTIVATED"),
            suspended: Some(false),
            groups: Some(chance.pick(&GROUPS[..4]).to_vec()),
            title: 0,
        }
    }

    /// One edit of the directory; says which.
    pub(super) fn edit(&mut self, chance: &mut Chance) -> &'static str {
        let count = self.people.len() as u64;
        if count < 4 {
            let person = self.somebody(chance);
            self.people.push(person);
            return "insert";
        }
        let (one, other) = (chance.below(count) as usize, chance.below(count) as usize);
        let all = chance.per_mille(20);
        match chance.below(26) {
            0 | 1 => {
                let person = self.somebody(chance);
                self.people.insert(one, person);
                "insert"
            }
            2 | 3 => {
                self.people.remove(one);
                "remove"
            }
            4..=7 => {
                self.each(all, one, |person| person.title += 1);
                "touch"
            }
            8 => {
                self.people[one].first = chance.pick(&[Some("New"), Some(""), Some("Zo?"), None]).map(str::to_owned);
                "first name"
            }
            9 => {
                let name = format!("renamed{}@x.example", chance.below(50));
                self.people[one].name = Some(name);
                "username"
            }
            10 | 11 => {
                let state = chance.pick(&STATES);
                self.each(all, one, |person| person.state = state);
                "state"
            }
            12 => {
                let suspended = chance.pick(&[Some(true), Some(false), None]);
                self.each(all, one, |person| person.suspended = suspended);
                "suspended"
            }
            13 | 14 => {
                let groups = chance.pick(&GROUPS);
                self.each(all, one, |person| person.groups = Some(groups.to_vec()));
                "groups"
            }
            15 => {
                self.people.swap(one, other);
                "swap places"
            }
            16 => {
                self.people.rotate_left(one);
                "rotate"
            }
            17 if all => {
                for at in (1..self.people.len()).rev() {
                    self.people.swap(at, chance.below(at as u64 + 1) as usize);
                }
                "shuffle"
            }
            18 => {
                let double = self.people[one].clone();
                self.people.insert(other, double);
                "double"
            }
            19 => {
                let id = self.people[other].id.clone();
                self.people[one].id = id;
                "double an id"
            }
            20 => {
                let name = self.people[other].name.clone().map(|name| name.to_uppercase());
                self.people[one].name = name;
                "double a name"
            }
            21 => {
                let (id, name) = (self.people[one].id.clone(), self.people[other].id.clone());
                (self.people[one].id, self.people[other].id) = (name, id);
                "swap ids"
            }
            22 => {
                let (name, id) = (self.people[one].name.clone(), self.people[other].name.clone());
                (self.people[one].name, self.people[other].name) = (id, name);
                "swap names"
            }
            23 => {
                self.people[one].id = chance.pick(&[None, Some("null"), Some(""), Some("7")]).map(str::to_owned);
                "odd id"
            }
            24 => {
                self.people[one].name = chance.pick(&[None, Some("nobody"), Some("")]).map(str::to_owned);
                "odd name"
            }
            _ => {
                let end = (one + chance.below(5) as usize).min(self.people.len());
                self.people.drain(one..end);
                "cut"
            }
        }
    }

    /// The way it is written changes.
    pub(super) fn write_otherwise(&mut self, chance: &mut Chance) {
        match chance.below(3) {
            0 => self.form = chance.pick(&[Form::Json, Form::Spaced, Form::Wrapped, Form::Lines, Form::Csv]),
            at => self.columns[at as usize - 1] ^= true,
        }
    }

    /// Most odd records are repaired, and nobody is there twice.
    pub(super) fn tidy(&mut self) {
        let (mut ids, mut names) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        self.people.retain(|person| {
            let name = person.name.as_ref().filter(|name| name.contains('@')).map(|name| name.to_lowercase());
            let id = person.id.as_ref().filter(|id| id.starts_with('u'));
            id.is_some_and(|id| ids.insert(id.clone())) && name.is_some_and(|name| names.insert(name))
        });
        for person in &mut self.people {
            person.state = Some("ACTIVATED");
            person.groups.get_or_insert_with(|| vec!["R"]);
        }
    }

    fn each(&mut self, all: bool, one: usize, mut edit: impl FnMut(&mut Person)) {
        match all {
            true => self.people.iter_mut().for_each(edit),
            false => edit(&mut self.people[one]),
        }
    }

    pub(super) fn text(&self) -> String {
        let objects: Vec<_> = self.people.iter().map(|person| self.object(person)).collect();
        match self.form {
            Form::Json => format!("[{}]", objects.join(",")),
            Form::Spaced => format!("[ {}\n]\n", objects.join("\n , ")),
            Form::Wrapped => format!("{{\"totalCount\":{},\"results\":[{}]}}", objects.len(), objects.join(",")),
            Form::Lines => objects.iter().map(|object| format!("{object}\n")).collect(),
            Form::Csv => self.csv(),
        }
    }

    fn object(&self, person: &Person) -> String {
        let Person { id, name, first, last, state, suspended, groups, title } = person;
        let mut user = json!({"title": title});
        let mut set = |key: &str, value: serde_json::Value| {
            if !value.is_null() {
                user[key] = value;
            }
        };
        set("_id", json!(id));
        set("username", json!(name));
        set("firstname", json!(first));
        set("lastname", json!(last));
        set("state", json!(state));
        set("suspended", json!(suspended));
        set("groups", json!(groups));
        if self.columns[1] {
            set("enabled", json!(true));
        }
        user.to_string()
    }

    fn csv(&self) -> String {
        let mut names = vec!["_id", "username", "firstname", "lastname", "state", "suspended", "groups", "title"];
        if self.columns[0] {
            names.swap(2, 3);
        }
        if self.columns[1] {
            names.push("enabled");
        }
        let mut text = names.join(",") + "\r\n";
        for person in &self.people {
            let Person { id, name, first, last, state, suspended, groups, title } = person;
            let cell = |column: &&str| match *column {
                "_id" => id.clone().unwrap_or_default(),
                "username" => name.clone().unwrap_or_default(),
                "firstname" => first.clone().unwrap_or_default(),
                "lastname" => last.clone().unwrap_or_default(),
                "state" => state.unwrap_or_default().to_owned(),
                "suspended" => suspended.map(|flag| flag.to_string()).unwrap_or_default(),
                "groups" => format!("\"{}\"", groups.clone().unwrap_or_default().join(";")),
                "title" => title.to_string(),
                _ => "true".to_owned(),
            };
            text += &(names.iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n");
        }
        text
    }
}
