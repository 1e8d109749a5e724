//! What is stored of a change before it is sent.

use crate::model::{Change, ChangeKey, Content, DesiredUser, Moment, ScopeVersionId};
use crate::session::MaybeApplied;
use crate::settlement::{IntentEnd, IntentId};
use crate::store::{Intent, OpenIntent};

/// An intent that is on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StoredIntent {
    pub(crate) id: IntentId,
    /// When it was stored, or last renewed.
    pub(crate) stored_at: Moment,
}

impl StoredIntent {
    pub(crate) fn of(intent: &OpenIntent) -> Self {
        Self { id: intent.id, stored_at: intent.stored_at }
    }

    /// Its end, for a settlement.
    pub(crate) fn ends(self, end: IntentEnd) -> (IntentId, IntentEnd) {
        (self.id, end)
    }

    /// Its end after a refusal: an earlier try may still have been applied.
    pub(crate) fn ends_refused(self, sent: MaybeApplied) -> (IntentId, IntentEnd) {
        match sent {
            MaybeApplied::MaybeDone => self.ends(IntentEnd::Unknown),
            MaybeApplied::NotDone => self.ends(IntentEnd::NotAccepted),
        }
    }

    /// The same for an update or removal, which stays open if an earlier try may still take effect.
    pub(crate) fn ends_or_stays(self, sent: MaybeApplied) -> Option<(IntentId, IntentEnd)> {
        match sent {
            MaybeApplied::MaybeDone => None,
            MaybeApplied::NotDone => Some(self.ends(IntentEnd::NotAccepted)),
        }
    }
}

/// Whom a create was about.
pub(super) fn user_of(intent: &OpenIntent) -> DesiredUser {
    let (id, user_name) = (intent.key.directory_id.clone(), intent.user_name.clone());
    DesiredUser { id, user_name, names: intent.names.clone() }
}

/// The intent of a change.
pub(crate) fn intent_of(change: &Change, approved: Option<Content>, scope_version: ScopeVersionId) -> Intent {
    let (names, reactivate) = match change {
        Change::Create { user, .. } => (user.names.clone(), false),
        Change::Update { wanted, reactivate, .. } => (wanted.as_ref().clone(), *reactivate),
        Change::Remove { .. } | Change::Relink { .. } => Default::default(),
    };
    let ChangeKey { action, directory_id, scim_id } = change.key();
    Intent {
        key: ChangeKey { action, directory_id, scim_id },
        kind: change.guard_kind(),
        user_name: change.user_name().clone(),
        names,
        reactivate,
        approved,
        scope_version,
    }
}
