//! `check`: is the configuration good? It reads no secret and calls nobody; with `--online` it proves endpoint, token and
//! export too, by reading.

use super::{Arguments, Output};
use crate::cycle::{Survey, survey};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::http::Method;
use crate::model::{Clock, Proof, SpokenBefore, clean};
use crate::plan::Usability;
use crate::process::SystemClock;
use crate::report::{export_document, export_lines};
use crate::schedule::CronSchedule;
use crate::store::Access;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;

/// How many of the coming runs are shown.
const RUNS_SHOWN: usize = 3;

pub(super) fn run(arguments: &Arguments, online: bool) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    deployment.endpoint()?;
    let config = &deployment.config;
    let found = if online { Some(prove(&deployment)?) } else { None };
    let at_hand = export_at_hand(&deployment);
    let runs = next_runs(&config.schedule.cron, &config.schedule.time_zone);
    if arguments.json {
        return Ok(Output::done(format!(
            "{}\n",
            json!({
                "result": "done", "exit": 0, "next_runs": runs,
                "accounts": found.as_ref().map(|found| found.accounts_count),
                "users": found.as_ref().map(|found| found.users_count),
                "not_supported": found.as_ref().map(|found| names(&found.not_supported)),
                "export": at_hand.as_ref().and_then(|at_hand| at_hand.usability.as_ref()).map(export_document),
                "groups_unnamed": at_hand.as_ref().map(|at_hand| &at_hand.groups_unnamed),
                "refused_whole": at_hand.as_ref().and_then(|at_hand| at_hand.refused.as_ref())
                    .map(|failure| json!({"error": failure.error, "hint": failure.hint})),
            })
        )));
    }
    let mut text = format!("the configuration {} is good\n", arguments.config.display());
    let settings = &config.settings;
    let _ = writeln!(text, "  export: {}", settings.export_path.display());
    text.push_str(&export_text(at_hand.as_ref()));
    if let (Some(rhombus), false) = (&config.rhombus, deployment.is_sandbox) {
        let _ = writeln!(text, "  Rhombus: {}", rhombus.base_url);
    }
    let _ = writeln!(text, "  state: {}", deployment.state_path.display());
    for sink in &config.sinks {
        let _ = writeln!(text, "  sink: {}", sink.name);
    }
    if let Some(Found { accounts_count, users_count, proof, not_supported }) = found {
        let _ = writeln!(
            text,
            "  online: Rhombus answers and holds {accounts_count} accounts; the export holds {users_count} users"
        );
        for method in not_supported {
            let instead = if method == Method::Delete { "active=false" } else { "PUT" };
            let method = method.as_str();
            let _ = writeln!(text, "  {method} is not supported there (405 or 501): {instead} is sent instead");
        }
        if proof == Proof::Unproven {
            text.push_str("  the export cannot prove that it is whole: who is gone must be missing twice, or write a .sha256 beside it\n");
        }
    }
    let _ = writeln!(text, "  next runs: {}", runs.join(", "));
    Ok(Output::done(text))
}

fn names(methods: &BTreeSet<Method>) -> Vec<&'static str> {
    methods.iter().map(|method| method.as_str()).collect()
}

fn next_runs(cron: &str, zone: &str) -> Vec<String> {
    let Ok(cron_schedule) = CronSchedule::parse(cron, zone) else { return Vec::new() };
    let first = cron_schedule.next_after(SystemClock.now());
    std::iter::successors(first, |run| cron_schedule.next_after(*run))
        .take(RUNS_SHOWN)
        .map(|run| run.to_string())
        .collect()
}

/// What spoke in the last export; nothing is known without a state.
fn spoken_before(deployment: &Deployment) -> SpokenBefore {
    let state = deployment.state(Access::Read).ok();
    state.and_then(|(connection, _)| crate::store::spoken_before(&connection).ok()).unwrap_or_default()
}

/// How the export at hand is read.
struct AtHand {
    /// None: it cannot be read to its end.
    usability: Option<Usability>,
    groups_unnamed: BTreeSet<String>,
    /// Why it would be refused whole.
    refused: Option<Failure>,
}

/// How the export at hand is read; none where there is none yet.
fn export_at_hand(deployment: &Deployment) -> Option<AtHand> {
    let settings = &deployment.config.settings;
    if !settings.export_path.exists() {
        return None;
    }
    let surveyed =
        deployment.open_export().and_then(|mut export| survey(settings, &mut export, &spoken_before(deployment)));
    Some(match surveyed {
        Ok(Survey { believed, usability, groups_unnamed, .. }) => {
            AtHand { usability: Some(usability), groups_unnamed, refused: believed.err().map(Into::into) }
        }
        Err(error) => AtHand { usability: None, groups_unnamed: BTreeSet::new(), refused: Some(error.into()) },
    })
}

fn export_text(at_hand: Option<&AtHand>) -> String {
    let Some(AtHand { usability, groups_unnamed, refused }) = at_hand else {
        return "    there is none yet\n".to_owned();
    };
    let mut text = usability.as_ref().map(|usability| export_lines(usability, "    ")).unwrap_or_default();
    for group in groups_unnamed {
        let _ = writeln!(text, "    no record names the group {} of [scope]", clean(group));
    }
    if let Some(failure) = refused {
        let said = failure.error.get(1).or(failure.error.first()).map(String::as_str).unwrap_or_default();
        let hint = failure.hint.as_deref().unwrap_or_default().replace('\n', "\n    ");
        let _ = writeln!(text, "    it would be refused whole: {said}\n    hint: {hint}");
    }
    text
}

/// What endpoint and export were found to hold.
struct Found {
    accounts_count: u64,
    users_count: u64,
    proof: Proof,
    /// What cycles met at this endpoint.
    not_supported: BTreeSet<Method>,
}

fn prove(deployment: &Deployment) -> Result<Found, Failure> {
    let target = deployment.target()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let accounts_count = runtime.block_on(crate::probe::holdings(&target))?.accounts_count;
    let settings = &deployment.config.settings;
    let mut export = deployment.open_export()?;
    export.check_age(SystemClock.now(), settings.max_age, None)?;
    let Survey { read, believed, .. } = survey(settings, &mut export, &spoken_before(deployment))?;
    believed?;
    // Without a state nothing is known yet.
    let not_supported = deployment.state(Access::Read).map(|(_, known)| known.not_supported).unwrap_or_default();
    Ok(Found { accounts_count, users_count: read.users_count, proof: read.proof, not_supported })
}
