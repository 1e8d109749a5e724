//! `[directory]`: where users come from. One variant a source; a key that does not go with a source is refused here and
//! nowhere else. How an export is written is `layout`'s.

use super::error::Problem;
use crate::model::{Column, ColumnName, Duration, Format, Layout, SourceKind, WithoutState};
use crate::plan::SourceSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where users come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum SourceConfig {
    /// An export file.
    File {
        /// Absolute.
        path: PathBuf,
        /// The file of group memberships beside it, which stands for its groups. `None` if nobody is chosen by groups.
        members_path: Option<PathBuf>,
    },
}

impl SourceConfig {
    /// The files whose change starts a cycle, the export first; empty if nothing on this machine tells of a change.
    #[must_use]
    pub fn watched(&self) -> Vec<&Path> {
        match self {
            Self::File { path, members_path } => {
                std::iter::once(path).chain(members_path).map(PathBuf::as_path).collect()
            }
        }
    }

    /// What people call it: the path of a file.
    #[must_use]
    pub fn described(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// The file of group memberships.
    #[must_use]
    pub fn members_path(&self) -> Option<&Path> {
        match self {
            Self::File { members_path, .. } => members_path.as_deref(),
        }
    }
}

/// A key that not every source has.
struct SourceKey {
    name: &'static str,
    is_set: bool,
    /// The sources that have it.
    sources: &'static [SourceKind],
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDirectory {
    source: SourceKind,
    path: Option<PathBuf>,
    pub(super) format: Format,
    /// The older name of `[directory.columns] id`.
    #[serde(serialize_with = "or_default_id")]
    pub(super) id_attribute: Option<String>,
    pub(super) min_users: u64,
    pub(super) max_age: Option<Duration>,
    pub(super) without_state: WithoutState,
    pub(super) group_separator: String,
    pub(super) records: String,
    members_path: Option<PathBuf>,
    pub(super) columns: RawColumns,
    pub(super) states: RawStates,
}

/// If it is left out, it has its old default.
fn or_default_id<S: serde::Serializer>(id: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.as_deref().unwrap_or("_id"))
}

/// What the export calls our columns.
#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawColumns {
    pub(super) id: Option<String>,
    pub(super) username: Option<String>,
    pub(super) email: Option<String>,
    pub(super) firstname: Option<String>,
    pub(super) lastname: Option<String>,
    pub(super) state: Option<String>,
    pub(super) activated: Option<String>,
    pub(super) suspended: Option<String>,
    pub(super) groups: Option<String>,
}

/// The export's words for our states.
#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStates {
    pub(super) activated: Vec<String>,
    pub(super) suspended: Vec<String>,
    pub(super) staged: Vec<String>,
}

impl Default for RawDirectory {
    fn default() -> Self {
        Self {
            source: SourceKind::File,
            path: None,
            format: Format::Auto,
            id_attribute: None,
            min_users: 1,
            max_age: None,
            without_state: WithoutState::Refuse,
            group_separator: ";".to_owned(),
            records: String::new(),
            members_path: None,
            columns: RawColumns::default(),
            states: RawStates::default(),
        }
    }
}

/// The keys that not every source has. A new source adds its own, and its name to those that it shares.
fn source_keys(raw: &RawDirectory) -> [SourceKey; 2] {
    [
        SourceKey { name: "path", is_set: raw.path.is_some(), sources: &[SourceKind::File] },
        SourceKey { name: "members_path", is_set: raw.members_path.is_some(), sources: &[SourceKind::File] },
    ]
}

/// Refuses a key that does not go with the source.
fn check_keys(source: SourceKind, keys: &[SourceKey]) -> Result<(), Problem> {
    let Some(misplaced) = keys.iter().find(|key| key.is_set && !key.sources.contains(&source)) else { return Ok(()) };
    let sources: Vec<_> = misplaced.sources.iter().map(|source| format!("\"{}\"", source.as_str())).collect();
    Err(Problem::owned(format!("[directory] {} goes with source = {}", misplaced.name, sources.join(" or "))))
}

/// The source, with the keys that it needs.
pub(super) fn source(
    raw: &RawDirectory,
    by_groups: bool,
    absolute: &dyn Fn(&PathBuf) -> PathBuf,
) -> Result<SourceConfig, Problem> {
    check_keys(raw.source, &source_keys(raw))?;
    let groups = raw.columns.groups.as_deref().unwrap_or_default().trim();
    if raw.members_path.is_some() && !groups.is_empty() {
        return Err(Problem::plain(
            "[directory] members_path and [directory.columns] groups both say who is in which group: remove one",
        ));
    }
    let named = |path: &Option<PathBuf>| path.as_ref().filter(|path| !path.as_os_str().is_empty()).map(absolute);
    match raw.source {
        SourceKind::File => {
            let Some(path) = named(&raw.path) else { return Err(Problem::plain("[directory] path is missing")) };
            let members_path = named(&raw.members_path);
            if raw.members_path.is_some() && members_path.is_none() {
                return Err(Problem::plain("[directory] members_path is empty"));
            }
            Ok(SourceConfig::File { path, members_path: members_path.filter(|_| by_groups) })
        }
    }
}

/// What a source other than a file adds to what a link remembers: the keys that say whose users these are.
fn place(raw: &RawDirectory) -> BTreeMap<String, String> {
    match raw.source {
        SourceKind::File => BTreeMap::new(),
    }
}

/// What a link remembers of `[directory]`. A column that does not exist is not a setting, nor is what only refuses exports.
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
        path: raw.path.clone().unwrap_or_default(),
        place: place(raw),
        format: raw.format,
        id_attribute: layout.name(Column::Id).unwrap_or_default().to_owned(),
        columns: Column::ALL.iter().filter_map(theirs).collect(),
        states: words(&raw.states),
        group_separator: layout.group_separator,
        records: layout.records.clone(),
        members_path: raw.members_path.clone(),
    }
}
