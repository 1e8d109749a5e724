//! What a reading counts on the way: what only the whole of an export shows.

use super::TakeUser;
use super::blocks::FileDigest;
use super::memberships::{Matched, Memberships};
use crate::model::{Column, DirectoryUser, Layout, RawGroups, RawState, RawValue, Spoken};

/// What a parse brought beside the records.
pub(super) struct Parsed {
    /// Whether the document was closed.
    pub(super) closed: bool,
    pub(super) digest: FileDigest,
    /// A name that is called like a status and is none of those that are read.
    pub(super) status: Option<String>,
    /// Mapped columns that the header of a CSV does not have.
    pub(super) lacking: Vec<Column>,
}

/// Counts records and hands them on.
pub(super) struct Census<'t, 'u> {
    take: &'t mut TakeUser<'u>,
    /// Whether a record without a state lacks one.
    states_expected: bool,
    pub(super) spoken: Spoken,
    pub(super) with_groups_count: u64,
    pub(super) known_states_count: u64,
    /// The members file, and which of its users had a record so far.
    pub(super) memberships: Option<(&'t Memberships, Matched)>,
}

impl<'t, 'u> Census<'t, 'u> {
    pub(super) fn new(
        layout: &Layout,
        states_expected: bool,
        memberships: Option<&'t Memberships>,
        take: &'t mut TakeUser<'u>,
    ) -> Self {
        let states_expected = states_expected || layout.state_is_mapped();
        Self {
            take,
            states_expected,
            spoken: Spoken::default(),
            with_groups_count: 0,
            known_states_count: 0,
            memberships: memberships.map(|memberships| (memberships, memberships.unmatched())),
        }
    }

    /// Whether nothing has said so far who may come in.
    pub(super) fn is_silent(&self) -> bool {
        self.spoken.state == 0 && self.spoken.activated == 0
    }

    pub(super) fn record<'a>(&mut self, mut user: DirectoryUser<'a>)
    where
        't: 'a,
    {
        if let Some((memberships, matched)) = &mut self.memberships {
            user.groups = memberships.groups_of(&user, matched);
        }
        self.spoken.records_count += 1;
        self.spoken.state += u64::from(user.state != RawState::Absent);
        self.spoken.activated += u64::from(speaks(&user.activated));
        self.spoken.suspended += u64::from(speaks(&user.suspended));
        self.spoken.groups += u64::from(names_groups(&user.groups));
        self.with_groups_count += u64::from(!matches!(user.groups, RawGroups::Absent));
        self.known_states_count += u64::from(matches!(user.state, RawState::Said(_)));
        if self.states_expected && user.state == RawState::Absent {
            user.state = RawState::Lacking;
        }
        (self.take)(&user);
    }
}

/// Whether it names a group, or tries to.
fn names_groups(groups: &RawGroups<'_>) -> bool {
    match groups {
        RawGroups::Absent => false,
        RawGroups::Listed(names) | RawGroups::Joined(names, _) => !names.is_empty(),
        RawGroups::Cell(..) => groups.has(|_| true),
        RawGroups::Contradicted | RawGroups::Other => true,
    }
}

/// Neither null nor empty.
fn speaks(value: &RawValue<'_>) -> bool {
    match value {
        RawValue::Absent | RawValue::Null => false,
        RawValue::Text(text) => !text.is_empty(),
        RawValue::Flag(_) | RawValue::Other => true,
    }
}
