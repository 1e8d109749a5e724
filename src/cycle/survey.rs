//! Reads an export without planning anything, to show how it is understood.

use super::believe::believable;
use crate::config::Settings;
use crate::model::{Column, ColumnName, SpokenBefore};
use crate::plan::mapping::map_record;
use crate::plan::{GroupsThere, Silence, UnnamedSoFar, Usability};
use crate::source::{Export, ExportRead, SourceError};
use std::collections::BTreeSet;

/// How an export is understood.
pub struct Survey {
    /// What it contains.
    pub read: ExportRead,
    /// How many of its records can be used.
    pub usability: Usability,
    /// Groups of `[scope]` that no record names.
    pub groups_unnamed: BTreeSet<String>,
    /// The groups that records name, or the members file.
    pub groups_there: GroupsThere,
    /// Mapped columns or members that no record has.
    pub absent: Vec<Column>,
    /// What it is silent on, or why the export is rejected as a whole.
    pub believed: Result<Silence, SourceError>,
}

/// Reads an export to its end.
///
/// # Errors
/// It cannot be read, or is malformed.
pub fn survey(settings: &Settings, export: &mut Export, before: &SpokenBefore) -> Result<Survey, SourceError> {
    let is_mapped = |column: &Column| matches!(settings.layout.column(*column), ColumnName::Theirs(_));
    let mapped = Column::ALL.into_iter().filter(is_mapped);
    let look = |export: &mut Export| {
        let mut usability = Usability::default();
        let (mut unnamed, mut there) = (UnnamedSoFar::of(&settings.scope), GroupsThere::default());
        let mut absent: Vec<_> = mapped.clone().collect();
        let read = export.read(&mut |user| {
            usability.note(&map_record(user, &settings.scope));
            unnamed.note(&user.groups);
            there.note(&user.groups);
            absent.retain(|column| !user.has(*column));
        })?;
        let of_members = read.memberships.iter().flat_map(|read| &read.other_groups);
        of_members.for_each(|name| there.add(name));
        Ok::<_, SourceError>((read, usability, (unnamed, there), absent))
    };
    let (mut read, mut usability, (unnamed, groups_there), absent) = look(export)?;
    if export.expects_states(&read.spoken) {
        (read, usability, ..) = look(export)?;
    }
    let believed = believable(settings, export, &read, &usability, before);
    Ok(Survey { read, usability, groups_unnamed: unnamed.names().clone(), groups_there, absent, believed })
}
