//! Judges a company by the endpoint's own truth. It shares no code with the program.

use super::endpoint::Account;
use super::script::{Answer, Dialogue, Effect, Op, Shows};
use super::{Company, Day, WITNESSES, record};
use rhombus_sync::report::CycleReport;
use rhombus_sync::store::{self, Access};
use std::collections::{BTreeMap, BTreeSet};

/// Calls about one user in one cycle.
const CALLS_MAX: u32 = 12;

pub(super) struct Oracle<'c> {
    company: &'c Company,
    then: Day,
    /// How many effects and events there were before the play.
    effects_before: usize,
    events_before: usize,
    /// Accounts that nobody asked us to manage.
    strangers: BTreeMap<String, Account>,
}

impl<'c> Oracle<'c> {
    pub(super) fn new(company: &'c Company, then: Day) -> Self {
        let endpoint = company.endpoint.borrow();
        let strangers = endpoint.accounts.iter().filter(|(_, one)| one.user_name.starts_with("stranger"));
        Self {
            company,
            then,
            effects_before: endpoint.effects.len(),
            events_before: company.run.events().len(),
            strangers: strangers.map(|(id, one)| (id.clone(), one.clone())).collect(),
        }
    }

    /// What must hold after the cycle in which the dialogues were played.
    pub(super) fn judge_the_cycle(&self, report: &CycleReport) -> Vec<String> {
        let endpoint = self.company.endpoint.borrow();
        let listed: BTreeSet<String> = report
            .outstanding
            .iter()
            .filter_map(|entry| entry.directory_id.as_ref().map(|id| format!("{id}@x.example")))
            .collect();
        let mut faults = Vec::new();
        for (name, dialogue) in &self.company.users {
            let mut fault = |what: String| faults.push(format!("{what}: {dialogue:?} {name}"));
            let calls = endpoint.calls.get(name).copied().unwrap_or_default();
            if calls > CALLS_MAX {
                fault(format!("{calls} calls in the cycle"));
            }
            if excuses(*dialogue, self.then).cycle {
                continue;
            }
            let (is_listed, accounts) = (listed.contains(name), endpoint.of(name));
            match wanted(*dialogue, Day::Played) {
                None if !is_listed && accounts.iter().any(|(_, account)| account.active) => {
                    fault("active, unwanted and unlisted".to_owned());
                }
                Some(given) if !is_listed && !is_as_wanted(&accounts, given) => {
                    fault(format!("wanted as {given}, is {accounts:?} and unlisted"));
                }
                None | Some(_) => {}
            }
        }
        if !listed.is_empty() && report.exit.code() == 0 && report.outstanding.iter().any(|one| one.until.is_none()) {
            let says: Vec<_> = report.outstanding.iter().map(|one| (one.kind.as_str(), one.reason.code())).collect();
            if says.iter().any(|(kind, _)| matches!(*kind, "failed" | "held")) {
                faults.push(format!("exit 0 with {says:?}"));
            }
        }
        faults
    }

    /// What must hold once the endpoint was honest for some cycles.
    pub(super) fn judge_the_end(&self, report: &CycleReport) -> Vec<String> {
        let endpoint = self.company.endpoint.borrow();
        let mut faults = Vec::new();
        let events: Vec<(String, String)> = self.company.run.events()[self.events_before..]
            .iter()
            .filter(|event| event["success"] == true && event["resource"]["type"] == "user")
            .filter(|event| {
                let details = event["message_chain"]["message_details"].as_str().unwrap_or_default();
                !["linked", "the account was inactive already"].contains(&details)
            })
            .map(|event| {
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                (text(&event["event_type"]), text(&event["resource"]["target_id"]))
            })
            .collect();
        for (name, dialogue) in &self.company.users {
            let mut fault = |what: String| faults.push(format!("{what}: {dialogue:?} {name}"));
            let excused = excuses(*dialogue, self.then);
            let accounts = endpoint.of(name);
            if accounts.len() > 1 {
                fault(format!("two accounts: {accounts:?}"));
            }
            if !excused.end {
                match wanted(*dialogue, self.then) {
                    None if accounts.iter().any(|(_, account)| account.active) => {
                        fault(format!("active in the end: {accounts:?}"));
                    }
                    Some(given) if !is_as_wanted(&accounts, given) => {
                        fault(format!("wanted as {given}, is {accounts:?} in the end"));
                    }
                    None | Some(_) => {}
                }
            }
            let is_theirs = |id: &str| id.split('~').next() == Some(name);
            let mut done: Vec<_> =
                endpoint.effects[self.effects_before..].iter().filter(|(_, id)| is_theirs(id)).collect();
            let mut told: Vec<_> = events.iter().filter(|(_, id)| is_theirs(id)).collect();
            done.sort();
            told.sort();
            // A deletion may end as a deactivation, before or after its answer was lost.
            let is_same =
                |done: &str, told: &str| done == told || (dialogue.op == Op::Delete && done != "user_create_provision");
            let same = done.len() == told.len() && done.iter().zip(&told).all(|(done, told)| is_same(done.0, &told.0));
            // Whatever nobody could know, no success is told that was none.
            let made_up = told.len() > done.len() && matches!(dialogue.answer, Answer::Status(400..=499));
            if made_up && dialogue.before != Shows::Gone && dialogue.after != Shows::Gone {
                fault(format!("done {done:?}, but told {told:?}"));
            }
            if !same && !excused.events {
                fault(format!("done {done:?}, told {told:?}"));
            }
        }
        for (id, account) in &self.strangers {
            if endpoint.accounts.get(id) != Some(account) {
                faults.push(format!("a stranger was touched: {account:?}"));
            }
        }
        for id in WITNESSES {
            if !is_as_wanted(&endpoint.of(&format!("{id}@x.example")), "Old") {
                faults.push(format!("{id} is not as wanted"));
            }
        }
        let state = store::open(&self.company.run.path("state.db"), Access::Read).expect("the state opens");
        let open = store::open_intents(&state).expect("intents");
        if !open.is_empty() {
            faults.push(format!("open intents: {open:?}"));
        }
        let unexcused =
            |name: &str| self.company.users.iter().any(|(one, it)| one == name && !excuses(*it, self.then).end);
        for entry in &report.outstanding {
            let name = entry.directory_id.as_ref().map(|id| format!("{id}@x.example")).unwrap_or_default();
            if unexcused(&name) {
                let dialogue = self.company.users.iter().find(|(one, _)| *one == name).map(|(_, dialogue)| dialogue);
                faults.push(format!("listed in the end: {} {} {dialogue:?}", entry.kind.as_str(), entry.reason));
            }
        }
        faults
    }
}

fn wanted(dialogue: Dialogue, day: Day) -> Option<&'static str> {
    record(dialogue, day).filter(|says| !says.contains('+'))
}

fn is_as_wanted(accounts: &[(&String, &Account)], given: &str) -> bool {
    matches!(accounts, [(_, account)] if account.active && account.given == given)
}

/// What nobody can know.
#[derive(Clone, Copy, Default)]
struct Excuses {
    /// That something is not as wanted, in the cycle itself.
    cycle: bool,
    /// The same in the end.
    end: bool,
    /// How often something was done.
    events: bool,
}

fn excuses(dialogue: Dialogue, then: Day) -> Excuses {
    let Dialogue { op, effect, answer, after, before, .. } = dialogue;
    let mut excuses = Excuses::default();
    // Two reads say that it is gone, and another account can be read.
    if after == Shows::Gone || before == Shows::Gone {
        excuses.events = true;
        (excuses.cycle, excuses.end) = (op.removes(), op.removes() || then == Day::Turned);
    }
    // The account is shown as if nothing were left to do.
    if before == Shows::Inactive && op != Op::BringBack {
        (excuses.cycle, excuses.end, excuses.events) = (op.removes(), op.removes(), true);
    }
    excuses.events |= after == Shows::Old && op.removes();
    let is_done_later = matches!(effect, Effect::Soon | Effect::Late);
    // An answer that shows the account as wanted is believed; a refresh finds out.
    if answer == Answer::Good && effect != Effect::Done && !op.removes() {
        (excuses.cycle, excuses.events) = (true, true);
    }
    let is_refused = matches!(answer, Answer::Status(302 | 400..=499 | 501)) || answer == Answer::Throttled;
    if effect != Effect::Not && is_refused {
        match (op, answer) {
            // It ends the cycle, or says that the name was taken, or that nothing was done.
            (Op::Create, Answer::Status(302 | 401 | 409 | 429) | Answer::Throttled) => excuses.events = true,
            // What was there when it was looked up counts.
            (Op::Create, _) => excuses.events |= is_done_later,
            (Op::Adopt | Op::Update | Op::BringBack | Op::Deactivate | Op::Delete, _) => excuses.events = true,
        }
        let is_unseen = is_done_later || matches!(answer, Answer::Status(302 | 401));
        excuses.end |= op == Op::Create && then == Day::Turned && is_unseen;
    }
    // The account stood under another name when the create was sent that lost its answer, and shows as that create made it.
    excuses.events |= before == Shows::OtherName && op == Op::BringBack;
    // It comes after something else was sent, which is told.
    excuses.events |= is_done_later && op != Op::Create;
    excuses
}
