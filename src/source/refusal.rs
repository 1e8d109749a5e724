//! How an export is rejected as a whole: what is wrong with it, which columns it has, and what to do about it.

use super::lead::Flaw;
use super::sight::{LOOKED_AT_BYTES, Sight};
use super::status::is_status;
use super::{Doubt, Export, SourceError};
use crate::model::{Column, Rows};
use crate::records::RecordsError;
use std::os::unix::fs::FileExt;

/// Where an export is not written as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// It ends where it may not.
    AtTheEnd,
    /// Before its end.
    Inside,
    /// In the header of a CSV.
    Header,
    /// In a row of a CSV.
    Row,
}

/// The hint, and what the export looks like: what is missing from a known export says more than how to do without it.
fn with_lead(hint: &str, lead: Option<&str>, flaw: Flaw) -> String {
    match lead.map(|lead| (lead, lead.split_once("; add to the configuration:"))) {
        None => hint.to_owned(),
        Some((_, Some((looks, lines)))) if flaw == Flaw::State => {
            format!("{looks}; {hint}; add to the configuration:{lines}")
        }
        Some((lead, None)) if flaw == Flaw::State => format!("{lead}; {hint}"),
        Some((lead, _)) => format!("{hint}; {lead}"),
    }
}

impl Export {
    /// Refuses this export for a reason that only its whole content showed.
    #[must_use]
    pub fn refuse(&self, what: impl Into<String>, hint: &str) -> SourceError {
        let cause = Doubt { what: what.into(), hint: Some(hint.to_owned()) };
        SourceError::Refused { path: self.path.display().to_string(), cause }
    }

    /// Refuses this export for what its records hold: says which columns it has, and what it looks like.
    #[must_use]
    pub fn refuse_records(&self, what: &str, flaw: Flaw, hint: &str) -> SourceError {
        let sight = self.sight();
        let what = if sight.names.is_empty() { what.to_owned() } else { format!("{what}; {}", sight.columns()) };
        let lead = sight.lead(flaw, self.layout.records.is_some());
        self.refuse(what, &with_lead(hint, lead.as_deref(), flaw))
    }

    /// Columns that are called like a status and are not read, as far as the beginning shows them.
    #[must_use]
    pub fn statuses_unread(&self) -> Vec<String> {
        let read = |name: &str| {
            let named = |column| self.layout.name(column).is_some_and(|known| known.trim().eq_ignore_ascii_case(name));
            Column::ALL.into_iter().any(named)
        };
        let names = self.sight().names.into_iter();
        names.filter(|name| is_status(name) && !read(name.trim())).collect()
    }

    /// Refuses an export of which two readings differ.
    #[must_use]
    pub fn changed_meanwhile(&self) -> SourceError {
        self.changed()
    }

    pub(super) fn changed(&self) -> SourceError {
        self.refuse(
            "it changed while it was read",
            "write to a temporary file and rename it; the next cycle reads it again",
        )
    }

    pub(super) fn malformed(&self, error: &RecordsError, inside: Broken, line_count: Option<u64>) -> SourceError {
        let broken = if error.at_end { Broken::AtTheEnd } else { inside };
        self.misread(&error.to_string(), broken, line_count)
    }

    /// Refuses what is not written as it should be; `line_count`: of NDJSON, the line at which it was noticed.
    pub(super) fn misread(&self, what: &str, broken: Broken, line_count: Option<u64>) -> SourceError {
        let sight = self.sight();
        let object = line_count.is_some_and(|count| count <= 1) && sight.is_one_object();
        let what = if object {
            format!("an object that is neither one user per line nor a page: {what}")
        } else {
            what.to_owned()
        };
        if self.layout.rows == Rows::Memberships {
            let hint =
                "members_path is a CSV with a header and one row per membership: GroupName, and UserID or Username";
            return self.refuse(what, &format!("{hint}; nothing was sent"));
        }
        if let Some(lead) = sight.lead(Flaw::Shape, self.layout.records.is_some()) {
            return self.refuse(what, &format!("nothing was sent; {lead}"));
        }
        let hint = match broken {
            _ if object => "write an array of users, or set [directory] records to the member that holds it",
            Broken::AtTheEnd => "the export job was cut short or writes another format",
            Broken::Inside if sight.is_array() && self.layout.records.is_some() => {
                "the document is the array itself: remove [directory] records"
            }
            Broken::Inside => "the export job writes another format, or wrote something else into the file",
            Broken::Header => "the export job writes another format, or [directory.columns] names other columns",
            Broken::Row => {
                "fix the export job: one header, one user per row, quotes around cells with commas, no title and no total"
            }
        };
        self.refuse(what, &format!("{hint}; nothing was sent"))
    }

    /// The beginning of the file once more; nothing of it if it cannot be read any more.
    fn sight(&self) -> Sight {
        let mut bytes = vec![0; LOOKED_AT_BYTES];
        let count = self.file.read_at(&mut bytes, 0).unwrap_or(0);
        Sight::of(&bytes[..count])
    }
}
