//! Who says whether this host leads: a lease, or a person.

use super::by_hand::ByHand;
use super::by_lease::ByLease;
use super::led::{Led, Turn};
use super::refusals;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{Fence, Moment};
use crate::report::LeadStanding;
use crate::standby::{Asks, Left};
use crate::store::Lock;
use std::sync::Arc;

/// Who says whether this host leads.
#[derive(Clone)]
pub(crate) enum Lead {
    ByLease(ByLease),
    ByHand(ByHand),
}

impl Lead {
    /// `None`: there is no other host.
    pub(crate) fn start(deployment: &Deployment, asks: Asks) -> Result<Option<Self>, Failure> {
        let Some(standby) = deployment.config.standby.as_ref().filter(|_| !deployment.is_sandbox) else {
            return Ok(None);
        };
        if asks == Asks::IfItLedLast {
            // A daemon that leads here has lock and lease: neither is this process's to ask for.
            drop(Lock::acquire(&deployment.state_path)?);
        }
        Ok(Some(match &standby.lease {
            Some(lease) => Self::ByLease(ByLease::start(deployment, lease, asks)?),
            None => Self::ByHand(ByHand::new(&deployment.state_path)),
        }))
    }

    pub(crate) fn turn(&self, deployment: &Deployment) -> Turn {
        match self {
            Self::ByLease(lease) => lease.turn(deployment),
            Self::ByHand(hand) => hand.turn(),
        }
    }

    /// Waits until this host may be something else to the others. Without a lease a look each second is enough.
    pub(crate) async fn changed(&self) {
        match self {
            Self::ByLease(lease) => lease.changed().await,
            Self::ByHand(_) => std::future::pending().await,
        }
    }

    pub(crate) fn fence(&self) -> Arc<dyn Fence> {
        match self {
            Self::ByLease(lease) => lease.fence(),
            Self::ByHand(hand) => Arc::new(hand.clone()),
        }
    }

    pub(crate) fn standing(&self, now: Moment) -> LeadStanding {
        match self {
            Self::ByLease(lease) => lease.standing(now),
            Self::ByHand(hand) => hand.standing(),
        }
    }

    /// Whether the state may be missing here: it is fetched from the replica.
    pub(crate) fn brings_the_state(&self) -> bool {
        match self {
            Self::ByLease(lease) => lease.has_note(),
            Self::ByHand(_) => false,
        }
    }

    /// Opens the state to send from it; fetches it first if the one here is not the last leader's.
    pub(crate) fn open(&self, deployment: &Deployment) -> Result<Led, Failure> {
        match self {
            Self::ByLease(lease) => lease.open(deployment),
            Self::ByHand(hand) => hand.open(deployment),
        }
    }

    /// Waits until this host may open the state, for a process that sends once.
    pub(crate) fn wait_for_turn(&self, deployment: &Deployment) -> Result<(), Failure> {
        match self {
            Self::ByLease(lease) => lease.wait_for_turn(deployment),
            Self::ByHand(hand) if hand.turn() == Turn::Send => Ok(()),
            Self::ByHand(_) => Err(refusals::not_told()),
        }
    }

    /// What the log says of a hand-over, once nothing else is written.
    pub(crate) fn last_word(&self) -> Option<String> {
        match self {
            Self::ByLease(lease) => lease.last_word(),
            Self::ByHand(_) => None,
        }
    }

    /// Gives the lead back.
    pub(crate) fn release(&self, left: Option<Left>) {
        match self {
            Self::ByLease(lease) => lease.release(left),
            Self::ByHand(_) => {}
        }
    }
}

/// The same for a process that sends once: where another host stands by, only a host that leads, or led last, may. `None`: there is no
/// other host.
pub(crate) fn begin(deployment: &Deployment) -> Result<(Option<Lead>, Led), Failure> {
    let Some(lead) = Lead::start(deployment, Asks::IfItLedLast)? else {
        return Ok((None, open(deployment, None)?));
    };
    let led = lead.wait_for_turn(deployment).and_then(|()| lead.open(deployment));
    if led.is_err() {
        lead.release(Some(Left::Stopped));
    }
    Ok((Some(lead), led?))
}

/// The state, and the right to send from it. `lead`: `None` if there is no other host.
pub(crate) fn open(deployment: &Deployment, lead: Option<&Lead>) -> Result<Led, Failure> {
    let Some(lead) = lead else {
        let (lock, writer, installation) = deployment.sender()?;
        return Ok(Led { lock, writer, installation, barrier: None });
    };
    lead.open(deployment)
}
