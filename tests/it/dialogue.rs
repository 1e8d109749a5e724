//! The dialogue about one change, exhausted: an endpoint that is scripted for each user (what it shows before, does, answers and
//! shows after) is honest again afterwards, and the program is judged by the endpoint's own truth. Part of the suite is every
//! n-th dialogue, from a seed that is printed; `RHOMBUS_SYNC_DIALOGUES=all cargo test --test it dialogue::` plays all of them,
//! `RHOMBUS_SYNC_SEED=7` another part.

mod endpoint;
mod oracle;
mod script;

use crate::support::in_process::InProcess;
use endpoint::{Account, Endpoint, account_before, mangle};
use oracle::Oracle;
use rhombus_sync::model::{Duration, UpdateMethod};
use rhombus_sync::report::CycleReport;
use script::{Dialogue, Op};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// Of this many dialogues the suite plays one; of those that must be played alone, one of four times as many.
const SHARE: u64 = 12;
/// Dialogues in one company, and how many of them may leave their user without an answer.
const PARTS_MAX: usize = 48;
const SILENT_MAX: usize = 8;
/// Who can still be read when an account is gone.
const WITNESSES: [&str; 8] = ["a0", "a1", "a2", "a3", "w0", "w1", "w2", "w3"];

/// Which export is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Day {
    First,
    Suspended,
    Played,
    /// What is wanted turned meanwhile.
    Turned,
}

/// What the export of a day says of a user: a given name, with a flag; nothing if it lacks the user.
fn record(dialogue: Dialogue, day: Day) -> Option<&'static str> {
    match (day, dialogue.op) {
        (Day::First | Day::Suspended, Op::Create | Op::Adopt) => None,
        (Day::First, _) => Some("Old"),
        (Day::Suspended, Op::BringBack) => Some("Old +suspended"),
        (Day::Suspended, _) => Some("Old"),
        (Day::Played, Op::Create | Op::Adopt | Op::Update) => Some("New"),
        (Day::Played, Op::BringBack) => Some("Old"),
        (Day::Played, Op::Deactivate) => Some("Old +suspended"),
        (Day::Played, Op::Delete) => None,
        (Day::Turned, Op::Create | Op::Adopt) => None,
        (Day::Turned, Op::Update) => Some("Other"),
        (Day::Turned, Op::BringBack) => Some("Old +suspended"),
        (Day::Turned, Op::Deactivate | Op::Delete) => Some("Old"),
    }
}

/// One company: its endpoint, and a user for each dialogue.
struct Company {
    run: InProcess,
    endpoint: Rc<RefCell<Endpoint>>,
    users: Vec<(String, Dialogue)>,
}

impl Company {
    fn new(dialogues: &[Dialogue]) -> Self {
        let mut run = InProcess::in_memory();
        run.settings.settle_time = Duration::from_seconds(60);
        run.update_method.set(dialogues[0].method);
        let endpoint: Rc<RefCell<Endpoint>> = Rc::default();
        let name = |(place, dialogue): (usize, &Dialogue)| (format!("u{place:03}@x.example"), *dialogue);
        let users: Vec<_> = dialogues.iter().enumerate().map(name).collect();
        let stranger = Account {
            user_name: "stranger@x.example".to_owned(),
            external_id: None,
            given: "Old".to_owned(),
            active: true,
        };
        endpoint.borrow_mut().add(stranger);
        let ears = endpoint.clone();
        run.accounts.borrow_mut().refuse = Some(Rc::new(move |request| Some(ears.borrow_mut().call(request))));
        *run.mangle.borrow_mut() = Rc::new(mangle);
        Self { run, endpoint, users }
    }

    fn cycle(&self, day: Day) -> CycleReport {
        let users = self.users.iter().filter_map(|(name, dialogue)| {
            let id = name.split('@').next().unwrap_or_default();
            record(*dialogue, day).map(|says| format!("{id} {name} {says}"))
        });
        let witnesses = WITNESSES.iter().map(|id| format!("{id} {id}@x.example Old"));
        self.run.run_whole(&users.chain(witnesses).collect::<Vec<_>>().join("|"))
    }

    fn later(&self, seconds: i64) {
        self.run.clock.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// Plays all dialogues, and answers what went wrong.
    fn play(&self, then: Day) -> Vec<String> {
        self.cycle(Day::First);
        if self.users.iter().any(|(_, dialogue)| dialogue.op == Op::BringBack) {
            self.cycle(Day::Suspended);
        }
        for (name, dialogue) in &self.users {
            if let Some(account) = account_before(*dialogue, name) {
                self.endpoint.borrow_mut().add(account);
            }
        }
        let oracle = Oracle::new(self, then);
        self.endpoint.borrow_mut().play(self.users.iter().cloned().collect());
        let report = self.cycle(Day::Played);
        let mut faults = oracle.judge_the_cycle(&report);
        self.endpoint.borrow_mut().end_play();
        for seconds in [61, 400, 1_000] {
            self.later(seconds);
            self.cycle(then);
        }
        self.run.refresh.set(true);
        self.cycle(then);
        self.run.refresh.set(false);
        self.later(400);
        self.cycle(then);
        let report = self.cycle(then);
        faults.extend(oracle.judge_the_end(&report));
        faults
    }
}

/// Companies of dialogues that can be played together.
fn companies(dialogues: Vec<Dialogue>) -> Vec<Vec<Dialogue>> {
    let mut companies: Vec<Vec<Dialogue>> = Vec::new();
    for method in [UpdateMethod::Patch, UpdateMethod::Put] {
        let of_method: Vec<_> = dialogues.iter().copied().filter(|one| one.method == method).collect();
        companies.extend(of_method.iter().filter(|one| one.is_loud()).map(|one| vec![*one]));
        let mut silent: Vec<_> = of_method.iter().copied().filter(|one| !one.is_loud() && one.is_silent()).collect();
        let mut others: Vec<_> = of_method.iter().copied().filter(|one| !one.is_loud() && !one.is_silent()).collect();
        while !silent.is_empty() || !others.is_empty() {
            let mut company: Vec<_> = silent.drain(..silent.len().min(SILENT_MAX)).collect();
            company.extend(others.drain(..others.len().min(PARTS_MAX - company.len())));
            companies.push(company);
        }
    }
    companies
}

fn seed() -> u64 {
    std::env::var("RHOMBUS_SYNC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// The dialogues of this run: all, or the part that a seed says.
fn chosen() -> Vec<Dialogue> {
    let all = script::all();
    if std::env::var("RHOMBUS_SYNC_DIALOGUES").is_ok_and(|which| which == "all") {
        return all;
    }
    // Neighbours differ in one thing, so the part is spread over them.
    let mixed = |place: usize| (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ seed();
    all.into_iter()
        .enumerate()
        .filter(|(place, dialogue)| {
            let share = if dialogue.is_loud() { 4 * SHARE } else { SHARE };
            (mixed(*place).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32).is_multiple_of(share)
        })
        .map(|(_, dialogue)| dialogue)
        .collect()
}

#[test]
fn whatever_is_answered_about_a_change_is_told_as_it_is_and_settled() {
    let dialogues = chosen();
    let count = dialogues.len();
    eprintln!("{count} dialogues, RHOMBUS_SYNC_SEED={}", seed());
    assert!(count > 1_000, "only {count} dialogues");
    let companies = companies(dialogues);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut faults = Vec::new();
        while let Some(company) = companies.get(next.fetch_add(1, Ordering::SeqCst)) {
            let then = if company.len() % 2 == 0 { Day::Played } else { Day::Turned };
            let both = if company.len() == 1 { vec![Day::Played, Day::Turned] } else { vec![then] };
            for then in both {
                faults.extend(Company::new(company).play(then));
            }
        }
        faults
    };
    let faults: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
