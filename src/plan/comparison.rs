//! Records beside snapshot rows, one by one; what differs is kept, everything else is forgotten at once.
//!
//! The caller joins: it gives each record with the row of its id, then every row that no record named. Nothing is
//! concluded from an absence before [`Comparison::finish`] hears how well the export is proven.

use super::groups::{GroupMemory, GroupWatch};
use super::mapping::{MappedUser, Reject, Requested, map_record, username_of, valid_id};
use super::order::order;
use super::packed::Packer;
use super::scope::Scope;
use super::usability::Details;
use super::{Duplicates, Plan, Policy, ScopeVersions, Usability};
use crate::clock::{WAIT_MAX, believed};
use crate::model::{
    AccountState, Action, Cause, Change, Column, DirectoryId, DirectoryUser, Field, FieldName, InDoubt, Mismatch,
    Moment, NotTried, OutstandingKind, OutstandingUser, Proof, ProvisionedUser, RawValue, RecordFault, RowView,
    ScopeVersionId, Seen, Unusable, UserName, UserState, UsernameConflict, short_digest,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many accepted updates that change nothing park a user.
const FUTILE_UPDATES_MAX: u32 = 3;

/// Everything a comparison depends on besides records and rows.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Now.
    pub now: Moment,
    /// Who is wanted.
    pub scope: Scope,
    /// What is done with others.
    pub policy: Policy,
    /// Failures that earlier cycles stored.
    pub failed: BTreeMap<DirectoryId, OutstandingUser>,
    /// Users with an open intent, and when it goes on.
    pub in_doubt: BTreeMap<DirectoryId, InDoubt>,
    /// For each user missing from an unproven export: when the export was written that first lacked it.
    pub absences: BTreeMap<DirectoryId, Moment>,
    /// For each user whom an unproven members file lists in no scoped group: when the one was written that first did not.
    pub unlisted: BTreeMap<DirectoryId, Moment>,
    /// What a second reading found.
    pub doubled: Duplicates,
    /// The settings under which users were last wanted.
    pub scope_versions: ScopeVersions,
    /// Accounts that a refresh found other than the snapshot has them.
    pub seen: BTreeMap<DirectoryId, Seen>,
    /// What was read of accounts and is listed whatever the export says: drift that changes nothing, and what could not be read.
    pub listed: Vec<OutstandingUser>,
    /// Accounts of a lost log: no link knows them, and if no record does, a person says whether they go.
    pub stranded: Vec<ProvisionedUser>,
    /// Pairs of a link's id and a newcomer's of which a person said that they are two users.
    pub told_apart: BTreeSet<(DirectoryId, DirectoryId)>,
    /// What is remembered of the groups of `[scope]`.
    pub groups: GroupMemory,
    /// Columns with a value in at least half of the records of the last export.
    pub filled_before: Vec<Column>,
}

/// What the end of a reading tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Whole {
    /// Whether absences count.
    pub proof: Proof,
    /// When the export was written.
    pub written_at: Moment,
    /// The members file beside it, if there is one.
    pub memberships: Option<Memberships>,
}

/// What the end of a reading tells of the members file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memberships {
    /// Whether an absence from it counts.
    pub proof: Proof,
    /// When it was written.
    pub written_at: Moment,
    /// Whether a row of a scoped group names nobody.
    pub names_nobody: bool,
}

/// A comparison under way.
#[derive(Debug)]
pub struct Comparison {
    pub(super) inputs: Inputs,
    pub(super) plan: Plan,
    creates: Packer,
    pub(super) missing: Vec<ProvisionedUser>,
    /// Users whom the members file lists in no scoped group, and why they would be removed.
    pub(super) unlisted: Vec<(ProvisionedUser, Cause)>,
    pub(super) renamed: BTreeSet<DirectoryId>,
    pub(super) refused_ids: BTreeSet<DirectoryId>,
    /// Usernames of records without a valid id, with what is wrong if the record could be in scope.
    pub(super) claims: Vec<(UserName, Option<RecordFault>)>,
    /// Folded usernames of unusable records without a known id, and whether each could be in scope.
    pub(super) named: Vec<(String, bool)>,
    pub(super) nobody: BTreeMap<RecordFault, u64>,
    pub(super) nobody_in_scope: bool,
    /// Earlier settings under which a record that names nobody could be a user in scope.
    pub(super) doubtful: BTreeSet<ScopeVersionId>,
    /// Users in doubt of whom just the same is wanted.
    again: BTreeSet<DirectoryId>,
    /// Links whose users the export has under another id, and what it asks for.
    pub(super) known_otherwise: BTreeMap<DirectoryId, Requested>,
    pub(super) groups: GroupWatch,
    pub(super) usability: Usability,
    /// The unusable records that are remembered.
    pub(super) details: Details,
}

impl Comparison {
    /// A comparison that has seen nothing.
    #[must_use]
    pub fn new(inputs: Inputs) -> Self {
        Self {
            groups: GroupWatch::new(&inputs.scope),
            inputs,
            plan: Plan::default(),
            creates: Packer::default(),
            missing: Vec::new(),
            unlisted: Vec::new(),
            renamed: BTreeSet::new(),
            refused_ids: BTreeSet::new(),
            claims: Vec::new(),
            named: Vec::new(),
            nobody: BTreeMap::new(),
            nobody_in_scope: false,
            doubtful: BTreeSet::new(),
            again: BTreeSet::new(),
            known_otherwise: BTreeMap::new(),
            usability: Usability::default(),
            details: Details::default(),
        }
    }

    /// Whether the row of its id meets a record; then there is nothing else to do about it.
    pub fn is_met(&mut self, user: &DirectoryUser<'_>, row: &RowView<'_>) -> bool {
        let drifted = match &user.id {
            RawValue::Text(id) if !self.inputs.seen.is_empty() => {
                self.inputs.seen.contains_key(&DirectoryId::new(&**id))
            }
            RawValue::Text(_) | RawValue::Absent | RawValue::Null | RawValue::Flag(_) | RawValue::Other => false,
        };
        let met = !drifted
            && !self.inputs.scope_versions.is_earlier(row.scope_version)
            && self.doubled(user).is_none()
            && map_record(user, &self.inputs.scope).is_ok_and(|mapped| mapped.is_met_by(row));
        if let (true, RawValue::Text(id)) = (met, &user.id) {
            self.groups.note(&user.groups);
            self.groups.wanted(id, &user.groups, &self.inputs.scope, row.wanted_by);
        }
        self.plan.unchanged_count += u64::from(met);
        self.usability.wanted_count += u64::from(met);
        met
    }

    /// Takes one record that its row does not meet, with the row of its id if there is one.
    pub fn record(&mut self, user: &DirectoryUser<'_>, row: Option<&ProvisionedUser>) {
        if row.is_none() && !self.inputs.stranded.is_empty() {
            self.speaks_for_stranded(user);
        }
        let verdict = map_record(user, &self.inputs.scope);
        let doubled = self.doubled(user);
        // Whoever is out of scope names none of its groups.
        if !verdict.as_ref().is_ok_and(|mapped| mapped.requested == Requested::OutOfScope) {
            self.groups.note(&user.groups);
        }
        if let Some(row) = row.filter(|row| self.inputs.scope_versions.is_earlier(row.scope_version)) {
            let same_person = |mapped: &MappedUser<'_>| {
                !self.inputs.scope_versions.may_be_another(row, &UserName::of_account(mapped.user_name))
            };
            let wanted = doubled.is_none()
                && verdict.as_ref().is_ok_and(|mapped| mapped.requested == Requested::Provision && same_person(mapped));
            self.plan.settings_move_on |= wanted;
            if !wanted {
                self.plan.left_behind.push(row.directory_id.clone());
            }
        }
        if verdict.as_ref().is_err_and(|reject| reject.unusable.id.is_none()) {
            self.doubtful.extend(self.inputs.scope_versions.could_want(user));
        }
        match (doubled, verdict) {
            (Some((id, fault)), verdict) => {
                let could_be_in_scope = match &verdict {
                    Ok(mapped) => {
                        !matches!(mapped.requested, Requested::OutOfScope | Requested::Unlisted(Proof::Whole))
                    }
                    Err(reject) => reject.could_be_in_scope,
                };
                self.usability.note_unusable(fault, could_be_in_scope);
                let unusable = Unusable { id: Some(id), username: username_of(user), fault, value: None };
                self.unusable(Reject { unusable, could_be_in_scope }, row);
            }
            (None, verdict) => {
                self.usability.note(&verdict);
                match verdict {
                    Ok(mapped) => self.usable(user, &mapped, row),
                    Err(reject) => self.unusable(reject, row),
                }
            }
        }
    }

    /// How many records can be used so far.
    #[must_use]
    pub fn usability(&self) -> &Usability {
        &self.usability
    }

    /// Takes a row that no record named by id.
    pub fn missing(&mut self, row: &ProvisionedUser) {
        if self.inputs.scope_versions.is_earlier(row.scope_version) {
            self.plan.left_behind.push(row.directory_id.clone());
        }
        self.missing.push(row.clone());
    }

    /// The plan. `holder` finds the row whose account carries a folded username.
    pub fn finish(mut self, whole: Whole, holder: &mut dyn FnMut(&str) -> Option<ProvisionedUser>) -> Plan {
        let claimed = self.resolve_claims(holder);
        for row in std::mem::take(&mut self.missing) {
            self.absent(row, whole, &claimed);
        }
        self.resolve_stranded(whole);
        self.resolve_unlisted(whole.memberships);
        self.groups.judge(&mut self.plan.changes, &self.inputs.groups, &self.inputs.scope_versions);
        self.plan.creates = std::mem::take(&mut self.creates).end();
        self.resolve_user_names(holder);
        self.list_in_doubt();
        self.plan.outstanding.append(&mut self.inputs.listed);
        self.plan.changes.sort_by(order);
        self.plan.outstanding.sort_by(OutstandingUser::order);
        self.plan.groups = self.groups.into_seen(&self.inputs.scope);
        self.plan
    }

    fn doubled(&self, user: &DirectoryUser<'_>) -> Option<(DirectoryId, RecordFault)> {
        let doubled = &self.inputs.doubled;
        if doubled.ids.is_empty() && doubled.by_name.is_empty() {
            return None;
        }
        let id = valid_id(&user.id).ok()?;
        let fault = if self.inputs.doubled.ids.contains(id) {
            RecordFault::DuplicateId
        } else if self.inputs.doubled.by_name.contains(id) {
            RecordFault::DuplicateUsername
        } else {
            return None;
        };
        Some((DirectoryId::new(id), fault))
    }

    fn usable(&mut self, user: &DirectoryUser<'_>, mapped: &MappedUser<'_>, row: Option<&ProvisionedUser>) {
        if let Some(column) = mapped.null_word {
            self.list_null_word(column, mapped, row);
        }
        let protects = |name: &str| self.inputs.scope.protects(name);
        if protects(mapped.user_name) || row.is_some_and(|row| protects(row.user_name.as_str())) {
            self.plan.unchanged_count += u64::from(row.is_some());
            return;
        }
        if row.is_none()
            && let Some(row) = self.known_as(mapped)
        {
            return self.under_another_id(user, mapped, &row);
        }
        self.note_unsaid(user, mapped, row);
        match (mapped.requested, row) {
            (Requested::Provision, Some(row)) => {
                self.groups.wanted(mapped.id, &user.groups, &self.inputs.scope, row.wanted_by);
                match self.inputs.seen.get(&row.directory_id).cloned() {
                    Some(seen) => self.drifted(mapped, row, seen),
                    None => self.provisioned(mapped, row),
                }
            }
            (Requested::Provision, None) => {
                self.groups.wanted(mapped.id, &user.groups, &self.inputs.scope, 0);
                let user = mapped.to_user();
                self.change(Change::Create { user, after_removal_of: None, vanished: false });
            }
            (Requested::Withhold(state), Some(row)) => {
                let cause = if state == UserState::Staged { Cause::Staged } else { Cause::Suspended };
                self.unwanted(user, row, self.inputs.policy.on_suspended, cause);
            }
            (Requested::OutOfScope, Some(row)) => {
                self.unwanted(user, row, self.inputs.policy.on_removed, Cause::OutOfGroups)
            }
            (Requested::Unlisted(_), Some(row)) => self.not_listed(row),
            (Requested::Withhold(_) | Requested::OutOfScope | Requested::Unlisted(_), None) => {}
        }
    }

    pub(super) fn provisioned(&mut self, mapped: &MappedUser<'_>, row: &ProvisionedUser) {
        if row.foreign {
            let (id, name) = (Some(&row.directory_id), Some(&row.user_name));
            let entry = OutstandingUser::new(OutstandingKind::Drift, id, name, Mismatch::UserName);
            self.plan.outstanding.push(entry.account(&row.scim_id));
            return;
        }
        let same_name = mapped.user_name == row.user_name.as_str();
        let renamed = !same_name && !UserName::of_account(mapped.user_name).same_as(&row.user_name);
        if renamed {
            self.renamed.insert(row.directory_id.clone());
            let field = Field {
                name: FieldName::UserName,
                from: Some(row.user_name.as_str().into()),
                to: Some(mapped.user_name.into()),
            };
            self.plan.outstanding.push(
                OutstandingUser::new(
                    OutstandingKind::Refused,
                    Some(&row.directory_id),
                    Some(&row.user_name),
                    UsernameConflict::Renamed,
                )
                .action(Action::Update)
                .account(&row.scim_id)
                .wanted(short_digest([crate::model::folded(mapped.user_name).as_str()]))
                .fields(vec![field]),
            );
        }
        if renamed && self.inputs.scope_versions.may_be_another(row, &UserName::of_account(mapped.user_name)) {
            return;
        }
        if row.active && !mapped.differs_from(&row.names) {
            self.plan.unchanged_count += u64::from(!renamed);
            return;
        }
        let wanted = mapped.names();
        let digest = wanted.digest(!row.active);
        let change = Change::Update {
            directory_id: row.directory_id.clone(),
            scim_id: row.scim_id.clone(),
            user_name: row.user_name.clone(),
            carried: Box::new(row.names.clone()),
            wanted: Box::new(wanted),
            reactivate: !row.active,
        };
        if row.futile_count >= FUTILE_UPDATES_MAX && row.futile_wanted.as_deref() == Some(digest.as_str()) {
            let reason = AccountState::NeverApplied;
            self.plan.outstanding.push(
                OutstandingUser::new(OutstandingKind::Parked, Some(&row.directory_id), Some(&row.user_name), reason)
                    .action(Action::Update)
                    .account(&row.scim_id)
                    .wanted(digest)
                    .fields(change.fields()),
            );
            return;
        }
        self.change(change);
    }

    /// Plans a change, unless its last try is in doubt, or failed and is not due again.
    pub(super) fn change(&mut self, change: Change) {
        let id = change.directory_id();
        if let Some(doubt) = self.inputs.in_doubt.get(id) {
            if doubt.again.as_ref() != Some(&change.wanted()) {
                // What left may still be obeyed, after anything that is sent now.
                return;
            }
            self.again.insert(id.clone());
        }
        if let Some(failed) = self.inputs.failed.get(id)
            && failed.action == Some(change.action())
            && *failed.wanted == *change.wanted()
            && failed.until.is_some_and(|until| believed(until, self.inputs.now, WAIT_MAX).is_some())
        {
            self.plan.outstanding.push(failed.clone());
            return;
        }
        self.plan.changes.extend(self.creates.take(change));
    }

    /// Whoever is in doubt waits, whatever the export says of them now.
    fn list_in_doubt(&mut self) {
        let waiting = self.plan.outstanding.iter().filter(|entry| entry.kind == OutstandingKind::Waiting);
        let listed: BTreeSet<_> = waiting.filter_map(|entry| entry.directory_id.clone()).collect();
        let open = |id: &DirectoryId| !self.again.contains(id) && !listed.contains(id);
        for (id, doubt) in self.inputs.in_doubt.iter().filter(|(id, _)| open(id)) {
            let InDoubt { action, user_name, until, again: _ } = doubt;
            // A lost create that the endpoint cannot serve is put off for longer than a lost answer.
            if let Some(failed) = self.inputs.failed.get(id)
                && *action == Action::Create
                && failed.action == Some(Action::Create)
                && failed.until.is_some_and(|until| self.inputs.now < until)
            {
                self.plan.outstanding.push(failed.clone());
                continue;
            }
            let entry = OutstandingUser::new(OutstandingKind::Waiting, Some(id), Some(user_name), NotTried::InDoubt);
            self.plan.outstanding.push(entry.action(*action).until(*until));
        }
    }
}
