//! One look through an export, for whoever only wants to know how it is read: nothing is planned.

use super::believe::believable;
use crate::config::Settings;
use crate::model::{Column, SpokenBefore};
use crate::plan::Usability;
use crate::plan::mapping::map_record;
use crate::source::{Export, ExportRead, SourceError};

/// How an export is read.
pub struct Survey {
    /// What was read.
    pub read: ExportRead,
    /// How many records can be used.
    pub usability: Usability,
    /// The columns that fell silent, or why the export is refused whole.
    pub believed: Result<Vec<Column>, SourceError>,
}

/// Reads an export through.
///
/// # Errors
/// It cannot be read to its end.
pub fn survey(settings: &Settings, export: &mut Export, before: &SpokenBefore) -> Result<Survey, SourceError> {
    let look = |export: &mut Export| {
        let mut usability = Usability::default();
        let read = export.read(&mut |user| usability.note(&map_record(user, &settings.scope)))?;
        Ok::<_, SourceError>((read, usability))
    };
    let (mut read, mut usability) = look(export)?;
    if export.expects_states(&read.spoken) {
        (read, usability) = look(export)?;
    }
    let believed = believable(settings, export, &read, &usability, before);
    Ok(Survey { read, usability, believed })
}
