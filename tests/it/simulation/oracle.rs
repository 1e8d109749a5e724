//! The one oracle of the simulation: it knows the endpoint's truth and what each export said, and shares no code with the program.

use super::endpoint::{Account, Endpoint};
use super::people::{People, Says};
use crate::support::in_process::InProcess;
use rhombus_sync::model::OutstandingKind;
use rhombus_sync::report::CycleReport;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The guard's window, in milliseconds.
const WINDOW_MS: i64 = 86_400_000;
/// What the guard lets through of one kind of removal, in the seeds that have one: a number, or a tenth.
pub(super) const REMOVALS_FREE: u32 = 2;

#[derive(Default)]
pub(super) struct Oracle {
    /// Effects that were judged.
    seen_count: usize,
    /// Whose removal a person released.
    pub(super) approved: BTreeSet<String>,
    /// Removals that nobody released: when, by whose word.
    removals: Vec<(i64, bool)>,
    pub(super) faults: Vec<String>,
}

impl Oracle {
    fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// What was done since the last time, and what the report of a cycle does not say.
    pub(super) fn judge_cycle(
        &mut self,
        people: &People,
        endpoint: &mut Endpoint,
        (report, guarded): (Option<&CycleReport>, bool),
    ) {
        self.faults.append(&mut endpoint.broken);
        let new: Vec<_> = endpoint.effects[self.seen_count..].to_vec();
        self.seen_count = endpoint.effects.len();
        for effect in new.iter().filter(|effect| effect.removes()) {
            self.judge_removal(people, effect, guarded);
        }
        for effect in &new {
            if people.owner(&effect.user_name).is_none() {
                self.fault(format!("a stranger was touched: {effect:?}"));
            }
            let placed = &people.placed[effect.export];
            if !placed.usable && !effect.removes() {
                self.fault(format!("{effect:?} under an export that must be rejected"));
            }
        }
        if let Some(report) = report.filter(|report| report.error.is_empty()) {
            self.judge_report(people, endpoint, report);
        }
    }

    /// Promises 2 and 3, and the guard's budget.
    fn judge_removal(&mut self, people: &People, effect: &super::endpoint::Effect, guarded: bool) {
        let Some(id) = people.owner(&effect.user_name) else { return };
        let placed = &people.placed[effect.export];
        if !placed.usable {
            return self.fault(format!("P2: {effect:?} under an export that must be rejected"));
        }
        let is_absent = match placed.says.get(id) {
            Some(Says::Wanted { .. }) => return self.fault(format!("P3: {id} is wanted and removed: {effect:?}")),
            Some(Says::Unusable) => return self.fault(format!("P2: {id}'s record is unusable: {effect:?}")),
            Some(Says::Suspended) => false,
            Some(Says::Out) => true,
            None => {
                let before = people.placed[..effect.export].iter().rev().find(|placed| placed.usable);
                let seen_before = before.is_some_and(|before| before.says.contains_key(id));
                if placed.by_lines && seen_before {
                    return self.fault(format!("P2: {id} is removed after one unproven sighting: {effect:?}"));
                }
                true
            }
        };
        if guarded && !self.approved.contains(id) {
            self.removals.push((effect.at, is_absent));
            let since = effect.at - WINDOW_MS;
            let spent = self.removals.iter().filter(|(at, absent)| *at > since && *absent == is_absent).count();
            let limit = (people.ids().count() / 10).max(REMOVALS_FREE as usize);
            if spent > limit {
                self.fault(format!("the guard let {spent} removals through in a day, limit {limit}"));
            }
        }
    }

    /// Promise 11: whoever is not as the export wants is listed.
    fn judge_report(&mut self, people: &People, endpoint: &Endpoint, report: &CycleReport) {
        let listed: BTreeSet<&str> =
            report.outstanding.iter().filter_map(|one| one.directory_id.as_ref()).map(|id| id.as_str()).collect();
        let Some(placed) = people.placed.last() else { return };
        if endpoint.is_owed_requests() || !placed.usable {
            return;
        }
        for id in people.ids().filter(|id| !listed.contains(id.as_str())) {
            let accounts = accounts_of(people, endpoint, id);
            if accounts.iter().any(|(id, _)| endpoint.touched.contains(*id)) || endpoint.touched_people.contains(id) {
                continue;
            }
            let active: Vec<_> = accounts.iter().filter(|(_, account)| account.active).collect();
            match placed.says.get(id) {
                Some(Says::Wanted { given, family }) => {
                    let is_right = |account: &Account| account.given == *given && account.family == *family;
                    if active.len() != 1 || !is_right(active[0].1) {
                        self.fault(format!(
                            "P11: {id} is wanted as {given:?} {family:?}, is {accounts:?}, and not listed"
                        ));
                    }
                }
                Some(Says::Unusable) => self.fault(format!("P11: {id}'s record is unusable and not listed")),
                Some(Says::Suspended | Says::Out) | None if !active.is_empty() => {
                    self.fault(format!("P11: {id} is not wanted, is {accounts:?}, and not listed"));
                }
                Some(Says::Suspended | Says::Out) | None => {}
            }
        }
    }

    /// Everything, once the world has been honest for a while.
    pub(super) fn judge_end(&mut self, people: &People, endpoint: &Endpoint, run: &InProcess, report: &CycleReport) {
        let events = run.events();
        let said = |event: &Value| event["message_chain"]["message_details"].as_str().unwrap_or_default().to_owned();
        let told = |event: &&Value| event["success"] == true && event["resource"]["type"] == "user";
        let linked: BTreeSet<String> = events
            .iter()
            .filter(|event| told(event) && ["linked", "relinked"].contains(&said(event).as_str()))
            .map(|event| event["resource"]["target_id"].as_str().unwrap_or_default().to_owned())
            .collect();
        for one in &report.outstanding {
            if !matches!(one.kind, OutstandingKind::Refused | OutstandingKind::Kept) {
                self.fault(format!(
                    "in the end somebody is {}: {:?} {}",
                    one.kind.as_str(),
                    one.directory_id,
                    one.reason
                ));
            }
        }
        if !report.error.is_empty() {
            self.fault(format!("in the end a cycle fails: {:?}", report.error));
        }
        let refused: BTreeSet<&str> =
            report.outstanding.iter().filter_map(|one| one.directory_id.as_ref()).map(|id| id.as_str()).collect();
        let by_hand = |account: &str| endpoint.touched.contains(account) && !linked.contains(account);
        let Some(placed) = people.placed.last() else { return };
        for id in people.ids() {
            let accounts = accounts_of(people, endpoint, id);
            let active: Vec<_> = accounts.iter().filter(|(_, account)| account.active).collect();
            match placed.says.get(id) {
                Some(Says::Wanted { given, family }) => {
                    let is_right = |account: &Account| account.given == *given && account.family == *family;
                    // Beside it there may be one that somebody made by hand under another name of theirs.
                    let ours: Vec<_> = active.iter().filter(|(_, account)| is_right(account)).collect();
                    let more = active.iter().filter(|(account, _)| !by_hand(account)).count() > 1;
                    if ours.len() != 1 || (more && !refused.contains(id.as_str())) {
                        self.fault(format!("in the end {id} is wanted as {given:?} {family:?}, is {accounts:?}"));
                    }
                }
                Some(Says::Unusable) => self.fault(format!("{id}'s record is unusable in the end")),
                Some(Says::Suspended | Says::Out) | None => {
                    if active.iter().any(|(account, _)| !by_hand(account)) {
                        self.fault(format!("in the end {id} is not wanted, is {accounts:?}"));
                    }
                }
            }
        }
        let changes: Vec<_> = events.iter().filter(told).filter(|event| is_change(&said(event))).collect();
        self.judge_events(endpoint, &changes);
    }

    /// Promise 4: accepted changes and success events, one to one. Accounts that were edited by hand are left out: nobody can
    /// know what was accepted of a change whose answer was lost and whose effect somebody undid.
    fn judge_events(&mut self, endpoint: &Endpoint, events: &[&Value]) {
        let mut counts: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
        for event in events {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = (text(&event["resource"]["target_id"]), text(&event["event_type"]));
            counts.entry(key).or_default().0 += 1;
        }
        for effect in &endpoint.effects {
            counts.entry((effect.id.clone(), effect.event_type.to_owned())).or_default().1 += 1;
        }
        for ((id, event_type), (told, done)) in counts {
            if told != done && !endpoint.touched.contains(&id) {
                self.fault(format!("P4: {event_type} of {id} was done {done} times and told {told} times"));
            }
        }
    }
}

/// An event of a link, or of an account that was as wanted, tells no change.
fn is_change(details: &str) -> bool {
    !["linked", "relinked", "the account was inactive already"].contains(&details)
}

fn accounts_of<'e>(people: &People, endpoint: &'e Endpoint, id: &str) -> Vec<(&'e String, &'e Account)> {
    let names = people.usernames(id);
    endpoint.accounts.iter().filter(|(_, account)| names.contains(account.user_name.to_lowercase().as_str())).collect()
}
