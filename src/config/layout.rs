//! `[directory]`: how the export is written down.

use super::directory::{RawColumns, RawDirectory, RawStates};
use super::error::Problem;
use crate::model::{Column, ColumnName, Layout, Rows, StateWords};

/// How the export is written down.
pub(super) fn layout(raw: &RawDirectory) -> Result<Layout, Problem> {
    let columns = columns(raw)?;
    let mapped = matches!(columns[Column::State as usize], ColumnName::Theirs(_));
    let words = |states: &RawStates| StateWords::new(&states.activated, &states.suspended, &states.staged);
    let states = match Some(words(&raw.states)).filter(|words| !words.is_empty()) {
        None => None,
        Some(_) if !mapped => {
            return Err(Problem::plain(
                "[directory.states] needs the column of the states: set [directory.columns] state",
            ));
        }
        Some(words) => Some(words),
    };
    if states.as_ref().is_some_and(StateWords::ambiguous) {
        return Err(Problem::plain("[directory.states] has one word for two states (letter case does not matter)"));
    }
    let group_separator = match raw.group_separator.as_str() {
        ";" => ';',
        "," => ',',
        "|" => '|',
        "\n" => '\n',
        _ => return Err(Problem::plain("[directory] group_separator is not one of \";\", \",\", \"|\" and \"\\n\"")),
    };
    Ok(Layout {
        rows: Rows::Users,
        format: raw.format,
        records: Some(raw.records.trim().to_owned()).filter(|name| !name.is_empty()),
        columns,
        states,
        group_separator,
    })
}

fn columns(raw: &RawDirectory) -> Result<[ColumnName; Column::COUNT], Problem> {
    let older = raw.id_attribute.as_deref();
    if older == Some("") {
        return Err(Problem::plain("[directory] id_attribute is empty"));
    }
    let mut columns = [const { ColumnName::Ours }; Column::COUNT];
    for column in Column::ALL {
        let name = match (named(&raw.columns, column), column) {
            (Some(name), Column::Id) if older.is_some_and(|older| older != name) => {
                return Err(Problem::plain(
                    "[directory] id_attribute is the older name of [directory.columns] id, and they differ: remove one",
                ));
            }
            (None, Column::Id) => older,
            (name, _) => name,
        };
        columns[column as usize] = match name.map(str::trim) {
            None => ColumnName::Ours,
            Some("") if matches!(column, Column::Id | Column::Username) => {
                return Err(Problem::owned(format!(
                    "[directory.columns] {} is empty, but every user needs one",
                    column.key()
                )));
            }
            Some("") => ColumnName::Nothing,
            Some(name) if column == Column::Id && name == Column::Id.as_str() => ColumnName::Ours,
            Some(name) => ColumnName::Theirs(name.into()),
        };
    }
    Ok(columns)
}

fn named(raw: &RawColumns, column: Column) -> Option<&str> {
    match column {
        Column::Id => &raw.id,
        Column::Username => &raw.username,
        Column::Email => &raw.email,
        Column::Firstname => &raw.firstname,
        Column::Lastname => &raw.lastname,
        Column::State => &raw.state,
        Column::Activated => &raw.activated,
        Column::Suspended => &raw.suspended,
        Column::Groups => &raw.groups,
    }
    .as_deref()
}
