//! Three forms of a user: as the directory says (`DirectoryUser`), as wanted (`DesiredUser`), and as we left the
//! account at Rhombus (`ProvisionedUser`).

use super::{
    Column, DirectoryId, LinkedExternalId, Reason, RecordFault, ScimId, UnfitValue, UserName, is_same_name, trimmed,
};
use std::borrow::Cow;

/// One member of a record, not judged yet: a wrong type is remembered, not refused.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RawValue<'a> {
    /// The key is absent.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// A string.
    Text(Cow<'a, str>),
    /// A boolean.
    Flag(bool),
    /// A number, an array or an object: useless if a string or a boolean is expected.
    Other,
}

/// The member `groups`, not judged yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RawGroups<'a> {
    /// The key is absent, or `null`.
    #[default]
    Absent,
    /// Names, or the `name` of each object.
    Listed(Vec<Cow<'a, str>>),
    /// A CSV cell, and the separator between its groups.
    Cell(Cow<'a, str>, char),
    /// The scoped groups in which the members file lists the user; and whether that file is whole: a group that it
    /// does not list says nothing.
    Joined(Vec<Cow<'a, str>>, Proof),
    /// The members file lists the username in a scoped group, with another id.
    Contradicted,
    /// Anything else.
    Other,
}

impl RawGroups<'_> {
    /// The group names, without surrounding spaces.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (listed, cell) = match self {
            Self::Listed(names) | Self::Joined(names, _) => (names.as_slice(), None),
            Self::Cell(text, separator) => (&[][..], Some(text.split(*separator))),
            Self::Absent | Self::Contradicted | Self::Other => (&[][..], None),
        };
        let of_cell = cell.into_iter().flatten().map(trimmed).filter(|name| !name.is_empty());
        listed.iter().map(|name| trimmed(name)).chain(of_cell)
    }

    /// Whether one of [`RawGroups::names`] is such a one.
    #[inline]
    pub fn has(&self, mut is: impl FnMut(&str) -> bool) -> bool {
        match self {
            Self::Listed(names) | Self::Joined(names, _) => names.iter().any(|name| is(trimmed(name))),
            Self::Cell(text, separator) => text.split(*separator).map(trimmed).any(|name| !name.is_empty() && is(name)),
            Self::Absent | Self::Contradicted | Self::Other => false,
        }
    }
}

/// The member `state`, in the words of `[directory.states]` or in ours.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RawState<'a> {
    /// Missing, `null`, or empty.
    #[default]
    Absent,
    /// The same, in an export that maps `state` or gives most users one.
    Lacking,
    /// One of the known words.
    Said(UserState),
    /// An unknown word.
    Unknown(Cow<'a, str>),
    /// Not a string.
    Other,
}

/// A parsed record of an export; `plan::mapping` judges what it asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DirectoryUser<'a> {
    /// The directory's immutable id.
    pub id: RawValue<'a>,
    /// The username, which must be an e-mail address.
    pub username: RawValue<'a>,
    /// Used only to match accounts for an import; never sent.
    pub email: RawValue<'a>,
    /// `name.givenName`.
    pub firstname: RawValue<'a>,
    /// `name.familyName`.
    pub lastname: RawValue<'a>,
    /// The user's state.
    pub state: RawState<'a>,
    /// Decides only if `state` is absent.
    pub activated: RawValue<'a>,
    /// If true: suspended, whatever `state` says.
    pub suspended: RawValue<'a>,
    /// The names of the user's groups; `[scope] groups` selects by them.
    pub groups: RawGroups<'a>,
    /// A name that is some program's word for "nothing": absent here, and reported.
    pub null_word: Option<Column>,
}

impl DirectoryUser<'_> {
    /// Whether the record has this column or member.
    #[must_use]
    pub fn has(&self, column: Column) -> bool {
        let there = |value: &RawValue<'_>| *value != RawValue::Absent;
        match column {
            Column::Id => there(&self.id),
            Column::Username => there(&self.username),
            Column::Email => there(&self.email),
            Column::Firstname => there(&self.firstname) || self.null_word == Some(Column::Firstname),
            Column::Lastname => there(&self.lastname) || self.null_word.is_some(),
            Column::State => !matches!(self.state, RawState::Absent | RawState::Lacking),
            Column::Activated => there(&self.activated),
            Column::Suspended => there(&self.suspended),
            Column::Groups => !matches!(self.groups, RawGroups::Absent),
        }
    }
}

/// A user's state in the directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum UserState {
    /// May have access.
    Activated,
    /// Not active yet.
    Staged,
    /// Not active any more, or not now.
    Suspended,
}

/// Why a record cannot be used. Its user counts as present, and is never removed because of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable {
    /// The record's id, if it is valid.
    pub id: Option<DirectoryId>,
    /// The record's username, if it is a string.
    pub username: Option<UserName>,
    /// What is wrong with it.
    pub fault: RecordFault,
    /// The value that is at fault, for people, if there is one to show.
    pub value: Option<UnfitValue>,
}

impl Unusable {
    /// Why, in the words of a report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match &self.value {
            Some(value) => Reason::Unfit { fault: self.fault, value: value.clone() },
            None => self.fault.into(),
        }
    }
}

/// The two managed names. `None`: the export does not have the key, so the name is left alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// `name.givenName`; an empty string clears it.
    pub given: Option<Box<str>>,
    /// `name.familyName`; an empty string clears it.
    pub family: Option<Box<str>>,
}

/// A user who should exist; always valid, because only `plan::mapping` makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DesiredUser {
    /// Sent as `externalId`.
    pub id: DirectoryId,
    /// Sent as `userName`, only in the create.
    pub user_name: UserName,
    /// The names the account should have.
    pub names: Names,
}

/// Row number of a scope version: the `[directory]` and `[scope]` settings under which a user was last wanted. 0: none is
/// stored yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ScopeVersionId(pub i64);

/// A row of the snapshot: an account that we created or took over, as we last saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvisionedUser {
    /// Row number; dense enough for a bit set.
    pub row: i64,
    /// The user's directory id.
    pub directory_id: DirectoryId,
    /// The account's SCIM id.
    pub scim_id: ScimId,
    /// The account's userName.
    pub user_name: UserName,
    /// The account's names; `None`: never seen.
    pub names: Names,
    /// Whether the account is active; one that was found inactive is reactivated.
    pub active: bool,
    /// Whether the account was renamed: it may belong to somebody else by now, and is left alone.
    pub foreign: bool,
    /// The scope version under which the user was last wanted.
    pub scope_version: ScopeVersionId,
    /// Of which groups of `[scope]` it was a member then, by the number of that set; 0: not known.
    pub wanted_by: i64,
    /// Which `externalId` the account showed when it was linked.
    pub external_id: LinkedExternalId,
    /// Accepted updates in a row that did not change the account.
    pub futile_count: u32,
    /// The digest of the names that those updates wanted.
    pub futile_wanted: Option<Box<str>>,
}

/// The columns compared in place: most users are unchanged, and nothing is kept of those.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowView<'r> {
    /// The account's userName.
    pub user_name: &'r str,
    /// The account's given name; empty if it has none.
    pub given: &'r str,
    /// The account's family name; empty if it has none.
    pub family: &'r str,
    /// Whether the account is active and, as far as is known, ours.
    pub active: bool,
    /// The scope version under which the user was last wanted.
    pub scope_version: ScopeVersionId,
    /// Of which groups of `[scope]` it was a member then, by the number of that set; 0: not known.
    pub wanted_by: i64,
}

impl ProvisionedUser {
    /// The compared columns.
    #[must_use]
    pub fn row_view(&self) -> RowView<'_> {
        RowView {
            user_name: self.user_name.as_str(),
            given: self.names.given.as_deref().unwrap_or_default(),
            family: self.names.family.as_deref().unwrap_or_default(),
            active: self.active && !self.foreign,
            scope_version: self.scope_version,
            wanted_by: self.wanted_by,
        }
    }
}

/// How an account differs from the snapshot; each was read by its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It is gone, at an endpoint that shows other linked accounts.
    Gone,
    /// It has these names, and is active or not.
    Carries(Names, bool),
    /// It was renamed; with its names, and whether it is active. It may belong to somebody else by now, or was renamed
    /// as the directory wants it. An `externalId` that is shown is ours.
    Foreign(UserName, Names, bool),
}

impl Names {
    /// Whether an account with the names `carried` must be changed: absent, `null` and `""` are equal.
    #[must_use]
    pub fn differ_from(&self, carried: &Self) -> bool {
        fn differs(wanted: Option<&str>, carried: Option<&str>) -> bool {
            wanted.is_some_and(|wanted| !is_same_name(wanted, carried.unwrap_or_default()))
        }
        differs(self.given.as_deref(), carried.given.as_deref())
            || differs(self.family.as_deref(), carried.family.as_deref())
    }

    /// The names an account has after an update: the wanted ones, else those it had.
    #[must_use]
    pub fn laid_over(&self, carried: &Self) -> Self {
        Self {
            given: self.given.clone().or_else(|| carried.given.clone()),
            family: self.family.clone().or_else(|| carried.family.clone()),
        }
    }

    /// A short digest of wanted names, to recognise "three updates did not change this".
    #[must_use]
    pub fn digest(&self, reactivate: bool) -> String {
        let part = |name: &Option<Box<str>>| name.as_deref().map_or("-".to_owned(), |name| format!("+{name}"));
        super::short_digest([
            part(&self.given).as_str(),
            part(&self.family).as_str(),
            if reactivate { "active" } else { "" },
        ])
    }
}

/// Whether an absence from this export proves that the user is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The export is complete: a closed document, matching totals, or a checksum beside it.
    Whole,
    /// It may be truncated and still parse: an absence must be seen in two exports.
    Unproven,
}
