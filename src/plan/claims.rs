//! Who a record stands for when it is unusable, and who may take a username that an account of ours still carries.

use super::comparison::Comparison;
use super::mapping::{MappedUser, Reject, Requested};
use super::usability::Details;
use crate::model::{
    Action, Change, Column, DirectoryId, Field, FieldName, OutstandingKind, OutstandingUser, ProvisionedUser, Reason,
    RecordFault, UserName, UsernameConflict, folded, short_digest,
};
use std::collections::{BTreeMap, BTreeSet};

impl Comparison {
    /// The same, remembering only so many unusable records: with more, its plan is worth nothing.
    #[must_use]
    pub fn bounded(mut self, count_max: u64) -> Self {
        self.details = Details::at_most(count_max);
        self
    }

    /// Whether there were more.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.details.is_cut()
    }

    pub(super) fn unusable(&mut self, reject: Reject, row: Option<&ProvisionedUser>) {
        let Reject { unusable, could_be_in_scope } = reject;
        if let (None, None, false) = (row, &unusable.username, could_be_in_scope) {
            return;
        }
        if !self.details.take_one() {
            return;
        }
        let reason = unusable.reason();
        let Some(id) = unusable.id else {
            self.nobody_in_scope |= could_be_in_scope && unusable.username.is_none();
            match unusable.username {
                Some(name) => self.claims.push((name, could_be_in_scope.then_some(unusable.fault))),
                None => *self.nobody.entry(unusable.fault).or_default() += 1,
            }
            return;
        };
        match (row, &unusable.username) {
            // It may be the known user of this name under another id: present, whoever it is.
            (None, Some(name)) => self.named.push((name.folded(), could_be_in_scope)),
            (None, None) => self.nobody_in_scope |= could_be_in_scope,
            (Some(_), _) => {}
        }
        if (row.is_none() && !could_be_in_scope) || !self.refused_ids.insert(id.clone()) {
            return;
        }
        let name = row.map(|row| &row.user_name).or(unusable.username.as_ref());
        let mut entry = OutstandingUser::new(OutstandingKind::Refused, Some(&id), name, reason);
        entry.scim_id = row.map(|row| row.scim_id.clone());
        if let Some(name) = &unusable.username {
            let to = Some(name.as_str().into());
            entry = entry.wanted(short_digest([name.as_str()])).fields(vec![Field {
                name: FieldName::UserName,
                from: None,
                to,
            }]);
        }
        self.plan.outstanding.push(entry);
    }

    /// A name that is the word for "nothing" of some program is left as it is, and said.
    pub(super) fn list_null_word(&mut self, column: Column, mapped: &MappedUser<'_>, row: Option<&ProvisionedUser>) {
        if mapped.requested != Requested::Provision {
            return;
        }
        let fault = match column {
            Column::Firstname => RecordFault::FirstnameNull,
            Column::Lastname => RecordFault::LastnameNull,
            Column::Id
            | Column::Username
            | Column::Email
            | Column::State
            | Column::Activated
            | Column::Suspended
            | Column::Groups => return,
        };
        let (id, name) = (DirectoryId::new(mapped.id), UserName::of_account(mapped.user_name));
        let mut entry =
            OutstandingUser::new(OutstandingKind::Refused, Some(&id), Some(&name), fault).action(Action::Update);
        entry.scim_id = row.map(|row| row.scim_id.clone());
        self.plan.outstanding.push(entry);
    }

    /// Records without a valid id stand for the user with their username, or for nobody.
    pub(super) fn resolve_claims(
        &mut self,
        holder: &mut dyn FnMut(&str) -> Option<ProvisionedUser>,
    ) -> BTreeSet<DirectoryId> {
        let mut claimed = BTreeSet::new();
        for (name, fault) in std::mem::take(&mut self.claims) {
            match holder(&name.folded()) {
                Some(row) => {
                    let entry = OutstandingUser::new(
                        OutstandingKind::Refused,
                        Some(&row.directory_id),
                        Some(&row.user_name),
                        fault.unwrap_or(RecordFault::InvalidId),
                    );
                    if claimed.insert(row.directory_id.clone()) {
                        self.plan.outstanding.push(entry.account(&row.scim_id));
                    }
                }
                None => {
                    let Some(fault) = fault else { continue };
                    self.nobody_in_scope = true;
                    *self.nobody.entry(fault).or_default() += 1;
                }
            }
        }
        for (folded, could_be_in_scope) in std::mem::take(&mut self.named) {
            match holder(&folded) {
                Some(row) => {
                    claimed.insert(row.directory_id);
                }
                // A new id and a new name: any of those who are gone may be behind it.
                None => self.nobody_in_scope |= could_be_in_scope,
            }
        }
        for (fault, count) in std::mem::take(&mut self.nobody) {
            let reason = Reason::Unnamed { fault, count };
            self.plan.outstanding.push(OutstandingUser::new(OutstandingKind::Refused, None, None, reason));
        }
        claimed
    }

    /// A newcomer whose username an account of ours still carries comes after its removal, or not at all.
    pub(super) fn resolve_user_names(&mut self, holder: &mut dyn FnMut(&str) -> Option<ProvisionedUser>) {
        let removed: BTreeSet<_> = self
            .plan
            .changes
            .iter()
            .filter(|change| change.action().removes())
            .map(|change| change.directory_id().clone())
            .collect();
        let creates = self.inputs.in_doubt.values().filter(|doubt| doubt.again.is_none());
        let in_doubt: BTreeMap<_, _> = creates.map(|doubt| (doubt.user_name.folded(), doubt.until)).collect();
        // Whoever's name is free waits for nobody; of the others each is looked at.
        let others = self.plan.creates.take_out(|create| {
            let folded = folded(create.user_name);
            in_doubt.contains_key(&folded) || holder(&folded).is_some_and(|row| row.directory_id.as_str() != create.id)
        });
        let mut changes = std::mem::take(&mut self.plan.changes);
        changes.extend(others);
        let mut outstanding = Vec::new();
        changes.retain_mut(|change| {
            let Change::Create { user, after_removal_of, .. } = change else { return true };
            let folded = user.user_name.folded();
            if let Some(until) = in_doubt.get(&folded) {
                let reason = UsernameConflict::CreateInDoubt;
                outstanding.push(not_created(change, OutstandingKind::Waiting, reason).until(*until));
                return false;
            }
            let Some(row) = holder(&folded).filter(|row| row.directory_id != user.id) else { return true };
            if removed.contains(&row.directory_id) {
                *after_removal_of = Some(row.directory_id);
                return true;
            }
            let (kind, reason) = if self.renamed.contains(&row.directory_id) {
                (OutstandingKind::Refused, UsernameConflict::OfRenamed)
            } else {
                (OutstandingKind::Waiting, UsernameConflict::OfAnother)
            };
            outstanding.push(not_created(change, kind, reason).fields(change.fields()));
            false
        });
        self.plan.changes = changes;
        self.plan.outstanding.append(&mut outstanding);
    }
}

pub(super) fn not_created(change: &Change, kind: OutstandingKind, reason: UsernameConflict) -> OutstandingUser {
    OutstandingUser::new(kind, Some(change.directory_id()), Some(change.user_name()), reason)
        .action(Action::Create)
        .wanted(change.wanted())
}

#[cfg(test)]
mod tests {
    use crate::plan::shorthand::{plan, text};

    #[track_caller]
    fn check(records: &str, rows: &str, expected: &str) {
        assert_eq!(text(&plan(records, rows, |_, _| {})), expected, "{records} over {rows}");
    }

    #[test]
    fn an_unusable_record_stands_for_its_user_and_removes_nobody() {
        check("a nobody", "a a@x.example", "refused a username_format");
        check("- a@x.example", "a a@x.example", "refused a no_id");
        check("b a@x.example +lacking", "a a@x.example", "refused b no_state");
    }

    #[test]
    fn a_username_is_free_once_its_holder_is_removed() {
        check(
            "b a@x.example B B",
            "a a@x.example A A",
            "delete a absent; create b name.givenName=B name.familyName=B wanted",
        );
        check(
            "b a@x.example B B|a other@x.example A A",
            "a a@x.example A A",
            "refused a renamed; refused b username_of_renamed",
        );
    }

    #[test]
    fn two_records_of_one_id_or_name_are_both_refused() {
        check("a a@x.example|a b@x.example", "", "refused a duplicate_id");
        check("a a@x.example|b A@X.example", "", "refused a duplicate_username; refused b duplicate_username");
        check("a a@x.example|b b@x.example", "", "create a wanted; create b wanted");
        check("a \u{fb01}@x.example|b fi@x.example", "", "refused a duplicate_username; refused b duplicate_username");
    }
}
