//! A user on its way: as the directory says it (`DirectoryUser`), as it should be (`DesiredUser`), as we left it at
//! Rhombus (`ProvisionedUser`).

use super::{Column, DirectoryId, RecordFault, ScimId, UserName};
use std::borrow::Cow;

/// One member of a record, before anybody has judged it: a wrong type is remembered, not refused.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RawValue<'a> {
    /// The key is not there.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// A string.
    Text(Cow<'a, str>),
    /// A boolean.
    Flag(bool),
    /// A number, an array or an object: of no use where a text or a boolean is asked for.
    Other,
}

/// The member `groups`, before anybody has judged it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RawGroups<'a> {
    /// The key is not there, or `null`.
    #[default]
    Absent,
    /// Names, or the `name` of objects.
    Listed(Vec<Cow<'a, str>>),
    /// A cell of a CSV, and what stands between two groups in it.
    Cell(Cow<'a, str>, char),
    /// Anything else.
    Other,
}

impl RawGroups<'_> {
    /// The names, without blanks around them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (listed, cell) = match self {
            Self::Listed(names) => (names.as_slice(), None),
            Self::Cell(text, separator) => (&[][..], Some(text.split(*separator))),
            Self::Absent | Self::Other => (&[][..], None),
        };
        let of_cell = cell.into_iter().flatten().map(str::trim).filter(|name| !name.is_empty());
        listed.iter().map(AsRef::as_ref).chain(of_cell)
    }
}

/// The member `state`, read in the words of `[directory.states]` or in ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RawState {
    /// It is not there, `null`, or empty.
    #[default]
    Absent,
    /// The same, in an export that says where a state stands, or says one of most users.
    Lacking,
    /// One of the words.
    Said(UserState),
    /// Another word.
    Unknown,
    /// Not a string.
    Other,
}

/// A record of an export, cut out and typed, not judged: `plan::mapping` says what it asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DirectoryUser<'a> {
    /// The immutable key.
    pub id: RawValue<'a>,
    /// The username, which must be an e-mail address.
    pub username: RawValue<'a>,
    /// Read for import matching only, never pushed.
    pub email: RawValue<'a>,
    /// `name.givenName`.
    pub firstname: RawValue<'a>,
    /// `name.familyName`.
    pub lastname: RawValue<'a>,
    /// What it says of the user's state.
    pub state: RawState,
    /// Decides only where `state` is absent.
    pub activated: RawValue<'a>,
    /// True: suspended, whatever `state` says.
    pub suspended: RawValue<'a>,
    /// The groups this user is in.
    pub groups: RawGroups<'a>,
    /// A name that is the word for "nothing" of some program: it is absent here, and listed.
    pub null_word: Option<Column>,
}

/// What the directory says of a user's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum UserState {
    /// May work.
    Activated,
    /// Not yet.
    Staged,
    /// Not any more, or not now.
    Suspended,
}

/// Why a record cannot be used. The user it stands for is present, and is never removed because of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable {
    /// The id it stands for, where it has a valid one.
    pub id: Option<DirectoryId>,
    /// The username it carries, where it carries a text.
    pub username: Option<UserName>,
    /// What is wrong with it.
    pub fault: RecordFault,
}

/// The two names that are managed. `None`: the export does not carry the key, so the name is left alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// `name.givenName`; an empty text clears it.
    pub given: Option<Box<str>>,
    /// `name.familyName`; an empty text clears it.
    pub family: Option<Box<str>>,
}

/// A user who should exist, valid by construction (`plan::mapping`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DesiredUser {
    /// Sent as `externalId`.
    pub id: DirectoryId,
    /// Sent as `userName`, at the create and never again.
    pub user_name: UserName,
    /// The names it should carry.
    pub names: Names,
}

/// A row of the snapshot: an account we made or took over, as we last saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvisionedUser {
    /// The row's number; dense enough to keep a bit for each.
    pub row: i64,
    /// Whose account it is.
    pub directory_id: DirectoryId,
    /// Which account it is.
    pub scim_id: ScimId,
    /// The userName that the account carries.
    pub user_name: UserName,
    /// The names that the account carries; `None`: none was ever seen.
    pub names: Names,
    /// Whether the account is active; one that was found inactive is brought back.
    pub active: bool,
    /// Whether it was seen with another userName: it may be somebody else's by now, and is left alone.
    pub foreign: bool,
    /// The `[directory]` and `[scope]` settings under which it was last wanted.
    pub settings: i64,
    /// How many accepted updates in a row did not change the account.
    pub futile_count: u32,
    /// The digest of the names that those updates wanted.
    pub futile_wanted: Option<Box<str>>,
}

/// What of a snapshot row is looked at where it lies: most users are as they should be, and of those nothing is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowView<'r> {
    /// The userName that the account carries.
    pub user_name: &'r str,
    /// The given name that the account carries; empty where it carries none.
    pub given: &'r str,
    /// The family name, likewise.
    pub family: &'r str,
    /// Whether the account is active, and ours as far as is known.
    pub active: bool,
    /// The `[directory]` and `[scope]` settings under which it was last wanted.
    pub settings: i64,
}

impl ProvisionedUser {
    /// What an export is compared with.
    #[must_use]
    pub fn row_view(&self) -> RowView<'_> {
        RowView {
            user_name: self.user_name.as_str(),
            given: self.names.given.as_deref().unwrap_or_default(),
            family: self.names.family.as_deref().unwrap_or_default(),
            active: self.active && !self.foreign,
            settings: self.settings,
        }
    }
}

/// How an account was found that is not as the snapshot has it; each was read by its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It is gone, at an endpoint that shows others of ours.
    Gone,
    /// It carries these names, and is active or not.
    Carries(Names, bool),
    /// It carries another userName, with these names, active or not: it may be somebody else's by now; or was renamed there,
    /// as the directory wants it. An `externalId` that is shown is ours.
    Foreign(UserName, Names, bool),
}

impl Names {
    /// What differs between these wanted names and those an account carries: absent, `null` and `""` are equal.
    #[must_use]
    pub fn differ_from(&self, carried: &Self) -> bool {
        fn differs(wanted: Option<&str>, carried: Option<&str>) -> bool {
            wanted.is_some_and(|wanted| wanted != carried.unwrap_or_default())
        }
        differs(self.given.as_deref(), carried.given.as_deref())
            || differs(self.family.as_deref(), carried.family.as_deref())
    }

    /// Names wanted a moment ago laid over those that were carried: what the account carries once it obeyed.
    #[must_use]
    pub fn laid_over(&self, carried: &Self) -> Self {
        Self {
            given: self.given.clone().or_else(|| carried.given.clone()),
            family: self.family.clone().or_else(|| carried.family.clone()),
        }
    }

    /// A short text that is equal for equal wants, for "three updates did not change this".
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

/// Whether an absence from this export means that the user is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The export is whole: a document that closed, totals that match, or a checksum beside it.
    Whole,
    /// It may have been cut where it still parses: an absence must be seen in two exports.
    Unproven,
}
