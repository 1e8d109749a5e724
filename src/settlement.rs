//! What the outcome of a change writes down: snapshot, intent, failure and event, in one transaction. PURE.

use crate::event::Draft;
use crate::model::{Action, DirectoryId, Names, OutstandingUser, ScimId, UserName};

/// The row of an intent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IntentId(pub i64);

/// How an intent ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IntentEnd {
    /// The endpoint accepted it. A create tells which account it made.
    Accepted(Option<ScimId>),
    /// It is known that nothing was accepted, so it spends no budget.
    NotAccepted,
    /// Nobody will know; it spends its budget.
    Unknown,
}

/// What happens to the snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkEffect {
    /// Nothing.
    None,
    /// An account is ours from now on.
    Made {
        /// Which account.
        scim_id: ScimId,
        /// The userName it carries.
        user_name: UserName,
        /// The names it carries.
        names: Names,
        /// Whether it is active.
        active: bool,
    },
    /// The account was seen with these names.
    Seen {
        /// The names it carries.
        names: Names,
        /// Whether it is active.
        active: bool,
        /// The digest of the names that an accepted update wanted and did not get; none where it got them.
        futile: Option<String>,
    },
    /// The account carries another userName than the linked one: it is left alone until it is seen as it was.
    Foreign,
    /// The account carries by now the userName that the directory wants.
    Renamed {
        /// That one.
        user_name: UserName,
        /// The names it carries.
        names: Names,
        /// Whether it is active.
        active: bool,
    },
    /// The account is gone, or not ours any more.
    Ended,
}

/// What is remembered of a failure.
#[derive(Clone, PartialEq, Debug)]
pub enum FailureEffect {
    /// It is as it was.
    Keep,
    /// It is over.
    Clear,
    /// It failed, again or for the first time.
    Record(Box<OutstandingUser>),
}

/// What one outcome writes down.
#[derive(Clone, PartialEq, Debug)]
pub struct Settlement {
    /// Whose change it was.
    pub directory_id: DirectoryId,
    /// What was done.
    pub action: Action,
    /// The intent, where one was stored, and how it ends.
    pub intent: Option<(IntentId, IntentEnd)>,
    /// What happens to the snapshot.
    pub link: LinkEffect,
    /// What happens to the failure that is on record.
    pub failure: FailureEffect,
    /// What the log says.
    pub events: Vec<Draft>,
    /// The settings under which the user was wanted, where those are not the present ones.
    pub settings: Option<i64>,
}

impl Settlement {
    /// One that writes nothing yet.
    #[must_use]
    pub fn of(directory_id: &DirectoryId, action: Action) -> Self {
        Self {
            directory_id: directory_id.clone(),
            action,
            intent: None,
            link: LinkEffect::None,
            failure: FailureEffect::Keep,
            events: Vec::new(),
            settings: None,
        }
    }
}
