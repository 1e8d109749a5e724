//! `[directory]`: how the export is written down, and what of it a link remembers.

use super::error::Fault;
use super::raw::{RawColumns, RawDirectory, RawStates};
use crate::model::{Column, ColumnName, Layout, Rows, StateWords};
use crate::plan::SourceSettings;

/// How the export is written down.
pub(super) fn layout(raw: &RawDirectory) -> Result<Layout, Fault> {
    let columns = columns(raw)?;
    let mapped = matches!(columns[Column::State as usize], ColumnName::Theirs(_));
    let words = |states: &RawStates| StateWords::new(&states.activated, &states.suspended, &states.staged);
    let states = match Some(words(&raw.states)).filter(|words| !words.is_empty()) {
        None => None,
        Some(_) if !mapped => {
            return Err(Fault::plain(
                "[directory.states] needs to know where the states stand: set [directory.columns] state",
            ));
        }
        Some(words) => Some(words),
    };
    if states.as_ref().is_some_and(StateWords::ambiguous) {
        return Err(Fault::plain("[directory.states] has one word for two states (letter case does not matter)"));
    }
    let group_separator = match raw.group_separator.as_str() {
        ";" => ';',
        "," => ',',
        "|" => '|',
        "\n" => '\n',
        _ => return Err(Fault::plain("[directory] group_separator is not one of \";\", \",\", \"|\" and \"\\n\"")),
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

fn columns(raw: &RawDirectory) -> Result<[ColumnName; Column::COUNT], Fault> {
    let older = raw.id_attribute.as_deref();
    if older == Some("") {
        return Err(Fault::plain("[directory] id_attribute is empty"));
    }
    let mut columns = [const { ColumnName::Ours }; Column::COUNT];
    for column in Column::ALL {
        let name = match (named(&raw.columns, column), column) {
            (Some(name), Column::Id) if older.is_some_and(|older| older != name) => {
                return Err(Fault::plain(
                    "[directory] id_attribute is the older name of [directory.columns] id, and they differ: remove one",
                ));
            }
            (None, Column::Id) => older,
            (name, _) => name,
        };
        columns[column as usize] = match name.map(str::trim) {
            None => ColumnName::Ours,
            Some("") if matches!(column, Column::Id | Column::Username) => {
                return Err(Fault::owned(format!("[directory.columns] {} is empty: every user has one", column.key())));
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

/// What a link remembers of `[directory]`. A column that is not there is no setting, nor is what only refuses exports.
pub(super) fn source_settings(raw: &RawDirectory, layout: &Layout) -> SourceSettings {
    let theirs = |column: &Column| match layout.column(*column) {
        ColumnName::Theirs(name) if *column != Column::Id => Some((column.key().to_owned(), name.to_string())),
        ColumnName::Theirs(_) | ColumnName::Ours | ColumnName::Nothing => None,
    };
    let words = |states: &RawStates| {
        let RawStates { activated, suspended, staged } = states;
        [("activated", activated), ("suspended", suspended), ("staged", staged)]
            .into_iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(state, words)| (state.to_owned(), words.clone()))
            .collect()
    };
    SourceSettings {
        source: raw.source,
        path: raw.path.clone(),
        format: raw.format,
        id_attribute: layout.name(Column::Id).unwrap_or_default().to_owned(),
        columns: Column::ALL.iter().filter_map(theirs).collect(),
        states: words(&raw.states),
        group_separator: layout.group_separator,
        records: layout.records.clone(),
        members_path: raw.members_path.clone(),
    }
}
