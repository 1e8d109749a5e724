//! Events of the audit log, in the shape of JumpCloud Directory Insights. PURE.
//!
//! A [`Draft`] says what happened; [`seal()`] adds number, time and chain. `group_*` events are deliberately absent:
//! Rhombus has no groups.

mod approved;
mod chain;
mod format;
mod line;
mod seal;
mod verify;

pub use approved::Released;
pub use chain::SealKey;
pub use format::{EventFormat, FirstLine, OcsfVersion, Outline, Renderer, Stamp};
pub(crate) use line::escape;
pub use line::{Head, Installation};
pub(crate) use seal::event_type_of;
pub use seal::{Sealed, seal};
pub use verify::{ChainStart, Flaw, FlawKind, SEQUENCE_END, Step, Verifier, chain_of};

use crate::model::{Approval, CycleId, DirectoryId, Field, HeldChange, Person, Response, ScimId, UserName};

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
    /// A look-up failed.
    UserLookupProvision,
    /// The integration was activated.
    IdmIntegrationActivate,
    /// Its settings changed, its state was restored, or a link was removed by hand.
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
    /// An administrator approved what was held.
    ReconcileApproved,
    /// The head of the log, once a day.
    LogCheckpoint,
    /// Instants that a wrong clock had written were corrected: later events carry an earlier time.
    ClockCorrected,
}

impl EventType {
    /// Each of them, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::UserCreateProvision,
        Self::UserUpdateProvision,
        Self::UserDeprovision,
        Self::UserDeleteProvision,
        Self::UserLookupProvision,
        Self::IdmIntegrationActivate,
        Self::IdmIntegrationUpdate,
        Self::IdmIntegrationReauth,
        Self::IdmIntegrationDelete,
        Self::ReconcileCompleted,
        Self::ReconcileHeld,
        Self::ReconcileFailed,
        Self::ReconcileApproved,
        Self::LogCheckpoint,
        Self::ClockCorrected,
    ];

    /// The name on the wire.
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
            Self::ClockCorrected => "clock_corrected",
        }
    }
}

/// Who started it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Initiator {
    /// The program itself.
    System,
    /// A command of an administrator.
    Admin(Person),
}

/// What started it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A cycle started by `--reconcile`.
    Reconcile,
    /// A cycle started by the daemon's schedule.
    Schedule,
    /// A cycle started by a changed export.
    Watch,
    /// A cycle started by SIGUSR1, or a reload by SIGHUP.
    Signal,
    /// The daemon's first cycle.
    Startup,
    /// The outcome of an interrupted earlier request.
    Recovery,
    /// The command `activate`.
    Activate,
    /// The command `deactivate`.
    Deactivate,
    /// The command `forget`.
    Forget,
    /// The command `approve`.
    Approve,
    /// The lead, taken over or handed on.
    Lead,
}

impl Source {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Schedule => "schedule",
            Self::Watch => "watch",
            Self::Signal => "signal",
            Self::Startup => "startup",
            Self::Recovery => "recovery",
            Self::Activate => "activate",
            Self::Deactivate => "deactivate",
            Self::Forget => "forget",
            Self::Approve => "approve",
            Self::Lead => "lead",
        }
    }
}

/// The user that an event is about; events of a cycle or of the integration have none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// The user's directory id.
    pub id: DirectoryId,
    /// The username, if it is known.
    pub username: Option<UserName>,
    /// The account's SCIM id, if there is one.
    pub target_id: Option<ScimId>,
}

/// An event before it is sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// The `event_type`.
    pub event_type: EventType,
    /// Whether it was accepted.
    pub success: bool,
    /// The `initiated_by`.
    pub initiator: Initiator,
    /// The `initiated_by.source`.
    pub source: Source,
    /// The user it is about.
    pub resource: Option<Resource>,
    /// The attributes set, with both values.
    pub changes: Vec<Field>,
    /// The endpoint's answer: the `message_chain`.
    pub response: Response,
    /// Why it failed; empty on success.
    pub error_message: String,
    /// The cycle, if it happened in one.
    pub cycle: Option<CycleId>,
    /// Who released the change, if the guard held it before.
    pub approval: Option<Approval>,
    /// What an approval released.
    pub targets: Vec<HeldChange>,
}

impl Draft {
    /// An event that is not about a user.
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
            approval: None,
            targets: Vec::new(),
        }
    }
}
