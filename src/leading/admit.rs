//! What a command asks before it writes to a state: the state of a host that does not lead is an old one.

use super::by_hand::ByHand;
use super::by_lease::short_name;
use super::led::Turn;
use super::refusals::{led_last, not_leading, not_told};
use crate::config::{LeaseConfig, StandbyConfig};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::Moment;
use crate::report::LeadStanding;
use crate::standby::{Desk, Overview, this_host};
use crate::store;

/// Whether a command may write to the state here, or send from it.
///
/// # Errors
/// Another host leads, nobody told this one to, or etcd does not say.
pub(crate) fn admit(deployment: &Deployment) -> Result<(), Failure> {
    let Some(standby) = deployment.config.standby.as_ref().filter(|_| !deployment.is_sandbox) else { return Ok(()) };
    // Only who leads holds the lock; what a command writes is obeyed by it.
    if store::holder(&deployment.state_path).is_some() {
        return Ok(());
    }
    match &standby.lease {
        Some(lease) => leads_or_led(lease),
        None if !deployment.state_path.exists() => Ok(()),
        None => match ByHand::new(&deployment.state_path).turn() {
            Turn::Send => Ok(()),
            Turn::Wait | Turn::CutOff | Turn::HandOver => Err(not_told()),
        },
    }
}

fn leads_or_led(lease: &LeaseConfig) -> Result<(), Failure> {
    let Overview { leader, renewed_ago_ms, note } = look(lease)?;
    let host = this_host();
    match (leader, note) {
        (Some(leader), _) if leader == host => Ok(()),
        (Some(leader), _) => Err(not_leading(&short_name(&lease.name), &leader, renewed_ago_ms)),
        (None, Some(note)) if note.host != host => Err(led_last(&short_name(&lease.name), &note.host)),
        (None, Some(_) | None) => Ok(()),
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

pub(crate) fn look(lease: &LeaseConfig) -> Result<Overview, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async { Desk::new(lease)?.look().await })?)
}
