//! How `check` reads the export at hand: what its records ask for, or why it would be refused. Nothing is written.

use crate::cycle::{Survey, survey};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{Clock, Column, DirectoryUser, Moment, Proof, SpokenBefore, chain, clean};
use crate::plan::{GroupsThere, Meant, Usability};
use crate::process::SystemClock;
use crate::report::{dated, export_document, export_lines, old_export, record_lines};
use crate::source::{Export, SourceError};
use crate::store::{self, Access};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;

/// How many records `--show` shows.
const RECORDS_SHOWN: usize = 5;

/// How many of its groups are named, for whoever mistyped one.
const GROUPS_SHOWN: usize = 10;
/// How many a document names.
const GROUPS_IN_DOCUMENT: usize = 1_000;

/// The export at hand.
pub(super) struct AtHand {
    written_at: Option<Moment>,
    members_written_at: Option<Moment>,
    proof: Option<Proof>,
    usability: Option<Usability>,
    groups_unnamed: BTreeSet<String>,
    groups_there: GroupsThere,
    /// Mapped columns or members that no record has.
    absent: Vec<Column>,
    /// Columns that are called like a status and are not read.
    statuses_unread: Vec<String>,
    /// Why it would be rejected as a whole, in one line.
    why: String,
    /// The same, with its hint.
    failure: Option<Failure>,
}

/// What cycles remember of the last export that they read; nothing without a state.
#[derive(Default)]
struct Remembered {
    spoken: SpokenBefore,
    written_at: Option<Moment>,
    members_written_at: Option<Moment>,
}

impl Remembered {
    fn of(deployment: &Deployment) -> Self {
        let Ok(connection) = store::open(&deployment.state_path, Access::Read) else { return Self::default() };
        let installation = store::installation(&connection).ok();
        Self {
            spoken: store::spoken_before(&connection).unwrap_or_default(),
            written_at: installation.as_ref().and_then(|row| row.export_written_at),
            members_written_at: installation.as_ref().and_then(|row| row.memberships_written_at),
        }
    }
}

impl AtHand {
    /// Reads it as a cycle would; `None` if there is none yet.
    pub(super) fn of(deployment: &Deployment) -> Option<Self> {
        let settings = &deployment.config.settings;
        let is_missing =
            |path: &Path| std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if settings.source.watched().into_iter().next().is_some_and(is_missing) {
            return None;
        }
        let mut found = Self {
            written_at: None,
            members_written_at: None,
            proof: None,
            usability: None,
            groups_unnamed: BTreeSet::new(),
            groups_there: GroupsThere::default(),
            absent: Vec::new(),
            statuses_unread: Vec::new(),
            why: String::new(),
            failure: None,
        };
        if let Err(error) = found.look(deployment) {
            found.why = why(&error, &settings.source.described());
            found.failure = Some(Failure::from(error));
        }
        Some(found)
    }

    fn look(&mut self, deployment: &Deployment) -> Result<(), SourceError> {
        let (settings, remembered) = (&deployment.config.settings, Remembered::of(deployment));
        let mut export = deployment.open_export()?;
        (self.written_at, self.members_written_at) = (Some(export.written_at()), export.memberships_written_at());
        self.statuses_unread = export.statuses_unread();
        let survey = survey(settings, &mut export, &remembered.spoken)?;
        let Survey { read, usability, groups_unnamed, groups_there, absent, believed } = survey;
        (self.proof, self.usability) = (Some(read.proof), Some(usability));
        (self.groups_unnamed, self.groups_there, self.absent) = (groups_unnamed, groups_there, absent);
        let now = SystemClock.now();
        export.check_age(now, settings.max_age, remembered.written_at)?;
        export.check_age_of_memberships(now, settings.max_age, remembered.members_written_at)?;
        believed.map(drop)
    }

    /// Why it would be rejected as a whole.
    pub(super) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// How many records it has, if it was read to its end.
    pub(super) fn users_count(&self) -> u64 {
        self.usability.as_ref().map_or(0, |usability| usability.usable_count() + usability.unusable_count())
    }

    /// For people, indented below the export's path.
    pub(super) fn text(&self, deployment: &Deployment) -> String {
        let mut text = String::new();
        let now = SystemClock.now();
        if let Some(written_at) = self.written_at {
            let _ = writeln!(text, "    written {}", dated(written_at, now));
            if let Some(old) = old_export(written_at, now, deployment.config.settings.max_age) {
                let _ = writeln!(text, "    it is {old}\n    hint: set max_age = \"26h\" in [directory]");
            }
        }
        if let (Some(path), Some(written_at)) =
            (deployment.config.settings.source.members_path(), self.members_written_at)
        {
            let _ = writeln!(text, "    members file: {}, written {}", path.display(), dated(written_at, now));
        }
        if let Some(usability) = &self.usability {
            text.push_str(&export_lines(usability, "    "));
        }
        if self.usability.is_some() {
            for group in &self.groups_unnamed {
                let _ = writeln!(text, "    no record names the group {} of [scope]", clean(group));
                if let Some(hint) = self.meant_by(group) {
                    let _ = writeln!(text, "    hint: {hint}");
                }
            }
        }
        for column in &self.absent {
            let name = deployment.config.settings.layout.name(*column).unwrap_or_default();
            let _ = writeln!(text, "    no record has `{}` ([directory.columns] {})", clean(name), column.key());
        }
        for name in self.statuses_unread.iter().filter(|_| self.failure.is_none()) {
            let _ = writeln!(
                text,
                "    warning: its column `{}` is called like a status, and is not read\n    hint: if it says who may not come \
                 in, map it in [directory.columns], or have the export job leave such people out",
                clean(name)
            );
        }
        match (self.proof, &self.failure) {
            (Some(Proof::Unproven), None) => text.push_str(
                "    it does not prove that it is complete: a user counts as gone only if missing from two exports; \
                 a .sha256 file beside it proves it\n",
            ),
            (Some(Proof::Whole | Proof::Unproven) | None, _) => {}
        }
        if let Some(failure) = &self.failure {
            let hint = failure.hint.as_deref().unwrap_or_default().replace('\n', "\n    ");
            let _ = writeln!(text, "    it would be rejected as a whole: {}\n    hint: {hint}", self.why);
        }
        text
    }

    /// Which group may be meant by one of `[scope]` that nobody is in, and which there are.
    fn meant_by(&self, group: &str) -> Option<String> {
        let quoted = |names: &mut dyn Iterator<Item = &String>, between: &str| {
            names.map(|name| format!("{:?}", clean(name))).collect::<Vec<_>>().join(between)
        };
        let there = self.groups_there.names();
        let shown = quoted(&mut there.iter().take(GROUPS_SHOWN), ", ");
        let all = match there.len() {
            0 => return None,
            1 => format!("the export has one group: {shown}"),
            count if count > GROUPS_SHOWN => {
                format!("the export has {count} groups: {shown} and {} more", count - GROUPS_SHOWN)
            }
            count => format!("the export has {count} groups: {shown}"),
        };
        Some(match self.groups_there.meant_by(group) {
            Meant::OneOf(names) => format!("did you mean {}? {all}", quoted(&mut names.iter(), " or ")),
            Meant::AllOf(names) => format!(
                "the export has {} as groups of their own: list each on its own; if it is one group, set [directory] \
                 group_separator to a sign that no name has",
                quoted(&mut names.iter(), " and ")
            ),
            Meant::Separated(sign) => format!(
                "`{}` separates the groups of a cell: set [directory] group_separator to a sign that no name has",
                sign.escape_default()
            ),
            Meant::Unknown => all,
        })
    }

    /// The members of `check --json`.
    pub(super) fn members(found: Option<&Self>, document: &mut Map<String, Value>) {
        let usability = found.and_then(|found| found.usability.as_ref());
        let failure = found.and_then(|found| found.failure.as_ref());
        let written_at = found.and_then(|found| found.written_at).map(|at| at.to_string());
        document.insert("export".to_owned(), usability.map_or(Value::Null, export_document));
        document.insert("export_written_at".to_owned(), json!(written_at));
        document.insert("groups_unnamed".to_owned(), json!(found.map(|found| &found.groups_unnamed)));
        let there = found.map(|found| found.groups_there.names().iter().take(GROUPS_IN_DOCUMENT).collect::<Vec<_>>());
        document.insert("groups_there".to_owned(), json!(there));
        document.insert("statuses_unread".to_owned(), json!(found.map(|found| &found.statuses_unread)));
        let refused = failure.map(|failure| json!({"error": failure.error, "hint": failure.hint}));
        document.insert("refused_whole".to_owned(), json!(refused));
    }
}

/// The first records as they are read, and why reading ended, if it did.
pub(super) fn first_records(deployment: &Deployment) -> Result<String, Failure> {
    let settings = &deployment.config.settings;
    let mut export = deployment.open_export()?;
    let (mut text, mut number) = (String::new(), 0);
    let mut show = |user: &DirectoryUser<'_>| {
        number += 1;
        if number <= RECORDS_SHOWN {
            text.push_str(&record_lines(number, user, &settings.layout, &settings.scope));
        }
    };
    let ended = as_a_cycle_reads(&mut export, &mut show);
    let Err(error) = ended else { return Ok(text) };
    let why = why(&error, &settings.source.described());
    let failure = Failure::from(error);
    if text.is_empty() {
        return Err(failure);
    }
    let hint = failure.hint.as_deref().unwrap_or_default();
    let _ = writeln!(text, "it would be rejected as a whole: {why}\nhint: {hint}");
    Ok(text)
}

/// Which records lack a state that others have is known after a first reading only.
fn as_a_cycle_reads(export: &mut Export, show: &mut dyn FnMut(&DirectoryUser<'_>)) -> Result<(), SourceError> {
    let first = export.read(&mut |_| {});
    if let Ok(read) = &first {
        export.expects_states(&read.spoken);
    }
    export.read(show).map(drop)
}

/// Why it would be refused, without the path if that is the export's.
fn why(error: &SourceError, export: &str) -> String {
    match error {
        SourceError::Refused { path, cause } if path == export => cause.to_string(),
        SourceError::Refused { .. }
        | SourceError::Unreadable { .. }
        | SourceError::Stopped { .. }
        | SourceError::NotFetched { .. }
        | SourceError::Secret(_)
        | SourceError::Client(_)
        | SourceError::OtherOrganization { .. } => chain(error).join(": "),
    }
}
