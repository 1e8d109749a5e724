//! `check`: is the configuration good? It reads no secret and calls nobody; with `--online` it proves endpoint, token and
//! export too, by reading.

mod at_hand;
mod places;
mod replica;

use super::progress::Progress;
use super::{Arguments, Output};
use crate::clock;
use crate::config::{SinkConfig, TokenPlace};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::files::Refusal;
use crate::http::{Method, check_authority};
use crate::model::{Clock, Duration, Exit, Moment, clean};
use crate::plan::Scope;
use crate::process::SystemClock;
use crate::schedule::CronSchedule;
use crate::secret;
use crate::store::{self, Access};
use at_hand::{AtHand, first_records};
use places::{sink_text, token_text};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// How many of the coming runs are shown.
const RUNS_SHOWN: usize = 3;

pub(super) fn run(arguments: &Arguments, online: bool, show: bool) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    if show {
        return shown(arguments, &deployment);
    }
    deployment.endpoint()?;
    check_files(&deployment)?;
    let config = &deployment.config;
    let loose = deployment.loose_files();
    let asking = online.then(|| Progress::asking(arguments.json));
    let at_rhombus = if online { Some(ask_rhombus(&deployment)?) } else { None };
    // What is not on this machine would have to be asked for.
    let is_here = online || !config.settings.source.watched().is_empty();
    let at_hand = is_here.then(|| AtHand::of(&deployment)).flatten();
    let found = match at_rhombus {
        Some(at_rhombus) => Some(prove(&deployment, at_rhombus, at_hand.as_ref())?),
        None => None,
    };
    let asked = if online { replica::ask(&deployment)? } else { "" };
    drop(asking);
    let cron_schedule = CronSchedule::parse(&config.schedule.cron, &config.schedule.time_zone).ok();
    let runs = cron_schedule.as_ref().map(next_runs).unwrap_or_default();
    if arguments.json {
        let mut document = Map::new();
        document.insert("result".to_owned(), json!("done"));
        document.insert("exit".to_owned(), json!(0));
        document.insert("next_runs".to_owned(), runs.iter().map(Moment::to_string).collect());
        document.insert("accounts".to_owned(), json!(found.as_ref().map(|found| found.at_rhombus.accounts_count)));
        document.insert("users".to_owned(), json!(found.as_ref().map(|found| found.users_count)));
        document.insert("not_supported".to_owned(), json!(found.as_ref().map(|found| names(&found.not_supported))));
        let said = |(path, refusal): &(PathBuf, Refusal)| json!({"path": path, "what": refusal.to_string()});
        document.insert("loose".to_owned(), loose.iter().map(said).collect());
        document.insert("warnings".to_owned(), json!(warnings(&deployment)));
        AtHand::members(at_hand.as_ref(), &mut document);
        return Ok(Output::done(format!("{}\n", Value::Object(document))));
    }
    let verdict = match at_hand.as_ref().and_then(AtHand::failure) {
        None => "is good",
        Some(_) => "is valid, but a cycle would refuse the export (below)",
    };
    let mut text = format!("the configuration {} {verdict}\n", arguments.config.display());
    let settings = &config.settings;
    let _ = writeln!(text, "  export: {}", settings.source.described());
    match &at_hand {
        None if settings.source.watched().is_empty() => text.push_str("    it is read only with --online\n"),
        None => text.push_str("    there is none yet\n"),
        Some(at_hand) => text.push_str(&at_hand.text(&deployment)),
    }
    for secret in settings.source.secrets() {
        text.push_str(&token_text(secret, "secret", "put the secret of the directory into this file"));
    }
    if let (Some(rhombus), false) = (&config.rhombus, deployment.is_sandbox) {
        let _ = writeln!(text, "  Rhombus: {}", rhombus.base_url);
        let hint = "put the token that the Rhombus console shows into this file";
        text.push_str(&token_text(&rhombus.token, "token", hint));
    }
    text.push_str(&scope_text(&settings.scope));
    text.extend(warnings(&deployment).iter().map(|warning| format!("  warning: {warning}\n")));
    let _ = writeln!(text, "  state: {}", deployment.state_path.display());
    text.push_str(&replica::text(&deployment, asked));
    text.push_str(&seal_key_text(&deployment));
    config.sinks.iter().for_each(|sink| text.push_str(&sink_text(sink)));
    loose.iter().for_each(|(path, refusal)| text.push_str(&loose_text(path, refusal)));
    text.push_str(&monitor_text(&deployment));
    if let Some(found) = &found {
        found.write(&mut text);
    }
    text.push_str(&runs_text(cron_schedule.as_ref(), &runs));
    Ok(Output::done(text))
}

fn runs_text(cron_schedule: Option<&CronSchedule>, runs: &[Moment]) -> String {
    let shown = |run: &Moment| cron_schedule.map(|schedule| schedule.shown(*run)).unwrap_or_default();
    format!("  next runs: {}\n", runs.iter().map(shown).collect::<Vec<_>>().join(", "))
}

/// What a cycle would refuse before it begins.
fn check_files(deployment: &Deployment) -> Result<(), Failure> {
    if let (Some(rhombus), false) = (&deployment.config.rhombus, deployment.is_sandbox)
        && let Some(ca_file) = &rhombus.ca_file
    {
        check_authority(ca_file)?;
    }
    let of_sinks = deployment.config.sinks.iter().filter_map(SinkConfig::ca_file);
    for ca_file in deployment.config.settings.source.ca_file().into_iter().chain(of_sinks) {
        check_authority(ca_file)?;
    }
    for secret in deployment.secrets().into_iter().filter_map(|secret| secret.path().ok()) {
        secret::refuse_exposed(&secret)?;
    }
    Ok(())
}

fn seal_key_text(deployment: &Deployment) -> String {
    let Some(key) = deployment.config.seal_key.as_ref().filter(|_| !deployment.is_sandbox) else {
        return String::new();
    };
    token_text(key, "key of the seals", "make a key: (umask 077; openssl rand -hex 32 >FILE)")
}

fn loose_text(path: &Path, refusal: &Refusal) -> String {
    let of = if refusal.path == path { String::new() } else { format!("{}: ", path.display()) };
    format!("  allowed, but loose: {of}{refusal}\n    hint: {}\n", refusal.hint())
}

fn monitor_text(deployment: &Deployment) -> String {
    let Some(monitor) = &deployment.config.monitor else { return String::new() };
    let mut text = format!("  monitor: http://{}/\n", monitor.listen);
    if let Some(file) = &monitor.heartbeat_url_file {
        let missing = "put the address of the dead man's switch into this file";
        text.push_str(&token_text(&TokenPlace::File(file.clone()), "heartbeat", missing));
    }
    text
}

/// The first records, for the eyes of whoever sits at the terminal: they are people's names and addresses.
fn shown(arguments: &Arguments, deployment: &Deployment) -> Result<Output, Failure> {
    if arguments.json || !std::io::stdout().is_terminal() {
        let hint = "it shows people's names: run it without --json, and not into a pipe or a file";
        return Err(Failure::new(Exit::Usage, "check --show prints to a terminal only", Some(hint)));
    }
    first_records(deployment).map(Output::done)
}

fn names(methods: &BTreeSet<Method>) -> Vec<&'static str> {
    methods.iter().map(|method| method.as_str()).collect()
}

fn next_runs(cron_schedule: &CronSchedule) -> Vec<Moment> {
    let first = cron_schedule.next_after(SystemClock.now());
    std::iter::successors(first, |run| cron_schedule.next_after(*run)).take(RUNS_SHOWN).collect()
}

/// A guard's window below this lets the limits through again and again.
const WINDOW_MIN: Duration = Duration::from_seconds(3_600);
/// A log that is kept for less than this tells nothing of last night.
const KEEP_HISTORY_MIN: Duration = Duration::from_seconds(86_400);

/// Durations that are valid, and that switch off what they are for.
fn warnings(deployment: &Deployment) -> Vec<String> {
    let settings = &deployment.config.settings;
    let mut out = Vec::new();
    if settings.window < WINDOW_MIN {
        out.push("[guard] window is shorter than an hour: its limits hold again as soon as that has passed".to_owned());
    }
    if settings.keep_history < KEEP_HISTORY_MIN {
        out.push(
            "[state] keep_history is shorter than a day: history and events verify lose what every sink has".to_owned(),
        );
    }
    if settings.settle_time == Duration::from_seconds(0) && !deployment.is_sandbox {
        out.push(
            "[rhombus] settle_time is 0s: a create whose answer was lost is sent again at once, if no look-up shows it"
                .to_owned(),
        );
    }
    out
}

/// What is valid in `[scope]`, and seldom meant.
fn scope_text(scope: &Scope) -> String {
    let mut text = String::new();
    if !scope.by_groups() {
        text.push_str("  warning: [scope] groups is empty: everyone in the export is wanted\n");
    }
    for name in scope.protected().filter(|name| !name.contains('@')) {
        let name = clean(name);
        let _ = writeln!(
            text,
            "  warning: [scope] protected names {name:?}, which is not an e-mail address: it protects nobody"
        );
    }
    text
}

/// What endpoint and export were found to hold.
struct FoundOnline {
    at_rhombus: AtRhombus,
    users_count: u64,
    /// What cycles met at this endpoint.
    not_supported: BTreeSet<Method>,
}

impl FoundOnline {
    fn write(&self, text: &mut String) {
        let Self { at_rhombus: AtRhombus { accounts_count, apart }, users_count, not_supported } = self;
        let _ = writeln!(
            text,
            "  online: Rhombus answers and has {accounts_count} accounts; the export has {users_count} users"
        );
        if let Some((now, date)) = apart {
            let _ = writeln!(text, "  this machine's clock shows {now}, Rhombus's {date}: no user is removed");
            text.push_str("    hint: correct this machine's clock\n");
        }
        for method in not_supported {
            let instead = if *method == Method::Delete { "active=false" } else { "PUT" };
            let method = method.as_str();
            let _ = writeln!(text, "  Rhombus does not support {method} (405 or 501): {instead} is sent instead");
        }
    }
}

/// What the endpoint shows.
struct AtRhombus {
    accounts_count: u64,
    /// The clock of this machine and Rhombus's, if they do not agree.
    apart: Option<(Moment, Moment)>,
}

fn ask_rhombus(deployment: &Deployment) -> Result<AtRhombus, Failure> {
    let target = deployment.target()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let accounts_count = runtime.block_on(crate::probe::holdings(&target, &|_| false))?.accounts_count;
    // Without a state there is nothing to compare with.
    if let (false, Ok(state)) = (deployment.is_sandbox, store::open(&deployment.state_path, Access::Read)) {
        let known = store::installation(&state)?;
        let token_is_new = deployment.token()?.fingerprint(&known.installation_id) != known.token_fingerprint;
        if token_is_new || known.base_url != deployment.endpoint()? {
            runtime.block_on(crate::probe::prove_organisation(&target, &state))?;
        }
    }
    let now = SystemClock.now();
    let apart = target.date().filter(|date| !clock::agree(now, *date)).map(|date| (now, date));
    Ok(AtRhombus { accounts_count, apart })
}

/// What was found; it fails if a cycle would refuse the export.
fn prove(deployment: &Deployment, at_rhombus: AtRhombus, at_hand: Option<&AtHand>) -> Result<FoundOnline, Failure> {
    let users_count = match at_hand {
        // It is not there, which opening it says.
        None => return Err(deployment.open_export().err().map_or_else(changed, Failure::from)),
        Some(at_hand) => match at_hand.failure() {
            Some(failure) => return Err(failure.clone()),
            None => at_hand.users_count(),
        },
    };
    // Without a state nothing is known yet.
    let not_supported = deployment.state(Access::Read).map(|(_, known)| known.not_supported).unwrap_or_default();
    Ok(FoundOnline { at_rhombus, users_count, not_supported })
}

/// The export came while it was looked for.
fn changed() -> Failure {
    Failure::new(Exit::Failed, "the export was not there a moment ago", Some("run it again"))
}
