//! Whether the sync is well, and if not, why: for `/healthz` and for the page.

use super::waits::{Waits, without_addresses};
use super::{Health, Idle, Standing, StateSeen};
use crate::model::{Moment, OutstandingKind, command};
use crate::report::{LeadStanding, Ongoing, Red, Sender, Signs, red};

/// How the sync is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nobody must look.
    Well,
    /// Nobody is managed, because an administrator wants it so.
    Deactivated,
    /// Somebody must look.
    Red(Red),
}

impl Health {
    /// How the sync is now. No name and no address is in it.
    #[must_use]
    pub fn verdict(&self, now: Moment) -> Verdict {
        let at_once = |since: Moment, reason: &str| Verdict::Red(Red { since, reason: without_addresses(reason) });
        match (&self.idle, &self.standing) {
            (Some((Idle::Deactivated, _)), Standing::Seen(_) | Standing::NotLooked) => return Verdict::Deactivated,
            (Some((Idle::Standby, _)), _) => return self.as_standby(now),
            (Some((Idle::NoState, why) | (Idle::CannotSend, why)), _) => return at_once(self.idle_since, why),
            (_, Standing::Unusable { since, why }) => return at_once(*since, why),
            (None, Standing::NotLooked | Standing::Seen(_)) => {}
        }
        let Standing::Seen(seen) = &self.standing else { return Verdict::Well };
        if !seen.is_active {
            return Verdict::Deactivated;
        }
        let red = red(&self.signs(seen, now), self.unhealthy_after);
        red.map_or(Verdict::Well, |red| Verdict::Red(Red { reason: without_addresses(&red.reason), ..red }))
    }

    /// A standby is well as long as somebody leads.
    fn as_standby(&self, now: Moment) -> Verdict {
        let for_long = |since: &Moment| now.since_ms(*since) >= self.unhealthy_after.milliseconds();
        let Some(since) = self.nobody_leads_since.filter(for_long) else { return Verdict::Well };
        let reason = match &self.lead {
            Some(LeadStanding::Unknown { .. }) => "etcd does not say who leads",
            Some(
                LeadStanding::Standby { .. }
                | LeadStanding::TakingOver
                | LeadStanding::Leading { .. }
                | LeadStanding::CutOff,
            )
            | None => "this host does not lead, and no other host does",
        };
        Verdict::Red(Red { since, reason: reason.to_owned() })
    }

    fn signs(&self, seen: &StateSeen, now: Moment) -> Signs {
        let sinks = seen.sinks.iter().filter_map(|sink| {
            // What a receiver says may repeat an event, and events name people.
            let what = format!("the sink {} does not go on; to see why: {}", sink.name, command("status"));
            Some(Ongoing { what, since: sink.since.filter(|_| sink.error.is_some())? })
        });
        let failed = |waits: &&Waits| waits.kind == OutstandingKind::Failed && waits.is_pending_removal();
        let removals: Vec<_> = self.waits.iter().filter(failed).filter_map(removal).collect();
        let failing = seen.failing.clone().map(|(since, count, why)| {
            // What was noted for `status` names the user.
            let by_removal =
                removals.first().filter(|_| self.last_cycle.as_ref().is_none_or(|last| last.error.is_empty()));
            (since, count, by_removal.map_or(why, |removal| removal.what.clone()))
        });
        Signs {
            now,
            // Since the start only at first: a daemon that is restarted again and again would never be red.
            managed_since: match seen.last_good_at {
                Some(_) => seen.managed_since,
                None => seen.managed_since.max(self.started_at),
            },
            last_good_at: seen.last_good_at,
            last_cycle_at: seen.last_cycle_at,
            failing,
            token_refused_since: seen.token_refused_since.or(self.token_is_refused.then_some(now)),
            token: seen.token,
            sinks: sinks.collect(),
            removals,
            sender: Sender::Alive,
        }
    }
}

fn removal(waits: &Waits) -> Option<Ongoing> {
    let who = match (&waits.ids[..], waits.count) {
        ([id], 1) => format!("the removal of {id} failed"),
        (_, count) => format!("{count} removals failed"),
    };
    Some(Ongoing { what: format!("{who}: {}", waits.why), since: waits.since? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TokenProof;

    const HOUR_MS: i64 = 3_600_000;
    const NOW: Moment = Moment(1_000 * HOUR_MS);

    /// A daemon that started a second ago, with a state as old as this.
    fn restarted(managed_hours: i64, good_hours: Option<i64>) -> Verdict {
        let ago = |hours: i64| Moment(NOW.0 - hours * HOUR_MS);
        let seen = StateSeen {
            is_active: true,
            provisioned_count: 1,
            unmanaged_count: 0,
            managed_since: ago(managed_hours),
            last_good_at: good_hours.map(ago),
            last_cycle_at: good_hours.map(ago),
            failing: None,
            token_first_proven_at: None,
            token_proven_at: None,
            token: TokenProof::Proven,
            token_refused_since: None,
            export_written_at: None,
            export_users_count: 1,
            in_scope_count: None,
            hold: None,
            sinks: Vec::new(),
        };
        let standing = Standing::Seen(Box::new(seen));
        Health { started_at: Moment(NOW.0 - 1_000), standing, ..Health::default() }.verdict(NOW)
    }

    #[test]
    fn a_restart_gives_new_time_only_before_the_first_good_cycle() {
        for (managed_hours, good_hours, is_red) in
            [(9, Some(2), true), (9, None, false), (9, Some(0), false), (0, None, false), (0, Some(5), false)]
        {
            let verdict = restarted(managed_hours, good_hours);
            assert_eq!(matches!(verdict, Verdict::Red(_)), is_red, "{managed_hours} {good_hours:?}: {verdict:?}");
        }
    }
}
