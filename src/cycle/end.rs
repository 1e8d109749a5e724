//! What a cycle comes to: one envelope, filled on the way and written at the end.

use super::compare::Compared;
use super::context::CycleContext;
use super::error::CompareError;
use super::verdict::{Endpoint, deactivated, verdict};
use crate::apply::Tally;
use crate::config::Settings;
use crate::http::Transport;
use crate::model::{
    Action, ChangeKey, DirectoryId, Exit, Mismatch, Moment, OnDrift, OutstandingKind, OutstandingUser, Reason, Spoken,
    UserName, chain,
};
use crate::report::{CycleReport, CycleResult, Resume, TokenProof};
use crate::session::{End, EndpointSeen, Session};
use crate::source::SourceError;
use crate::store::{self, JournalError, LastCycle, Quiet};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What a cycle comes to.
pub(super) struct CycleEnd {
    pub(super) report: CycleReport,
    /// What the installation's row is told.
    pub(super) row: LastCycle,
    started: Instant,
    /// Whether it began with a refresh.
    pub(super) refreshed: bool,
    /// Drift that the last refresh found and nobody repairs.
    pub(super) unrepaired: Vec<OutstandingUser>,
    /// Everybody whose change is not done. None: there was no plan, and they stand as they stood.
    pub(super) outstanding: Option<Vec<OutstandingUser>>,
    /// Drift that this cycle repaired: reported, and stored no more.
    pub(super) repaired: Vec<OutstandingUser>,
    /// The users that this cycle was about; none: everybody.
    pub(super) only: Option<BTreeSet<DirectoryId>>,
    /// What spoke for or against access in the export that was read.
    pub(super) spoken: Option<Spoken>,
    /// Users missing from an export that cannot prove that it is whole.
    pub(super) sightings: Vec<DirectoryId>,
    pub(super) held: Vec<(ChangeKey, UserName)>,
    /// What an administrator released and the plan still had, and when it was made; none: this cycle was not about everybody.
    pub(super) approved: Option<(Vec<ChangeKey>, Moment)>,
    /// If users are wanted under other settings from now on: who is not.
    pub(super) left_behind: Option<Vec<DirectoryId>>,
    /// Whether the guard holds removals because the state was restored.
    holds_restored: bool,
}

/// Why a cycle had no plan: a chain of causes with a hint.
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) error: Vec<String>,
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn of<T>(context: &CycleContext<'_, T>, error: &CompareError) -> Self {
        if !matches!(error, CompareError::Source(SourceError::Stopped { .. })) {
            return Self { exit: Exit::Failed, error: chain(error), hint: error.hint() };
        }
        if context.deactivated.load(Ordering::SeqCst) {
            let (exit, error, hint) = deactivated();
            return Self { exit, error, hint };
        }
        // A signal is obeyed, and that is no error.
        Self { exit: Exit::Done, error: Vec::new(), hint: None }
    }

    pub(super) fn throttled(until: Moment) -> Self {
        Self { exit: Exit::Partial, error: vec![format!("Rhombus asked not to be called before {until}")], hint: None }
    }
}

impl CycleEnd {
    /// Of a cycle that begins, as if nothing came of it. `generation` is how often commands had written by then.
    pub(super) fn begin<T>(context: &CycleContext<'_, T>, generation: i64) -> Self {
        let row = LastCycle {
            report: String::new(),
            hold: None,
            export_users_count: None,
            good_at: None,
            export_written_at: None,
            creates_left: true,
            generation,
            restored_over: false,
            quiet: None,
            now: Moment::default(),
            window: context.settings.window,
        };
        Self {
            report: blank(context),
            row,
            started: Instant::now(),
            refreshed: false,
            unrepaired: Vec::new(),
            outstanding: None,
            repaired: Vec::new(),
            only: None,
            spoken: None,
            sightings: Vec::new(),
            held: Vec::new(),
            approved: None,
            left_behind: None,
            holds_restored: false,
        }
    }

    /// Takes over what stays of the plan while it is applied.
    pub(super) fn note_plan(&mut self, compared: &Compared, length_bytes: u64, settings: &Settings) {
        let (plan, read) = (&compared.plan, &compared.export);
        self.report.export_users_count = read.users_count;
        self.report.export_digest.clone_from(&read.digest.whole);
        self.report.unchanged_count = plan.unchanged_count();
        self.report.plan = plan.digest().to_owned();
        self.report.hold = plan.hold().map(|hold| hold.as_str().to_owned());
        self.row.export_written_at = Some(read.written_at);
        self.row.quiet = Some(Quiet {
            digest: read.digest.whole.clone(),
            head: read.digest.head.clone(),
            length: length_bytes.cast_signed(),
            settings: settings.number(),
        });
        self.outstanding = Some(plan.outstanding().to_vec());
        self.only.clone_from(&compared.only);
        self.spoken = Some(read.spoken);
        self.sightings.clone_from(&compared.sightings);
        self.held = plan.held().iter().map(|change| (change.key(), change.user_name().clone())).collect();
        self.approved = compared.only.is_none().then(|| (plan.approved(), compared.planned_at));
        self.left_behind.clone_from(&compared.left_behind);
        self.holds_restored = plan.holds_restored();
    }

    /// Takes over what was done.
    pub(super) fn count(&mut self, tally: &Tally) {
        self.report.created_count = tally.created_count;
        self.report.updated_count = tally.updated_count;
        self.report.linked_count = tally.linked_count;
        self.report.deactivated_count = tally.deactivated_count;
        self.report.deleted_count = tally.deleted_count;
    }

    /// Ends a cycle that had no plan: what stood before still stands.
    pub(super) fn fail<T>(mut self, context: &CycleContext<'_, T>, failure: Failure) -> Result<Self, JournalError> {
        let Failure { exit, error, hint } = failure;
        self.report.result =
            if matches!(exit, Exit::Done | Exit::Partial) { CycleResult::Partial } else { CycleResult::Failed };
        (self.report.exit, self.report.error, self.report.hint) = (exit, error, hint);
        self.keep_what_stands(context)?;
        Ok(self)
    }

    /// A plan that is not the one that was expected: nothing was sent, and nothing is written.
    pub(super) fn unexpected(self, expected: &str, found: &str) -> CycleReport {
        let hint =
            "look at `rhombus-sync plan` again: export, settings, window or state have changed; nothing was sent";
        CycleReport {
            result: CycleResult::Failed,
            exit: Exit::Unexpected,
            plan: found.to_owned(),
            error: vec![format!("the plan is {found}, expected was {}", crate::model::clean(expected))],
            hint: Some(hint.to_owned()),
            took_ms: self.took_ms(),
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
        self.count(&tally);
        let endpoint = endpoint_of(session.seen(), &tally);
        if endpoint == Endpoint::Silent {
            // Nothing was heard of the endpoint at all: no user is to blame.
            for entry in tally.outstanding.iter_mut().filter(|entry| entry.kind == OutstandingKind::Failed) {
                entry.kind = OutstandingKind::Waiting;
            }
        }
        self.report.token = token_proof(session.seen(), end.as_ref());
        let unanswered = matches!(end, Some(End::Unanswered(_) | End::NotRefreshed(_)));
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
                if !self.refreshed {
                    self.add_unrepaired(context)?;
                }
                self.report.outstanding.sort_by(OutstandingUser::order);
                verdict(&mut self.report, end.as_ref(), endpoint);
                self.conclude(end.as_ref(), tally.creates_left, context.settings.policy.on_drift);
            }
        }
        Ok(self)
    }

    /// Without a plan, users stand as they stood, and what was held is held.
    fn keep_what_stands<T>(&mut self, context: &CycleContext<'_, T>) -> Result<(), JournalError> {
        self.report.outstanding = store::outstanding(&context.reader)?;
        let hold = store::current_hold(&context.reader)?;
        self.report.hold = hold.map(|hold| hold.as_str().to_owned());
        Ok(())
    }

    /// What the last refresh found and does not repair stands until the next one; whose link has ended meanwhile does not.
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

    /// What follows from who is left, for the installation and for the next cycle.
    fn conclude(&mut self, end: Option<&End>, creates_left: bool, on_drift: OnDrift) {
        let everybody = self.only.is_none();
        let open = [OutstandingKind::Waiting, OutstandingKind::Held, OutstandingKind::Failed, OutstandingKind::Parked];
        let left = open.iter().any(|kind| self.report.count(*kind) > 0) || !self.sightings.is_empty();
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
        });
        self.row.restored_over = self.refreshed && end.is_none() && everybody && !self.holds_restored && !removals_left;
        let repaired = |entry: &mut OutstandingUser| {
            entry.kind == OutstandingKind::Drift && on_drift != OnDrift::Report && !is_foreign(entry)
        };
        self.repaired = outstanding.extract_if(.., repaired).collect();
        self.outstanding = Some(outstanding);
    }

    /// How long it has taken so far, in milliseconds.
    pub(super) fn took_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Of what earlier cycles left: drift that stands until the next refresh. A foreign account is said by the plan itself.
pub(super) fn unrepaired_drift(outstanding: &[OutstandingUser], on_drift: OnDrift) -> Vec<OutstandingUser> {
    let stands = |entry: &&OutstandingUser| {
        entry.kind == OutstandingKind::Drift && on_drift == OnDrift::Report && !is_foreign(entry)
    };
    outstanding.iter().filter(stands).cloned().collect()
}

fn is_foreign(drift: &OutstandingUser) -> bool {
    drift.reason == Reason::Mismatch(Mismatch::UserName)
}

/// What the endpoint asked for, and what it does not know, is remembered whatever else comes of the cycle.
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

fn endpoint_of(seen: EndpointSeen, tally: &Tally) -> Endpoint {
    let failed = tally.outstanding.iter().any(|entry| entry.kind == OutstandingKind::Failed);
    if failed && !seen.answered { Endpoint::Silent } else { Endpoint::Heard }
}

fn token_proof(seen: EndpointSeen, end: Option<&End>) -> TokenProof {
    if matches!(end, Some(End::Unauthorized(_))) {
        return TokenProof::Refused;
    }
    if seen.token_is_good { TokenProof::Proven } else { TokenProof::Unknown }
}

/// A report of which nothing is known yet.
pub(super) fn blank<T>(context: &CycleContext<'_, T>) -> CycleReport {
    CycleReport {
        result: CycleResult::Done,
        exit: Exit::Done,
        cycle: context.cycle.clone(),
        export_users_count: 0,
        export_digest: String::new(),
        created_count: 0,
        updated_count: 0,
        linked_count: 0,
        deactivated_count: 0,
        deleted_count: 0,
        unchanged_count: 0,
        outstanding: Vec::new(),
        hold: None,
        plan: String::new(),
        token: TokenProof::Unknown,
        resume: Resume::WithTheNext,
        took_ms: 0,
        error: Vec::new(),
        hint: None,
    }
}
