//! The header of a CSV: which of its columns are ours, and everything that it lacks at once.

use super::seen::listed;
use super::status::is_status;
use crate::model::{Column, ColumnName, Layout, Rows};
use std::borrow::Cow;

/// Where our columns stand.
pub(super) struct Header {
    pub(super) width: usize,
    places: [Option<usize>; Column::COUNT],
    /// A column that is called like a status and is none of those that are read.
    pub(super) status: Option<String>,
    /// The names, folded.
    names: Vec<String>,
}

impl Header {
    /// Finds our columns among these names.
    ///
    /// # Errors
    /// What is missing, or stands there twice.
    pub(super) fn read(names: &[String], layout: &Layout) -> Result<Self, String> {
        let folded: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
        let mut places = [None; Column::COUNT];
        for column in Column::ALL {
            if let Some(name) = layout.name(column) {
                places[column as usize] = place(&folded, name)?;
            }
        }
        if layout.id_may_stand_in() {
            let id = place(&folded, "id")?;
            places[Column::Id as usize] = places[Column::Id as usize].or(id);
        }
        let missing = missing(layout, &places);
        if !missing.is_empty() {
            let foreign = [(';', "`;`"), ('\t', "tabs"), ('|', "`|`")];
            let foreign = foreign.iter().find(|(sign, _)| names.iter().any(|name| name.contains(*sign)));
            let foreign = foreign.map(|(_, sign)| format!(", and {sign} instead of commas")).unwrap_or_default();
            return Err(format!(
                "the header has no {}{foreign}; {}",
                missing.join(" and no "),
                listed("columns", names)
            ));
        }
        let status = names.iter().enumerate().find(|(at, name)| is_status(name) && !places.contains(&Some(*at)));
        let status = status.map(|(_, name)| name.clone());
        Ok(Self { width: names.len(), places, status, names: folded })
    }

    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }

    /// Whether a row is a header: its id is the name of the id's column, or its id and username are names of columns.
    pub(super) fn comes_again<'t>(&self, rows: Rows, cell: &impl Fn(Column) -> Option<Cow<'t, str>>) -> bool {
        let name = |column: Column| self.place(column).map_or("", |place| self.names[place].as_str());
        let same = |one: &str, other: &str| one.len() == other.len() && one.eq_ignore_ascii_case(other);
        if rows == Rows::Memberships {
            let again = |column| cell(column).is_some_and(|text| same(text.trim(), name(column)));
            return again(Column::Groups) && (again(Column::Id) || again(Column::Username));
        }
        let Some(id) = cell(Column::Id) else { return false };
        let id = id.trim();
        if same(id, name(Column::Id)) {
            return true;
        }
        let is_name = |text: &str| self.names.iter().any(|name| !name.is_empty() && same(name, text));
        is_name(id) && cell(Column::Username).is_some_and(|username| is_name(username.trim()))
    }
}

fn place(folded: &[String], wanted: &str) -> Result<Option<usize>, String> {
    let wanted = wanted.trim().to_lowercase();
    let mut places = folded.iter().enumerate().filter(|(_, name)| **name == wanted).map(|(place, _)| place);
    match (places.next(), places.next()) {
        (Some(_), Some(_)) => Err(format!("the header has two columns `{wanted}`")),
        (first, _) => Ok(first),
    }
}

/// What must be there and is not: id and username, and a state whose place the configuration names.
fn missing(layout: &Layout, places: &[Option<usize>; Column::COUNT]) -> Vec<String> {
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
    for column in [Column::Id, Column::Username, Column::State] {
        match layout.column(column) {
            ColumnName::Ours if column == Column::Id && absent(column) => missing.push("`_id` (or `id`)".to_owned()),
            ColumnName::Ours if column == Column::Username && absent(column) => missing.push("`username`".to_owned()),
            ColumnName::Theirs(name) if absent(column) => {
                missing.push(format!("`{name}` ([directory.columns] {})", column.key()));
            }
            ColumnName::Ours | ColumnName::Theirs(_) | ColumnName::Nothing => {}
        }
    }
    missing
}
