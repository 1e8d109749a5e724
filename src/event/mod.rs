//! The audit log's words: one event of JumpCloud Directory Insights' shape. PURE.
//!
//! A [`Draft`] says what happened; [`seal`] gives it its number, time and place in the chain. Names of
//! `group_*` events are deliberately absent: Rhombus has no groups.

mod format;
mod seal;
mod verify;

pub use format::EventFormat;
pub(crate) use seal::event_type_of;
pub use seal::{Head, Installation, Sealed, seal};
pub use verify::{Before, Flaw, Verifier, chain_of};

use crate::model::{CycleId, DirectoryId, Field, Response, ScimId, UserName};

/// The type of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventType {
    /// A create was attempted.
    UserCreateProvision,
    /// An update was attempted, or an account was linked.
    UserUpdateProvision,
    /// `active=false` was attempted.
    UserDeprovision,
    /// A DELETE was attempted.
    UserDeleteProvision,
    /// A look-up went wrong.
    UserLookupProvision,
    /// The integration was activated.
    IdmIntegrationActivate,
    /// Its settings were changed, its state was restored, or a link was ended by hand.
    IdmIntegrationUpdate,
    /// A new token was proven.
    IdmIntegrationReauth,
    /// The integration was deactivated; users stay.
    IdmIntegrationDelete,
    /// A cycle ended with exit 0 or 3.
    ReconcileCompleted,
    /// A cycle ended with something held.
    ReconcileHeld,
    /// A cycle ended with exit 1.
    ReconcileFailed,
    /// An administrator released what was held.
    ReconcileApproved,
    /// Where the log stands, once a day.
    LogCheckpoint,
}

impl EventType {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserCreateProvision => "user_create_provision",
            Self::UserUpdateProvision => "user_update_provision",
            Self::UserDeprovision => "user_deprovision",
            Self::UserDeleteProvision => "user_delete_provision",
            Self::UserLookupProvision => "user_lookup_provision",
            Self::IdmIntegrationActivate => "idm_integration_activate",
            Self::IdmIntegrationReauth => "idm_integration_reauth",
            Self::IdmIntegrationUpdate => "idm_integration_update",
            Self::IdmIntegrationDelete => "idm_integration_delete",
            Self::ReconcileCompleted => "reconcile_completed",
            Self::ReconcileHeld => "reconcile_held",
            Self::ReconcileFailed => "reconcile_failed",
            Self::ReconcileApproved => "reconcile_approved",
            Self::LogCheckpoint => "log_checkpoint",
        }
    }
}

/// On whose behalf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Initiator {
    /// The program by itself.
    System,
    /// A command of an administrator, by the operating system's name.
    Admin(String),
}

/// What started it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A cycle by `--reconcile`.
    Reconcile,
    /// A cycle of the daemon's schedule.
    Schedule,
    /// A cycle because the export changed.
    Watch,
    /// A cycle asked for by SIGUSR1, or what a SIGHUP brought.
    Signal,
    /// The first cycle of the daemon.
    Startup,
    /// The answer to a request of an earlier, interrupted try.
    Recovery,
    /// The commands `activate` and `deactivate`.
    Activate,
    /// The command `approve`.
    Approve,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Schedule => "schedule",
            Self::Watch => "watch",
            Self::Signal => "signal",
            Self::Startup => "startup",
            Self::Recovery => "recovery",
            Self::Activate => "activate",
            Self::Approve => "approve",
        }
    }
}

/// Whom an event is about; of a cycle or of the integration, nobody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// The directory id.
    pub id: DirectoryId,
    /// The username.
    pub username: Option<UserName>,
    /// The account, where there is one.
    pub target_id: Option<ScimId>,
}

/// What happened, before it has a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// What was done.
    pub event_type: EventType,
    /// Whether it was accepted.
    pub success: bool,
    /// On whose behalf.
    pub initiator: Initiator,
    /// What started it.
    pub source: Source,
    /// Whom it is about.
    pub resource: Option<Resource>,
    /// The attributes that it set.
    pub changes: Vec<Field>,
    /// What the endpoint answered.
    pub response: Response,
    /// Why it was not accepted; empty where it was.
    pub error_message: String,
    /// In which cycle.
    pub cycle: Option<CycleId>,
}

impl Draft {
    /// An event of the program's own, about nobody.
    #[must_use]
    pub fn new(event_type: EventType, success: bool, source: Source) -> Self {
        Self {
            event_type,
            success,
            initiator: Initiator::System,
            source,
            resource: None,
            changes: Vec::new(),
            response: Response::default(),
            error_message: String::new(),
            cycle: None,
        }
    }
}
