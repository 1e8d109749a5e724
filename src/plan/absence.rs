//! Who is not wanted any more: gone from the export, or said to be out by it, and what the policy makes of that.

use super::comparison::{Comparison, Whole};
use super::mapping::{Requested, username_of};
use crate::model::{
    Cause, Change, DirectoryId, DirectoryUser, InDoubt, NotTried, OutstandingKind, OutstandingUser, Proof,
    ProvisionedUser, RawValue, Reason, Removal, Removals,
};
use std::collections::BTreeSet;

impl Comparison {
    /// A linked user whom a record does not want.
    pub(super) fn unwanted(&mut self, user: &DirectoryUser<'_>, row: &ProvisionedUser, policy: Removals, cause: Cause) {
        if cause == Cause::OutOfGroups {
            self.groups.leaves(row);
        }
        let cause = self.inputs.scope_versions.cause_of_record(user, row, cause);
        self.remove(row, policy, cause);
    }

    pub(super) fn remove(&mut self, row: &ProvisionedUser, policy: Removals, cause: Cause) {
        let Some(removal) = policy.removal() else {
            let (id, name) = (Some(&row.directory_id), Some(&row.user_name));
            let entry = OutstandingUser::new(OutstandingKind::Kept, id, name, Reason::Kept(cause));
            return self.plan.outstanding.push(entry.account(&row.scim_id));
        };
        self.change(Change::Remove {
            directory_id: row.directory_id.clone(),
            scim_id: row.scim_id.clone(),
            user_name: row.user_name.clone(),
            removal,
            cause,
        });
    }

    /// A linked user whose id no record has.
    pub(super) fn absent(&mut self, row: ProvisionedUser, whole: Whole, claimed: &BTreeSet<DirectoryId>) {
        let in_doubt = |doubt: &InDoubt| doubt.again.is_none();
        if claimed.contains(&row.directory_id) || self.inputs.in_doubt.get(&row.directory_id).is_some_and(in_doubt) {
            return;
        }
        if self.inputs.scope.protects(row.user_name.as_str()) {
            self.plan.unchanged_count += 1;
            return;
        }
        match self.known_otherwise.get(&row.directory_id) {
            Some(Requested::Provision) => {
                self.plan.sightings.extend((whole.proof == Proof::Unproven).then_some(row.directory_id));
            }
            // The record has spoken for the link.
            Some(Requested::Withhold(_) | Requested::OutOfScope | Requested::Unlisted(_)) => {}
            None => {
                let cause = self.inputs.scope_versions.cause_of_absence(&row, &self.doubtful);
                self.gone(&row, whole, cause);
                self.plan.absent.push(row);
            }
        }
    }

    /// Whoever has the id or the username of an account of a lost log speaks for it.
    pub(super) fn speaks_for_stranded(&mut self, user: &DirectoryUser<'_>) {
        let name = username_of(user).map(|name| name.folded());
        let has_id =
            |row: &ProvisionedUser| matches!(&user.id, RawValue::Text(id) if **id == *row.directory_id.as_str());
        self.inputs.stranded.retain(|row| !has_id(row) && name.as_ref() != Some(&row.user_name.folded()));
    }

    /// Accounts of a lost log for which no record speaks.
    pub(super) fn resolve_stranded(&mut self, whole: Whole) {
        let (scope, policy) = (&self.inputs.scope, self.inputs.policy.on_removed);
        let mut rows = std::mem::take(&mut self.inputs.stranded);
        rows.retain(|row| policy.removal().is_some() && !scope.protects(row.user_name.as_str()));
        rows.iter().for_each(|row| self.gone(row, whole, Cause::Lost));
    }

    fn gone(&mut self, row: &ProvisionedUser, whole: Whole, cause: Cause) {
        let waits = |reason: NotTried, removal: Removal| {
            OutstandingUser::new(OutstandingKind::Waiting, Some(&row.directory_id), Some(&row.user_name), reason)
                .action(removal.action())
                .account(&row.scim_id)
        };
        let policy = self.inputs.policy.on_removed;
        let Some(removal) = policy.removal() else {
            self.remove(row, policy, cause);
            return;
        };
        if self.nobody_in_scope {
            self.plan.outstanding.push(waits(NotTried::UnnamedRecord, removal));
            return;
        }
        let seen_before = self.inputs.absences.get(&row.directory_id).is_some_and(|first| *first != whole.written_at);
        if whole.proof == Proof::Unproven && !seen_before {
            self.plan.sightings.push(row.directory_id.clone());
            self.plan.outstanding.push(waits(NotTried::Unproven, removal));
            return;
        }
        if whole.proof == Proof::Unproven {
            self.plan.sightings.push(row.directory_id.clone());
        }
        self.remove(row, policy, cause);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{DirectoryId, Moment, Proof, Removals};
    use crate::plan::shorthand::{WRITTEN_AT, plan, row, text};
    use crate::plan::{Inputs, Whole};

    #[track_caller]
    fn check(records: &str, adjust: impl FnOnce(&mut Inputs, &mut Whole), expected: &str) {
        assert_eq!(text(&plan(records, "a a@x.example A B", adjust)), expected, "{records}");
    }

    #[test]
    fn an_absence_must_be_proven_or_seen_twice() {
        let first_seen = |at: i64| {
            move |inputs: &mut Inputs, whole: &mut Whole| {
                whole.proof = Proof::Unproven;
                inputs.absences.insert(DirectoryId::new("a"), Moment(at));
            }
        };
        check("", |_, _| {}, "delete a absent");
        check("", |_, whole| whole.proof = Proof::Unproven, "waiting a absent");
        check("", first_seen(WRITTEN_AT.0 - 1), "delete a absent");
        check("", first_seen(WRITTEN_AT.0), "waiting a absent");
    }

    #[test]
    fn an_account_of_a_lost_log_is_proposed_unless_a_record_speaks_for_it() {
        let lost = |inputs: &mut Inputs, _: &mut Whole| inputs.stranded = vec![row("z z@x.example")];
        check("a a@x.example A B", lost, "delete z lost");
        check("a a@x.example A B | z other@x.example +in:Other", lost, "");
        check("a a@x.example A B | y Z@x.example", lost, "create y wanted");
        check("a a@x.example A B | - -", lost, "waiting z unnamed_record; refused - no_id");
        let unproven = |inputs: &mut Inputs, whole: &mut Whole| {
            lost(inputs, whole);
            whole.proof = Proof::Unproven;
        };
        check("a a@x.example A B", unproven, "waiting z absent");
        let kept = |inputs: &mut Inputs, whole: &mut Whole| {
            lost(inputs, whole);
            inputs.policy.on_removed = Removals::Keep;
        };
        check("a a@x.example A B", kept, "");
        let protected = |inputs: &mut Inputs, _: &mut Whole| inputs.stranded = vec![row("z root@x.example")];
        check("a a@x.example A B", protected, "");
    }

    #[test]
    fn a_record_that_names_nobody_might_be_the_user() {
        check("- -", |_, _| {}, "waiting a unnamed_record; refused - no_id");
        check("- - +in:Other", |_, _| {}, "delete a absent");
        check("- a@x.example", |_, _| {}, "refused a no_id");
    }

    #[test]
    fn the_export_says_out_and_the_policy_says_what_then() {
        check("a a@x.example A B +suspended", |_, _| {}, "deactivate a suspended");
        check("a a@x.example A B +staged", |_, _| {}, "deactivate a staged");
        check("a a@x.example A B +in:Other", |_, _| {}, "delete a out_of_group");
        check("", |inputs, _| inputs.policy.on_removed = Removals::Keep, "kept a absent");
        check("", |inputs, _| inputs.policy.on_removed = Removals::Deactivate, "deactivate a absent");
    }
}
