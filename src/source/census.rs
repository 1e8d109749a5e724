//! What a reading counts on the way: what only the whole of an export shows.

use super::Recipient;
use super::blocks::FileDigest;
use super::memberships::{Matched, Memberships};
use crate::fingerprints::Said;
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
pub(super) struct Census<'t> {
    recipient: &'t mut dyn Recipient,
    /// Whether a record without a state lacks one.
    states_expected: bool,
    pub(super) spoken: Spoken,
    pub(super) with_groups_count: u64,
    pub(super) known_states_count: u64,
    /// The members file, and which of its users had a record so far.
    pub(super) memberships: Option<(&'t Memberships, Matched)>,
}

impl<'t> Census<'t> {
    pub(super) fn new(
        layout: &Layout,
        states_expected: bool,
        memberships: Option<&'t Memberships>,
        recipient: &'t mut dyn Recipient,
    ) -> Self {
        let states_expected = states_expected || layout.state_is_mapped();
        Self {
            recipient,
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

    /// Says what the records begin with.
    pub(super) fn begins(&mut self, opening: &[u8]) {
        self.recipient.begins(opening);
    }

    /// Counts the record at the start of a text if its bytes are known, and says how long it is.
    #[inline]
    pub(super) fn known(&mut self, text: &str) -> Option<usize> {
        // What a members file says of a user is not in the record.
        if self.memberships.is_some() {
            return None;
        }
        let (length, said) = self.recipient.knows(text, self.is_silent())?;
        self.count(said);
        Some(length)
    }

    /// Counts a record that was parsed, and hands it on with its bytes. `no_status`: whether it is known to have no member that
    /// is called like a status.
    pub(super) fn record<'a>(&mut self, mut user: DirectoryUser<'a>, record: &str, no_status: bool)
    where
        't: 'a,
    {
        if let Some((memberships, matched)) = &mut self.memberships {
            user.groups = memberships.groups_of(&user, matched);
        }
        let said = Said::default()
            .with(Said::STATE, user.state != RawState::Absent)
            .with(Said::ACTIVATED, speaks(&user.activated))
            .with(Said::SUSPENDED, speaks(&user.suspended))
            .with(Said::GROUPS, names_groups(&user.groups))
            .with(Said::GROUPS_THERE, !matches!(user.groups, RawGroups::Absent))
            .with(Said::KNOWN_STATE, matches!(user.state, RawState::Said(_)))
            .with(Said::NO_STATUS, no_status);
        self.count(said);
        if self.states_expected && user.state == RawState::Absent {
            user.state = RawState::Lacking;
        }
        self.recipient.take(&user, record, said);
    }

    #[inline]
    fn count(&mut self, said: Said) {
        self.spoken.records_count += 1;
        self.spoken.state += u64::from(said.has(Said::STATE));
        self.spoken.activated += u64::from(said.has(Said::ACTIVATED));
        self.spoken.suspended += u64::from(said.has(Said::SUSPENDED));
        self.spoken.groups += u64::from(said.has(Said::GROUPS));
        self.with_groups_count += u64::from(said.has(Said::GROUPS_THERE));
        self.known_states_count += u64::from(said.has(Said::KNOWN_STATE));
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
