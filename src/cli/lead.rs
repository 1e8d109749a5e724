//! `lead` and `resign`: a person says which host leads. With etcd the hosts agree on it among themselves; without it a mark is made, or
//! removed, here.

use super::{Arguments, Output};
use crate::config::LeaseConfig;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::leading::{Lead, led_last, look, mark, no_standby, not_leading, unmark};
use crate::model::{Exit, command};
use crate::standby::{Asks, Desk, Left, Overview, Wanted, this_host};
use serde_json::json;
use std::cell::Cell;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

/// How often it looks whether the lead has changed hands.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// How much longer than two leases a change of hands may take: requests in flight, then a restore.
const PATIENCE: Duration = Duration::from_secs(60);
/// A daemon asks for a lead that is free sooner than this.
const NO_DAEMON_AFTER: Duration = Duration::from_secs(5);
const CONSENT: &str = "yes";

/// Whether a person answers for the other host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Force {
    No,
    Yes,
}

pub(super) fn lead(arguments: &Arguments, force: Force) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let Some(standby) = &deployment.config.standby else { return Err(no_standby()) };
    match (&standby.lease, force) {
        (Some(_), Force::Yes) => {
            Err(Failure::usage("--force is for [standby] without etcd: here the leader is asked, or its lease lapses"))
        }
        (Some(lease), Force::No) => {
            let overview = match on_a_runtime(take(lease))? {
                Taken::Led(overview) => overview,
                Taken::Free => {
                    once(&deployment)?;
                    look(lease)?
                }
            };
            let (reign, after) = overview.note.map_or((0, 0), |note| (note.reign, note.sequence));
            done(arguments, &format!("this host leads: {}, reign {reign}, after sequence {after}", this_host()), true)
        }
        (None, Force::No) => {
            let hint = format!("if the other host is off: {}", command("lead --force"));
            let why = "without [standby] etcd nothing tells whether another host leads";
            Err(Failure::new(Exit::Usage, why, Some(&hint)))
        }
        (None, Force::Yes) => {
            ask_whether_the_other_is_off()?;
            mark(&deployment.state_path)?;
            done(arguments, "this host leads from now on", true)
        }
    }
}

pub(super) fn resign(arguments: &Arguments) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let Some(standby) = &deployment.config.standby else { return Err(no_standby()) };
    let Some(lease) = &standby.lease else {
        return match unmark(&deployment.state_path)? {
            true => done(arguments, "this host leads no more; a running daemon obeys within a second", false),
            false => done(arguments, "this host did not lead", false),
        };
    };
    let overview = on_a_runtime(give(lease))?;
    let next = overview.leader.map_or("nobody leads yet".to_owned(), |leader| format!("{leader} leads"));
    done(arguments, &format!("handed over: {next}"), false)
}

fn done(arguments: &Arguments, says: &str, leads: bool) -> Result<Output, Failure> {
    Ok(Output::done(match arguments.json {
        true => {
            format!("{}\n", json!({"result": "done", "exit": 0, "leads": leads, "host": this_host(), "says": says}))
        }
        false => format!("{says}\n"),
    }))
}

/// Whether this host leads.
enum Taken {
    Led(Overview),
    /// Nobody leads, and no daemon here took the lead.
    Free,
}

/// Takes the lead, and gives it back as the host that leads whenever one of its processes sends.
fn once(deployment: &Deployment) -> Result<(), Failure> {
    let Some(lead) = Lead::start(deployment, Asks::Always)? else { return Err(no_standby()) };
    let opened = lead.wait_for_turn(deployment).and_then(|()| lead.open(deployment).map(drop));
    lead.release(opened.is_ok().then_some(Left::Stopped));
    opened
}

/// Asks the present leader to hand over, and waits until this host leads.
async fn take(lease: &LeaseConfig) -> Result<Taken, Failure> {
    let (desk, host) = (Desk::new(lease)?, this_host());
    let leads = |seen: &Overview| {
        seen.leader.as_ref() == Some(&host)
            && seen.note.as_ref().is_some_and(|note| note.host == host && note.left.is_none())
    };
    let before = desk.look().await?;
    if leads(&before) {
        return Ok(Taken::Led(before));
    }
    desk.wish(&host, Wanted::Lead).await?;
    let free_since = Cell::new(None);
    let is_free = |seen: &Overview| match seen.leader {
        Some(_) => {
            free_since.set(None);
            false
        }
        None => {
            let since = free_since.get().unwrap_or_else(Instant::now);
            free_since.set(Some(since));
            since.elapsed() > NO_DAEMON_AFTER
        }
    };
    let seen = until(&desk, lease, |seen| leads(seen) || is_free(seen)).await?;
    if leads(&seen) {
        return Ok(Taken::Led(seen));
    }
    if seen.leader.is_none() {
        return Ok(Taken::Free);
    }
    desk.withdraw().await?;
    let (why, hint) = match &seen.leader {
        Some(leader) if *leader == host => (
            "this host has the lease, and its state is not open".to_owned(),
            format!("to see why: {}", command("status")),
        ),
        Some(leader) => (format!("{leader} did not hand over"), format!("look there: {}", command("status"))),
        None => ("nobody leads".to_owned(), format!("to see why: {}", command("status"))),
    };
    Err(Failure::new(Exit::Failed, why, Some(&hint)))
}

/// Asks this host, which leads, to hand over, and waits until it has.
async fn give(lease: &LeaseConfig) -> Result<Overview, Failure> {
    let (desk, host) = (Desk::new(lease)?, this_host());
    let name = lease.name.rsplit('/').next().unwrap_or_default().to_owned();
    match desk.look().await? {
        Overview { leader: Some(leader), renewed_ago_ms, .. } if leader != host => {
            return Err(not_leading(&name, &leader, renewed_ago_ms));
        }
        Overview { leader: None, note: Some(note), .. } if note.host != host => {
            return Err(led_last(&name, &note.host));
        }
        seen @ Overview { leader: None, .. } if is_left(&seen) => return Ok(seen),
        Overview { leader: None, note: Some(note), .. } if desk.leave(&note).await? => return Ok(desk.look().await?),
        Overview { .. } => {}
    }
    desk.wish(&host, Wanted::Resign).await?;
    let has_handed_over =
        |seen: &Overview| seen.leader.as_ref() != Some(&host) && (seen.leader.is_some() || is_left(seen));
    let seen = until(&desk, lease, has_handed_over).await?;
    if has_handed_over(&seen) {
        return Ok(seen);
    }
    desk.withdraw().await?;
    let hint = format!("is the daemon running here? To see why: {}", command("status"));
    Err(Failure::new(Exit::Failed, "this host did not hand over", Some(&hint)))
}

fn is_left(seen: &Overview) -> bool {
    seen.note.as_ref().is_some_and(|note| note.left == Some(Left::Resigned))
}

/// What stands in etcd once it is so, or once that has taken too long.
async fn until(desk: &Desk, lease: &LeaseConfig, is_so: impl Fn(&Overview) -> bool) -> Result<Overview, Failure> {
    let by = Instant::now() + lease.ttl.std() * 2 + PATIENCE;
    loop {
        let seen = desk.look().await?;
        if is_so(&seen) || Instant::now() > by {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

fn on_a_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Two hosts that lead at once create users twice; nothing but a person can know here.
fn ask_whether_the_other_is_off() -> Result<(), Failure> {
    let question = "Is the other host off, or its token withdrawn, and has its state been brought here?\n\
                    If it still sends, both do. Type yes to lead: ";
    let mut out = anstream::stderr();
    write!(out, "{question}").and_then(|()| out.flush())?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == CONSENT {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "not confirmed: nothing was changed", None))
}
