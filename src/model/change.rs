//! Planned changes: what is to be done, to whom, and why.

use super::{DesiredUser, DirectoryId, Names, ScimId, UserName, clean};
use serde::{Deserialize, Serialize};

/// What is done to an account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// POST.
    Create,
    /// Takes over an existing account.
    Link,
    /// PATCH or PUT of the names.
    Update,
    /// `active=false`.
    Deactivate,
    /// DELETE.
    Delete,
}

impl Action {
    /// The name in reports, plans and the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Link => "link",
            Self::Update => "update",
            Self::Deactivate => "deactivate",
            Self::Delete => "delete",
        }
    }

    /// Parses that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Create, Self::Link, Self::Update, Self::Deactivate, Self::Delete]
            .into_iter()
            .find(|action| action.as_str() == name)
    }

    /// Whether it takes access away.
    #[must_use]
    pub const fn removes(self) -> bool {
        match self {
            Self::Deactivate | Self::Delete => true,
            Self::Create | Self::Link | Self::Update => false,
        }
    }
}

/// How an account is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removal {
    /// `active=false`; Rhombus then removes the account.
    Deactivate,
    /// DELETE.
    Delete,
}

impl Removal {
    /// The same as an [`Action`].
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Deactivate => Action::Deactivate,
            Self::Delete => Action::Delete,
        }
    }
}

worded! {
    /// Why a change is planned.
    Cause {
        Wanted = "wanted", "wanted by the directory";
        NameChanged = "name_changed", "name changed in the directory";
        Gone = "absent", "missing from the export";
        OutOfGroups = "out_of_group", "not in any scoped group";
        Suspended = "suspended", "suspended in the directory";
        Staged = "staged", "staged in the directory";
        Vanished = "vanished", "wanted by the directory, but the account at Rhombus is gone";
        ScopeChanged = "configuration_scope", "the configuration: [scope] was changed and no longer includes this user";
        SourceChanged = "configuration_directory", "the configuration: [directory] was changed and the new source lacks this user";
    }
}

impl Cause {
    /// Whether an edit of our own configuration asks for it, not the directory.
    #[must_use]
    pub const fn is_configuration(self) -> bool {
        match self {
            Self::ScopeChanged | Self::SourceChanged => true,
            Self::Wanted
            | Self::NameChanged
            | Self::Gone
            | Self::OutOfGroups
            | Self::Suspended
            | Self::Staged
            | Self::Vanished => false,
        }
    }
}

/// The kinds of change that the guard counts separately.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GuardKind {
    /// Missing from the export, or from the scoped groups.
    Absent,
    /// The export says suspended or staged, which is stronger evidence.
    Suspended,
    /// A new account.
    Create,
    /// New names.
    Update,
}

impl GuardKind {
    /// In the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Absent, Self::Suspended, Self::Create, Self::Update];

    /// The name in the configuration and in the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Suspended => "suspended",
            Self::Create => "create",
            Self::Update => "update",
        }
    }

    /// Parses that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// An account attribute that we set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldName {
    /// `userName`.
    UserName,
    /// `name.givenName`.
    GivenName,
    /// `name.familyName`.
    FamilyName,
    /// `externalId`.
    ExternalId,
    /// `active`, set only to reactivate an account found inactive.
    Active,
}

impl FieldName {
    /// The SCIM path (RFC 7643, section 4.1).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserName => "userName",
            Self::GivenName => "name.givenName",
            Self::FamilyName => "name.familyName",
            Self::ExternalId => "externalId",
            Self::Active => "active",
        }
    }
}

/// One attribute, before and after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// The attribute.
    pub name: FieldName,
    /// The account's present value; `None` if there is no account or no value.
    pub from: Option<Box<str>>,
    /// The wanted value.
    pub to: Option<Box<str>>,
}

/// The identity of a change: the guard, holds and approvals count by it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChangeKey {
    /// Create, link, update, deactivate or delete.
    pub action: Action,
    /// The user's directory id.
    pub directory_id: DirectoryId,
    /// The account; `None` if it does not exist yet.
    pub scim_id: Option<ScimId>,
}

/// A planned change, with the state before and after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Create an account; becomes a link if the look-up finds one.
    Create {
        /// The account's wanted attributes.
        user: DesiredUser,
        /// The link whose removal must be confirmed first, because its account has this username.
        after_removal_of: Option<DirectoryId>,
        /// Whether the user had an account that is gone at Rhombus.
        vanished: bool,
    },
    /// Set names, and reactivate if needed.
    Update {
        /// The user's directory id.
        directory_id: DirectoryId,
        /// The account's SCIM id.
        scim_id: ScimId,
        /// The account's userName.
        user_name: UserName,
        /// The names it has.
        carried: Box<Names>,
        /// The names it should get.
        wanted: Box<Names>,
        /// Whether the account was found inactive and is reactivated.
        reactivate: bool,
    },
    /// Remove an account.
    Remove {
        /// The user's directory id.
        directory_id: DirectoryId,
        /// The account's SCIM id.
        scim_id: ScimId,
        /// The account's userName.
        user_name: UserName,
        /// DELETE, or `active=false`.
        removal: Removal,
        /// Why it is removed.
        cause: Cause,
    },
}

impl Change {
    /// The action in reports and in the state.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Create { .. } => Action::Create,
            Self::Update { .. } => Action::Update,
            Self::Remove { removal, .. } => removal.action(),
        }
    }

    /// The user's directory id.
    #[must_use]
    pub fn directory_id(&self) -> &DirectoryId {
        match self {
            Self::Create { user, .. } => &user.id,
            Self::Update { directory_id, .. } | Self::Remove { directory_id, .. } => directory_id,
        }
    }

    /// The account, if there is one.
    #[must_use]
    pub fn scim_id(&self) -> Option<&ScimId> {
        match self {
            Self::Create { .. } => None,
            Self::Update { scim_id, .. } | Self::Remove { scim_id, .. } => Some(scim_id),
        }
    }

    /// The username to show: the account's, or for a create the directory's.
    #[must_use]
    pub fn user_name(&self) -> &UserName {
        match self {
            Self::Create { user, .. } => &user.user_name,
            Self::Update { user_name, .. } | Self::Remove { user_name, .. } => user_name,
        }
    }

    /// Why it is planned.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Create { vanished: true, .. } => Cause::Vanished,
            Self::Create { vanished: false, .. } => Cause::Wanted,
            Self::Update { .. } => Cause::NameChanged,
            Self::Remove { cause, .. } => *cause,
        }
    }

    /// The guard's limit that it counts against.
    #[must_use]
    pub fn guard_kind(&self) -> GuardKind {
        match self.cause() {
            Cause::Wanted | Cause::Vanished => GuardKind::Create,
            Cause::NameChanged => GuardKind::Update,
            Cause::Gone | Cause::OutOfGroups | Cause::ScopeChanged | Cause::SourceChanged => GuardKind::Absent,
            Cause::Suspended | Cause::Staged => GuardKind::Suspended,
        }
    }

    /// Its identity, stable across cycles.
    #[must_use]
    pub fn key(&self) -> ChangeKey {
        ChangeKey { action: self.action(), directory_id: self.directory_id().clone(), scim_id: self.scim_id().cloned() }
    }

    /// A digest of what it wants; as long as that is unchanged, a failure waits for its next try.
    #[must_use]
    pub fn wanted(&self) -> String {
        let fields = self.fields();
        let texts = fields.iter().flat_map(|field| [field.name.as_str(), field.to.as_deref().unwrap_or_default()]);
        super::short_digest(std::iter::once(self.action().as_str()).chain(texts))
    }

    /// The attributes it sets.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::Create { user, .. } => created_fields(user),
            Self::Update { carried, wanted, reactivate, .. } => {
                let mut fields = differing_fields(carried, wanted);
                if *reactivate {
                    let (from, to) = (Some("false".into()), Some("true".into()));
                    fields.push(Field { name: FieldName::Active, from, to });
                }
                fields
            }
            Self::Remove { .. } => Vec::new(),
        }
    }
}

fn created_fields(user: &DesiredUser) -> Vec<Field> {
    let set = |name, value: Option<&str>| {
        value.filter(|value| !value.is_empty()).map(|value| Field { name, from: None, to: Some(value.into()) })
    };
    [
        set(FieldName::UserName, Some(user.user_name.as_str())),
        set(FieldName::GivenName, user.names.given.as_deref()),
        set(FieldName::FamilyName, user.names.family.as_deref()),
        set(FieldName::ExternalId, Some(user.id.as_str())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The names that differ, with both values.
fn differing_fields(carried: &Names, wanted: &Names) -> Vec<Field> {
    let pair = |name, carried: &Option<Box<str>>, wanted: &Option<Box<str>>| {
        let wanted = wanted.as_deref()?;
        let before = carried.as_deref().unwrap_or_default();
        // The present value is the endpoint's text: cut and cleaned before anybody sees it.
        (before != wanted).then(|| Field { name, from: Some(clean(before).into()), to: Some(wanted.into()) })
    };
    [
        pair(FieldName::GivenName, &carried.given, &wanted.given),
        pair(FieldName::FamilyName, &carried.family, &wanted.family),
    ]
    .into_iter()
    .flatten()
    .collect()
}
