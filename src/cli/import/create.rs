//! `import --create`: hands new users over to JumpCloud, no more than were named. Who is handed over is on record before the
//! request, which is repeated only after a 429: what became of it is judged by looking the users up.

use super::super::progress::Progress;
use super::super::{Arguments, Output};
use super::{Accounts, Directory, Whom, find, shown};
use crate::config::{JumpCloudConfig, SourceConfig};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::leading::{self, Lead, Led};
use crate::model::{Barrier, Clock, Exit, Fence, Moment, clean, command, folded};
use crate::process::SystemClock;
use crate::report::{ImportRow, ImportStatus};
use crate::source::{HandedOver, JobSign, NewUser, hand_over};
use crate::standby::Left;
use crate::store;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// From so many on, a summary is shown instead of each user, as JumpCloud itself does.
const SHOWN_BELOW: usize = 100;
/// How often users are looked up whose answer was lost.
const LOOK_PAUSE: Duration = Duration::from_secs(2);
/// How often they are looked up after a job has ended.
const LOOKS_AFTER_JOB: u32 = 2;
/// How long is waited in all for a JumpCloud that wants to be left alone.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// It is waited at least so long, whatever JumpCloud says.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// JumpCloud's word for a row whose user was made.
const MADE: &str = "finished";

/// What became of those who were to be created.
#[derive(Default)]
struct Outcome {
    created: Vec<ImportRow>,
    /// JumpCloud did not make them.
    refused: Vec<ImportRow>,
    /// Nobody knows yet: handed over before, or now.
    unknown: Vec<ImportRow>,
    /// Who was shown as created already, while the job ran; folded.
    shown: BTreeSet<String>,
}

pub(super) fn run(
    arguments: &Arguments,
    deployment: &Deployment,
    from: &JumpCloudConfig,
    whom: &Whom,
) -> Result<Output, Failure> {
    let (lead, Led { lock: _lock, writer, barrier, .. }) = leading::begin(deployment)?;
    let sender = Sender { deployment, from, barrier, fence: lead.as_ref().map(Lead::fence) };
    let output = carry_out(arguments, &sender, writer, whom);
    if let Some(lead) = lead {
        lead.release(Some(Left::Stopped));
    }
    output
}

/// What users are handed over with.
struct Sender<'s> {
    deployment: &'s Deployment,
    from: &'s JumpCloudConfig,
    /// What the record of who is handed over has to pass, where another host stands by.
    barrier: Option<Arc<dyn Barrier>>,
    /// And what allows the request.
    fence: Option<Arc<dyn Fence>>,
}

fn carry_out(
    arguments: &Arguments,
    sender: &Sender<'_>,
    mut state: Connection,
    whom: &Whom,
) -> Result<Output, Failure> {
    let deployment = sender.deployment;
    let found = find(deployment, arguments.json)?;
    let (chosen, imported) = choose(&found, whom)?;
    let before = settled(&mut state, &found)?;
    let now = SystemClock.now();
    let settle = deployment.config.settings.settle_time;
    let is_open = |row: &ImportRow| {
        before
            .get(&row.user_name.folded())
            .is_some_and(|at| at.plus(settle) > now && at.since_ms(now) < settle.milliseconds())
    };
    let (unknown, chosen): (Vec<ImportRow>, Vec<ImportRow>) = chosen.into_iter().partition(is_open);
    let mut result = Outcome { unknown, ..Outcome::default() };
    let mut why = None;
    if !chosen.is_empty() {
        why = create(arguments, sender, &mut state, chosen, &mut result)?;
    }
    Ok(output(arguments, deployment, &found, &imported, &result, why.as_deref()))
}

/// Those who are named and new, and the usernames of those who are named and are there already.
fn choose(found: &Accounts, whom: &Whom) -> Result<(Vec<ImportRow>, Vec<String>), Failure> {
    let Whom::These(names) = whom else {
        return Ok((found.rows.iter().filter(|row| row.status == ImportStatus::New).cloned().collect(), Vec::new()));
    };
    let (mut chosen, mut imported) = (BTreeMap::new(), Vec::new());
    for name in names {
        let named = |row: &&ImportRow| row.scim_id.as_str() == name || row.user_name.folded() == folded(name);
        let Some(row) = found.rows.iter().find(named) else {
            let hint = format!("`{}` lists them: a username, or the id of an account", command("import"));
            return Err(Failure::new(Exit::Failed, format!("Rhombus has no user `{}`", clean(name)), Some(&hint)));
        };
        match row.status {
            ImportStatus::New => drop(chosen.insert(row.user_name.folded(), row.clone())),
            ImportStatus::Imported => imported.push(row.user_name.as_str().to_owned()),
        }
    }
    Ok((chosen.into_values().collect(), imported))
}

/// Who was handed over before and is not there: what is there is settled.
fn settled(state: &mut Connection, found: &Accounts) -> Result<BTreeMap<String, Moment>, Failure> {
    let mut open = store::handed_over(state)?;
    let there: Vec<_> = found
        .rows
        .iter()
        .filter(|row| row.status == ImportStatus::Imported)
        .map(|row| row.user_name.folded())
        .filter(|name| open.remove(name).is_some())
        .collect();
    forget(state, &there)?;
    Ok(open)
}

fn forget(state: &mut Connection, names: &[String]) -> Result<(), Failure> {
    let transaction = state.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    store::no_longer_handed_over(&transaction, names)?;
    Ok(transaction.commit()?)
}

/// Hands them over, and looks what became of them. Returns why that is not known, if it is not.
fn create(
    arguments: &Arguments,
    sender: &Sender<'_>,
    state: &mut Connection,
    chosen: Vec<ImportRow>,
    result: &mut Outcome,
) -> Result<Option<String>, Failure> {
    let unknown = handed_over(arguments, sender, state, &chosen, result)?;
    let deployment = sender.deployment;
    let patience = deployment.config.settings.settle_time.std();
    let (started, mut looks_count) = (Instant::now(), 0);
    let _asking = Progress::asking(arguments.json);
    let missing = loop {
        let there = Directory::read(deployment)?;
        let (made, missing): (Vec<ImportRow>, Vec<ImportRow>) =
            chosen.iter().cloned().partition(|row| there.has(row.user_name.as_str()));
        looks_count += 1;
        let is_over = match &unknown {
            None => looks_count >= LOOKS_AFTER_JOB,
            Some(_) => started.elapsed() >= patience,
        };
        if missing.is_empty() || is_over {
            forget(state, &made.iter().map(|row| row.user_name.folded()).collect::<Vec<_>>())?;
            result.created = made;
            break missing;
        }
        std::thread::sleep(LOOK_PAUSE.min(patience.max(Duration::from_millis(100))));
    };
    match unknown {
        None => {
            forget(state, &missing.iter().map(|row| row.user_name.folded()).collect::<Vec<_>>())?;
            result.refused = missing;
            Ok(None)
        }
        Some(_) if missing.is_empty() => Ok(None),
        Some(why) => {
            result.unknown.extend(missing);
            Ok(Some(why))
        }
    }
}

/// Hands them over, again after a wait that JumpCloud asked for. Returns why it is not known whether they were taken, if it is
/// not; None: the job has ended.
fn handed_over(
    arguments: &Arguments,
    Sender { from, barrier, fence, .. }: &Sender<'_>,
    state: &mut Connection,
    chosen: &[ImportRow],
    result: &mut Outcome,
) -> Result<Option<String>, Failure> {
    let names: Vec<_> = chosen.iter().map(|row| row.user_name.folded()).collect();
    let users: Vec<_> = chosen.iter().map(new_user).collect();
    let (bar, all) = (Progress::on_terminal(arguments.json), users.len() as u64);
    let (shown, is_shown) = (Mutex::new(BTreeSet::new()), !arguments.json && users.len() < SHOWN_BELOW);
    let sign = |sign: JobSign<'_>| match sign {
        JobSign::Ended(done) => bar.set(done.min(all), all),
        JobSign::Row { username, status } if is_shown => {
            let is_made = status.eq_ignore_ascii_case(MADE);
            bar.say(&format!("{}  {}", if is_made { "created" } else { "refused" }, clean(username)));
            if is_made && let Ok(mut shown) = shown.lock() {
                shown.insert(folded(username));
            }
        }
        JobSign::Row { .. } => {}
    };
    let mut waited = Duration::ZERO;
    let unknown = loop {
        let transaction = state.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        store::note_handed_over(&transaction, &names, SystemClock.now())?;
        transaction.commit()?;
        if let Some(barrier) = barrier {
            barrier.pass(&store::committed(state)?);
        }
        match hand_over(from, &users, fence.as_deref(), &sign) {
            Ok(HandedOver::Ended) => break None,
            Ok(HandedOver::Unknown(why)) => break Some(why),
            // It was certainly not taken: nothing is open.
            Ok(HandedOver::NotTaken { what, hint, again_after }) => {
                forget(state, &names)?;
                match again_after {
                    Some(wait) if waited + wait <= WAIT_MAX => {
                        std::thread::sleep(wait.max(WAIT_MIN));
                        waited += wait.max(WAIT_MIN);
                    }
                    Some(_) | None => return Err(not_taken(what, &hint)),
                }
            }
            Err(error) => {
                forget(state, &names)?;
                return Err(error.into());
            }
        }
    };
    result.shown = shown.into_inner().unwrap_or_default();
    Ok(unknown)
}

fn not_taken(what: String, hint: &str) -> Failure {
    let error = vec!["JumpCloud did not take the users".to_owned(), what];
    Failure { exit: Exit::Failed, error, hint: Some(format!("{hint}; nobody was created")) }
}

fn new_user(row: &ImportRow) -> NewUser {
    let name = |name: &Option<Box<str>>| name.as_deref().filter(|name| !name.is_empty()).map(str::to_owned);
    NewUser {
        username: row.user_name.as_str().to_owned(),
        email: row.user_name.as_str().to_owned(),
        firstname: name(&row.names.given),
        lastname: name(&row.names.family),
    }
}

fn output(
    arguments: &Arguments,
    deployment: &Deployment,
    found: &Accounts,
    imported: &[String],
    result: &Outcome,
    why: Option<&str>,
) -> Output {
    let left = !result.refused.is_empty() || !result.unknown.is_empty();
    let exit = if left { Exit::Partial } else { Exit::Done };
    if left {
        failure(result, why).show();
    }
    if arguments.json {
        let mut rows = found.rows.clone();
        for row in &mut rows {
            if result.created.iter().any(|made| made.scim_id == row.scim_id) {
                row.status = ImportStatus::Imported;
            }
        }
        rows.sort_by_key(|row| row.status);
        let found = Accounts { rows, nameless_count: found.nameless_count };
        return Output { exit, text: shown(arguments, &found, false, None) };
    }
    let mut text = String::new();
    if result.created.len() < SHOWN_BELOW {
        for row in result.created.iter().filter(|row| !result.shown.contains(&row.user_name.folded())) {
            let _ = writeln!(text, "created  {}", clean(row.user_name.as_str()));
        }
    }
    for name in imported {
        let _ = writeln!(text, "{} is in JumpCloud already", clean(name));
    }
    let _ = writeln!(text, "{} created in JumpCloud", result.created.len());
    if !result.created.is_empty() {
        text.push_str(&still_to_do(deployment));
    }
    Output { exit, text }
}

/// What the administrator has still to do: an imported user is bound to nothing.
fn still_to_do(deployment: &Deployment) -> String {
    let settings = &deployment.config.settings;
    let whither = match &settings.source {
        SourceConfig::JumpCloud(from) if from.application_id.is_some() => {
            "a group that is bound to the application".to_owned()
        }
        SourceConfig::JumpCloud(_) | SourceConfig::File { .. } | SourceConfig::Url(_) => {
            let groups: Vec<_> = settings.scope.groups().map(|group| format!("`{}`", clean(group))).collect();
            format!("the group {}", groups.join(" or "))
        }
    };
    format!(
        "still to do in JumpCloud: add them to {whither}; only then are they managed here, and their accounts linked\n"
    )
}

/// Who is not there, and why.
fn failure(result: &Outcome, why: Option<&str>) -> Failure {
    let names = |rows: &[ImportRow]| {
        let shown: Vec<_> = rows.iter().take(SHOWN_BELOW).map(|row| clean(row.user_name.as_str())).collect();
        let more = rows.len().saturating_sub(SHOWN_BELOW);
        if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
    };
    let mut error = Vec::new();
    if !result.refused.is_empty() {
        error.push(format!("JumpCloud did not create {}: {}", result.refused.len(), names(&result.refused)));
    }
    if !result.unknown.is_empty() {
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        error.push(format!(
            "not known yet whether JumpCloud created {}{why}: {}",
            result.unknown.len(),
            names(&result.unknown)
        ));
    }
    let hint = match result.unknown.is_empty() {
        true => "check these users in JumpCloud: another user may have the name or address".to_owned(),
        false => format!("check again with `{}`; nobody is created twice", command("import")),
    };
    Failure { exit: Exit::Partial, error, hint: Some(hint) }
}
