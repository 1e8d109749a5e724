//! The lease's thread: while another host leads it looks, while nobody does it asks, and while this one does it renews, until the
//! lease is given back or lost.
//!
//! # Guarantees
//! What is noted is noted only while our term lasts: each write compares the revision at which our key was made.

use super::fence::steady_ms;
use super::gateway::{Gateway, GatewayError, Lasting};
use super::keys::{Keys, Leader, Left, Note, Seen, Wanted, Wish, json};
use super::shared::{Asks, Numbered, Order, Role, Shared};
use super::twin::Twin;
use super::wire;
use crate::config::LeaseConfig;
use crate::model::Duration;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration as Pause;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How often a lease is renewed.
const RENEWALS_PER_TTL: i64 = 6;
/// How often at least while requests may start on one renewal.
const RENEWALS_PER_OPEN: i64 = 3;
/// The longest that a standby goes without a look.
const LOOK_MS_MAX: i64 = 2_000;
/// How often it looks once the leader is late, or after etcd did not answer.
const SOON_MS: i64 = 500;
/// A leader whose lease has less than this part left, in percent, is late.
const LATE_PERCENT: i64 = 70;
/// How long another host waits after one that has only stopped: it may be restarting.
const RESTART_MS: i64 = 2_000;
/// How long a host that could not open the state leaves the lead to others.
const AFTER_FAILURE_MS: i64 = 30_000;

/// Our term.
struct Held {
    lease: i64,
    /// The revision that made our key.
    made_at: i64,
}

pub(super) struct Term {
    gateway: Gateway,
    keys: Keys,
    host: String,
    ttl: Duration,
    renew_ms: i64,
    asks: Asks,
    shared: Arc<Shared>,
    held: Option<Held>,
    /// The newest head that could not be noted.
    owed: Option<Numbered>,
    /// Since when nobody leads.
    free_since_ms: Option<i64>,
    /// Do not ask before this.
    not_before_ms: i64,
    /// Whoever leads by our own name.
    twin: Twin,
}

impl Term {
    pub(super) fn new(
        gateway: Gateway,
        config: &LeaseConfig,
        host: String,
        timeout: Duration,
        asks: Asks,
        shared: Arc<Shared>,
    ) -> Self {
        let open_ms = config.ttl.milliseconds() - timeout.milliseconds();
        Self {
            gateway,
            keys: Keys::below(&config.name),
            host,
            ttl: config.ttl,
            renew_ms: (config.ttl.milliseconds() / RENEWALS_PER_TTL).min(open_ms / RENEWALS_PER_OPEN).max(1),
            asks,
            shared,
            held: None,
            owed: None,
            free_since_ms: None,
            not_before_ms: 0,
            twin: Twin::default(),
        }
    }

    /// Runs until nobody has a handle any more.
    pub(super) async fn live(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let turn = if self.held.is_some() { self.renew().await } else { self.look().await };
            let pause_ms = match turn {
                Ok(pause_ms) => {
                    // A head that cannot be noted is trouble until it is, though the lease is renewed meanwhile.
                    if self.owed.is_none() {
                        self.shared.set_trouble(None);
                    }
                    pause_ms
                }
                Err(error) => {
                    self.shared.set_trouble(Some(crate::model::chain(&error).join(": ")));
                    SOON_MS.min(self.renew_ms)
                }
            };
            let until = Instant::now() + Pause::from_millis(pause_ms.max(0).unsigned_abs());
            loop {
                tokio::select! {
                    biased;
                    order = orders.recv() => match order {
                        None => return,
                        Some(Order::Note(note, answer)) => drop(answer.send(self.note(note).await)),
                        Some(Order::Release(left, answer)) => {
                            self.release(left).await;
                            let _ = answer.send(());
                            if left == Some(Left::Stopped) {
                                // Else it asked for the lead again until the process has ended.
                                return;
                            }
                            break;
                        }
                    },
                    () = sleep_until(until) => break,
                }
            }
        }
    }

    /// Another host leads, or nobody: looks, and asks if nobody does.
    async fn look(&mut self) -> Result<i64, GatewayError> {
        let seen = self.read().await?;
        self.shared.set_note(seen.note.clone());
        let resigned = is_left_by(seen.note.as_ref(), &self.host, Left::Resigned);
        let Some((key, leader)) = seen.leader else {
            self.shared.set_role(Role::Standby { leader: None, renewed_ms: None, resigned });
            self.twin = Twin::default();
            let free_ms = steady_ms() - *self.free_since_ms.get_or_insert_with(steady_ms);
            return match self.may_ask(seen.note.as_ref(), seen.wish.as_ref(), free_ms) {
                true => self.ask(seen.wish).await,
                false => Ok(SOON_MS),
            };
        };
        self.free_since_ms = None;
        let (age_ms, left_ms) = self.gateway.age_ms(key.lease).await?;
        let renewed_ms = steady_ms() - age_ms;
        let is_twin = leader.host == self.host && self.twin.is_alive(key.made_at, renewed_ms);
        self.shared.set_role(Role::Standby { leader: Some(leader.host), renewed_ms: Some(renewed_ms), resigned });
        if is_twin {
            return Err(GatewayError::Twin(self.host.clone()));
        }
        let is_late = left_ms * 100 < (age_ms + left_ms) * LATE_PERCENT;
        Ok(if is_late { SOON_MS } else { LOOK_MS_MAX.min(self.renew_ms.max(SOON_MS)) })
    }

    /// Whether this host asks for a lead that is free.
    fn may_ask(&self, note: Option<&Note>, wish: Option<&Wish>, free_ms: i64) -> bool {
        if steady_ms() < self.not_before_ms || (note.is_none() && !self.shared.has_state.load(Ordering::SeqCst)) {
            return false;
        }
        if let Some(Wish { host, what: Wanted::Lead }) = wish {
            return *host == self.host;
        }
        let Some(note) = note else { return true };
        match (note.host == self.host, note.left) {
            (true, Some(Left::Resigned)) => false,
            (true, Some(Left::Stopped) | None) => true,
            (false, _) if self.asks == Asks::IfItLedLast => false,
            (false, Some(Left::Stopped)) => free_ms >= RESTART_MS,
            (false, Some(Left::Resigned) | None) => true,
        }
    }

    /// Asks for the lead: whoever makes the key first has it.
    async fn ask(&mut self, wish: Option<Wish>) -> Result<i64, GatewayError> {
        let Lasting { asked_ms, lease, ttl_s } = self.gateway.grant(self.ttl.milliseconds() / 1_000).await?;
        let key = &self.keys.leader;
        // Another host may have led and gone since we looked: what counts is what is noted when the key is made.
        let log = wire::get(&self.keys.log);
        let mut then = vec![wire::put(key, &json(&Leader { host: self.host.clone() }), lease), log.clone()];
        if wish.is_some() {
            then.push(wire::delete(&self.keys.wish));
        }
        let decided = self.gateway.decide(&[wire::was_made_at(key, 0)], &then, &[wire::get(key), log]).await?;
        // An answer that was lost may have been a yes: then the key that is there hangs on our lease.
        let ours = decided.read.iter().find(|read| read.key == *key && read.lease == lease);
        let made_at = ours.map(|ours| ours.made_at).or(decided.succeeded.then_some(decided.revision));
        let Some(made_at) = made_at else {
            self.gateway.revoke(lease).await?;
            return Ok(SOON_MS);
        };
        let note = Seen::of(decided.read, &self.keys)?.note;
        self.shared.fence.lose();
        self.shared.fence.renewed(asked_ms, Duration::from_seconds(u32::try_from(ttl_s).unwrap_or(0)));
        (self.held, self.owed, self.free_since_ms) = (Some(Held { lease, made_at }), None, None);
        self.twin = Twin::default();
        self.shared.set_note(note);
        self.shared.set_role(Role::TakingOver);
        Ok(self.renew_ms)
    }

    /// Renews our lease, notes what could not be noted, and looks what a person wants.
    async fn renew(&mut self) -> Result<i64, GatewayError> {
        let Some(&Held { lease, made_at }) = self.held.as_ref() else { return Ok(0) };
        let Lasting { asked_ms, ttl_s, .. } = self.gateway.keep_alive(lease).await?;
        if ttl_s <= 0 {
            return Ok(self.lost("it has ended"));
        }
        let seen = self.read().await?;
        if seen.leader.as_ref().is_none_or(|(key, _)| key.made_at != made_at) {
            return Ok(self.lost("its key is gone"));
        }
        let ttl = Duration::from_seconds(u32::try_from(ttl_s).unwrap_or(0)).min(self.ttl);
        self.shared.fence.renewed(asked_ms, ttl);
        if let Some(owed) = self.owed.take() {
            self.note(owed).await;
        }
        let is_asked = match seen.wish {
            Some(Wish { host, what: Wanted::Lead }) => host != self.host,
            Some(Wish { host, what: Wanted::Resign }) => host == self.host,
            None => false,
        };
        if is_asked && !self.shared.fence.hands_over() {
            tracing::info!("asked to hand the lead over: no new request is sent");
            self.shared.fence.hand_over();
        }
        Ok((asked_ms + self.renew_ms - steady_ms()).max(1))
    }

    /// Notes the head of the log. Another host's term makes it void.
    async fn note(&mut self, numbered: Numbered) -> bool {
        let Numbered { number, note } = &numbered;
        let Some(&Held { made_at, .. }) = self.held.as_ref() else { return false };
        let then = [wire::put(&self.keys.log, &json(note), 0)];
        match self.gateway.decide(&[wire::was_made_at(&self.keys.leader, made_at)], &then, &[]).await {
            Ok(decided) if decided.succeeded => {
                self.owed = None;
                self.shared.set_note(Some(note.clone()));
                self.shared.set_role(Role::Leading);
                self.shared.fence.note(*number);
                true
            }
            Ok(_) => {
                self.lost("another term has begun");
                false
            }
            Err(error) => {
                self.shared.set_trouble(Some(crate::model::chain(&error).join(": ")));
                self.shared.fence.owe_note(*number);
                self.owed = Some(numbered);
                false
            }
        }
    }

    /// Gives the lease back. If etcd does not hear it, it lapses.
    async fn release(&mut self, left: Option<Left>) {
        let Some(Held { lease, made_at }) = self.held.take() else { return };
        self.shared.fence.lose();
        self.shared.set_role(Role::Standby { leader: None, renewed_ms: None, resigned: left == Some(Left::Resigned) });
        let note = self.shared.note().filter(|note| note.host == self.host);
        let mut then = vec![wire::delete(&self.keys.leader)];
        if let (Some(note), Some(_)) = (note, left) {
            then.push(wire::put(&self.keys.log, &json(&Note { left, ..note }), 0));
        }
        if left == Some(Left::Resigned) && self.is_asked_to_resign().await {
            then.push(wire::delete(&self.keys.wish));
        }
        let ours = [wire::was_made_at(&self.keys.leader, made_at)];
        let decided = self.gateway.decide(&ours, &then, &[]).await;
        let revoked = self.gateway.revoke(lease).await;
        if let Err(error) = decided.map(drop).and(revoked) {
            tracing::warn!(error = %error, "the lease was not given back; it lapses");
        }
        if left.is_none() {
            self.not_before_ms = steady_ms() + AFTER_FAILURE_MS;
        }
    }

    /// A wish that this host leads no more is fulfilled with it; one that another host leads is that host's.
    async fn is_asked_to_resign(&self) -> bool {
        matches!(self.read().await, Ok(Seen { wish: Some(Wish { what: Wanted::Resign, .. }), .. }))
    }

    fn lost(&mut self, why: &str) -> i64 {
        tracing::warn!(why, "the lease is lost: no request is sent");
        self.shared.fence.lose();
        (self.held, self.owed) = (None, None);
        self.shared.set_role(Role::Standby { leader: None, renewed_ms: None, resigned: false });
        0
    }

    async fn read(&self) -> Result<Seen, GatewayError> {
        Seen::of(self.gateway.look(&self.keys.prefix).await?, &self.keys)
    }
}

fn is_left_by(note: Option<&Note>, host: &str, left: Left) -> bool {
    note.is_some_and(|note| note.host == host && note.left == Some(left))
}
