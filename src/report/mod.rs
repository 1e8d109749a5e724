//! What a cycle and a plan tell: JSON documents and text for people. PURE.

mod age;
mod counts;
mod diff;
mod document;
mod event_text;
mod explain;
mod explain_text;
mod export;
mod held;
mod history;
mod import;
mod lead;
mod paint;
mod plan_text;
mod records;
mod red;
mod status;
mod status_text;
mod text;
mod words;

pub use age::{ago, date, dated, lasting, old_export};
pub use counts::Counts;
pub use document::{cycle_document, failure_document, groups_document, held_changes_document, plan_document, users_of};
pub use event_text::{event_text, events_table};
pub use explain::{Explanation, ExportFacts, Facts, RecordFacts, explain, explain_document};
pub use explain_text::explain_text;
pub use export::{export_document, export_lines};
pub use held::{Approvable, Approved, Held, approve_text, released_lines};
pub use history::{History, history_text};
pub use import::{ImportRow, ImportStatus, import_csv, import_document, import_text};
pub use lead::LeadStanding;
pub use plan_text::{Against, PlanStory, plan_text};
pub use records::record_lines;
pub use red::{Ongoing, Red, Sender, Signs, UNHEALTHY_AFTER, red};
pub use status::{
    DaemonStanding, ExportStanding, SinkStanding, Status, TokenStanding, standby_document, status_document,
};
pub use status_text::status_text;
pub use text::{CycleStory, cycle_text, groups_text, void_line};
pub use words::{Extent, count};

use crate::model::{Action, CycleId, Duration, Exit, Moment, OutstandingKind, OutstandingUser, UnnamedGroup};

/// How a cycle ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CycleResult {
    /// What was wanted is so.
    Done,
    /// Something is tried again.
    Partial,
    /// Something is held.
    Held,
    /// Nothing was to be relied on.
    Failed,
}

impl CycleResult {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Done, Self::Partial, Self::Held, Self::Failed];

    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Held => "held",
            Self::Failed => "failed",
        }
    }
}

/// What a cycle showed of the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TokenProof {
    /// Rhombus was not asked, or did not answer.
    #[default]
    Unknown,
    /// Rhombus answered with it.
    Proven,
    /// Rhombus refuses it.
    Refused,
    /// It opens another organisation.
    Foreign,
}

impl TokenProof {
    /// Its name in reports; none for what is not known.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Proven => Some("proven"),
            Self::Refused => Some("refused"),
            Self::Foreign => Some("foreign"),
        }
    }

    /// Parses that name.
    #[must_use]
    pub fn from_name(name: Option<&str>) -> Self {
        let all = [Self::Proven, Self::Refused, Self::Foreign];
        all.into_iter().find(|proof| name.is_some() && proof.as_str() == name).unwrap_or(Self::Unknown)
    }
}

/// When the next cycle should begin, beyond the schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resume {
    /// With the next one that is due.
    WithTheNext,
    /// At once: an account was gone, and is made again by the next plan.
    AtOnce,
    /// After a pause that doubles: nobody answered, or nothing might be sent.
    AfterPause,
}

/// What a cycle did.
#[derive(Clone, PartialEq, Debug)]
pub struct CycleReport {
    /// How it ended.
    pub result: CycleResult,
    /// The exit code that says so.
    pub exit: Exit,
    /// Its id.
    pub cycle: CycleId,
    /// How many users the export held.
    pub export_users_count: u64,
    /// When the export was written; none if none was read.
    pub export_written_at: Option<Moment>,
    /// `[directory] max_age`.
    pub max_age: Option<Duration>,
    /// The export's digest; empty if none was read.
    pub export_digest: String,
    /// What was done.
    pub done: Counts,
    /// Users who were up to date.
    pub unchanged_count: u64,
    /// Everybody else, by kind and id.
    pub outstanding: Vec<OutstandingUser>,
    /// What is held, by its id.
    pub hold: Option<String>,
    /// The plan's digest; empty if there was none.
    pub plan: String,
    /// Groups of `[scope]` that no record names.
    pub groups_unnamed: Vec<UnnamedGroup>,
    /// Approvals in the state that release nothing: the log has no event that gave them.
    pub void_approvals_count: u64,
    /// What it showed of the token.
    pub token: TokenProof,
    /// When the next one should begin, beyond the schedule.
    pub resume: Resume,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it ended early, as a chain of causes; empty if it did not.
    pub error: Vec<String>,
    /// How the reader can mend it.
    pub hint: Option<String>,
    /// Whether it ended because the command line named a user or a plan that is not there: no cycle took place.
    pub mistyped: bool,
}

impl CycleReport {
    /// How many stand in a list.
    #[must_use]
    pub fn count(&self, kind: OutstandingKind) -> usize {
        self.outstanding.iter().filter(|entry| entry.kind == kind).count()
    }

    /// Why it is not a good one: it was cut short, could not read its export or reach Rhombus, or a removal failed. Who is
    /// rejected, refused, parked or held is counted, and makes no cycle bad.
    #[must_use]
    pub fn why_not_good(&self) -> Option<String> {
        if !self.error.is_empty() {
            return Some(self.error.join(": "));
        }
        let stays = |entry: &&OutstandingUser| {
            entry.kind == OutstandingKind::Failed && entry.action.is_some_and(Action::removes)
        };
        let mut stay = self.outstanding.iter().filter(stays);
        if let Some(first) = stay.next() {
            let name = first.username.as_ref().map_or("(nobody)", |name| name.as_str());
            let more = stay.count();
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            return Some(format!("the removal of {name}{more} failed: {}", first.reason));
        }
        self.export_written_at.is_none().then(|| "the export was not read".to_owned())
    }

    /// Its counts in one line, for the log.
    #[must_use]
    pub fn counts(&self) -> String {
        let listed = OutstandingKind::ALL.into_iter().map(|kind| (kind.as_str(), self.count(kind) as u64));
        let removals = self
            .outstanding
            .iter()
            .filter(|entry| entry.kind == OutstandingKind::Held && entry.action.is_some_and(Action::removes));
        // Named only where there are any: an alert looks for the word.
        let removals = Some(("held_removals", removals.count() as u64)).filter(|(_, count)| *count > 0);
        let void = (self.void_approvals_count > 0).then_some(("void_approvals", self.void_approvals_count));
        let all =
            self.done.named().chain([("unchanged", self.unchanged_count)]).chain(listed).chain(removals).chain(void);
        all.map(|(name, count)| format!("{name}={count}")).collect::<Vec<_>>().join(" ")
    }
}
