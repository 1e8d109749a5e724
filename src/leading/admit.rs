//! What a command asks before it writes to a state: the state of a host that does not lead is an old one.

use super::by_hand::ByHand;
use super::by_lease::{as_noted, short_name};
use super::led::{Turn, has_no_state};
use super::refusals::{led_last, not_leading, not_the_last, not_told};
use super::replica;
use crate::config::{LeaseConfig, StandbyConfig};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{Exit, Moment};
use crate::report::LeadStanding;
use crate::standby::{Desk, Note, Overview, this_host};
use crate::store::{self, Access, StateError};
use rusqlite::Connection;
use std::time::Duration;

/// How long a command waits for etcd where it is obeyed whatever etcd says.
const LOOK_WAIT: Duration = Duration::from_secs(2);

/// Whether a command may write to the state here, or send from it.
///
/// # Errors
/// Another host leads, nobody told this one to, or etcd does not say.
pub(crate) fn admit(deployment: &Deployment) -> Result<(), Failure> {
    let Some(standby) = deployment.config.standby.as_ref().filter(|_| !deployment.is_sandbox) else { return Ok(()) };
    // Only who leads holds the lock, or who did a moment ago; what a command writes is obeyed by it.
    let holds = store::holder(&deployment.state_path).is_some();
    match &standby.lease {
        Some(lease) if holds => still_leads(lease),
        Some(lease) => leads_or_led(deployment, lease),
        None if has_no_state(deployment) => Ok(()),
        None => match ByHand::new(&deployment.state_path).turn() {
            Turn::Send => Ok(()),
            Turn::Wait | Turn::CutOff | Turn::HandOver => Err(not_told()),
        },
    }
}

/// A daemon that is cut off from etcd obeys all the same: whoever stops it here must be able to.
fn still_leads(lease: &LeaseConfig) -> Result<(), Failure> {
    match look_for(lease, LOOK_WAIT) {
        Ok(Overview { leader: Some(leader), renewed_ago_ms, .. }) if leader != this_host() => {
            Err(not_leading(&short_name(&lease.name), &leader, renewed_ago_ms))
        }
        Ok(_) => Ok(()),
        Err(failure) => {
            let error = failure.in_one_line();
            tracing::warn!(
                error,
                "nobody knows whether this host still leads; another one that does would not know of this command"
            );
            Ok(())
        }
    }
}

fn leads_or_led(deployment: &Deployment, lease: &LeaseConfig) -> Result<(), Failure> {
    let Overview { leader, renewed_ago_ms, note } = look(lease)?;
    let (host, name) = (this_host(), short_name(&lease.name));
    match (leader, note) {
        (Some(leader), _) if leader != host => Err(not_leading(&name, &leader, renewed_ago_ms)),
        (None, Some(note)) if note.host != host => Err(led_last(&name, &note.host)),
        // By name it is this host. If it is, the state is here.
        (Some(_) | None, Some(note)) if !has_what_was_noted(deployment, &note)? => Err(not_the_last(&name, &host)),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// A state that cannot be read is the command's to complain of.
fn has_what_was_noted(deployment: &Deployment, note: &Note) -> Result<bool, Failure> {
    match store::open(&deployment.state_path, Access::Read) {
        Ok(reader) => Ok(store::goes_on_from(&reader, &as_noted(note))?),
        Err(StateError::Missing(_)) => Ok(false),
        Err(_) => Ok(true),
    }
}

/// What this host is, for a process that does not lead itself. `None`: there is no other host.
pub(crate) fn who_leads(deployment: &Deployment, now: Moment) -> Option<LeadStanding> {
    let standby = deployment.config.standby.as_ref().filter(|_| !deployment.is_sandbox)?;
    let StandbyConfig { lease: Some(lease), .. } = standby else {
        return Some(ByHand::new(&deployment.state_path).standing());
    };
    Some(match look(lease) {
        Err(failure) => LeadStanding::Unknown { why: failure.in_one_line() },
        Ok(Overview { leader, renewed_ago_ms, note }) => {
            let host = this_host();
            let ours = note.as_ref().filter(|note| note.host == host);
            match leader {
                Some(leader) if leader == host => match ours.filter(|note| note.left.is_none()) {
                    Some(note) => LeadStanding::Leading { reign: Some(note.reign) },
                    None => LeadStanding::TakingOver,
                },
                leader => LeadStanding::Standby {
                    name: Some(short_name(&lease.name)),
                    leader,
                    renewed_at: renewed_ago_ms.map(|ago| Moment(now.0 - ago)),
                    resigned: ours.is_some_and(|note| note.left == Some(crate::standby::Left::Resigned)),
                },
            }
        }
    })
}

/// Up to which event a command may send the log again: what is neither at the replica nor noted stays on this host.
///
/// # Errors
/// Another host leads or led last, or etcd does not say.
pub(crate) fn leaves_up_to(deployment: &Deployment, state: &Connection) -> Result<i64, Failure> {
    let head = store::committed(state)?;
    let Some(standby) = deployment.config.standby.as_ref().filter(|_| !deployment.is_sandbox) else {
        return Ok(head.sequence);
    };
    let Some(lease) = &standby.lease else {
        replica::barrier(deployment)?.pass(&head);
        return Ok(head.sequence);
    };
    match look(lease)?.note {
        Some(note) if note.host != this_host() => Err(led_last(&short_name(&lease.name), &note.host)),
        Some(note) => Ok(note.sequence.min(head.sequence)),
        None => Ok(0),
    }
}

pub(crate) fn look(lease: &LeaseConfig) -> Result<Overview, Failure> {
    look_for(lease, Duration::MAX)
}

/// The same, for so long at most.
fn look_for(lease: &LeaseConfig, wait: Duration) -> Result<Overview, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let looked = async { Desk::new(lease)?.look().await };
    match runtime.block_on(async { tokio::time::timeout(wait, looked).await }) {
        Ok(looked) => Ok(looked?),
        Err(_) => Err(Failure::new(Exit::Failed, "etcd does not answer in time", None)),
    }
}
