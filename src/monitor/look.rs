//! Looks: what the daemon told, what was counted, and what the state shows, as one value. A look opens the state and closes it
//! again, so that an idle monitor holds nothing; two questions within a moment share one.

use super::{Heartbeat, Place};
use crate::health::{Health, Standing, StateSeen};
use crate::model::{Clock, Moment, chain};
use crate::process::SystemClock;
use crate::report::{SinkStanding, TokenProof};
use crate::store::{self, Access, Glance, SinkPlace, StateError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a look at the state counts as the present.
const PRESENT: Duration = Duration::from_millis(500);

/// Who looks.
pub(super) struct Looker {
    health: watch::Receiver<Arc<Health>>,
    place: watch::Receiver<Arc<Place>>,
    last: Mutex<Last>,
    /// Whether only this machine may ask.
    pub(super) is_local: bool,
}

/// The last look at the state, and what the daemon had told by then.
#[derive(Default)]
struct Last {
    at: Option<(Instant, Arc<Health>)>,
    standing: Standing,
}

impl Looker {
    pub(super) fn new(
        health: watch::Receiver<Arc<Health>>,
        place: watch::Receiver<Arc<Place>>,
        is_local: bool,
    ) -> Self {
        Self { health, place, last: Mutex::default(), is_local }
    }

    /// How everything is now.
    pub(super) fn look(&self) -> (Health, Moment) {
        let place = self.place.borrow().clone();
        let told = self.health.borrow().clone();
        let now = SystemClock.now();
        let health =
            Health { counted: place.meter.counted(), standing: self.standing(&place, &told, now), ..(*told).clone() };
        (health, now)
    }

    pub(super) fn heartbeat(&self) -> Option<Heartbeat> {
        self.place.borrow().heartbeat.clone()
    }

    fn standing(&self, place: &Place, told: &Arc<Health>, now: Moment) -> Standing {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Last { at, standing } = &mut *last;
        // What the daemon has told since goes with a state that is newer, too: the hold of a cycle that just ended.
        let is_present = |(at, before): &(Instant, Arc<Health>)| at.elapsed() < PRESENT && Arc::ptr_eq(before, told);
        if !at.as_ref().is_some_and(is_present) {
            *standing = match glance(place) {
                Ok(seen) => Standing::Seen(Box::new(seen)),
                Err(error) => {
                    let since = if let Standing::Unusable { since, .. } = standing { *since } else { now };
                    Standing::Unusable { since, why: format!("the state cannot be used: {}", chain(&error).join(": ")) }
                }
            };
            *at = Some((Instant::now(), told.clone()));
        }
        standing.clone()
    }
}

fn glance(place: &Place) -> Result<StateSeen, StateError> {
    let reader = store::open(&place.state, Access::Read)?;
    let Glance {
        is_active,
        provisioned_count,
        unmanaged_count,
        last_good_at,
        export_written_at,
        export_users_count,
        hold,
        token,
        health,
        head,
        sinks,
    } = store::glance(&reader)?;
    let sinks = place.sinks.iter().map(|sink| {
        let place = sinks.iter().find(|place| place.name == sink.place()).cloned();
        let place = place.unwrap_or_else(|| SinkPlace::begin(&sink.place()));
        SinkStanding {
            name: sink.name.clone(),
            kind: sink.kind.as_str(),
            delivered: place.delivered,
            pending_count: head.saturating_sub(place.delivered),
            dead_letters: place.dead_letters,
            refused_ever: place.refused_ever,
            error: place.why_stuck().map(str::to_owned),
            since: place.since,
        }
    });
    Ok(StateSeen {
        is_active,
        provisioned_count,
        unmanaged_count,
        managed_since: health.managed_since,
        last_good_at,
        last_cycle_at: health.last_cycle_at,
        failing: health.failing_since.map(|since| (since, health.failing_count, health.failing_why.clone())),
        token_first_proven_at: health.token_first_proven_at,
        token_proven_at: health.token_proven_at,
        token: TokenProof::from_name(token.as_deref()),
        token_refused_since: health.token_refused_since,
        export_written_at,
        export_users_count,
        in_scope_count: health.export_in_scope_count,
        hold,
        sinks: sinks.collect(),
    })
}
