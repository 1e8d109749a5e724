//! Exports as files, generated: foreign columns, columns and letters that are lost, ids that were rewritten, other separators,
//! blank rows, wrappers, group cells in other forms. In place of a good export none takes an account from anybody whom the directory still wants, and none gives one to
//! anybody whom it does not: the oracle knows the directory, and shares no code with the reading of the file.

use crate::support::{NOW, link, settings, state};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rhombus_sync::config::Settings;
use rhombus_sync::cycle::{CompareError, Known, Recall, compare, open_export};
use rhombus_sync::model::{Action, FieldName, Spoken, WithoutState};
use rhombus_sync::plan::{ApprovedPlan, Scope};
use rhombus_sync::store;
use rusqlite::Connection;
use std::fmt::Write;

/// How many files the suite walks through: each is written, opened and compared for real. `RHOMBUS_SYNC_CASES` asks for more.
const FILES: u32 = 20_000;
/// Of one in so many files it is remembered what it held.
const REMEMBERED_EACH: u32 = 16;
/// So many people there are; the first of them have accounts.
const PEOPLE: usize = 8;
const LINKED: usize = 6;
const COLUMNS: [&str; 6] = ["_id", "username", "firstname", "state", "suspended", "groups"];
const STATE: usize = 3;
const SUSPENDED: usize = 4;
const GROUPS: usize = 5;
const FOREIGN: [&str; 5] = ["department", "enabled", "Account Status", "", "state2"];

/// What the directory says of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Person {
    Gone,
    Active,
    Suspended,
    Staged,
    Out,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Csv(char),
    Json,
    Lines,
    /// A JSON object that holds the array in this member.
    Wrapped(&'static str),
}

/// What became of the ids on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ids {
    Right,
    /// A spreadsheet took zeros from numbers, and something wrote letters large.
    Rewritten,
}

/// What became of the letters that are not ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Letters {
    Right,
    Lost,
    CodedTwice,
}

const GIVEN: &str = "Zo\u{eb}";

/// A number for every other one.
fn id_of(number: usize) -> String {
    if number.is_multiple_of(2) { format!("00{}", number + 10) } else { format!("ab{number}") }
}

#[derive(Clone, Debug)]
struct File {
    people: [Person; PEOPLE],
    format: Format,
    lost: [bool; 6],
    foreign: Vec<usize>,
    /// How a cell or member lists two groups.
    group_form: usize,
    ids: Ids,
    letters: Letters,
    blank_rows: usize,
    upper_case: bool,
    utf_16: bool,
    header_again: bool,
}

fn any_file() -> impl Strategy<Value = File> {
    let person = prop_oneof![
        5 => Just(Person::Active), 1 => Just(Person::Gone), 1 => Just(Person::Suspended), 1 => Just(Person::Staged),
        1 => Just(Person::Out)
    ];
    let format = prop_oneof![
        6 => Just(Format::Csv(',')), 1 => Just(Format::Csv(';')), 1 => Just(Format::Csv('\t')), 1 => Just(Format::Csv('|')),
        4 => Just(Format::Json), 2 => Just(Format::Lines), 1 => Just(Format::Wrapped("users")),
        2 => Just(Format::Wrapped("results"))
    ];
    let seldom = || prop::bool::weighted(0.05);
    let lost = [seldom(), seldom(), seldom(), prop::bool::weighted(0.15), prop::bool::weighted(0.15), seldom()];
    (
        [(); PEOPLE].map(|()| person.clone()),
        format,
        lost,
        prop::collection::vec(0..FOREIGN.len(), 0..3),
        prop_oneof![4 => Just(0_usize), 3 => 1..7_usize],
        0..3_usize,
        (any::<bool>(), prop::bool::weighted(0.2), seldom()),
        prop_oneof![4 => Just(Ids::Right), 1 => Just(Ids::Rewritten)],
        prop_oneof![4 => Just(Letters::Right), 1 => Just(Letters::Lost), 1 => Just(Letters::CodedTwice)],
    )
        .prop_map(
            |(
                people,
                format,
                lost,
                mut foreign,
                group_form,
                blank_rows,
                (upper_case, utf_16, header_again),
                ids,
                letters,
            )| {
                foreign.sort_unstable();
                foreign.dedup();
                File {
                    people,
                    format,
                    lost,
                    foreign,
                    group_form,
                    blank_rows,
                    upper_case,
                    utf_16,
                    header_again,
                    ids,
                    letters,
                }
            },
        )
}

impl File {
    /// Names and values of one record, in the order of the columns; `groups` as a list of names.
    fn record(&self, number: usize, person: Person) -> Vec<(String, String)> {
        let state = match person {
            Person::Staged => "STAGED",
            Person::Suspended if number.is_multiple_of(2) => "SUSPENDED",
            Person::Suspended | Person::Active | Person::Out | Person::Gone => "ACTIVATED",
        };
        let values = [
            match self.ids {
                Ids::Right => id_of(number),
                Ids::Rewritten => id_of(number).trim_start_matches('0').to_uppercase(),
            },
            format!("p{number}@x.example"),
            match self.letters {
                Letters::Right => GIVEN.to_owned(),
                Letters::Lost => GIVEN.replace('\u{eb}', "?"),
                Letters::CodedTwice => GIVEN.bytes().map(char::from).collect(),
            },
            state.to_owned(),
            (person == Person::Suspended).to_string(),
            if person == Person::Out { "Staff".to_owned() } else { self.groups() },
        ];
        let ours = COLUMNS.iter().zip(values).enumerate().filter(|(at, _)| !self.lost[*at]);
        let name = |name: &str| if self.upper_case { name.to_uppercase() } else { name.to_owned() };
        let ours = ours.map(|(_, (column, value))| (name(column), value));
        let foreign = self.foreign.iter().map(|at| (FOREIGN[*at].to_owned(), "True".to_owned()));
        foreign.chain(ours).collect()
    }

    /// Two groups, `R` among them, as one text.
    fn groups(&self) -> String {
        ["Staff;R", "Staff,R", "Staff|R", "[\"Staff\",\"R\"]", "System.Object[]", "staff;r", "Staff\nR"]
            [self.group_form]
            .to_owned()
    }

    fn records(&self) -> impl Iterator<Item = Vec<(String, String)>> {
        let here = self.people.iter().enumerate().filter(|(_, person)| **person != Person::Gone);
        here.map(|(number, person)| self.record(number, *person))
    }

    fn bytes(&self) -> Vec<u8> {
        let text = match self.format {
            Format::Csv(separator) => self.csv(separator),
            Format::Json => format!("[{}]", self.objects().join(",")),
            Format::Lines => self.objects().iter().map(|object| format!("{object}\n")).collect(),
            Format::Wrapped(member) => {
                let objects = self.objects();
                format!("{{\"totalCount\":{},\"{member}\":[{}]}}", objects.len(), objects.join(","))
            }
        };
        if !self.utf_16 {
            return text.into_bytes();
        }
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    }

    fn csv(&self, separator: char) -> String {
        let line = |cells: Vec<String>| {
            let quoted = |cell: &String| {
                let odd = cell.contains([separator, '"', '\n', ';', ',']);
                if odd { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
            };
            cells.iter().map(quoted).collect::<Vec<_>>().join(&separator.to_string()) + "\r\n"
        };
        let names: Vec<_> = self.record(0, Person::Active).into_iter().map(|(name, _)| name).collect();
        let mut text = line(names.clone());
        for (number, record) in self.records().enumerate() {
            text += &line(record.into_iter().map(|(_, value)| value).collect());
            if number == 2 && self.header_again {
                text += &line(names.clone());
            }
        }
        for _ in 0..self.blank_rows {
            text += &line(vec![String::new(); names.len()]);
        }
        text
    }

    fn objects(&self) -> Vec<String> {
        let object = |record: Vec<(String, String)>| {
            let mut members = String::new();
            for (name, value) in record {
                let value = match name.to_lowercase().as_str() {
                    "suspended" => value,
                    "groups" if self.group_form == 0 => {
                        serde_json::json!(value.split(';').collect::<Vec<_>>()).to_string()
                    }
                    _ => serde_json::json!(value).to_string(),
                };
                let _ =
                    write!(members, "{}{}:{value}", if members.is_empty() { "" } else { "," }, serde_json::json!(name));
            }
            format!("{{{members}}}")
        };
        self.records().map(object).collect()
    }

    /// What must hold for whatever is planned from it.
    fn judge(&self, plan: &ApprovedPlan) -> Result<(), String> {
        let proven = matches!(self.format, Format::Json | Format::Wrapped(_));
        for change in plan.changes() {
            let id = change.user_name().as_str();
            let number = id.strip_prefix('p').and_then(|name| name.split('@').next()?.parse::<usize>().ok());
            let number = number.filter(|number| *number < PEOPLE).ok_or(format!("{id} is nobody"))?;
            let person = self.people[number];
            if change.action() == Action::Create && number < LINKED {
                return Err(format!("{id} gets a second account"));
            }
            if change
                .fields()
                .iter()
                .any(|field| field.name != FieldName::UserName && field.to.as_deref() != Some(GIVEN))
                && change.action() == Action::Update
            {
                return Err(format!("{id} loses letters"));
            }
            match (change.action().removes(), person) {
                (true, Person::Gone) if !proven => return Err(format!("{id} is removed after one unproven sighting")),
                (true, Person::Active) => return Err(format!("{id} is wanted and removed")),
                (true, Person::Out) if self.lost[GROUPS] => return Err(format!("nothing says that {id} is out")),
                (false, Person::Gone | Person::Suspended | Person::Staged | Person::Out) => {
                    return Err(format!("{id} is not wanted and gets an account"));
                }
                (true, Person::Gone | Person::Suspended | Person::Staged | Person::Out) | (false, Person::Active) => {}
            }
        }
        Ok(())
    }
}

/// Six people with accounts, and the memory of a good export.
fn installation(folder: &std::path::Path) -> (Connection, Settings) {
    let mut connection = state(folder, "https://x.example");
    let users: Vec<_> = (0..LINKED).map(|n| format!("{} p{n}@x.example {GIVEN}", id_of(n))).collect();
    link(&mut connection, &users.join("|"));
    let transaction = connection.transaction().expect("a transaction");
    let all = LINKED as u64;
    let spoken = Spoken { records_count: all, state: all, activated: 0, suspended: all, groups: all };
    store::note_spoken(&transaction, 1, &spoken).expect("noted");
    transaction.commit().expect("a commit");
    let mut settings = settings(folder);
    settings.scope = Scope::new(&["R".to_owned()], &[]);
    settings.wanted_under.scope = settings.scope.clone();
    settings.without_state = WithoutState::Refuse;
    (connection, settings)
}

#[test]
fn no_file_in_place_of_a_good_one_breaks_a_promise() {
    let folder = tempfile::tempdir().expect("a folder");
    let (connection, settings) = installation(folder.path());
    let installation = store::installation(&connection).expect("an installation");
    let cases = std::env::var("RHOMBUS_SYNC_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(FILES);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let connection = std::cell::RefCell::new(connection);
    let (read, refused) = (std::cell::Cell::new(0_u32), std::cell::Cell::new(0_u32));
    let result = runner.run(&any_file(), |file| {
        std::fs::write(folder.path().join("directory.json"), file.bytes()).expect("an export");
        let planned = open_export(&settings, NOW, &installation, &Default::default())
            .map_err(CompareError::from)
            .and_then(|mut export| compare(&connection.borrow(), &settings, &mut export, Known::default(), NOW));
        // What is remembered of some earlier file changes nothing.
        let recall = Some(Recall { seed: [5; 32], whole: false });
        let mut known = open_export(&settings, NOW, &installation, &Default::default())
            .map_err(CompareError::from)
            .and_then(|mut export| {
                compare(&connection.borrow(), &settings, &mut export, Known { recall, ..Known::default() }, NOW)
            });
        match (&planned, &known) {
            (Ok(planned), Ok(known)) => prop_assert_eq!(&planned.plan, &known.plan),
            (planned, known) => prop_assert_eq!(planned.is_ok(), known.is_ok()),
        }
        let remembered = known.as_mut().ok().and_then(|known| known.remembered.take());
        if let Some(remembered) = remembered.filter(|_| read.get().is_multiple_of(REMEMBERED_EACH)) {
            let mut connection = connection.borrow_mut();
            let transaction = connection.transaction().expect("a transaction");
            store::remember(&transaction, remembered, NOW).expect("remembered");
            transaction.commit().expect("a commit");
        }
        match planned {
            Ok(compared) => {
                read.set(read.get() + 1);
                let said = file.judge(&compared.plan);
                let said = said.map_err(|fault| format!("{fault}\n{}", String::from_utf8_lossy(&file.bytes())));
                said.map_err(TestCaseError::fail)?;
                let lost = [STATE, SUSPENDED, GROUPS].iter().any(|column| file.lost[*column]);
                prop_assert!(!lost, "what speaks against access is lost, and the file is read");
            }
            Err(_) => refused.set(refused.get() + 1),
        }
        Ok(())
    });
    result.expect("every file was judged");
    assert!(read.get() > cases / 10 && refused.get() > cases / 10, "{read:?} read, {refused:?} refused");
}
