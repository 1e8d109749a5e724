//! The daemon on a host with a standby beside it: it sends while it leads, and rests while it does not.

use super::Daemon;
use crate::failure::Failure;
use crate::health::{Idle, Latest};
use crate::leading::{Lead, Turn};
use crate::memory;
use crate::model::Clock;
use crate::process::{SystemClock, spawn};
use crate::report::LeadStanding;
use crate::standby::Left;
use crate::store;

impl Daemon {
    /// Once a second: obeys whoever says which host leads.
    pub(super) fn follow_lead(&mut self) {
        let Some(lead) = self.lead.clone() else { return };
        let turn = lead.turn(&self.deployment);
        let now = SystemClock.now();
        self.health.note_lead(lead.standing(now), now);
        match turn {
            Turn::Send | Turn::CutOff => return,
            Turn::Wait | Turn::HandOver => {}
        }
        if let Some(running) = &self.running {
            running.cycle.stop();
        } else if self.sending.is_some() {
            self.rest_as_standby(lead.last_word());
        } else if self.opening.is_some() || self.closing.is_some() {
            self.is_at_rest = false;
        } else if turn == Turn::HandOver {
            self.release(Some(Left::Resigned));
        } else if !std::mem::replace(&mut self.is_at_rest, true) {
            memory::rest();
        }
    }

    /// Whether a cycle may start.
    pub(super) fn may_send(&self) -> bool {
        self.lead.as_ref().is_none_or(|lead| lead.turn(&self.deployment) == Turn::Send)
    }

    /// Why the state is not to be opened now; `None`: it is.
    pub(super) fn not_our_turn(&self) -> Option<Latest> {
        let lead = self.lead.as_ref()?;
        if lead.turn(&self.deployment) == Turn::Send {
            return None;
        }
        let standing = lead.standing(SystemClock.now());
        let somebody_leads = matches!(&standing, LeadStanding::Standby { leader: Some(_), .. });
        Some(match &self.could_not_lead {
            Some(why) if somebody_leads => {
                Latest::Idle(Idle::Standby, format!("{}; it could not take over: {why}", standing.in_brief()))
            }
            Some(why) => Latest::Idle(Idle::CannotSend, why.clone()),
            None => Latest::Idle(Idle::Standby, standing.in_brief()),
        })
    }

    /// Whether the state is fetched when it is opened.
    pub(super) fn brings_the_state(&self) -> bool {
        self.lead.as_ref().is_some_and(Lead::brings_the_state)
    }

    /// A host that cannot open the state leaves the lead to others.
    pub(super) fn cannot_lead(&mut self, failure: &Failure) {
        let why = failure.in_one_line();
        self.could_not_lead = Some(why.clone());
        self.release(None);
        self.say(Latest::Idle(Idle::CannotSend, why));
    }

    /// Gives the lead back, on a thread of its own: etcd may not answer.
    fn release(&mut self, left: Option<Left>) {
        let Some(lead) = self.lead.clone() else { return };
        if let Ok(mut released) = spawn("release", move || lead.release(left)) {
            self.closing = Some(tokio::task::spawn_local(async move { released.done().await.unwrap_or_default() }));
        }
    }

    /// Releases lock and state, after a last event if the lead is handed on: one that was lost is another host's log already.
    fn rest_as_standby(&mut self, handed_on_by: Option<String>) {
        let why = self.health.lead.as_ref().map(LeadStanding::in_brief).unwrap_or_default();
        if let Some(sending) = self.sending.take() {
            self.closing = Some(tokio::task::spawn_local(async move {
                if let Some(host) = handed_on_by {
                    let now = SystemClock.now();
                    let written =
                        sending.journal.write(move |transaction| store::hand_on(transaction, &host, now)).await;
                    if let Err(error) = written {
                        tracing::warn!(error = %error, "the log does not say that the lead was handed on");
                    }
                    sending.shipping.wake();
                }
                sending.end().await;
            }));
        }
        self.say(Latest::Idle(Idle::Standby, why));
    }
}
