//! The end of a cycle: one value, filled along the way and stored at the end.

use super::compare::Compared;
use super::context::CycleContext;
use super::error::CompareError;
use super::sightings::Sightings;
use super::trust::is_confirmed;
use super::verdict::{Endpoint, deactivated, endpoint_of, nobody_in_scope, stopped, token_proof, verdict};
use crate::apply::Tally;
use crate::config::Settings;
use crate::http::Transport;
use crate::model::{
    Action, Cause, DirectoryId, ExactChange, Exit, HeldChange, Mismatch, Moment, OnDrift, OutstandingKind,
    OutstandingUser, Reason, Spoken, chain, command,
};
use crate::plan::{GroupsSeen, hold_id};
use crate::report::{Counts, CycleReport, CycleResult, Resume, TokenProof, date};
use crate::session::{End, Session};
use crate::source::{Export, SourceError};
use crate::store::{self, JournalError, LastCycle, Quiet, Remembered};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The end of a cycle.
pub(super) struct CycleEnd {
    pub(super) report: CycleReport,
    /// What is stored in the installation's row.
    pub(super) row: LastCycle,
    started: Instant,
    /// Whether it began with a refresh.
    pub(super) refreshed: bool,
    /// Drift that the last refresh found and nothing repairs.
    pub(super) unrepaired: Vec<OutstandingUser>,
    /// Everybody whose change is not done. `None`: there was no plan, so the entries stay as they were.
    pub(super) outstanding: Option<Vec<OutstandingUser>>,
    /// Drift that this cycle repaired: reported, but no longer stored.
    pub(super) repaired: Vec<OutstandingUser>,
    /// Whether it was asked to be about everybody.
    pub(super) is_about_everybody: bool,
    /// How many users of the export were in a group of `[scope]`, whatever their state.
    pub(super) in_scope_count: Option<u64>,
    /// How many it wants an account for: in scope, and neither staged nor suspended.
    pub(super) wanted_count: Option<u64>,
    /// The users that this cycle was about; `None`: everybody.
    pub(super) only: Option<BTreeSet<DirectoryId>>,
    /// Which statements for or against access the export contained.
    pub(super) spoken: Option<Spoken>,
    /// Who was missing; `None`: no export was read.
    pub(super) sightings: Option<Sightings>,
    pub(super) held: Vec<HeldChange>,
    /// The approved changes still planned, and when the plan was made; `None`: this cycle was not about everybody.
    pub(super) approved: Option<(Vec<ExactChange>, Moment)>,
    /// If the scope version changes: the users who are not wanted under the new one.
    pub(super) left_behind: Option<Vec<DirectoryId>>,
    /// What the export that was read says of the groups of `[scope]`.
    pub(super) groups: Option<GroupsSeen>,
    /// What is left of the bytes of its records; `None`: what there was stays.
    pub(super) remembered: Option<Remembered>,
    /// Whether the guard holds removals because the state was restored.
    holds_restored: bool,
}

/// Why a cycle had no plan: a chain of causes with a hint.
pub(super) struct NoPlan {
    pub(super) exit: Exit,
    pub(super) error: Vec<String>,
    pub(super) hint: Option<String>,
}

impl NoPlan {
    pub(super) fn of<T>(context: &CycleContext<'_, T>, error: &CompareError) -> Self {
        if !matches!(error, CompareError::Source(SourceError::Stopped { .. })) {
            return Self { exit: error.exit(), error: chain(error), hint: error.hint() };
        }
        if context.deactivated.load(Ordering::SeqCst) {
            let (exit, error, hint) = deactivated();
            return Self { exit, error, hint };
        }
        let (exit, error, hint) = stopped();
        Self { exit, error, hint }
    }

    pub(super) fn throttled(until: Moment) -> Self {
        Self {
            exit: Exit::Partial,
            error: vec![format!("Rhombus asked us to retry after {}", date(until))],
            hint: None,
        }
    }
}

impl CycleEnd {
    /// The end of a cycle that has just begun. `generation`: how many times commands had written to the state by then.
    pub(super) fn begin<T>(context: &CycleContext<'_, T>, generation: i64) -> Self {
        let row = LastCycle {
            report: String::new(),
            token: None,
            hold: None,
            export_users_count: None,
            good_at: None,
            export_written_at: None,
            memberships_written_at: None,
            creates_left: true,
            generation,
            restored_over: false,
            quiet: None,
            now: Moment::default(),
            window_began: Moment::default(),
            clock_is_confirmed: false,
        };
        Self {
            report: blank(context),
            row,
            started: Instant::now(),
            refreshed: false,
            unrepaired: Vec::new(),
            outstanding: None,
            repaired: Vec::new(),
            is_about_everybody: context.options.only.is_empty(),
            in_scope_count: None,
            wanted_count: None,
            only: None,
            spoken: None,
            sightings: None,
            held: Vec::new(),
            approved: None,
            left_behind: None,
            groups: None,
            remembered: None,
            holds_restored: false,
        }
    }

    /// Takes what must be kept of the plan while it is applied.
    pub(super) fn note_plan(&mut self, compared: &mut Compared, export: &Export, settings: &Settings) {
        self.remembered = compared.remembered.take();
        let (plan, read) = (&compared.plan, &compared.export);
        self.report.export_users_count = read.users_count;
        self.report.export_digest.clone_from(&read.digest.whole);
        self.report.unchanged_count = plan.unchanged_count();
        self.report.plan = plan.digest().to_owned();
        self.report.hold = plan.hold().map(|hold| hold.as_str().to_owned());
        self.row.export_written_at = Some(read.written_at);
        self.row.memberships_written_at = read.memberships.as_ref().map(|read| read.written_at);
        self.row.quiet = Some(Quiet {
            digest: read.digest.whole.clone(),
            head: read.digest.head.clone(),
            length: export.length_bytes().cast_signed(),
            settings: settings.number() ^ export.memberships_number(),
        });
        self.outstanding = Some(plan.outstanding().to_vec());
        self.only.clone_from(&compared.only);
        self.spoken = Some(read.spoken);
        self.sightings = Some(Sightings::of(compared));
        self.in_scope_count = Some(compared.usability.in_scope_count());
        self.wanted_count = Some(compared.usability.wanted_count);
        self.held = plan.held_changes();
        self.approved = compared.only.is_none().then(|| (plan.approved(), compared.planned_at));
        self.left_behind.clone_from(&compared.left_behind);
        self.groups = Some(compared.groups.clone());
        self.holds_restored = plan.holds_restored();
    }

    /// Adds what was done.
    pub(super) fn count(&mut self, tally: &Tally) {
        self.report.done = tally.done;
    }

    /// Ends a cycle without a plan: earlier entries stay as they were.
    pub(super) fn fail<T>(mut self, context: &CycleContext<'_, T>, failure: NoPlan) -> Result<Self, JournalError> {
        let NoPlan { exit, error, hint } = failure;
        self.report.result = if exit == Exit::Partial { CycleResult::Partial } else { CycleResult::Failed };
        (self.report.exit, self.report.error, self.report.hint) = (exit, error, hint);
        self.keep_what_stands(context)?;
        Ok(self)
    }

    /// Reports a user that nobody knows: the operator mistyped, no cycle failed, and nothing is stored.
    pub(super) fn mistyped<T>(
        self,
        context: &CycleContext<'_, T>,
        error: &CompareError,
    ) -> Result<CycleReport, JournalError> {
        let took_ms = self.took_ms();
        let end = self.fail(context, NoPlan::of(context, error))?;
        Ok(CycleReport { mistyped: true, took_ms, ..end.report })
    }

    /// Reports a plan that is not the expected one: nothing was sent, and nothing is stored.
    pub(super) fn unexpected(self, expected: &str, compared: &Compared) -> CycleReport {
        let found = compared.plan.digest();
        let (shown, plan) = (found.get(..12).unwrap_or(found), command("plan"));
        let hint =
            format!("run `{plan}` again: the export, settings, guard window or state have changed; nothing was sent");
        CycleReport {
            result: CycleResult::Failed,
            exit: Exit::Unexpected,
            export_users_count: compared.export.users_count,
            export_digest: compared.export.digest.whole.clone(),
            plan: found.to_owned(),
            error: vec![format!("the plan is {shown}, but {} was expected", crate::model::clean(expected))],
            hint: Some(hint),
            took_ms: self.took_ms(),
            mistyped: true,
            ..self.report
        }
    }

    /// Ends a cycle that called the endpoint.
    pub(super) async fn finish<T: Transport>(
        mut self,
        context: &CycleContext<'_, T>,
        session: &Session<'_, T>,
        mut tally: Tally,
    ) -> Result<Self, JournalError> {
        let end = session.end();
        if let Some(End::State(error)) = end {
            return Err(error);
        }
        note_endpoint(context, end.as_ref()).await?;
        self.row.clock_is_confirmed = is_confirmed(context, session);
        self.count(&tally);
        let endpoint = endpoint_of(session.seen(), &tally);
        if endpoint == Endpoint::Silent {
            // The endpoint did not answer at all: no user is to blame.
            for entry in tally.outstanding.iter_mut().filter(|entry| entry.kind == OutstandingKind::Failed) {
                entry.kind = OutstandingKind::Waiting;
            }
        }
        self.report.token = token_proof(session.seen(), end.as_ref());
        // Whoever was only cut off goes on once it may send again.
        let unanswered = matches!(end, Some(End::Unanswered(_) | End::NotRefreshed(_) | End::NotLeading))
            || (end.is_none() && tally.has_unanswered_removal());
        self.report.resume = if unanswered || endpoint == Endpoint::Silent {
            Resume::AfterPause
        } else if tally.vanished {
            Resume::AtOnce
        } else {
            Resume::WithTheNext
        };
        match self.outstanding.take() {
            None => {
                verdict(&mut self.report, end.as_ref(), endpoint);
                self.keep_what_stands(context)?;
            }
            Some(planned) => {
                self.report.outstanding = planned;
                self.report.outstanding.append(&mut tally.outstanding);
                self.hold_what_was_read(&mut tally);
                if !self.refreshed {
                    self.add_unrepaired(context)?;
                }
                self.report.outstanding.sort_by(OutstandingUser::order);
                verdict(&mut self.report, end.as_ref(), endpoint);
                let nobody = self.only.is_none() && self.in_scope_count == Some(0);
                if nobody && self.report.exit == Exit::Done && !store::was_ever_provisioned(&context.reader)? {
                    nobody_in_scope(&mut self.report, context.settings);
                }
                self.conclude(end.as_ref(), tally.creates_left, context.settings.policy.on_drift);
            }
        }
        Ok(self)
    }

    /// Adds what was held for what the accounts showed: it can be approved like what the guard holds.
    fn hold_what_was_read(&mut self, tally: &mut Tally) {
        if !tally.held.is_empty() {
            self.held.append(&mut tally.held);
            self.report.hold =
                hold_id(self.held.iter().map(|held| held.exact.clone())).map(|hold| hold.as_str().to_owned());
        }
    }

    /// Without a plan, earlier entries and the current hold stay as they were.
    fn keep_what_stands<T>(&mut self, context: &CycleContext<'_, T>) -> Result<(), JournalError> {
        self.report.outstanding = store::outstanding(&context.reader)?;
        let hold = store::current_hold(&context.reader)?;
        self.report.hold = hold.map(|hold| hold.as_str().to_owned());
        Ok(())
    }

    /// Keeps the drift that the last refresh found and does not repair until the next one, unless its link has ended.
    fn add_unrepaired<T>(&mut self, context: &CycleContext<'_, T>) -> Result<(), JournalError> {
        for entry in std::mem::take(&mut self.unrepaired) {
            let Some(id) = &entry.directory_id else { continue };
            let asked = self.only.as_ref().is_none_or(|only| only.contains(id));
            if asked && store::link_by_id(&context.reader, id)?.is_some() {
                self.report.outstanding.push(entry);
            }
        }
        Ok(())
    }

    /// Derives what the remaining entries mean for the installation and for the next cycle.
    fn conclude(&mut self, end: Option<&End>, creates_left: bool, on_drift: OnDrift) {
        let everybody = self.only.is_none();
        let open = [OutstandingKind::Waiting, OutstandingKind::Held, OutstandingKind::Failed, OutstandingKind::Parked];
        // What is refused for something that Rhombus shows, or hides, ends without the export changing.
        let asked_anew = |entry: &OutstandingUser| entry.kind == OutstandingKind::Refused && entry.until.is_some();
        let left = open.iter().any(|kind| self.report.count(*kind) > 0)
            || self.report.outstanding.iter().any(asked_anew)
            || self.sightings.as_ref().is_some_and(|sightings| !sightings.is_empty());
        let over = !left && self.report.exit == Exit::Done && end.is_none();
        self.row.quiet = self.row.quiet.take().filter(|_| over && everybody);
        let mut outstanding = std::mem::take(&mut self.report.outstanding);
        let waits = |entry: &OutstandingUser| matches!(entry.kind, OutstandingKind::Waiting | OutstandingKind::Held);
        let creates_left =
            creates_left || outstanding.iter().any(|entry| entry.action == Some(Action::Create) && waits(entry));
        self.row.creates_left = creates_left || !everybody;
        let removals_left = outstanding.iter().any(|one| {
            one.action.is_some_and(Action::removes)
                && one.kind != OutstandingKind::Kept
                && one.kind != OutstandingKind::Drift
                && !matches!(one.reason, Reason::Held { cause: Cause::Lost, .. })
        });
        self.row.restored_over = self.refreshed && end.is_none() && everybody && !self.holds_restored && !removals_left;
        let repaired = |entry: &mut OutstandingUser| {
            entry.kind == OutstandingKind::Drift && on_drift != OnDrift::Report && !is_mismatch(entry)
        };
        self.repaired = outstanding.extract_if(.., repaired).collect();
        self.outstanding = Some(outstanding);
    }

    /// Elapsed time, in milliseconds.
    pub(super) fn took_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Drift from earlier cycles that stands until the next refresh. The plan itself reports accounts that were renamed.
pub(super) fn unrepaired_drift(outstanding: &[OutstandingUser], on_drift: OnDrift) -> Vec<OutstandingUser> {
    let stands = |entry: &&OutstandingUser| {
        entry.kind == OutstandingKind::Drift
            && (matches!(entry.reason, Reason::Mismatch { what: Mismatch::ExternalId, .. })
                || (on_drift == OnDrift::Report && !is_mismatch(entry)))
    };
    outstanding.iter().filter(stands).cloned().collect()
}

/// Another userName or `externalId`: nobody repairs that but a person.
fn is_mismatch(drift: &OutstandingUser) -> bool {
    matches!(drift.reason, Reason::Mismatch { .. })
}

/// Stores Retry-After and unsupported methods, whatever else the cycle comes to.
async fn note_endpoint<T: Transport>(context: &CycleContext<'_, T>, end: Option<&End>) -> Result<(), JournalError> {
    if let Some(End::Throttled(until)) = end.cloned() {
        context.journal.write(move |transaction| store::set_not_before(transaction, until)).await?;
    }
    let not_supported = context.target.not_supported();
    if !not_supported.is_empty() {
        context.journal.write(move |transaction| store::note_not_supported(transaction, &not_supported)).await?;
    }
    Ok(())
}

/// An empty report.
pub(super) fn blank<T>(context: &CycleContext<'_, T>) -> CycleReport {
    CycleReport {
        result: CycleResult::Done,
        exit: Exit::Done,
        cycle: context.cycle.clone(),
        export_users_count: 0,
        export_written_at: None,
        max_age: context.settings.max_age,
        export_digest: String::new(),
        done: Counts::default(),
        unchanged_count: 0,
        outstanding: Vec::new(),
        hold: None,
        plan: String::new(),
        groups_unnamed: Vec::new(),
        void_approvals_count: 0,
        token: TokenProof::Unknown,
        resume: Resume::WithTheNext,
        took_ms: 0,
        error: Vec::new(),
        hint: None,
        mistyped: false,
    }
}
