//! A lease in etcd says which host leads. Who has it first makes sure that its state is the one whose head was noted last.

use super::led::{Led, Turn, has_no_state};
use super::refusals::{handed_over, led_last, no_standby, not_leading};
use super::replica;
use crate::config::LeaseConfig;
use crate::deployment::{Deployment, inactive};
use crate::failure::Failure;
use crate::model::{Barrier, Clock, Exit, Fence, Moment};
use crate::process::SystemClock;
use crate::report::LeadStanding;
use crate::standby::{Agent, Asks, Left, Note, Noted, Role, View, put_in_place, restore, this_host};
use crate::store::{self, Access, Copied, JournalError, Lock, NotedHead, StateError};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a process that sends once waits for the lease: as long as etcd may take to answer.
const TURN_WAIT: Duration = Duration::from_secs(15);
const TURN_PAUSE: Duration = Duration::from_millis(10);
/// What to do if etcd does not answer.
const ETCD_HINT: &str = "look at [standby] etcd; nothing is sent unless it says that this host leads";

/// The lease, and what it says.
#[derive(Clone)]
pub(crate) struct ByLease {
    agent: Agent,
    /// The last part of the lease's name.
    name: String,
    asks: Asks,
}

impl ByLease {
    pub(super) fn start(deployment: &Deployment, lease: &LeaseConfig, asks: Asks) -> Result<Self, Failure> {
        let agent = Agent::start(lease, &this_host(), deployment.config.timeout, asks)?;
        agent.note_state(!has_no_state(deployment));
        Ok(Self { agent, name: short_name(&lease.name), asks })
    }

    pub(super) fn turn(&self, deployment: &Deployment) -> Turn {
        self.agent.note_state(!has_no_state(deployment));
        let view = self.agent.view();
        match view.role {
            Role::Unknown | Role::Standby { .. } => Turn::Wait,
            Role::TakingOver | Role::Leading if view.hands_over => Turn::HandOver,
            Role::Leading if !view.may_send => Turn::CutOff,
            Role::TakingOver | Role::Leading => Turn::Send,
        }
    }

    pub(super) async fn changed(&self) {
        self.agent.changed().await;
    }

    pub(super) fn fence(&self) -> Arc<dyn Fence> {
        self.agent.fence()
    }

    pub(super) fn has_note(&self) -> bool {
        self.agent.view().note.is_some()
    }

    pub(super) fn standing(&self, now: Moment) -> LeadStanding {
        standing_of(&self.agent.view(), &self.name, now)
    }

    pub(super) fn last_word(&self) -> Option<String> {
        self.agent.view().hands_over.then(|| self.agent.host().to_owned())
    }

    pub(super) fn release(&self, left: Option<Left>) {
        self.agent.release(left);
    }

    pub(super) fn open(&self, deployment: &Deployment) -> Result<Led, Failure> {
        let note = self.agent.view().note;
        if let Some(folder) = deployment.state_path.parent() {
            crate::folder::create(folder)?;
        }
        let mut lock = Lock::acquire(&deployment.state_path)?;
        let goes_on = match &note {
            Some(note) => self.has_what_was_noted(deployment, note)?,
            None => false,
        };
        let mut writer = match &note {
            Some(note) if !goes_on => fetch(deployment, note)?,
            Some(_) | None => writer(deployment)?,
        };
        let copy = note.as_ref().and_then(|note| note.replica);
        let noted = match &note {
            Some(note) => Some(as_noted(note)),
            // It led before, and etcd does not know it any more: nobody knows whether another host has led since.
            None if store::reign(&writer)? > 0 => None,
            None => lock.noted().cloned(),
        };
        if goes_on && self.agent.view().role == Role::Leading && !store::installation(&writer)?.active {
            // Looked at each second.
            return Err(inactive());
        }
        // A state that came from a replica begins a reign, and so another replica, also where this host led last.
        if !goes_on {
            let copied = match &note {
                Some(note) if note.behind => Copied::PerhapsNot,
                Some(_) => Copied::Everything,
                None => Copied::AsFarAsALockFileKnows,
            };
            let taken = store::take_over(&mut writer, noted.as_ref(), copied, self.agent.host(), SystemClock.now())
                .map_err(|error| error.at(&deployment.state_path))?;
            if let Some(what) = &taken.restored {
                tracing::warn!("the state was restored: {what}; this cycle is a refresh, and its removals are held");
            }
            replica::begin(deployment, taken.reign);
        }
        lock.note(&writer).map_err(JournalError::from)?;
        let barrier = self.barrier(deployment, &writer, copy)?;
        let installation = store::installation(&writer)?;
        if installation.active {
            Ok(Led { lock, writer, installation, barrier: Some(barrier) })
        } else {
            Err(inactive())
        }
    }

    /// Waits until this host may open the state, for a process that sends once.
    ///
    /// # Errors
    /// Another host leads, or led last; etcd does not answer; or it takes too long.
    pub(super) fn wait_for_turn(&self, deployment: &Deployment) -> Result<(), Failure> {
        let by = Instant::now() + TURN_WAIT;
        loop {
            if self.turn(deployment) == Turn::Send {
                return Ok(());
            }
            let View { role, note, trouble, at_ms, .. } = self.agent.view();
            let is_late = Instant::now() > by;
            match (role, note, trouble) {
                (Role::Standby { leader: Some(leader), renewed_ms, .. }, _, None) => {
                    return Err(not_leading(&self.name, &leader, renewed_ms.map(|renewed| at_ms - renewed)));
                }
                (Role::Standby { leader: None, .. }, Some(note), None)
                    if note.host != self.agent.host() && self.asks == Asks::IfItLedLast =>
                {
                    return Err(led_last(&self.name, &note.host));
                }
                (Role::Standby { leader: None, resigned: true, .. }, ..) if self.asks == Asks::IfItLedLast => {
                    return Err(handed_over(&self.name));
                }
                (Role::Standby { leader: None, .. }, None, None) if has_no_state(deployment) => return Ok(()),
                (_, _, Some(why)) if is_late => return Err(Failure::new(Exit::Failed, why, Some(ETCD_HINT))),
                _ if is_late => return Err(Failure::new(Exit::Failed, "this host did not get the lead in time", None)),
                _ => std::thread::sleep(TURN_PAUSE),
            }
        }
    }

    /// Only on the host that noted it: a copy may lack what was committed without an event.
    fn has_what_was_noted(&self, deployment: &Deployment, note: &Note) -> Result<bool, Failure> {
        if note.host != self.agent.host() {
            return Ok(false);
        }
        let mut opened = store::open(&deployment.state_path, Access::Read);
        if let Err(StateError::Older { .. }) = opened {
            deployment.upgrade()?;
            opened = store::open(&deployment.state_path, Access::Read);
        }
        match opened {
            Ok(reader) => Ok(store::goes_on_from(&reader, &as_noted(note))?),
            // Missing, damaged, or another's: the replica has the right one.
            Err(_) => Ok(false),
        }
    }

    /// The barrier, once this state is at the replica and its head is noted: from now on this host leads.
    fn barrier(
        &self,
        deployment: &Deployment,
        writer: &Connection,
        copy: Option<i64>,
    ) -> Result<Arc<dyn Barrier>, Failure> {
        let committed = store::committed(writer)?;
        let before = Note {
            host: self.agent.host().to_owned(),
            installation: store::installation_id(writer)?,
            reign: committed.reign,
            sequence: 0,
            chain: String::new(),
            replica: copy,
            behind: true,
            left: None,
        };
        let replica = replica::barrier(deployment)?;
        let barrier: Arc<dyn Barrier> = Arc::new(Noted::new(replica, self.agent.clone(), before));
        barrier.pass(&committed);
        if self.agent.view().role != Role::Leading {
            let why = "the head of the log could not be noted in etcd";
            return Err(Failure::new(Exit::Failed, why, Some("it is tried again by itself once etcd answers")));
        }
        Ok(barrier)
    }
}

/// The state here, upgraded to this program's schema.
fn writer(deployment: &Deployment) -> Result<Connection, Failure> {
    deployment.upgrade()?;
    Ok(deployment.state(Access::Write)?.0)
}

/// The last leader's state, in the place of the one here.
fn fetch(deployment: &Deployment, note: &Note) -> Result<Connection, Failure> {
    let failed = |error: std::io::Error| {
        let hint = "this host does not lead until the state can be restored; look at litestream and at the replica";
        let what = format!("the state of {} cannot be brought here: {error}", note.host);
        Failure::new(Exit::Failed, what, Some(hint))
    };
    let Some(reign) = note.replica else {
        return Err(failed(std::io::Error::other("no replica ever had it")));
    };
    let Some(standby) = &deployment.config.standby else { return Err(no_standby()) };
    let url = format!("{}/{reign}", standby.replica);
    tracing::info!(reign, "the state of the last leader is restored");
    let restored: PathBuf = restore(&url, &deployment.state_path).map_err(failed)?;
    replica::end(deployment);
    put_in_place(&restored, &deployment.state_path).map_err(failed)?;
    writer(deployment)
}

/// What is noted in etcd, as what is noted in a lock file.
pub(super) fn as_noted(note: &Note) -> NotedHead {
    NotedHead {
        sequence: note.sequence,
        chain: note.chain.clone(),
        installation: Some(note.installation.clone()),
        reign: Some(note.reign),
        path: PathBuf::from("(in etcd)"),
    }
}

/// The last part of the lease's name: what people call it.
pub(super) fn short_name(name: &str) -> String {
    name.rsplit('/').find(|part| !part.is_empty()).unwrap_or(name).to_owned()
}

fn standing_of(view: &View, name: &str, now: Moment) -> LeadStanding {
    match (&view.role, &view.trouble) {
        (Role::Unknown | Role::Standby { .. }, Some(why)) => LeadStanding::Unknown { why: why.clone() },
        (Role::Unknown, None) => LeadStanding::Unknown { why: "etcd has not been asked yet".to_owned() },
        (Role::Standby { leader, renewed_ms, resigned }, None) => LeadStanding::Standby {
            name: Some(name.to_owned()),
            leader: leader.clone(),
            renewed_at: renewed_ms.map(|at| Moment(now.0 - (view.at_ms - at))),
            resigned: *resigned,
        },
        (Role::TakingOver, _) => LeadStanding::TakingOver,
        (Role::Leading, _) if !view.may_send && !view.hands_over => LeadStanding::CutOff,
        (Role::Leading, _) => LeadStanding::Leading { reign: view.note.as_ref().map(|note| note.reign) },
    }
}
