//! What is said of a user whose wanted change is not done.

use super::{Action, DirectoryId, Field, Moment, Reason, ScimId, UserName};
use std::cmp::Ordering;

/// What is said of a user whose wanted change is not done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OutstandingKind {
    /// The guard, or a doubt about the account, holds it back.
    Held,
    /// It goes on by itself, at a time or with the next export.
    Waiting,
    /// The record, or what it asks for, cannot be followed.
    Refused,
    /// Three accepted updates changed nothing.
    Parked,
    /// Rhombus did not take it; it is tried again.
    Failed,
    /// The policy says that this user stays.
    Kept,
    /// The account was changed at Rhombus, not by us.
    Drift,
}

impl OutstandingKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Held, Self::Waiting, Self::Refused, Self::Parked, Self::Failed, Self::Kept, Self::Drift];

    /// Its name in reports and in the state.
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

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One user whose wanted change is not done, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutstandingUser {
    /// In which list it stands.
    pub kind: OutstandingKind,
    /// Who; `None` for a record that names nobody.
    pub directory_id: Option<DirectoryId>,
    /// By which name; `None` where no name is known.
    pub username: Option<UserName>,
    /// Why.
    pub reason: Reason,
    /// What was to be done, where that is known.
    pub action: Option<Action>,
    /// When a cycle first stored it; `None` before.
    pub since: Option<Moment>,
    /// When it goes on by itself.
    pub until: Option<Moment>,
    /// The wanted value, as a digest: a refusal is said again only when it or the reason changes, and a
    /// failure is tried at once when it changes.
    pub wanted: Box<str>,
    /// How often it failed in a row.
    pub attempts: u32,
    /// The account, where there is one: it decides the type of the event.
    pub scim_id: Option<ScimId>,
    /// The wanted value, for the event of a refusal; not stored.
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

    /// The same, of an account that we hold.
    #[must_use]
    pub fn account(mut self, scim_id: &ScimId) -> Self {
        self.scim_id = Some(scim_id.clone());
        self
    }

    /// The same, with the attributes that were wanted.
    #[must_use]
    pub fn fields(mut self, fields: Vec<Field>) -> Self {
        self.fields = fields;
        self
    }

    /// The same, with the action that is not done.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    /// Whether another entry of the same user is this one, still: what failed or is held may be so for another reason
    /// by now, as long as it is the same change.
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

    /// The same, with the time at which it goes on.
    #[must_use]
    pub fn until(mut self, until: Moment) -> Self {
        self.until = Some(until);
        self
    }

    /// The same, with the digest of the wanted value.
    #[must_use]
    pub fn wanted(mut self, wanted: impl Into<Box<str>>) -> Self {
        self.wanted = wanted.into();
        self
    }
}

/// A user whose last request got no answer, and whose intent is open therefore.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InDoubt {
    /// What was to be done.
    pub action: Action,
    /// The userName that the account carries, or will.
    pub user_name: UserName,
    /// When it goes on.
    pub until: Moment,
    /// What was wanted ([`super::Change::wanted`]), where sending just that again does no harm, whatever became of it.
    pub again: Option<String>,
}
