//! From records and snapshot to an approved plan. PURE: it reads no clock and calls nobody.
//!
//! [`Comparison`] takes records beside snapshot rows and becomes a [`Plan`] once the source has said "whole"; the
//! guard alone ([`approve`]) makes an [`ApprovedPlan`] of it, and only that can be applied.

pub mod mapping;

mod absence;
mod claims;
mod comparison;
mod digest;
mod drift;
mod duplicates;
mod groups;
mod groups_there;
mod guard;
mod identity;
mod known;
mod memberships;
mod order;
mod packed;
mod policy;
mod scope;
mod scope_version;
#[cfg(test)]
mod shorthand;
mod unsaid;
mod usability;

pub use comparison::{Comparison, Inputs, Memberships, Whole};
pub use digest::{hold_id, names_plan, plan_digest};
pub use duplicates::{DuplicateFinder, Duplicates, hash_of_id, hash_of_name, hashes_of};
pub use groups::{GroupMemory, GroupsSeen, UnnamedSoFar};
pub use groups_there::{GroupsThere, Meant};
pub use guard::{ApprovedPlan, Cleared, Ledger, Limits, approve};
pub(crate) use order::{merged, order};
pub use packed::{PackedCreates, PlainCreate};
pub use policy::Policy;
pub use scope::Scope;
pub use scope_version::{ScopeVersion, ScopeVersions, SourceSettings};
pub use unsaid::{Silence, Unsaid};
pub use usability::Usability;

use crate::model::{Change, Column, DirectoryId, OutstandingUser, ProvisionedUser};
use std::borrow::Cow;

/// What should be done, before the guard has seen it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// Removals first, each part by directory id; but for the plain creates.
    pub changes: Vec<Change>,
    /// Those that wait for nothing, of users who had no account.
    pub creates: PackedCreates,
    /// Whoever is not changed though something is wanted: waiting, refused, parked, failed, kept.
    pub outstanding: Vec<OutstandingUser>,
    /// Users missing from an export that cannot prove that it is whole.
    pub sightings: Vec<DirectoryId>,
    /// Users of the export whom a members file that cannot prove that it is whole lists in no scoped group.
    pub unlisted: Vec<DirectoryId>,
    /// Users who are up to date.
    pub unchanged_count: u64,
    /// Wanted users whose accounts are gone: their links end before they are made again.
    pub vanished: Vec<DirectoryId>,
    /// Accounts that carry by now the username that the directory wants.
    pub renamed_there: Vec<DirectoryId>,
    /// Whether users are wanted now who were last wanted under earlier settings.
    pub settings_move_on: bool,
    /// Users last wanted under earlier settings, and not wanted now.
    pub left_behind: Vec<DirectoryId>,
    /// Links whose ids no record has, and no record stands for: one may have the username of such a link.
    pub absent: Vec<ProvisionedUser>,
    /// What the export says of the groups of `[scope]`.
    pub groups: GroupsSeen,
    /// Whoever may be let in and whose record is silent in a column that could speak against it.
    pub unsaid: Vec<(DirectoryId, Column, Unsaid)>,
}

impl Plan {
    /// All changes: removals first, each part by directory id.
    pub fn all_changes(&self) -> impl Iterator<Item = Cow<'_, Change>> {
        merged(self.changes.iter().map(Cow::Borrowed), self.creates.iter().map(Cow::Owned))
    }
}
