//! What becomes of a wanted user whose account a refresh found other than the snapshot has it.

use super::comparison::Comparison;
use super::mapping::MappedUser;
use crate::model::{
    AccountState, Change, Mismatch, OnDrift, OutstandingKind, OutstandingUser, ProvisionedUser, Reason, Seen, UserName,
};

impl Comparison {
    /// A wanted user whose account is not as the snapshot has it.
    pub(super) fn drifted(&mut self, mapped: &MappedUser<'_>, row: &ProvisionedUser, seen: Seen) {
        let repair = self.inputs.policy.on_drift == OnDrift::Repair;
        let mut drift = |reason: Reason| {
            let entry =
                OutstandingUser::new(OutstandingKind::Drift, Some(&row.directory_id), Some(&row.user_name), reason);
            self.plan.outstanding.push(entry.account(&row.scim_id));
        };
        match seen {
            Seen::Foreign(user_name, names, active) if user_name.same_as(&UserName::of_account(mapped.user_name)) => {
                // Somebody settled the rename by hand: the refusal ends, and it is the account that the directory wants.
                self.plan.renamed_there.push(row.directory_id.clone());
                self.provisioned(mapped, &ProvisionedUser { user_name, names, active, foreign: false, ..row.clone() });
            }
            Seen::Foreign(..) => drift(Mismatch::UserName.into()),
            Seen::Gone => {
                drift(AccountState::Gone.into());
                if repair {
                    self.plan.vanished.push(row.directory_id.clone());
                    self.change(Change::Create { user: mapped.to_user(), after_removal_of: None, vanished: true });
                }
            }
            Seen::Carries(names, active) => {
                match (mapped.differs_from(&names), active) {
                    (_, false) => drift(AccountState::Inactive.into()),
                    (true, true) => drift(AccountState::NamesChanged.into()),
                    // What we do not manage, or what became as it should be on its own.
                    (false, true) => {}
                }
                if repair || (active && !mapped.differs_from(&names)) {
                    self.provisioned(mapped, &ProvisionedUser { names, active, foreign: false, ..row.clone() });
                }
            }
        }
    }
}
