//! How an export is written down (`[directory]`): its format, which of its columns are ours, which of its words mean which
//! state. Reading it is left to `source`.

use super::{Column, Format, UserState};
use std::borrow::Cow;

/// What the export calls a column of ours.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub enum ColumnName {
    /// By our own name.
    #[default]
    Ours,
    /// By this one. Where the export lacks it, our own name does not stand in for it.
    Theirs(Box<str>),
    /// The export has none of it, whatever a column is called.
    Nothing,
}

/// The words that stand for states, where `[directory.states]` names them.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct StateWords(Vec<(String, UserState)>);

impl StateWords {
    /// Words of each state; they compare without letter case.
    #[must_use]
    pub fn new(activated: &[String], suspended: &[String], staged: &[String]) -> Self {
        let of = |words: &[String], state| words.iter().map(|word| (word.to_lowercase(), state)).collect::<Vec<_>>();
        let mut words = of(activated, UserState::Activated);
        words.append(&mut of(suspended, UserState::Suspended));
        words.append(&mut of(staged, UserState::Staged));
        Self(words)
    }

    /// A word that stands for two states, if there is one.
    #[must_use]
    pub fn ambiguous(&self) -> bool {
        self.0.iter().any(|(word, state)| self.0.iter().any(|(other, another)| word == other && state != another))
    }

    /// Whether no word is named at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn state(&self, word: &str) -> Option<UserState> {
        let folded: Cow<'_, str> = if word.is_ascii() { word.into() } else { word.to_lowercase().into() };
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(&folded)).map(|(_, state)| *state)
    }
}

/// How an export is written down.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Layout {
    /// JSON, NDJSON or CSV.
    pub format: Format,
    /// The JSON member that holds the records, where that is not the document itself, nor `results` of a page.
    pub records: Option<String>,
    /// What the export calls our columns, by their number.
    pub columns: [ColumnName; Column::COUNT],
    /// The words of a mapped `state`.
    pub states: Option<StateWords>,
    /// What stands between two groups of a CSV cell.
    pub group_separator: char,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            format: Format::Auto,
            records: None,
            columns: [const { ColumnName::Ours }; Column::COUNT],
            states: None,
            group_separator: ';',
        }
    }
}

impl Layout {
    /// What the export calls a column of ours.
    #[must_use]
    pub fn column(&self, column: Column) -> &ColumnName {
        &self.columns[column as usize]
    }

    /// The name under which a column of ours is looked for; none where the export has none of it.
    #[must_use]
    pub fn name(&self, column: Column) -> Option<&str> {
        match self.column(column) {
            ColumnName::Ours => Some(column.as_str()),
            ColumnName::Theirs(name) => Some(name),
            ColumnName::Nothing => None,
        }
    }

    /// Whether `id` is read where `_id` is absent.
    #[must_use]
    pub fn id_may_stand_in(&self) -> bool {
        self.name(Column::Id) == Some(Column::Id.as_str())
    }

    /// Whether a record must say a state, because the configuration says where it stands.
    #[must_use]
    pub fn state_is_mapped(&self) -> bool {
        matches!(self.column(Column::State), ColumnName::Theirs(_))
    }

    /// The state that a word stands for.
    #[must_use]
    pub fn state(&self, word: &str) -> Option<UserState> {
        match &self.states {
            Some(words) => words.state(word),
            None if word.eq_ignore_ascii_case("ACTIVATED") => Some(UserState::Activated),
            None if word.eq_ignore_ascii_case("STAGED") => Some(UserState::Staged),
            None if word.eq_ignore_ascii_case("SUSPENDED") => Some(UserState::Suspended),
            None => None,
        }
    }
}

/// What becomes of an export that says nothing of anybody's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutState {
    /// It is refused whole.
    #[default]
    Refuse,
    /// Everybody in it is activated.
    Activated,
}

/// The columns that say who may not come in, or not yet: where one goes silent, silence is no consent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spoken {
    /// How many records there were.
    pub records_count: u64,
    /// How many said a `state`.
    pub state: u64,
    /// How many said `activated`.
    pub activated: u64,
    /// How many said `suspended`.
    pub suspended: u64,
    /// How many named a group.
    pub groups: u64,
}

impl Spoken {
    /// Those columns, with how many records said them.
    #[must_use]
    pub fn columns(&self) -> [(Column, u64); 4] {
        [
            (Column::State, self.state),
            (Column::Activated, self.activated),
            (Column::Suspended, self.suspended),
            (Column::Groups, self.groups),
        ]
    }

    /// Whether anything was said of anybody's state.
    #[must_use]
    pub fn of_states(&self) -> bool {
        self.state > 0 || self.activated > 0 || self.suspended > 0
    }
}

/// How many records said something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Share {
    /// Fewer than half.
    Few,
    /// At least half.
    Most,
}

/// What spoke in the last export that was read under the same `[directory]`. What falls silent is remembered as it last spoke.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SpokenBefore {
    directory_number: i64,
    shares: Vec<(Column, Share)>,
}

impl SpokenBefore {
    /// As the state keeps it: the columns that most records said, and those that a few said, each by its name.
    #[must_use]
    pub fn from_names(directory_number: i64, most: &str, few: &str) -> Self {
        let of = |names: &str, share| {
            names.split_whitespace().filter_map(Column::from_key).map(|column| (column, share)).collect::<Vec<_>>()
        };
        let mut shares = of(most, Share::Most);
        shares.append(&mut of(few, Share::Few));
        Self { directory_number, shares }
    }

    /// Under which `[directory]`, and the names of the columns that as many records said.
    #[must_use]
    pub fn names(&self, share: Share) -> String {
        let names = self.shares.iter().filter(|(_, of)| *of == share).map(|(column, _)| column.key());
        names.collect::<Vec<_>>().join(" ")
    }

    /// The number of that `[directory]`.
    #[must_use]
    pub fn directory_number(&self) -> i64 {
        self.directory_number
    }

    /// How many records said a column, under this `[directory]`; none: no record did.
    #[must_use]
    pub fn share(&self, directory_number: i64, column: Column) -> Option<Share> {
        let same = directory_number == self.directory_number;
        self.shares.iter().find(|(known, _)| same && *known == column).map(|(_, share)| *share)
    }

    /// What is remembered after an export that was read under this `[directory]`.
    #[must_use]
    pub fn after(&self, directory_number: i64, spoken: &Spoken) -> Self {
        let share = |(column, count): (Column, u64)| match count {
            0 => self.share(directory_number, column),
            count if count * 2 >= spoken.records_count => Some(Share::Most),
            _ => Some(Share::Few),
        };
        let shares = spoken.columns().into_iter().filter_map(|said| Some((said.0, share(said)?))).collect();
        Self { directory_number, shares }
    }
}
