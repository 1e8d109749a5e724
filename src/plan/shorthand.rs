//! Records, rows and plans in one line of text, for the tests beside the rules.
//!
//! A record is `id username [given [family]]` and flags, a row the same; `|` stands between two. `-` is an absent key, `_` is
//! null. A record is activated and in group `R` if no flag says otherwise.

use super::{
    Comparison, DuplicateFinder, Duplicates, GroupMemory, Inputs, Plan, Policy, Scope, ScopeVersion, ScopeVersions,
    Whole,
};
use crate::model::{
    DirectoryId, DirectoryUser, LinkedExternalId, Moment, Names, OnDrift, Proof, ProvisionedUser, RawGroups, RawState,
    RawValue, Removals, ScimId, ScopeVersionId, UserName, UserState,
};
use std::collections::{BTreeMap, BTreeSet};

/// When the export was written.
pub(super) const WRITTEN_AT: Moment = Moment(9);

fn split(text: &str) -> (Vec<&str>, Vec<&str>) {
    text.split_whitespace().partition(|word| !word.starts_with('+'))
}

fn value(word: Option<&&str>) -> RawValue<'static> {
    match word {
        None | Some(&"-") => RawValue::Absent,
        Some(&"_") => RawValue::Null,
        Some(word) => RawValue::Text((*word).to_owned().into()),
    }
}

/// One record.
pub(super) fn record(text: &str) -> DirectoryUser<'static> {
    let (words, flags) = split(text);
    let mut user = DirectoryUser {
        id: value(words.first()),
        username: value(words.get(1)),
        firstname: value(words.get(2)),
        lastname: value(words.get(3)),
        state: RawState::Said(UserState::Activated),
        groups: RawGroups::Listed(vec!["R".into()]),
        ..DirectoryUser::default()
    };
    let listed = |names: &str| {
        let names = names.split(',').filter(|name| !name.is_empty());
        names.map(|name| name.to_owned().into()).collect()
    };
    for flag in flags {
        match flag.split_once(':').unwrap_or((flag, "")) {
            ("+suspended", _) => user.state = RawState::Said(UserState::Suspended),
            ("+staged", _) => user.state = RawState::Said(UserState::Staged),
            ("+lacking", _) => user.state = RawState::Lacking,
            ("+stateless", _) => user.state = RawState::Absent,
            ("+off", _) => user.activated = RawValue::Flag(false),
            ("+blocked", _) => user.suspended = RawValue::Flag(true),
            ("+in", names) => user.groups = RawGroups::Listed(listed(names)),
            ("+cell", text) => user.groups = RawGroups::Cell(text.to_owned().into(), ';'),
            ("+joined", names) => user.groups = RawGroups::Joined(listed(names), Proof::Unproven),
            ("+groupless", _) => user.groups = RawGroups::Absent,
            other => panic!("no flag {other:?}"),
        }
    }
    user
}

/// One row of the snapshot.
pub(super) fn row(text: &str) -> ProvisionedUser {
    let (words, flags) = split(text);
    let name = |at: usize| words.get(at).map(|word| (*word).into());
    let mut row = ProvisionedUser {
        row: 1,
        directory_id: DirectoryId::new(words[0]),
        scim_id: ScimId::new(format!("scim-{}", words[0])),
        user_name: UserName::of_account(words[1]),
        names: Names { given: name(2), family: name(3) },
        active: true,
        foreign: false,
        external_id: LinkedExternalId::NotShown,
        scope_version: ScopeVersionId(2),
        wanted_by: 0,
        futile_count: 0,
        futile_wanted: None,
    };
    for flag in flags {
        match flag.split_once(':').unwrap_or((flag, "")) {
            ("+inactive", _) => row.active = false,
            ("+earlier", _) => row.scope_version = ScopeVersionId(1),
            ("+unknown", _) => row.scope_version = ScopeVersionId(7),
            ("+by", number) => row.wanted_by = number.parse().expect("a number"),
            other => panic!("no flag {other:?}"),
        }
    }
    row
}

/// What a plan depends on: group `R`, leavers are deleted, suspended users deactivated. The earlier settings are the same.
pub(super) fn inputs() -> Inputs {
    let scope = Scope::new(&["R".to_owned()], &["root@x.example".to_owned()]);
    let version = ScopeVersion { scope: scope.clone(), ..ScopeVersion::default() };
    let known = [(ScopeVersionId(1), version.clone()), (ScopeVersionId(2), version)].into();
    Inputs {
        filled_before: Vec::new(),
        now: Moment(10),
        scope,
        policy: Policy { on_suspended: Removals::Deactivate, on_removed: Removals::Delete, on_drift: OnDrift::Repair },
        failed: BTreeMap::new(),
        in_doubt: BTreeMap::new(),
        absences: BTreeMap::new(),
        unlisted: BTreeMap::new(),
        doubled: Duplicates::default(),
        scope_versions: ScopeVersions { present: ScopeVersionId(2), known },
        seen: BTreeMap::new(),
        listed: Vec::new(),
        stranded: Vec::new(),
        told_apart: BTreeSet::new(),
        groups: GroupMemory::default(),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('|').map(str::trim).filter(|line| !line.is_empty())
}

fn compared(records: &[DirectoryUser<'_>], rows: &[ProvisionedUser], inputs: Inputs, whole: Whole) -> Plan {
    let mut comparison = Comparison::new(inputs);
    let has_id = |user: &DirectoryUser<'_>, id: &str| matches!(&user.id, RawValue::Text(text) if text == id);
    for user in records {
        let row = rows.iter().find(|row| has_id(user, row.directory_id.as_str()));
        if !row.is_some_and(|row| comparison.is_met(user, &row.row_view())) {
            comparison.record(user, row);
        }
    }
    for row in rows.iter().filter(|row| !records.iter().any(|user| has_id(user, row.directory_id.as_str()))) {
        comparison.missing(row);
    }
    comparison.finish(whole, &mut |folded| rows.iter().find(|row| row.user_name.folded() == folded).cloned())
}

/// The plan of these records over these rows, with its second reading, as a cycle makes it.
pub(super) fn plan(records: &str, rows: &str, adjust: impl FnOnce(&mut Inputs, &mut Whole)) -> Plan {
    let records: Vec<_> = lines(records).map(record).collect();
    let rows: Vec<_> = lines(rows).map(row).collect();
    let (mut inputs, mut whole) = (inputs(), Whole { proof: Proof::Whole, written_at: WRITTEN_AT, memberships: None });
    adjust(&mut inputs, &mut whole);
    let mut finder = DuplicateFinder::default();
    records.iter().for_each(|user| finder.note(user));
    let first = compared(&records, &rows, inputs.clone(), whole);
    if !finder.nominate(first.absent.clone()) {
        return first;
    }
    records.iter().for_each(|user| finder.look(user));
    inputs.doubled = finder.doubled();
    compared(&records, &rows, inputs, whole)
}

/// A plan as text: changes with fields and cause, then whoever is not changed and the code why.
pub(super) fn text(plan: &Plan) -> String {
    let changes = plan.all_changes().map(|change| {
        let fields: String = change
            .fields()
            .iter()
            .filter(|field| field.name.as_str().starts_with("name."))
            .map(|field| format!(" {}={}", field.name.as_str(), field.to.as_deref().unwrap_or_default()))
            .collect();
        format!("{} {}{fields} {}", change.action().as_str(), change.directory_id().as_str(), change.cause().code())
    });
    let outstanding = plan.outstanding.iter().map(|entry| {
        let id = entry.directory_id.as_ref().map_or("-", DirectoryId::as_str);
        format!("{} {id} {}", entry.kind.as_str(), entry.reason.code())
    });
    changes.chain(outstanding).collect::<Vec<_>>().join("; ")
}
