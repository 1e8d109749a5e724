//! The layout of an export (`[directory]`): its format, the names of its columns, and its words for states. `source`
//! reads exports; this is only the description.

use super::{Column, Format, UserState};
use std::borrow::Cow;

/// The export's name of a column that we read.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub enum ColumnName {
    /// Our own name.
    #[default]
    Ours,
    /// This name. If the export does not have it, our own name is not used instead.
    Theirs(Box<str>),
    /// None: the export does not have it, even if a column has our name.
    Nothing,
}

/// The words for states that `[directory.states]` lists.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct StateWords(Vec<(String, UserState)>);

impl StateWords {
    /// Takes the words for each state; letter case does not matter.
    #[must_use]
    pub fn new(activated: &[String], suspended: &[String], staged: &[String]) -> Self {
        let of = |words: &[String], state| words.iter().map(|word| (word.to_lowercase(), state)).collect::<Vec<_>>();
        let mut words = of(activated, UserState::Activated);
        words.append(&mut of(suspended, UserState::Suspended));
        words.append(&mut of(staged, UserState::Staged));
        Self(words)
    }

    /// Whether a word stands for two states.
    #[must_use]
    pub fn ambiguous(&self) -> bool {
        self.0.iter().any(|(word, state)| self.0.iter().any(|(other, another)| word == other && state != another))
    }

    /// Whether no word is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn state(&self, word: &str) -> Option<UserState> {
        let folded: Cow<'_, str> = if word.is_ascii() { word.into() } else { word.to_lowercase().into() };
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(&folded)).map(|(_, state)| *state)
    }
}

/// What a row of a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rows {
    /// A user.
    #[default]
    Users,
    /// A user's membership of one group.
    Memberships,
}

/// The layout of an export.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Layout {
    /// What its rows are.
    #[serde(skip)]
    pub rows: Rows,
    /// JSON, NDJSON or CSV.
    pub format: Format,
    /// The JSON member with the records, if it is neither the document itself nor a page's `results`.
    pub records: Option<String>,
    /// The export's names of our columns, indexed by [`Column`].
    pub columns: [ColumnName; Column::COUNT],
    /// The words of a mapped `state`; `None`: ours.
    pub states: Option<StateWords>,
    /// The separator between the groups in a CSV cell.
    pub group_separator: char,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            rows: Rows::Users,
            format: Format::Auto,
            records: None,
            columns: [const { ColumnName::Ours }; Column::COUNT],
            states: None,
            group_separator: ';',
        }
    }
}

impl Layout {
    /// A members file, as JumpCloud's own programs write it.
    #[must_use]
    pub fn of_memberships() -> Self {
        let mut columns = [const { ColumnName::Nothing }; Column::COUNT];
        for (column, name) in [(Column::Id, "UserID"), (Column::Username, "Username"), (Column::Groups, "GroupName")] {
            columns[column as usize] = ColumnName::Theirs(name.into());
        }
        Self { rows: Rows::Memberships, format: Format::Csv, columns, ..Self::default() }
    }

    /// The export's name of a column.
    #[must_use]
    pub fn column(&self, column: Column) -> &ColumnName {
        &self.columns[column as usize]
    }

    /// The name under which a column is looked for; `None` if the export does not have it.
    #[must_use]
    pub fn name(&self, column: Column) -> Option<&str> {
        match self.column(column) {
            ColumnName::Ours => Some(column.as_str()),
            ColumnName::Theirs(name) => Some(name),
            ColumnName::Nothing => None,
        }
    }

    /// Whether `id` is used if `_id` is absent.
    #[must_use]
    pub fn id_may_stand_in(&self) -> bool {
        self.name(Column::Id) == Some(Column::Id.as_str())
    }

    /// Whether every record must have a state, because the configuration maps that column.
    #[must_use]
    pub fn state_is_mapped(&self) -> bool {
        matches!(self.column(Column::State), ColumnName::Theirs(_))
    }

    /// The state that a word stands for; `None` if it is unknown.
    #[must_use]
    pub fn state(&self, word: &str) -> Option<UserState> {
        let Some(words) = &self.states else {
            return match word {
                "ACTIVATED" => Some(UserState::Activated),
                _ if word.eq_ignore_ascii_case("ACTIVATED") => Some(UserState::Activated),
                _ if word.eq_ignore_ascii_case("STAGED") => Some(UserState::Staged),
                _ if word.eq_ignore_ascii_case("SUSPENDED") => Some(UserState::Suspended),
                _ => None,
            };
        };
        words.state(word)
    }
}

/// `[directory] without_state`: what happens to an export in which no user has a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutState {
    /// It is rejected as a whole.
    #[default]
    Refuse,
    /// Everybody in it counts as activated.
    Activated,
}

/// How many records have a value in each column that can speak against access. If one falls silent, silence is not
/// consent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spoken {
    /// Number of records.
    pub records_count: u64,
    /// Records with a `state`.
    pub state: u64,
    /// Records with `activated`.
    pub activated: u64,
    /// Records with `suspended`.
    pub suspended: u64,
    /// Records with at least one group.
    pub groups: u64,
}

impl Spoken {
    /// These columns with their counts.
    #[must_use]
    pub fn columns(&self) -> [(Column, u64); 4] {
        [
            (Column::State, self.state),
            (Column::Activated, self.activated),
            (Column::Suspended, self.suspended),
            (Column::Groups, self.groups),
        ]
    }

    /// Whether any record says anything about its user's state.
    #[must_use]
    pub fn of_states(&self) -> bool {
        self.state > 0 || self.activated > 0 || self.suspended > 0
    }
}

/// The share of records with a value in a column.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Share {
    /// Fewer than half.
    Few,
    /// Fewer than half now, and at least half in an earlier export.
    Fewer,
    /// At least half.
    Most,
}

/// The share of each column in the last export read under the same `[directory]`. A column that falls silent keeps its
/// last share, and one that speaks of fewer users than it did stays known for that.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SpokenBefore {
    directory_number: i64,
    shares: Vec<(Column, Share)>,
}

impl SpokenBefore {
    /// Parses the stored form: the names of the columns set in most records, and of those set in a few.
    #[must_use]
    pub fn from_names(directory_number: i64, most: &str, few: &str) -> Self {
        let of = |names: &str, share| {
            names.split_whitespace().filter_map(Column::from_key).map(|column| (column, share)).collect::<Vec<_>>()
        };
        let (mut shares, few) = (of(most, Share::Most), of(few, Share::Few));
        for (column, share) in few {
            match shares.iter_mut().find(|(known, _)| *known == column) {
                Some((_, share)) => *share = Share::Fewer,
                None => shares.push((column, share)),
            }
        }
        Self { directory_number, shares }
    }

    /// The names of the columns with this share, as they are stored; [`Share::Fewer`] stands in both lists.
    #[must_use]
    pub fn names(&self, share: Share) -> String {
        let names =
            self.shares.iter().filter(|(_, of)| *of == share || *of == Share::Fewer).map(|(column, _)| column.key());
        names.collect::<Vec<_>>().join(" ")
    }

    /// The number of the `[directory]` settings they were counted under.
    #[must_use]
    pub fn directory_number(&self) -> i64 {
        self.directory_number
    }

    /// A column's share under this `[directory]`; `None`: no record had a value.
    #[must_use]
    pub fn share(&self, directory_number: i64, column: Column) -> Option<Share> {
        let same = directory_number == self.directory_number;
        self.shares.iter().find(|(known, _)| same && *known == column).map(|(_, share)| *share)
    }

    /// Whether at least half of the records had a value in it, in the last export under this `[directory]` or one before it.
    #[must_use]
    pub fn was_filled(&self, directory_number: i64, column: Column) -> bool {
        matches!(self.share(directory_number, column), Some(Share::Most | Share::Fewer))
    }

    /// The shares to remember after an export was read under this `[directory]`.
    #[must_use]
    pub fn after(&self, directory_number: i64, spoken: &Spoken) -> Self {
        let share = |(column, count): (Column, u64)| match count {
            0 => self.share(directory_number, column),
            count if count * 2 >= spoken.records_count => Some(Share::Most),
            _ if column != Column::Groups && self.was_filled(directory_number, column) => Some(Share::Fewer),
            _ => Some(Share::Few),
        };
        let shares = spoken.columns().into_iter().filter_map(|count| Some((count.0, share(count)?))).collect();
        Self { directory_number, shares }
    }
}
