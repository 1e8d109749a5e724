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

    pub(super) fn settle_unlisted(&mut self, memberships: Option<Memberships>) {
        let unlisted = std::mem::take(&mut self.unlisted);
        let Some(memberships) = memberships else { return };
        for (row, cause) in unlisted {
            self.settle_one(&row, cause, memberships);
        }
    }

    fn settle_one(&mut self, row: &ProvisionedUser, cause: Cause, memberships: Memberships) {
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
