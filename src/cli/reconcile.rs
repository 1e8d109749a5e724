//! `--reconcile`: one cycle, then exit. A signal, and `deactivate` by another process, are heard all the while.

use super::deliver::say_who_is_behind;
use super::progress::Progress;
use super::{Arguments, Output, sinks};
use crate::config::SinkConfig;
use crate::cycle::CycleOptions;
use crate::cycle_thread::{CycleEnded, CycleStart, CycleThread};
use crate::deployment::{Deployment, sandbox_folder};
use crate::event::Source;
use crate::failure::Failure;
use crate::leading::{self, Lead, Led};
use crate::logs;
use crate::model::{Clock, Moment};
use crate::monitor::Heartbeat;
use crate::process::{StopSignals, SystemClock, exit_on_stop};
use crate::report::{Approvable, CycleReport, CycleStory, Extent, Held, cycle_document, cycle_text};
use crate::ship::{PATIENCE, Shipping};
use crate::standby::Left;
use crate::store::{self, Access, Journal, SinkPlace};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the state is looked at for what another process wrote.
const COMMANDS_PAUSE: Duration = Duration::from_millis(100);

pub(super) fn run(arguments: &Arguments) -> Result<Output, Failure> {
    let began = SystemClock.now();
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let heartbeat = Heartbeat::read(&deployment)?;
    let (lead, Led { lock, writer, barrier, .. }) = leading::begin(&deployment)?;
    let journal = Journal::start_behind(barrier, writer, Some(lock), None)?;
    let sinks = sinks(&deployment, arguments);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (report, behind) = runtime.block_on(async {
        let mut signals = StopSignals::listen()?;
        let report = cycle(&deployment, arguments, (&journal, lead.as_ref()), &mut signals).await?;
        let behind = ship(&sinks, &deployment.state_path, &journal, &mut signals).await?;
        let is_good = arguments.only.is_empty() && report.why_not_good().is_none();
        if let Some(heartbeat) = heartbeat.filter(|_| is_good) {
            tokio::select! {
                biased;
                () = signals.recv() => {}
                () = heartbeat.send() => {}
            }
        }
        Ok::<_, Failure>((report, behind))
    })?;
    exit_on_stop(report.exit);
    journal.hurry();
    journal.end();
    if let Some(lead) = lead {
        lead.release(Some(Left::Stopped));
    }
    Ok(output(arguments, &deployment, &report, (&behind, &sinks), began))
}

async fn cycle(
    deployment: &Deployment,
    arguments: &Arguments,
    (journal, lead): (&Journal, Option<&Lead>),
    signals: &mut StopSignals,
) -> Result<CycleReport, Failure> {
    // Looked at before the cycle looks whether users are managed: what is written after that is seen here.
    let (commands, _) = deployment.state(Access::Read)?;
    let mut seen = store::data_version(&commands)?;
    let progress = Progress::on_terminal(arguments.json);
    let mut cycle = CycleThread::start(CycleStart {
        deployment: deployment.clone(),
        journal: journal.clone(),
        token: None,
        fence: lead.map(Lead::fence),
        source: Source::Reconcile,
        options: CycleOptions {
            only: arguments.only.clone(),
            expect: arguments.expect.clone(),
            refresh: arguments.refresh,
        },
        progress: Box::new(move |done, all| progress.set(done, all)),
    })?;
    loop {
        tokio::select! {
            biased;
            () = signals.recv() => {
                cycle.stop();
                journal.hurry();
            }
            ended = cycle.ended() => return match ended {
                CycleEnded::Reported(report, _) => Ok(*report),
                CycleEnded::NotStarted(failure) | CycleEnded::Broken(failure) => Err(failure),
            },
            () = tokio::time::sleep(COMMANDS_PAUSE) => {
                let now = store::data_version(&commands)?;
                if std::mem::replace(&mut seen, now) != now && !store::installation(&commands)?.active {
                    cycle.deactivate();
                    journal.hurry();
                }
            }
        }
    }
}

/// Waits for the sinks, but not for ever and not against a signal. Who is behind then is named.
async fn ship(
    sinks: &[SinkConfig],
    state: &Path,
    journal: &Journal,
    signals: &mut StopSignals,
) -> Result<Vec<SinkPlace>, Failure> {
    let mut shipping = Shipping::start(sinks, state, journal.clone())?;
    tokio::select! {
        biased;
        () = signals.recv() => journal.hurry(),
        behind = shipping.end(Instant::now() + PATIENCE) => return Ok(behind),
    }
    Ok(shipping.end(Instant::now()).await)
}

fn output(
    arguments: &Arguments,
    deployment: &Deployment,
    report: &CycleReport,
    (behind, sinks): (&[SinkPlace], &[SinkConfig]),
    began: Moment,
) -> Output {
    say_who_is_behind(behind, began);
    if !report.error.is_empty() {
        Failure::from(report).show();
    }
    if arguments.json {
        return Output { exit: report.exit, text: format!("{}\n", cycle_document(report)) };
    }
    let stuck = |sink: &SinkConfig| behind.iter().find(|behind| sink.is_stdout() && behind.name == sink.name);
    if let Some(stuck) = sinks.iter().find_map(stuck) {
        // It would wait for the same reader for ever.
        let status = crate::model::command("status");
        match stuck.why_stuck() {
            Some(error) => {
                tracing::warn!("standard output cannot be written ({error}); `{status}` shows how the cycle went")
            }
            None => tracing::warn!("nothing reads standard output; `{status}` shows how the cycle went"),
        }
        return Output { exit: report.exit, text: String::new() };
    }
    if logs::stdout_is_the_journal() {
        // The journal is a log: `status` and the audit log have the names.
        let (prefix, result) = (logs::prefix_of(report.exit), report.result.as_str());
        let counts = report.counts();
        let text = format!("{prefix}{result}: {counts} took_ms={} cycle={}\n", report.took_ms, report.cycle.as_str());
        return Output { exit: report.exit, text };
    }
    Output { exit: report.exit, text: text(deployment, report) }
}

/// The report for people; none where no cycle took place.
fn text(deployment: &Deployment, report: &CycleReport) -> String {
    if report.mistyped && !report.done.any() {
        return String::new();
    }
    let folder = deployment.is_sandbox.then(|| sandbox_folder(&deployment.config).display().to_string());
    cycle_text(&CycleStory {
        report,
        held: Held {
            outstanding: &report.outstanding,
            approvable: report.hold.as_deref().map_or(Approvable::Never, Approvable::By),
            written_at: report.export_written_at,
            window: deployment.config.settings.window,
            extent: Extent::Page,
            now: SystemClock.now(),
        },
        sandbox: folder.as_deref(),
    })
}
