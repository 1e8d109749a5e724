//! `--reconcile`: one cycle, then exit.

use super::deployment::{Deployment, inactive};
use super::failure::Failure;
use super::process::{SystemClock, chance, cycle_id};
use super::progress::Progress;
use super::sending::data_version;
use super::{Arguments, Said};
use crate::cycle::{Clock, CycleContext, CycleOptions, reconcile};
use crate::event::Source;
use crate::report::{CycleReport, cycle_document, cycle_text};
use crate::ship::ship;
use crate::store::{self, Access, Journal, SinkPlace};
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How often the state is looked at for what another process wrote.
const ORDERS_PAUSE: Duration = Duration::from_secs(1);

pub(super) fn run(arguments: &Arguments) -> Result<Said, Failure> {
    let deployment = Deployment::load(arguments)?;
    let (lock, writer, installation) = deployment.sender()?;
    let token = if deployment.is_sandbox { None } else { Some(deployment.token()?) };
    let fingerprint = token.as_ref().map(|token| token.fingerprint(&installation.installation_id));
    let target = deployment.target_with(token)?;
    let (reader, _) = deployment.state(Access::Read)?;
    let journal = Journal::start(writer, Some(lock), None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let progress = Progress::on_terminal(arguments.json);
    let (report, behind) = runtime.block_on(async {
        let stop = CancellationToken::new();
        let context = CycleContext {
            settings: &deployment.config.settings,
            target,
            journal: journal.clone(),
            reader,
            clock: &SystemClock,
            random: chance,
            stop: stop.clone(),
            deactivated: Rc::default(),
            cycle: cycle_id(),
            source: Source::Reconcile,
            token_fingerprint: fingerprint,
            progress: &|done, all| progress.set(done, all),
            options: CycleOptions { only: arguments.only.clone(), expect: arguments.expect.clone(), refresh: arguments.refresh },
        };
        let report = tokio::select! {
            biased;
            report = reconcile(&context) => report?,
            stopped = obey(&context.deactivated, &stop, &deployment.state_path) => return Err(stopped.err().unwrap_or_else(inactive)),
        };
        let behind = ship(&mut deployment.sinks(arguments.json), &context.reader, &journal).await?;
        Ok::<_, Failure>((report, behind))
    })?;
    journal.end();
    drop(progress);
    Ok(said(arguments, &report, &behind))
}

/// Stops the cycle on a signal, or when another process deactivates the integration. It never ends by itself.
async fn obey(deactivated: &Cell<bool>, stop: &CancellationToken, state: &Path) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let orders = store::open(state, Access::Read)?;
    let mut seen = data_version(&orders)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => stop.cancel(),
            _ = interrupt.recv() => stop.cancel(),
            () = tokio::time::sleep(ORDERS_PAUSE) => {
                let now = data_version(&orders)?;
                if std::mem::replace(&mut seen, now) != now && !store::installation(&orders)?.active {
                    deactivated.set(true);
                    stop.cancel();
                }
            }
        }
    }
}

fn said(arguments: &Arguments, report: &CycleReport, behind: &[SinkPlace]) -> Said {
    for sink in behind {
        let error = sink.error.as_deref().unwrap_or_default();
        tracing::warn!(sink = %sink.name, delivered = sink.delivered, error, "a sink is behind; its events stay queued");
    }
    if arguments.json {
        if !report.error.is_empty() {
            failure_of(report).show();
        }
        return Said { exit: report.exit, text: format!("{}\n", cycle_document(report)) };
    }
    if !report.error.is_empty() {
        failure_of(report).show();
    }
    Said { exit: report.exit, text: cycle_text(report, SystemClock.now()) }
}

pub(super) fn failure_of(report: &CycleReport) -> Failure {
    Failure { exit: report.exit, error: report.error.clone(), hint: report.hint.clone() }
}
