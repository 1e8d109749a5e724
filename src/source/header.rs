//! The header of a CSV: which of its columns are ours, and everything that it lacks at once.

use super::seen::listed;
use super::status::is_status;
use crate::model::{Column, ColumnName, Layout, Rows, bare, clean};
use std::borrow::Cow;

/// Why a header cannot be used.
pub(super) enum HeaderFault {
    /// It lacks what it must have; what, and what there is.
    Lacks(String),
    /// Two of its columns have one name, or names that differ in letter case only; which.
    Doubled(String),
}

/// Where our columns stand.
pub(super) struct Header {
    pub(super) width: usize,
    places: [Option<usize>; Column::COUNT],
    /// A column that is called like a status and is none of those that are read.
    pub(super) status: Option<String>,
    /// Mapped columns that are not there; without them the rows can be read all the same.
    pub(super) lacking: Vec<Column>,
    /// The names, folded.
    names: Vec<String>,
    /// A bit for each length of a name: nearly no row is as long as a header's.
    lengths: u64,
}

impl Header {
    /// Finds our columns among these names.
    ///
    /// # Errors
    /// What is missing, or there twice.
    pub(super) fn read(names: &[String], layout: &Layout) -> Result<Self, HeaderFault> {
        let folded: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
        let place = |wanted: &str| place(&folded, wanted).map_err(|two| doubled(wanted, two.map(|at| &*names[at])));
        let mut places = [None; Column::COUNT];
        for column in Column::ALL {
            if let Some(name) = layout.name(column) {
                places[column as usize] = place(name)?;
            }
        }
        if layout.id_may_stand_in() {
            let id = place("id")?;
            places[Column::Id as usize] = places[Column::Id as usize].or(id);
        }
        let mapped = |column: &Column| matches!(layout.column(*column), ColumnName::Theirs(_));
        let lacking: Vec<_> =
            Column::ALL.into_iter().filter(|column| mapped(column) && places[*column as usize].is_none()).collect();
        let missing = missing(layout, &places, &lacking);
        if !missing.is_empty() {
            let foreign = [(';', "`;`"), ('\t', "tabs"), ('|', "`|`")];
            let foreign = foreign.iter().find(|(sign, _)| names.iter().any(|name| name.contains(*sign)));
            let foreign = foreign.map(|(_, sign)| format!(", and {sign} instead of commas")).unwrap_or_default();
            let (missing, there) = (missing.join(" and no "), listed("columns", names));
            return Err(HeaderFault::Lacks(format!("the header has no {missing}{foreign}; {there}")));
        }
        let status = names.iter().enumerate().find(|(at, name)| is_status(name) && !places.contains(&Some(*at)));
        let status = status.map(|(_, name)| name.clone());
        let lengths = folded.iter().fold(0, |bits, name| bits | bit(name.len()));
        Ok(Self { width: names.len(), places, status, lacking, names: folded, lengths })
    }

    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }

    /// Whether a row is a header: its id is the name of the id's column, or its id and username are names of columns.
    #[inline]
    pub(super) fn comes_again<'t>(
        &self,
        rows: Rows,
        id: Option<&str>,
        cell: &impl Fn(Column) -> Option<Cow<'t, str>>,
    ) -> bool {
        match (rows, id.map(bare)) {
            (Rows::Memberships, _) => self.is_header_of_memberships(cell),
            (Rows::Users, Some(id)) => self.lengths & bit(id.len()) != 0 && self.is_header_of_users(id, cell),
            (Rows::Users, None) => false,
        }
    }

    fn is_header_of_memberships<'t>(&self, cell: &impl Fn(Column) -> Option<Cow<'t, str>>) -> bool {
        let again = |column| cell(column).is_some_and(|text| same(text.trim(), self.name(column)));
        again(Column::Groups) && (again(Column::Id) || again(Column::Username))
    }

    fn is_header_of_users<'t>(&self, id: &str, cell: &impl Fn(Column) -> Option<Cow<'t, str>>) -> bool {
        let is_name = |text: &str| self.names.iter().any(|name| !name.is_empty() && same(name, text));
        same(id, self.name(Column::Id))
            || (is_name(id) && cell(Column::Username).is_some_and(|username| is_name(bare(&username))))
    }

    fn name(&self, column: Column) -> &str {
        self.place(column).map_or("", |place| self.names[place].as_str())
    }
}

fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.eq_ignore_ascii_case(other)
}

fn bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// The place of a column; both places if there are two.
fn place(folded: &[String], wanted: &str) -> Result<Option<usize>, [usize; 2]> {
    let wanted = wanted.trim().to_lowercase();
    let mut places = folded.iter().enumerate().filter(|(_, name)| **name == wanted).map(|(place, _)| place);
    match (places.next(), places.next()) {
        (Some(one), Some(other)) => Err([one, other]),
        (first, _) => Ok(first),
    }
}

fn doubled(wanted: &str, [one, other]: [&str; 2]) -> HeaderFault {
    let (wanted, one, other) = (clean(wanted.trim()), clean(one), clean(other));
    let written = if one == other { String::new() } else { format!(" (`{one}` and `{other}`)") };
    HeaderFault::Doubled(format!("the header has two columns `{wanted}`{written}"))
}

/// What must be there and is not: id and username, and a state whose place the configuration names. If any of these is
/// missing, all mapped columns that are missing are named.
fn missing(layout: &Layout, places: &[Option<usize>; Column::COUNT], lacking: &[Column]) -> Vec<String> {
    let absent = |column: Column| places[column as usize].is_none();
    let mut missing = Vec::new();
    if layout.rows == Rows::Memberships {
        if absent(Column::Groups) {
            missing.push("`GroupName`".to_owned());
        }
        if absent(Column::Id) && absent(Column::Username) {
            missing.push("`UserID` (or `Username`)".to_owned());
        }
        return missing;
    }
    let mut required = Vec::new();
    for column in [Column::Id, Column::Username, Column::State].into_iter().filter(|column| absent(*column)) {
        match layout.column(column) {
            ColumnName::Ours if column == Column::Id => missing.push("`_id` (or `id`)".to_owned()),
            ColumnName::Ours if column == Column::Username => missing.push("`username`".to_owned()),
            ColumnName::Theirs(_) => required.push(column),
            ColumnName::Ours | ColumnName::Nothing => {}
        }
    }
    if !missing.is_empty() || !required.is_empty() {
        let name = |column: &Column| layout.name(*column).unwrap_or_default().to_owned();
        missing
            .extend(lacking.iter().map(|column| format!("`{}` ([directory.columns] {})", name(column), column.key())));
    }
    missing
}
