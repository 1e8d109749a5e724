//! `status`: how the sync is doing. Offline, beside a running sender.

use super::{Arguments, Output};
use crate::config::SinkConfig;
use crate::deployment::Deployment;
use crate::event::Source;
use crate::failure::Failure;
use crate::leading::who_leads;
use crate::model::{Action, Clock, Exit, Moment, OutstandingKind, OutstandingUser, command};
use crate::process::{SystemClock, is_daemon};
use crate::report::{
    Approved, DaemonStanding, ExportStanding, Extent, LeadStanding, Ongoing, Red, Sender, Signs, SinkStanding, Status,
    TokenProof, TokenStanding, red, standby_document, status_document, status_text,
};
use crate::schedule::CronSchedule;
use crate::store::{self, Access, HealthRow, Holder, InstallationRow, SinkPlace, StandingApproval};
use serde_json::Value;

/// Whether the exit code says how the sync is, or only that it could be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ExitCode {
    OfTheSync,
    OfThisCommand,
}

pub(super) fn run(arguments: &Arguments, extent: Extent, exit_code: ExitCode) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let lead = who_leads(&deployment, SystemClock.now());
    if let Some(lead) = lead.as_ref().filter(|lead| !lead.is_here()) {
        return Ok(as_standby(arguments, lead, exit_code));
    }
    let status = gather(&deployment, lead)?;
    let text = match arguments.json {
        true => format!("{}\n", status_document(&status)),
        false => status_text(&status, extent),
    };
    let exit = match exit_code {
        ExitCode::OfTheSync => exit_of(&status),
        ExitCode::OfThisCommand => Exit::Done,
    };
    Ok(Output { exit, text })
}

/// `status --watch`: the page, drawn anew until its reader has seen enough. What cannot be read now may be so the next time.
pub(super) fn watch(arguments: &Arguments) -> Result<Output, Failure> {
    if arguments.json {
        return Err(Failure::usage("--json is one document, and --watch does not end"));
    }
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    page(&deployment)?;
    super::watch::redraw(|| page(&deployment).unwrap_or_else(|failure| format!("error: {}\n", failure.in_one_line())))?;
    Ok(Output::done(""))
}

fn page(deployment: &Deployment) -> Result<String, Failure> {
    let lead = who_leads(deployment, SystemClock.now());
    match lead.as_ref().filter(|lead| !lead.is_here()) {
        Some(lead) => Ok(standby_text(lead)),
        None => Ok(status_text(&gather(deployment, lead)?, Extent::Page)),
    }
}

/// What a host says that does not lead: the state in its folder is an old one.
fn as_standby(arguments: &Arguments, lead: &LeadStanding, exit_code: ExitCode) -> Output {
    let text = match arguments.json {
        true => format!("{}\n", standby_document(lead, SystemClock.now())),
        false => standby_text(lead),
    };
    let exit = match exit_code {
        ExitCode::OfTheSync if lead.names_nobody() => Exit::Failed,
        ExitCode::OfTheSync | ExitCode::OfThisCommand => Exit::Done,
    };
    Output { exit, text }
}

fn standby_text(lead: &LeadStanding) -> String {
    if *lead == LeadStanding::TakingOver {
        return format!("{}\n", lead.line(SystemClock.now()));
    }
    format!(
        "{}\nto see how the sync is, run `{}` on the host that leads\n",
        lead.line(SystemClock.now()),
        command("status")
    )
}

/// 6 if nobody is managed, 1 if somebody must look, else how the last cycle for everybody ended; one that failed is tried again.
fn exit_of(status: &Status) -> Exit {
    match (status.active, &status.red, status.everybody_exit) {
        (false, _, _) => Exit::Inactive,
        (true, Some(_), _) => Exit::Failed,
        (true, None, None | Some(0)) => Exit::Done,
        (true, None, Some(4)) => Exit::Held,
        (true, None, Some(_)) => Exit::Partial,
    }
}

fn gather(deployment: &Deployment, lead: Option<LeadStanding>) -> Result<Status, Failure> {
    let (reader, installation) = deployment.state(Access::Read)?;
    let now = SystemClock.now();
    let health = store::health(&reader)?;
    let head = store::head_of(&reader)?;
    let outstanding = store::outstanding(&reader)?;
    let places = store::sink_places(&reader)?;
    let sinks: Vec<_> = deployment.config.sinks.iter().map(|sink| standing_of(sink, &places, head.sequence)).collect();
    let (sender, daemon) = sender(deployment, &installation, &health, now);
    let last_cycle: Value =
        store::last_report(&reader)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let judge = || {
        let signs = signs(now, &installation, &health, &sinks, &outstanding, sender, &last_cycle);
        red(&signs, deployment.unhealthy_after())
    };
    let red = installation.active.then(judge).flatten();
    Ok(Status {
        now,
        version: env!("CARGO_PKG_VERSION"),
        lead,
        active: installation.active,
        restored: installation.restored
            || store::looks_restored(&reader, store::noted_beside(&deployment.state_path).as_ref())?,
        replica_behind: health.replica_behind.clone().filter(|_| deployment.config.standby.is_some()),
        provisioned_count: installation.provisioned_count,
        last_cycle,
        last_cycle_at: health.last_cycle_at,
        everybody_exit: health.everybody_exit,
        last_good_at: installation.last_good_cycle_at,
        red,
        failing: health.failing_since.map(|since| Red { since, reason: health.failing_why.clone() }),
        cycle_runs: sender == Sender::Alive && daemon.is_none(),
        daemon,
        export: ExportStanding {
            path: deployment.config.settings.source.described(),
            written_at: installation.export_written_at,
            max_age: deployment.config.settings.max_age,
            users_count: installation.export_users_count,
            in_scope_count: health.export_in_scope_count,
        },
        token: TokenStanding { first_proven_at: health.token_first_proven_at, proven_at: health.token_proven_at },
        head: (head.sequence, head.chain),
        hold: store::current_hold(&reader)?,
        approved: store::standing_approvals(&reader, now)?.into_iter().map(approved).collect(),
        groups_unnamed: store::unnamed_groups(&reader)?,
        outstanding,
        unmanaged: store::unmanaged(&reader)?,
        sinks,
    })
}

/// What a coming cycle still sends for an approval.
pub(super) fn approved(standing: StandingApproval) -> Approved {
    let StandingApproval { change, by, until } = standing;
    Approved { change, by: by.text(), until }
}

/// Who sends, and the daemon among them.
fn sender(
    deployment: &Deployment,
    installation: &InstallationRow,
    health: &HealthRow,
    now: Moment,
) -> (Sender, Option<DaemonStanding>) {
    let was_daemon = !matches!(health.last_source.as_str(), "" | ONE_SHOT);
    let Some(Holder { pid }) = store::holder(&deployment.state_path) else {
        return (if was_daemon { Sender::Gone } else { Sender::Due }, None);
    };
    let daemon = pid.and_then(is_daemon).unwrap_or(was_daemon).then(|| DaemonStanding {
        pid,
        next_cycle: next_cycle(deployment, now).map(|next| next.max(installation.retry_after(now).unwrap_or(next))),
    });
    (Sender::Alive, daemon)
}

/// What `--reconcile` notes as a cycle's source.
const ONE_SHOT: &str = Source::Reconcile.as_str();

fn next_cycle(deployment: &Deployment, now: Moment) -> Option<Moment> {
    let schedule = &deployment.config.schedule;
    CronSchedule::parse(&schedule.cron, &schedule.time_zone).ok()?.next_after(now)
}

fn signs(
    now: Moment,
    installation: &InstallationRow,
    health: &HealthRow,
    sinks: &[SinkStanding],
    outstanding: &[OutstandingUser],
    sender: Sender,
    last_cycle: &Value,
) -> Signs {
    let sinks = sinks.iter().filter_map(|sink| {
        let error = sink.error.as_deref()?;
        Some(Ongoing { what: format!("the sink {} is stuck: {error}", sink.name), since: sink.since? })
    });
    let removals = outstanding.iter().filter_map(|one| {
        let stays = one.kind == OutstandingKind::Failed && one.action.is_some_and(Action::removes);
        let name = one.username.as_ref().map_or("(nobody)", |name| name.as_str());
        let what = format!("the removal of {name} failed: {}", one.reason);
        stays.then_some(Ongoing { what, since: one.since? })
    });
    Signs {
        now,
        managed_since: health.managed_since,
        last_good_at: installation.last_good_cycle_at,
        last_cycle_at: health.last_cycle_at,
        failing: health.failing_since.map(|since| (since, health.failing_count, health.failing_why.clone())),
        token_refused_since: health.token_refused_since,
        token: TokenProof::from_name(last_cycle["token"].as_str()),
        sinks: sinks.collect(),
        removals: removals.collect(),
        sender,
    }
}

fn standing_of(sink: &SinkConfig, places: &[SinkPlace], head: i64) -> SinkStanding {
    let place = places.iter().find(|place| place.name == sink.place()).cloned();
    let place = place.unwrap_or_else(|| SinkPlace::begin(&sink.place()));
    let error = place.why_stuck().map(str::to_owned);
    let SinkPlace { name: _, delivered, dead_letters, refused_ever, error: _, since } = place;
    let pending_count = head.saturating_sub(delivered);
    let kind = sink.kind.as_str();
    SinkStanding { name: sink.name.clone(), kind, delivered, pending_count, dead_letters, refused_ever, error, since }
}
