//! Promises 2, 3, 5, 9 and 10 over generated snapshots, exports, configurations and histories, judged by an oracle that
//! shares no code with the plan. A failing case is shrunk, and prints itself as a case for tests/golden_plans.rs.
//! `RHOMBUS_SYNC_CASES=1000000 cargo test --test properties` walks through more of them.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rhombus_sync::model::{
    Action, Cause, Change, ChangeKey, ClockDoubt, DirectoryId, DirectoryUser, FieldName, GuardKind, InDoubt, Moment,
    Names, OnDrift, Proof, ProvisionedUser, RawGroups, RawValue, Removals, ScimId, UserName,
};
use rhombus_sync::plan::{
    ApprovedPlan, Comparison, DuplicateFinder, Duplicates, Inputs, Ledger, Limits, Policy, Scope, ScopeVersion,
    ScopeVersions, Whole, approve,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many cases the suite walks through.
const CASES: u32 = 100_000;
const IDS: [&str; 7] = ["a", "b", "c", "d", "e", "f", ""];
/// The first four belong to nobody twice; then other forms of the same names, a protected one, and one that is none.
const NAMES: [&str; 8] = [
    "a@x.example",
    "b@x.example",
    "c@x.example",
    "stra\u{df}e@x.example",
    "A@x.example",
    "STRASSE@x.example",
    "root@x.example",
    "none",
];
const GIVEN: [Option<&str>; 4] = [None, Some(""), Some("G"), Some("H")];

#[derive(Clone, Debug)]
struct Row {
    id: usize,
    name: usize,
    given: usize,
    active: bool,
    earlier: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Says {
    Active,
    Suspended,
    Staged,
    Out,
    NoGroups,
    BadState,
}

#[derive(Clone, Debug)]
struct Record {
    id: usize,
    name: usize,
    given: usize,
    says: Says,
}

#[derive(Clone, Debug)]
struct Case {
    rows: Vec<Row>,
    records: Vec<Record>,
    proof: bool,
    absent_before: u8,
    in_doubt: u8,
    approved: u8,
    keeps: (bool, bool),
    by_groups: bool,
    earlier_scope: usize,
    earlier_source: bool,
    limits: [(u32, u32, u32); 4],
    spent: [u32; 4],
    first_load: bool,
    clock_is_wrong: bool,
}

fn any_case() -> impl Strategy<Value = Case> {
    let row = (0..6_usize, 0..7_usize, 0..4_usize, prop::bool::weighted(0.9), prop::bool::weighted(0.3))
        .prop_map(|(id, name, given, active, earlier)| Row { id, name, given, active, earlier });
    let says = prop_oneof![
        8 => Just(Says::Active), 3 => Just(Says::Suspended), 1 => Just(Says::Staged), 1 => Just(Says::Out),
        1 => Just(Says::NoGroups), 1 => Just(Says::BadState)
    ];
    let record =
        (0..7_usize, 0..8_usize, 0..4_usize, says).prop_map(|(id, name, given, says)| Record { id, name, given, says });
    let limit = || prop_oneof![(0..4_u32, 0..60_u32, 0..6_u32), Just((9_u32, 100_u32, 9_u32))];
    let history = (any::<bool>(), any::<u8>(), prop::bits::u8::masked(0b11), any::<u8>());
    let policy = (any::<(bool, bool)>(), prop::bool::weighted(0.8), 0..4_usize, any::<bool>());
    let guard = ([limit(), limit(), limit(), limit()], [0..3_u32, 0..3, 0..3, 0..3], prop::bool::weighted(0.3));
    (
        prop::collection::vec(row, 0..6),
        prop::collection::vec(record, 0..8),
        history,
        policy,
        guard,
        prop::bool::weighted(0.05),
    )
        .prop_map(|(rows, records, history, policy, guard, clock_is_wrong)| {
            let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
            // No two accounts of ours share an id or a username: the state and Rhombus see to that.
            let fresh = |row: &Row| ids.insert(row.id) && names.insert(UserName::of_account(NAMES[row.name]).folded());
            let rows: Vec<_> = rows.into_iter().filter(fresh).collect();
            let (proof, absent_before, in_doubt, approved) = history;
            let (keeps, by_groups, earlier_scope, earlier_source) = policy;
            let (limits, spent, first_load) = guard;
            Case {
                rows,
                records,
                proof,
                absent_before,
                in_doubt,
                approved,
                keeps,
                by_groups,
                earlier_scope,
                earlier_source,
                limits,
                spent,
                first_load,
                clock_is_wrong,
            }
        })
}

fn set(mask: u8, place: usize) -> bool {
    mask & (1 << place) != 0
}

impl Case {
    fn scope_version(&self, earlier: bool) -> String {
        let groups: &[&str] = match (earlier, self.earlier_scope) {
            (false, _) if self.by_groups => &["R"],
            (true, 0 | 3) => &["R"],
            (true, 1) => &["Other"],
            (false | true, _) => &[],
        };
        let protected = if earlier && self.earlier_scope == 3 { "a@x.example" } else { "root@x.example" };
        let path = if earlier && self.earlier_source { "other" } else { "directory" };
        serde_json::json!({"directory": {"path": path}, "scope": {"groups": groups, "protected": [protected]}})
            .to_string()
    }

    fn row(&self, row: &Row) -> ProvisionedUser {
        ProvisionedUser {
            row: row.id as i64,
            directory_id: DirectoryId::new(IDS[row.id]),
            scim_id: ScimId::new(format!("scim-{}", IDS[row.id])),
            user_name: UserName::of_account(NAMES[row.name]),
            names: Names { given: GIVEN[row.given].map(Into::into), family: None },
            active: row.active,
            foreign: false,
            settings: if row.earlier { 1 } else { 2 },
            futile_count: 0,
            futile_wanted: None,
        }
    }

    fn user(record: &Record) -> DirectoryUser<'static> {
        let text = |text: &'static str| RawValue::Text(text.into());
        let mut user = DirectoryUser {
            id: text(IDS[record.id]),
            username: text(NAMES[record.name]),
            firstname: GIVEN[record.given].map_or(RawValue::Absent, text),
            groups: RawGroups::Listed(vec!["R".into(), "Everyone".into()]),
            ..DirectoryUser::default()
        };
        match record.says {
            Says::Active => {}
            Says::Suspended => user.suspended = RawValue::Flag(true),
            Says::Staged => user.state = text("STAGED"),
            Says::Out => user.groups = RawGroups::Listed(vec!["Everyone".into()]),
            Says::NoGroups => user.groups = RawGroups::Absent,
            Says::BadState => user.state = text("GONE"),
        }
        user
    }

    fn key(action: Action, id: &str) -> ChangeKey {
        let scim_id = (action != Action::Create).then(|| ScimId::new(format!("scim-{id}")));
        ChangeKey { action, directory_id: DirectoryId::new(id), scim_id }
    }

    fn ledger(&self) -> Ledger {
        let mut ledger =
            Ledger { provisioned_count: self.rows.len() as u64, first_load: self.first_load, ..Ledger::default() };
        for (place, kind) in GuardKind::ALL.into_iter().enumerate() {
            let (count_free, percent_max, count_max) = self.limits[place];
            ledger.limits.insert(kind, Limits { count_free, percent_max, count_max });
            let spent = (0..self.spent[place]).map(|n| Self::key(Action::Update, &format!("past-{n}"))).collect();
            ledger.spent.insert(kind, spent);
        }
        for (place, id) in IDS.iter().enumerate().filter(|(place, _)| set(self.approved, *place)) {
            let action = [Action::Delete, Action::Deactivate, Action::Create, Action::Update][place % 4];
            ledger.approved.insert(Self::key(action, id));
        }
        ledger.removals_stopped = self.clock_is_wrong.then_some(ClockDoubt::BehindLog(61));
        ledger
    }

    fn inputs(&self, doubled: Duplicates) -> Inputs {
        let ids = |mask: u8| IDS[..6].iter().enumerate().filter(move |(place, _)| set(mask, *place)).map(|(_, id)| *id);
        let in_doubt = |id: &&str| !self.rows.iter().any(|row| IDS[row.id] == *id);
        let removal = |keeps, removal| if keeps { Removals::Keep } else { removal };
        let groups = if self.by_groups { vec!["R".to_owned()] } else { Vec::new() };
        let scope_versions = [(1, self.scope_version(true)), (2, self.scope_version(false))];
        Inputs {
            now: Moment(1_000_000),
            scope: Scope::new(&groups, &["root@x.example".to_owned()]),
            policy: Policy {
                on_suspended: removal(self.keeps.0, Removals::Deactivate),
                on_removed: removal(self.keeps.1, Removals::Delete),
                on_drift: OnDrift::Repair,
            },
            failed: BTreeMap::new(),
            in_doubt: ids(self.in_doubt)
                .filter(in_doubt)
                .map(|id| {
                    let user_name = UserName::of_account(&format!("doubt-{id}@x.example"));
                    (
                        DirectoryId::new(id),
                        InDoubt { action: Action::Create, user_name, until: Moment(2_000_000), again: None },
                    )
                })
                .collect(),
            seen: BTreeMap::new(),
            absences: ids(self.absent_before).map(|id| (DirectoryId::new(id), Moment(1))).collect(),
            doubled,
            scope_versions: ScopeVersions {
                present: 2,
                known: scope_versions
                    .into_iter()
                    .filter_map(|(n, json)| Some((n, ScopeVersion::from_json(&json)?)))
                    .collect(),
            },
        }
    }

    /// The plan, with the records in this order.
    fn plan(&self, order: &dyn Fn(Vec<Record>) -> Vec<Record>) -> ApprovedPlan {
        let records = order(self.records.clone());
        let mut duplicate_finder = DuplicateFinder::default();
        records.iter().for_each(|record| duplicate_finder.note(&Self::user(record)));
        if duplicate_finder.nominate() {
            records.iter().for_each(|record| duplicate_finder.look(&Self::user(record)));
        }
        let mut comparison = Comparison::new(self.inputs(duplicate_finder.doubled()));
        for record in &records {
            let (user, row) =
                (Self::user(record), self.rows.iter().find(|row| row.id == record.id).map(|row| self.row(row)));
            if !row.as_ref().is_some_and(|row| comparison.is_met(&user, &row.row_view())) {
                comparison.record(&user, row.as_ref());
            }
        }
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.id);
        for row in rows.iter().filter(|row| !records.iter().any(|record| record.id == row.id)) {
            comparison.missing(&self.row(row));
        }
        let proof = if self.proof { Proof::Whole } else { Proof::Unproven };
        let plan = comparison.finish(Whole { proof, written_at: Moment(9) }, &mut |folded| {
            self.rows.iter().map(|row| self.row(row)).find(|row| row.user_name.folded() == folded)
        });
        approve(plan, &self.ledger())
    }

    /// The case as a golden plan's two texts, with what a golden case sets by hand.
    fn golden(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                format!("{} {} {}", IDS[row.id], NAMES[row.name], GIVEN[row.given].unwrap_or_default())
                    .trim_end()
                    .to_owned()
            })
            .collect();
        let records: Vec<_> = self
            .records
            .iter()
            .map(|record| {
                let mut user = serde_json::json!({"_id": IDS[record.id], "username": NAMES[record.name], "groups": ["R", "Everyone"]});
                if let Some(given) = GIVEN[record.given] {
                    user["firstname"] = given.into();
                }
                match record.says {
                    Says::Active => {}
                    Says::Suspended => user["suspended"] = true.into(),
                    Says::Staged => user["state"] = "STAGED".into(),
                    Says::Out => user["groups"] = serde_json::json!(["Everyone"]),
                    Says::NoGroups => drop(user.as_object_mut().and_then(|user| user.remove("groups"))),
                    Says::BadState => user["state"] = "GONE".into(),
                }
                user.to_string()
            })
            .collect();
        format!("plan_of({:?}, &array({:?}), |settings| {{ /* {self:?} */ }})", rows.join("|"), records.join("|"))
    }
}

/// What the contract says of each record, written anew.
struct Oracle<'c> {
    case: &'c Case,
}

impl Oracle<'_> {
    fn in_scope(&self, record: &Record, groups: &[&str]) -> Option<bool> {
        match record.says {
            _ if groups.is_empty() => Some(true),
            Says::NoGroups => None,
            Says::Out => Some(groups.contains(&"Everyone")),
            Says::Active | Says::Suspended | Says::Staged | Says::BadState => Some(groups.contains(&"R")),
        }
    }

    fn groups(&self) -> &'static [&'static str] {
        if self.case.by_groups { &["R"] } else { &[] }
    }

    /// Unusable by itself, or because of another record.
    fn unusable(&self, record: &Record) -> bool {
        let twin = |other: &&Record| {
            other.id != record.id
                && other.id != 6
                && caseless_key(NAMES[other.name]) == caseless_key(NAMES[record.name])
        };
        record.id == 6
            || NAMES[record.name] == "none"
            || record.says == Says::BadState
            || self.in_scope(record, self.groups()).is_none()
            || self.case.records.iter().filter(|other| other.id == record.id).count() > 1
            || self.case.records.iter().find(twin).is_some()
    }

    fn wanted(&self, record: &Record) -> bool {
        !self.unusable(record)
            && self.in_scope(record, self.groups()) == Some(true)
            && !matches!(record.says, Says::Suspended | Says::Staged)
    }

    /// A record that names nobody and could be in scope.
    fn nobody(&self) -> bool {
        self.case.records.iter().any(|record| {
            record.id == 6
                && self.in_scope(record, self.groups()) != Some(false)
                && !self.case.rows.iter().any(|row| folded(NAMES[row.name]) == folded(NAMES[record.name]))
        })
    }

    fn judge(&self, plan: &ApprovedPlan) -> Result<(), String> {
        let ledger = self.case.ledger();
        let changes: Vec<_> = plan.changes().collect();
        let mut seen = BTreeSet::new();
        for change in &changes {
            let id = change.directory_id().as_str();
            seen.insert(id.to_owned()).then_some(()).ok_or(format!("{id} is changed twice"))?;
            let row = self.case.rows.iter().find(|row| IDS[row.id] == id);
            let records: Vec<_> = self.case.records.iter().filter(|record| IDS[record.id] == id).collect();
            let names = row.iter().map(|row| NAMES[row.name]).chain(records.iter().map(|record| NAMES[record.name]));
            if row.is_none() || records.len() == 1 || change.action().removes() {
                names
                    .clone()
                    .all(|name| name != "root@x.example")
                    .then_some(())
                    .ok_or(format!("P9: {id} is protected"))?;
            }
            match change {
                Change::Create { user, after_removal_of, .. } => {
                    row.is_none().then_some(()).ok_or(format!("{id} is linked and created"))?;
                    records
                        .iter()
                        .any(|record| self.wanted(record))
                        .then_some(())
                        .ok_or(format!("{id} is not wanted"))?;
                    let holder = self.case.rows.iter().find(|row| folded(NAMES[row.name]) == user.user_name.folded());
                    let freed = holder.is_none_or(|holder| {
                        after_removal_of.as_ref().is_some_and(|after| after.as_str() == IDS[holder.id])
                            && changes
                                .iter()
                                .any(|c| c.action().removes() && c.directory_id().as_str() == IDS[holder.id])
                    });
                    freed.then_some(()).ok_or(format!("{id} takes a username that an account still carries"))?;
                }
                Change::Update { user_name, .. } => {
                    let row = row.ok_or(format!("{id} is not ours"))?;
                    let named = change.fields().iter().any(|field| field.name == FieldName::UserName);
                    (!named && user_name.as_str() == NAMES[row.name]).then_some(()).ok_or(format!("P5: {id}"))?;
                    records
                        .iter()
                        .any(|record| self.wanted(record))
                        .then_some(())
                        .ok_or(format!("{id} is not wanted"))?;
                }
                Change::Remove { cause, .. } => {
                    let row = row.ok_or(format!("{id} is not ours"))?;
                    self.removal(row, &records, *cause, ledger.approved.contains(&change.key()))?;
                }
            }
        }
        self.limits(&changes, &ledger)
    }

    fn removal(&self, row: &Row, records: &[&Record], cause: Cause, approved: bool) -> Result<(), String> {
        let id = IDS[row.id];
        if self.case.clock_is_wrong {
            return Err(format!("{id} is removed while the clock is wrong"));
        }
        if records.iter().any(|record| self.unusable(record)) {
            return Err(format!("P2: {id} has an unusable record and is removed"));
        }
        if records.iter().any(|record| self.wanted(record)) {
            return Err(format!("P3: {id} is wanted and removed"));
        }
        // A record whose id nobody of ours has stands for the user with its username.
        let by_name = |record: &&Record| {
            folded(NAMES[record.name]) == folded(NAMES[row.name])
                && !self.case.rows.iter().any(|row| row.id == record.id)
                && self.unusable(record)
        };
        if let (true, Some(_)) = (records.is_empty(), self.case.records.iter().find(by_name)) {
            return Err(format!("P2: an unusable record stands for {id} by its username"));
        }
        if records.is_empty() {
            if self.nobody() {
                return Err(format!("P2: a record names nobody, and {id} is removed as absent"));
            }
            if !self.case.proof && !set(self.case.absent_before, row.id) {
                return Err(format!("P2: {id} is removed after one unproven sighting"));
            }
        }
        let asked_by_us = row.earlier
            && match records.first() {
                None => self.case.earlier_source || (self.case.earlier_scope == 3 && NAMES[row.name] == "a@x.example"),
                Some(record) => {
                    let groups: &[&str] = match self.case.earlier_scope {
                        0 | 3 => &["R"],
                        1 => &["Other"],
                        _ => &[],
                    };
                    let stated = matches!(record.says, Says::Suspended | Says::Staged);
                    let unprotected = self.case.earlier_scope != 3
                        || (folded(NAMES[row.name]) != "a@x.example" && folded(NAMES[record.name]) != "a@x.example");
                    let scope = self.in_scope(record, groups);
                    let asked = scope == Some(false) || (stated && scope.is_some());
                    !(asked && (unprotected && (self.case.earlier_scope == 3 || !root(row, record))))
                }
            };
        if asked_by_us && !approved {
            return Err(format!("the configuration removes {id} ({cause:?}) without approval"));
        }
        Ok(())
    }

    fn limits(&self, changes: &[&Change], ledger: &Ledger) -> Result<(), String> {
        for (place, kind) in GuardKind::ALL.into_iter().enumerate() {
            let count = changes
                .iter()
                .filter(|change| change.guard_kind() == kind && !ledger.approved.contains(&change.key()))
                .count() as u64;
            let (free, percent, most) = self.case.limits[place];
            let share = self.case.rows.len() as u64 * u64::from(percent) / 100;
            let limit = share.max(u64::from(free)).min(u64::from(most));
            let exempt = kind == GuardKind::Create && self.case.first_load;
            if !exempt && count > 0 && count + u64::from(self.case.spent[place]) > limit {
                return Err(format!("{count} of {kind:?} pass a limit of {limit}"));
            }
        }
        let removed = changes.iter().filter(|change| change.action().removes()).collect::<Vec<_>>();
        let all_approved = removed.iter().all(|change| ledger.approved.contains(&change.key()));
        if !removed.is_empty() && removed.len() >= self.case.rows.len() && !all_approved {
            return Err("everybody is removed".to_owned());
        }
        Ok(())
    }
}

fn root(row: &Row, record: &Record) -> bool {
    NAMES[row.name] == "root@x.example" || NAMES[record.name] == "root@x.example"
}

fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// NFKC case folding of the names in use.
fn caseless_key(name: &str) -> String {
    name.to_lowercase().replace('\u{df}', "ss")
}

#[test]
fn no_case_breaks_a_promise() {
    let cases = std::env::var("RHOMBUS_SYNC_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    let result = {
        let kinds = std::cell::RefCell::new(&mut kinds);
        runner.run(&any_case(), |case| {
            let plan = case.plan(&|records| records);
            for change in plan.changes() {
                *kinds.borrow_mut().entry(change.action().as_str().to_owned()).or_default() += 1;
            }
            *kinds.borrow_mut().entry("held".to_owned()).or_default() += plan.held().len() as u32;
            Oracle { case: &case }.judge(&plan).map_err(TestCaseError::fail)?;
            let backwards = case.plan(&|mut records| {
                records.reverse();
                records
            });
            prop_assert_eq!(plan.digest(), backwards.digest(), "P10: another order, another plan");
            Ok(())
        })
    };
    if let Err(proptest::test_runner::TestError::Fail(reason, case)) = &result {
        panic!("{reason}\na golden case:\n{}", case.golden());
    }
    result.expect("every case was judged");
    for kind in ["create", "update", "deactivate", "delete", "held"] {
        let count = kinds.get(kind).copied().unwrap_or(0);
        assert!(count > cases / 100, "only {count} of {kind}: the cases do not reach what they are for");
    }
}
