//! Which groups of `[scope]` an export names, and by which of them each user is wanted: a group that nobody names any more was
//! renamed or left out, and says nothing of who was in it.

use super::scope::Scope;
use super::scope_version::ScopeVersions;
use crate::model::{Cause, Change, DirectoryId, ProvisionedUser, RawGroups, ScopeVersionId};
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_64;

/// What the state remembers of the groups of `[scope]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupMemory {
    /// Those that an export named once.
    pub named_before: BTreeSet<String>,
    /// Sets of groups by which users were wanted, by number.
    pub sets: BTreeMap<i64, BTreeSet<String>>,
}

/// What one reading found of them, for the state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupsSeen {
    /// The groups of `[scope]`, and whether a record names each.
    pub named: BTreeMap<String, bool>,
    /// Sets of groups by which users are wanted, by number.
    pub sets: BTreeMap<i64, BTreeSet<String>>,
    /// Users who are wanted by another set than the state remembers.
    pub regrouped: Vec<(DirectoryId, i64)>,
}

/// The groups of `[scope]` that no record has named yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnnamedSoFar(BTreeSet<String>);

impl UnnamedSoFar {
    /// All of them.
    #[must_use]
    pub fn of(scope: &Scope) -> Self {
        Self(scope.groups().map(str::to_owned).collect())
    }

    /// Looks at the groups of one record, whatever else it says.
    pub fn note(&mut self, groups: &RawGroups<'_>) {
        if self.0.is_empty() {
            return;
        }
        for name in groups.names() {
            self.0.remove(name);
        }
    }

    /// Those that are left, by name.
    #[must_use]
    pub fn names(&self) -> &BTreeSet<String> {
        &self.0
    }
}

/// The groups of `[scope]`, while an export is read.
#[derive(Debug)]
pub(super) struct GroupWatch {
    unnamed: UnnamedSoFar,
    /// Whether there is more than one: with one alone, it is clear by which a user is wanted.
    several: bool,
    seen: GroupsSeen,
    /// Links of users in no scoped group: under which settings, and by which set each was wanted.
    leaving: BTreeMap<DirectoryId, (ScopeVersionId, i64)>,
}

impl GroupWatch {
    pub(super) fn new(scope: &Scope) -> Self {
        let unnamed = UnnamedSoFar::of(scope);
        let several = unnamed.names().len() > 1;
        Self { unnamed, several, seen: GroupsSeen::default(), leaving: BTreeMap::new() }
    }

    /// Looks at the groups of one record, whatever else it says.
    pub(super) fn note(&mut self, groups: &RawGroups<'_>) {
        self.unnamed.note(groups);
    }

    /// Looks at a wanted user who has a link.
    pub(super) fn wanted(&mut self, id: &str, groups: &RawGroups<'_>, scope: &Scope, wanted_by: i64) {
        if !self.several {
            return;
        }
        let set: BTreeSet<_> = groups.names().filter(|name| scope.names(name)).collect();
        let number = number_of(&set);
        if number != wanted_by {
            self.seen.sets.entry(number).or_insert_with(|| set.into_iter().map(str::to_owned).collect());
            self.seen.regrouped.push((DirectoryId::new(id), number));
        }
    }

    /// Notes scoped groups that a record names.
    pub(super) fn note_names(&mut self, names: &BTreeSet<String>) {
        for name in names {
            self.unnamed.0.remove(name);
        }
    }

    /// The scoped groups among those of a wanted user, if they are those by which the user was wanted.
    pub(super) fn as_before<'g>(
        &self,
        groups: &'g RawGroups<'_>,
        scope: &Scope,
        wanted_by: i64,
    ) -> Option<BTreeSet<&'g str>> {
        let set: BTreeSet<_> = groups.names().filter(|name| scope.names(name)).collect();
        (!self.several || number_of(&set) == wanted_by).then_some(set)
    }

    /// Looks at a linked user who is in no scoped group.
    pub(super) fn leaves(&mut self, row: &ProvisionedUser) {
        self.leaving.insert(row.directory_id.clone(), (row.scope_version, row.wanted_by));
    }

    /// Removals of users who were wanted by a group that no record names any more are caused by that.
    pub(super) fn judge(&self, changes: &mut [Change], memory: &GroupMemory, scope_versions: &ScopeVersions) {
        let doubtful: BTreeSet<_> =
            self.unnamed.names().intersection(&memory.named_before).map(String::as_str).collect();
        if doubtful.is_empty() {
            return;
        }
        let was_in_one = |scope_version: &ScopeVersionId, wanted_by: &i64| {
            let scope = scope_versions.known.get(scope_version).map(|known| &known.scope);
            let several = scope.is_none_or(|scope| scope.groups().count() > 1);
            match (memory.sets.get(wanted_by).filter(|_| several), scope) {
                (Some(set), _) => set.iter().any(|group| doubtful.contains(group.as_str())),
                // By which of them is not known: by any.
                (None, Some(scope)) => scope.groups().any(|group| doubtful.contains(group)),
                (None, None) => true,
            }
        };
        for change in changes {
            if let Change::Remove { directory_id, cause, .. } = change
                && *cause == Cause::OutOfGroups
                && self
                    .leaving
                    .get(directory_id)
                    .is_some_and(|(scope_version, wanted_by)| was_in_one(scope_version, wanted_by))
            {
                *cause = Cause::GroupUnnamed;
            }
        }
    }

    /// What the state is told.
    pub(super) fn into_seen(self, scope: &Scope) -> GroupsSeen {
        let named = scope.groups().map(|group| (group.to_owned(), !self.unnamed.names().contains(group))).collect();
        GroupsSeen { named, ..self.seen }
    }
}

/// The number of a set of names: the same for the same set, whatever else there is.
fn number_of(names: &BTreeSet<&str>) -> i64 {
    let mut text = String::new();
    for name in names {
        text.push_str(name);
        text.push('\0');
    }
    i64::from_be_bytes(xxh3_64(text.as_bytes()).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use crate::plan::shorthand::{plan, text};
    use crate::plan::{Inputs, Scope};

    #[track_caller]
    fn check(records: &str, rows: &str, named_before: &[&str], expected: &str) {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let plan = plan(records, rows, |inputs: &mut Inputs, _| {
            inputs.scope = Scope::new(&of(&["R", "S"]), &[]);
            inputs.scope_versions.known.values_mut().for_each(|version| version.scope = inputs.scope.clone());
            inputs.groups.named_before = of(named_before).into_iter().collect();
            inputs.groups.sets = [(1, of(&["R"]).into_iter().collect()), (2, of(&["S"]).into_iter().collect())].into();
        });
        assert_eq!(text(&plan), expected, "{records} over {rows}");
    }

    #[test]
    fn a_group_that_nobody_names_any_more_says_nothing_of_who_was_in_it() {
        let rows = "a a@x.example +by:1|b b@x.example +by:2";
        let gone = "delete b scope";
        check("a a@x.example|b b@x.example +in:Other", rows, &["R", "S"], gone);
        check("a a@x.example|b b@x.example +in:Other", rows, &["R"], "delete b out_of_group");
        check(
            "a a@x.example|b b@x.example +in:Other|c c@x.example +in:S +suspended",
            rows,
            &["R", "S"],
            "delete b out_of_group",
        );
        // By which group the user was wanted is not known.
        check("a a@x.example|b b@x.example +in:Other", "a a@x.example|b b@x.example", &["R", "S"], gone);
        check("a a@x.example|b b@x.example +suspended +in:Other", rows, &["R", "S"], "deactivate b suspended");
    }
}
