//! What is stored of a change's outcome, in one transaction: snapshot, intent, failure and event. PURE.

use crate::event::Draft;
use crate::model::{Action, DirectoryId, LinkedExternalId, Names, OutstandingUser, ScimId, ScopeVersionId, UserName};

/// Row number of an intent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IntentId(pub i64);

/// How an intent ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IntentEnd {
    /// The endpoint accepted it; after a create, with the id of the new account.
    Accepted(Option<ScimId>),
    /// Certainly nothing was accepted, so it spends no budget.
    NotAccepted,
    /// The outcome will never be known; it spends its budget.
    Unknown,
}

/// A new link: to which account, and what that account shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MadeLink {
    /// Id of the account.
    pub scim_id: ScimId,
    /// The userName it has.
    pub user_name: UserName,
    /// The names it has.
    pub names: Names,
    /// Whether it is active.
    pub active: bool,
    /// The `externalId` that it shows.
    pub external_id: LinkedExternalId,
}

/// What happens to the snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkEffect {
    /// It stays as it was.
    None,
    /// An account is linked.
    Made(MadeLink),
    /// The account was seen with these names.
    Seen {
        /// The names it has.
        names: Names,
        /// Whether it is active.
        active: bool,
        /// The digest of the names that an accepted update did not set; `None` if it set them.
        futile: Option<String>,
    },
    /// The account has been renamed: it is left alone until it has its old userName again.
    Foreign,
    /// The account now has the userName that the directory wants.
    Renamed {
        /// The new userName.
        user_name: UserName,
        /// The names it has.
        names: Names,
        /// Whether it is active.
        active: bool,
    },
    /// The link ends: the account is gone, or not ours any more.
    Ended,
}

/// What happens to the user's failure on record.
#[derive(Clone, PartialEq, Debug)]
pub enum FailureEffect {
    /// It stays as it was.
    Keep,
    /// It is resolved.
    Clear,
    /// The change failed, for the first time or again.
    Record(Box<OutstandingUser>),
}

/// What one outcome stores.
#[derive(Clone, PartialEq, Debug)]
pub struct Settlement {
    /// Whose change it was.
    pub directory_id: DirectoryId,
    /// The action taken.
    pub action: Action,
    /// The intent, if one was stored, and how it ends.
    pub intent: Option<(IntentId, IntentEnd)>,
    /// What happens to the snapshot.
    pub link: LinkEffect,
    /// What happens to the failure on record.
    pub failure: FailureEffect,
    /// Events for the audit log.
    pub events: Vec<Draft>,
    /// The scope version under which the user was wanted, if it is not the present one.
    pub scope_version: Option<ScopeVersionId>,
}

impl Settlement {
    /// A settlement that stores nothing yet.
    #[must_use]
    pub fn of(directory_id: &DirectoryId, action: Action) -> Self {
        Self {
            directory_id: directory_id.clone(),
            action,
            intent: None,
            link: LinkEffect::None,
            failure: FailureEffect::Keep,
            events: Vec::new(),
            scope_version: None,
        }
    }
}
