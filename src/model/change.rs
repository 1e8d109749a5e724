//! Planned changes: what is to be done, to whom, and why.

use super::{Cause, DesiredUser, DirectoryId, GuardKind, Names, ScimId, UserName, clean, letters_lost};
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
    /// A link moves to the id that the directory gave its user; nothing is sent.
    Relink,
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
            Self::Relink => "relink",
        }
    }

    /// Parses that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Create, Self::Link, Self::Update, Self::Deactivate, Self::Delete, Self::Relink]
            .into_iter()
            .find(|action| action.as_str() == name)
    }

    /// Whether it takes access away.
    #[must_use]
    pub const fn removes(self) -> bool {
        match self {
            Self::Deactivate | Self::Delete => true,
            Self::Create | Self::Link | Self::Update | Self::Relink => false,
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
    /// The directory id of a link; no attribute of the account.
    DirectoryId,
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
            Self::DirectoryId => "directory_id",
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

/// One change of a hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldChange {
    /// Action, directory id and SCIM id.
    pub key: ChangeKey,
    /// The username to show.
    pub user_name: UserName,
    /// For a removal that is held for a mismatch: what the account showed, as a line ([`super::Shown`]); empty for all others.
    pub shown: String,
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
    /// Move a link to another directory id: the guard holds it, and only an administrator does it.
    Relink {
        /// The id that the directory has now.
        directory_id: DirectoryId,
        /// The id under which the account is linked.
        former_id: DirectoryId,
        /// Which account.
        scim_id: ScimId,
        /// The userName it carries.
        user_name: UserName,
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
            Self::Relink { .. } => Action::Relink,
        }
    }

    /// The user's directory id.
    #[must_use]
    pub fn directory_id(&self) -> &DirectoryId {
        match self {
            Self::Create { user, .. } => &user.id,
            Self::Update { directory_id, .. }
            | Self::Remove { directory_id, .. }
            | Self::Relink { directory_id, .. } => directory_id,
        }
    }

    /// The other id by which the user may be asked for.
    #[must_use]
    pub fn former_id(&self) -> Option<&DirectoryId> {
        match self {
            Self::Relink { former_id, .. } => Some(former_id),
            Self::Create { .. } | Self::Update { .. } | Self::Remove { .. } => None,
        }
    }

    /// Whether it is about the user with this id.
    #[must_use]
    pub fn is_about(&self, id: &DirectoryId) -> bool {
        self.directory_id() == id || self.former_id() == Some(id)
    }

    /// The account, if there is one.
    #[must_use]
    pub fn scim_id(&self) -> Option<&ScimId> {
        match self {
            Self::Create { .. } => None,
            Self::Update { scim_id, .. } | Self::Remove { scim_id, .. } | Self::Relink { scim_id, .. } => Some(scim_id),
        }
    }

    /// The username to show: the account's, or for a create the directory's.
    #[must_use]
    pub fn user_name(&self) -> &UserName {
        match self {
            Self::Create { user, .. } => &user.user_name,
            Self::Update { user_name, .. } | Self::Remove { user_name, .. } | Self::Relink { user_name, .. } => {
                user_name
            }
        }
    }

    /// Why it is planned.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Create { vanished: true, .. } => Cause::Vanished,
            Self::Create { vanished: false, .. } => Cause::Wanted,
            Self::Update { carried, wanted, .. } if letters_lost(carried, wanted) => Cause::LettersLost,
            Self::Update { .. } => Cause::NameChanged,
            Self::Remove { cause, .. } => *cause,
            Self::Relink { .. } => Cause::Identity,
        }
    }

    /// The guard's limit that it counts against; none for what sends nothing.
    #[must_use]
    pub fn guard_kind(&self) -> Option<GuardKind> {
        self.cause().guard_kind()
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
            Self::Relink { directory_id, former_id, .. } => {
                let (from, to) = (Some(former_id.as_str().into()), Some(directory_id.as_str().into()));
                vec![Field { name: FieldName::DirectoryId, from, to }]
            }
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
