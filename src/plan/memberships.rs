//! Users whom the members file lists in no scoped group: an absence from that file, to be proven as one from the export is.

use super::comparison::{Comparison, Memberships};
use crate::model::{
    Cause, DirectoryId, InDoubt, NotTried, OutstandingKind, OutstandingUser, Proof, ProvisionedUser, RecordFault,
    UserName,
};

impl Comparison {
    /// Takes a membership of a user whom the export lacks: it is listed, and grants nothing.
    pub fn membership_of_nobody(&mut self, id: Option<&str>, user_name: Option<&str>) {
        let (id, name) = (id.map(DirectoryId::new), user_name.map(UserName::of_account));
        let fault = RecordFault::MembershipOfNobody;
        self.plan.outstanding.push(OutstandingUser::new(OutstandingKind::Refused, id.as_ref(), name.as_ref(), fault));
    }

    /// Takes a linked user of the export whom the members file lists in no scoped group.
    pub(super) fn not_listed(&mut self, row: &ProvisionedUser) {
        let cause = self.inputs.scope_versions.cause_of_unlisted(row);
        self.groups.leaves(row);
        self.unlisted.push((row.clone(), cause));
    }

    pub(super) fn resolve_unlisted(&mut self, memberships: Option<Memberships>) {
        let unlisted = std::mem::take(&mut self.unlisted);
        let Some(memberships) = memberships else { return };
        for (row, cause) in unlisted {
            self.resolve_one(&row, cause, memberships);
        }
    }

    fn resolve_one(&mut self, row: &ProvisionedUser, cause: Cause, memberships: Memberships) {
        let in_doubt = |doubt: &InDoubt| doubt.again.is_none();
        if self.inputs.in_doubt.get(&row.directory_id).is_some_and(in_doubt) {
            return;
        }
        let policy = self.inputs.policy.on_removed;
        let Some(removal) = policy.removal() else { return self.remove(row, policy, cause) };
        let waits = |reason: NotTried| {
            OutstandingUser::new(OutstandingKind::Waiting, Some(&row.directory_id), Some(&row.user_name), reason)
                .action(removal.action())
                .account(&row.scim_id)
        };
        if memberships.names_nobody {
            self.plan.outstanding.push(waits(NotTried::UnnamedMembership));
            return;
        }
        let first = self.inputs.unlisted.get(&row.directory_id);
        let seen_before = first.is_some_and(|first| *first != memberships.written_at);
        if memberships.proof == Proof::Unproven {
            self.plan.unlisted.push(row.directory_id.clone());
            if !seen_before {
                self.plan.outstanding.push(waits(NotTried::Unlisted));
                return;
            }
        }
        self.remove(row, policy, cause);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{DirectoryId, Moment, Proof};
    use crate::plan::Memberships;
    use crate::plan::shorthand::{plan, text};

    #[track_caller]
    fn check(proof: Proof, names_nobody: bool, first_seen: Option<i64>, expected: &str) {
        let plan = plan("a a@x.example +joined", "a a@x.example", |inputs, whole| {
            whole.memberships = Some(Memberships { proof, written_at: Moment(5), names_nobody });
            inputs.unlisted.extend(first_seen.map(|at| (DirectoryId::new("a"), Moment(at))));
        });
        assert_eq!(text(&plan), expected, "{proof:?} {names_nobody} {first_seen:?}");
    }

    #[test]
    fn whom_the_members_file_does_not_list_is_an_absence_to_be_proven() {
        check(Proof::Whole, false, None, "delete a out_of_group");
        check(Proof::Unproven, false, None, "waiting a unlisted");
        check(Proof::Unproven, false, Some(5), "waiting a unlisted");
        check(Proof::Unproven, false, Some(4), "delete a out_of_group");
        check(Proof::Whole, true, None, "waiting a unnamed_membership");
    }
}
