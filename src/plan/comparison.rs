//! Records beside snapshot rows, one by one; what differs is kept, everything else is forgotten at once.
//!
//! The caller joins: it gives each record with the row of its id, then every row that no record named. Nothing is
//! concluded from an absence before [`Comparison::finish`] hears how well the export is proven.

use super::desire::{Ask, Desire, Reject, Scope, judge};
use super::{Doubled, Plan};
use crate::model::{
    Action, Cause, Change, DirectoryId, DirectoryUser, Field, FieldName, Loose, Moment, Proof, ProvisionedUser,
    Removal, Standing, StandingKind, UserName, UserState, short_digest,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many accepted updates that change nothing park a user (CONTRACT section 4).
const FUTILE_UPDATES_MAX: u32 = 3;

/// What is done with users who should not be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removals {
    /// Take the account away like this.
    By(Removal),
    /// Never; they are listed as kept.
    Keep,
}

/// The policies of `[rhombus]` that a plan depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// For suspended and staged users.
    pub on_suspended: Removals,
    /// For users gone from the export or from its groups.
    pub on_removed: Removals,
}

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
    pub failed: BTreeMap<DirectoryId, Standing>,
    /// Users with an open intent, and when it goes on.
    pub in_doubt: BTreeMap<DirectoryId, Moment>,
    /// For each user missing from an unproven export: when the export was written that first lacked it.
    pub absences: BTreeMap<DirectoryId, Moment>,
    /// What a second reading found.
    pub doubled: Doubled,
}

/// What the end of a reading tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Whole {
    /// Whether absences count.
    pub proof: Proof,
    /// When the export was written.
    pub written_at: Moment,
}

/// A comparison under way.
#[derive(Debug)]
pub struct Comparison {
    inputs: Inputs,
    plan: Plan,
    missing: Vec<ProvisionedUser>,
    renamed: BTreeSet<DirectoryId>,
    doubled_said: BTreeSet<String>,
    claims: Vec<(UserName, &'static str)>,
    nobody: BTreeMap<&'static str, u64>,
    nobody_in_scope: bool,
}

impl Comparison {
    /// A comparison that has seen nothing.
    #[must_use]
    pub fn new(inputs: Inputs) -> Self {
        Self {
            inputs,
            plan: Plan::default(),
            missing: Vec::new(),
            renamed: BTreeSet::new(),
            doubled_said: BTreeSet::new(),
            claims: Vec::new(),
            nobody: BTreeMap::new(),
            nobody_in_scope: false,
        }
    }

    /// Takes one record, with the row of its id where there is one.
    pub fn record(&mut self, user: &DirectoryUser<'_>, row: Option<&ProvisionedUser>) {
        let reason = self.doubled(user);
        let mut verdict = judge(user, &self.inputs.scope);
        if let (Some(reason), Ok(_) | Err(_)) = (reason, &verdict) {
            let (id, first) = match &user.id {
                Loose::Text(id) => (DirectoryId::new(id.as_ref()), self.doubled_said.insert(id.to_string())),
                Loose::Absent | Loose::Null | Loose::Flag(_) | Loose::Other => return,
            };
            if !first {
                return;
            }
            let username = match &user.username {
                Loose::Text(name) if !name.is_empty() => Some(UserName::of_account(name)),
                Loose::Text(_) | Loose::Absent | Loose::Null | Loose::Flag(_) | Loose::Other => None,
            };
            let could_be_in_scope = match &verdict {
                Ok(desire) => desire.ask != Ask::OutOfScope,
                Err(reject) => reject.could_be_in_scope,
            };
            let unusable = crate::model::Unusable { id: Some(id), username, reason };
            verdict = Err(Reject { unusable, could_be_in_scope });
        }
        match verdict {
            Ok(desire) => self.usable(&desire, row),
            Err(reject) => self.unusable(reject, row),
        }
    }

    /// Takes a row that no record named by id.
    pub fn missing(&mut self, row: &ProvisionedUser) {
        self.missing.push(row.clone());
    }

    /// The plan. `holder` finds the row whose account carries a folded username.
    pub fn finish(mut self, whole: Whole, holder: &mut dyn FnMut(&str) -> Option<ProvisionedUser>) -> Plan {
        let claimed = self.settle_claims(holder);
        for row in std::mem::take(&mut self.missing) {
            self.absent(&row, whole, &claimed);
        }
        self.settle_user_names(holder);
        self.plan.changes.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.directory_id().cmp(b.directory_id())));
        self.plan
            .standings
            .sort_by(|a, b| (a.kind, &a.directory_id, &a.reason).cmp(&(b.kind, &b.directory_id, &b.reason)));
        self.plan
    }

    fn doubled(&self, user: &DirectoryUser<'_>) -> Option<&'static str> {
        let Loose::Text(id) = &user.id else { return None };
        if self.inputs.doubled.ids.contains(id.as_ref()) {
            Some("two records with this id")
        } else if self.inputs.doubled.by_name.contains(id.as_ref()) {
            Some("another id has the same username, or one that differs only in form")
        } else {
            None
        }
    }

    fn unusable(&mut self, reject: Reject, row: Option<&ProvisionedUser>) {
        let Reject { unusable, could_be_in_scope } = reject;
        if let (None, None, false) = (row, &unusable.username, could_be_in_scope) {
            return;
        }
        let Some(id) = unusable.id else {
            self.nobody_in_scope |= could_be_in_scope && unusable.username.is_none();
            match unusable.username {
                Some(name) => self.claims.push((name, if could_be_in_scope { unusable.reason } else { "" })),
                None => *self.nobody.entry(unusable.reason).or_default() += 1,
            }
            return;
        };
        if row.is_none() && !could_be_in_scope {
            return;
        }
        let name = row.map(|row| &row.user_name).or(unusable.username.as_ref());
        let mut standing = Standing::new(StandingKind::Refused, Some(&id), name, unusable.reason);
        standing.scim_id = row.map(|row| row.scim_id.clone());
        if let Some(name) = &unusable.username {
            let to = Some(name.as_str().into());
            standing = standing.wanted(short_digest([name.as_str()])).fields(vec![Field {
                name: FieldName::UserName,
                from: None,
                to,
            }]);
        }
        self.plan.standings.push(standing);
    }

    /// Records without a valid id stand for the user with their username, or for nobody.
    fn settle_claims(&mut self, holder: &mut dyn FnMut(&str) -> Option<ProvisionedUser>) -> BTreeSet<DirectoryId> {
        let mut claimed = BTreeSet::new();
        for (name, reason) in std::mem::take(&mut self.claims) {
            match holder(&name.folded()) {
                Some(row) => {
                    let reason = if reason.is_empty() { "no valid id" } else { reason };
                    let standing =
                        Standing::new(StandingKind::Refused, Some(&row.directory_id), Some(&row.user_name), reason);
                    if claimed.insert(row.directory_id.clone()) {
                        self.plan.standings.push(standing.account(&row.scim_id));
                    }
                }
                None if reason.is_empty() => {}
                None => {
                    self.nobody_in_scope = true;
                    *self.nobody.entry(reason).or_default() += 1;
                }
            }
        }
        for (reason, count) in std::mem::take(&mut self.nobody) {
            let reason = if count == 1 {
                format!("a record that names nobody: {reason}")
            } else {
                format!("{count} records that name nobody: {reason}")
            };
            self.plan.standings.push(Standing::new(StandingKind::Refused, None, None, reason));
        }
        claimed
    }

    fn usable(&mut self, desire: &Desire<'_>, row: Option<&ProvisionedUser>) {
        let name = UserName::of_account(desire.user_name);
        if self.inputs.scope.protects(&name) || row.is_some_and(|row| self.inputs.scope.protects(&row.user_name)) {
            self.plan.unchanged_count += u64::from(row.is_some());
            return;
        }
        match (desire.ask, row) {
            (Ask::Provision, Some(row)) => self.provisioned(desire, &name, row),
            (Ask::Provision, None) => {
                let user = desire.to_user();
                self.change(Change::Create { user, after_removal_of: None });
            }
            (Ask::Withhold(state), Some(row)) => {
                let cause = if state == UserState::Staged { Cause::Staged } else { Cause::Suspended };
                self.remove(row, self.inputs.policy.on_suspended, cause);
            }
            (Ask::OutOfScope, Some(row)) => self.remove(row, self.inputs.policy.on_removed, Cause::OutOfGroups),
            (Ask::Withhold(_) | Ask::OutOfScope, None) => {
                let id = DirectoryId::new(desire.id);
                if self.inputs.in_doubt.contains_key(&id) {
                    self.in_doubt(&id, &name, Action::Create);
                }
            }
        }
    }

    fn provisioned(&mut self, desire: &Desire<'_>, name: &UserName, row: &ProvisionedUser) {
        let renamed = !name.same_as(&row.user_name);
        if renamed {
            self.renamed.insert(row.directory_id.clone());
            let field = Field {
                name: FieldName::UserName,
                from: Some(row.user_name.as_str().into()),
                to: Some(name.as_str().into()),
            };
            self.plan.standings.push(
                Standing::new(
                    StandingKind::Refused,
                    Some(&row.directory_id),
                    Some(&row.user_name),
                    "the directory has another username; Rhombus does not change usernames",
                )
                .action(Action::Update)
                .account(&row.scim_id)
                .wanted(short_digest([name.folded().as_str()]))
                .fields(vec![field]),
            );
        }
        let wanted = desire.names();
        if !wanted.differ_from(&row.names) {
            self.plan.unchanged_count += u64::from(!renamed);
            return;
        }
        let change = Change::Update {
            directory_id: row.directory_id.clone(),
            scim_id: row.scim_id.clone(),
            user_name: row.user_name.clone(),
            carried: row.names.clone(),
            wanted,
        };
        let digest = match &change {
            Change::Update { wanted, .. } => wanted.digest(),
            Change::Create { .. } | Change::Remove { .. } => String::new(),
        };
        if row.futile_count >= FUTILE_UPDATES_MAX && row.futile_wanted.as_deref() == Some(digest.as_str()) {
            let reason = "Rhombus accepted three updates and changed nothing";
            self.plan.standings.push(
                Standing::new(StandingKind::Parked, Some(&row.directory_id), Some(&row.user_name), reason)
                    .action(Action::Update)
                    .account(&row.scim_id)
                    .wanted(digest)
                    .fields(change.fields()),
            );
            return;
        }
        self.change(change);
    }

    fn remove(&mut self, row: &ProvisionedUser, policy: Removals, cause: Cause) {
        match policy {
            Removals::Keep => self.plan.standings.push(
                Standing::new(StandingKind::Kept, Some(&row.directory_id), Some(&row.user_name), cause.as_str())
                    .account(&row.scim_id),
            ),
            Removals::By(removal) => self.change(Change::Remove {
                directory_id: row.directory_id.clone(),
                scim_id: row.scim_id.clone(),
                user_name: row.user_name.clone(),
                removal,
                cause,
            }),
        }
    }

    fn absent(&mut self, row: &ProvisionedUser, whole: Whole, claimed: &BTreeSet<DirectoryId>) {
        if claimed.contains(&row.directory_id) {
            return;
        }
        if self.inputs.scope.protects(&row.user_name) {
            self.plan.unchanged_count += 1;
            return;
        }
        let waits = |reason: &str, removal: Removal| {
            Standing::new(StandingKind::Waiting, Some(&row.directory_id), Some(&row.user_name), reason)
                .action(removal.action())
                .account(&row.scim_id)
        };
        let policy = self.inputs.policy.on_removed;
        let Removals::By(removal) = policy else {
            self.remove(row, policy, Cause::Gone);
            return;
        };
        if self.nobody_in_scope {
            let reason = "gone from the export, but a record in it names nobody and might be this user";
            self.plan.standings.push(waits(reason, removal));
            return;
        }
        let seen_before = self.inputs.absences.get(&row.directory_id).is_some_and(|first| *first != whole.written_at);
        if whole.proof == Proof::Unproven && !seen_before {
            let reason =
                "gone from an export that cannot prove that it is whole; it must be missing from the next one too";
            self.plan.sightings.push(row.directory_id.clone());
            self.plan.standings.push(waits(reason, removal));
            return;
        }
        if whole.proof == Proof::Unproven {
            self.plan.sightings.push(row.directory_id.clone());
        }
        self.remove(row, policy, Cause::Gone);
    }

    /// Plans a change, unless its last try is in doubt, or failed and is not due again.
    fn change(&mut self, change: Change) {
        let id = change.directory_id();
        if self.inputs.in_doubt.contains_key(id) {
            self.in_doubt(&id.clone(), &change.user_name().clone(), change.action());
            return;
        }
        if let Some(failed) = self.inputs.failed.get(id)
            && failed.action == Some(change.action())
            && *failed.wanted == *change.wanted()
            && failed.until.is_some_and(|until| self.inputs.now < until)
        {
            self.plan.standings.push(failed.clone());
            return;
        }
        self.plan.changes.push(change);
    }

    fn in_doubt(&mut self, id: &DirectoryId, name: &UserName, action: Action) {
        let until = self.inputs.in_doubt.get(id).copied().unwrap_or(self.inputs.now);
        self.plan.standings.push(
            Standing::new(
                StandingKind::Waiting,
                Some(id),
                Some(name),
                "the answer to an earlier request was lost; it is looked up",
            )
            .action(action)
            .until(until),
        );
    }

    /// A newcomer whose username an account of ours still carries comes after its removal, or not at all.
    fn settle_user_names(&mut self, holder: &mut dyn FnMut(&str) -> Option<ProvisionedUser>) {
        let removed: BTreeSet<_> = self
            .plan
            .changes
            .iter()
            .filter(|change| change.action().removes())
            .map(|change| change.directory_id().clone())
            .collect();
        let (mut kept, mut standings) = (Vec::with_capacity(self.plan.changes.len()), Vec::new());
        for change in std::mem::take(&mut self.plan.changes) {
            let Change::Create { user, .. } = change else {
                kept.push(change);
                continue;
            };
            let Some(row) = holder(&user.user_name.folded()) else {
                kept.push(Change::Create { user, after_removal_of: None });
                continue;
            };
            if removed.contains(&row.directory_id) {
                kept.push(Change::Create { user, after_removal_of: Some(row.directory_id) });
                continue;
            }
            let (kind, reason) = if self.renamed.contains(&row.directory_id) {
                (
                    StandingKind::Refused,
                    "the username belongs to the account of a user who was renamed in the directory",
                )
            } else {
                (StandingKind::Waiting, "the username is still carried by another user's account")
            };
            let change = Change::Create { user, after_removal_of: None };
            standings.push(
                Standing::new(kind, Some(change.directory_id()), Some(change.user_name()), reason)
                    .action(Action::Create)
                    .wanted(change.wanted())
                    .fields(change.fields()),
            );
        }
        self.plan.changes = kept;
        self.plan.standings.append(&mut standings);
    }
}

fn rank(change: &Change) -> u8 {
    match change {
        Change::Remove { .. } => 0,
        Change::Update { .. } => 1,
        Change::Create { .. } => 2,
    }
}
