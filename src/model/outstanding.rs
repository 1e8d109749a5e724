//! Users whose wanted change is not done, and why.

use super::{Action, DirectoryId, Field, Moment, Reason, ScimId, UserName};
use std::cmp::Ordering;

/// The list in which such a user is reported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OutstandingKind {
    /// Held back by the guard, or by a doubt about the account.
    Held,
    /// Continues by itself, at a set time or with the next export.
    Waiting,
    /// The record, or what it asks for, cannot be followed.
    Refused,
    /// Three accepted updates changed nothing.
    Parked,
    /// Rhombus did not accept it; it is retried.
    Failed,
    /// The policy is to keep this user.
    Kept,
    /// The account was changed at Rhombus, not by us.
    Drift,
}

impl OutstandingKind {
    /// In the order of reports.
    pub const ALL: [Self; 7] =
        [Self::Held, Self::Waiting, Self::Refused, Self::Parked, Self::Failed, Self::Kept, Self::Drift];

    /// The name in reports and in the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Parked => "parked",
            Self::Failed => "failed",
            Self::Kept => "kept",
            Self::Drift => "drift",
        }
    }

    /// Parses that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One user whose wanted change is not done, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutstandingUser {
    /// The list it belongs to.
    pub kind: OutstandingKind,
    /// The user; `None` if the record matches no known user.
    pub directory_id: Option<DirectoryId>,
    /// The id under which the account is linked, where the directory has the user under another one by now.
    pub former_id: Option<DirectoryId>,
    /// The username; `None` if none is known.
    pub username: Option<UserName>,
    /// Why the change is not done.
    pub reason: Reason,
    /// The wanted change, if it is known.
    pub action: Option<Action>,
    /// When a cycle first stored it; `None` before.
    pub since: Option<Moment>,
    /// When it continues by itself.
    pub until: Option<Moment>,
    /// A digest of the wanted value. A refusal is logged again only if this or the reason changes; a failure is retried
    /// at once if this changes.
    pub wanted: Box<str>,
    /// Failures in a row.
    pub attempts: u32,
    /// The account, if there is one: decides the event type.
    pub scim_id: Option<ScimId>,
    /// The wanted values, for the event of a refusal; not stored.
    pub fields: Vec<Field>,
}

impl OutstandingUser {
    /// An entry that no cycle has stored yet.
    #[must_use]
    pub fn new(
        kind: OutstandingKind,
        id: Option<&DirectoryId>,
        name: Option<&UserName>,
        reason: impl Into<Reason>,
    ) -> Self {
        Self {
            kind,
            directory_id: id.cloned(),
            former_id: None,
            username: name.cloned(),
            reason: reason.into(),
            action: None,
            since: None,
            until: None,
            wanted: "".into(),
            attempts: 0,
            scim_id: None,
            fields: Vec::new(),
        }
    }

    /// Whether it is about the user with this id.
    #[must_use]
    pub fn is_about(&self, id: &DirectoryId) -> bool {
        self.directory_id.as_ref() == Some(id) || self.former_id.as_ref() == Some(id)
    }

    /// Sets the linked account.
    #[must_use]
    pub fn account(mut self, scim_id: &ScimId) -> Self {
        self.scim_id = Some(scim_id.clone());
        self
    }

    /// Sets the wanted attributes.
    #[must_use]
    pub fn fields(mut self, fields: Vec<Field>) -> Self {
        self.fields = fields;
        self
    }

    /// Sets the action that is not done.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    /// Whether another entry of the same user continues this one: a failed or held change may by now have another
    /// reason, as long as it is the same change.
    #[must_use]
    pub fn goes_on_as(&self, other: &Self) -> bool {
        let same_change = self.action == other.action && self.scim_id == other.scim_id;
        let by_change = matches!(self.kind, OutstandingKind::Failed | OutstandingKind::Held);
        self.kind == other.kind
            && self.directory_id == other.directory_id
            && if by_change { same_change } else { self.reason.code() == other.reason.code() }
    }

    /// The order of reports: by list, user and reason.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        let by_user = (self.kind, &self.directory_id).cmp(&(other.kind, &other.directory_id));
        by_user.then_with(|| self.reason.code().cmp(other.reason.code()))
    }

    /// Sets when it continues.
    #[must_use]
    pub fn until(mut self, until: Moment) -> Self {
        self.until = Some(until);
        self
    }

    /// Sets the digest of the wanted value.
    #[must_use]
    pub fn wanted(mut self, wanted: impl Into<Box<str>>) -> Self {
        self.wanted = wanted.into();
        self
    }
}

/// A user whose last request got no answer, so that its intent is still open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InDoubt {
    /// What was to be done.
    pub action: Action,
    /// The userName that the account has, or will get.
    pub user_name: UserName,
    /// When it continues.
    pub until: Moment,
    /// What was wanted ([`super::Change::wanted`]), if sending exactly that again is harmless, whatever became of it.
    pub again: Option<String>,
}
