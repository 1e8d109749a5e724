//! The `[directory]` and `[scope]` settings under which a user was last wanted, so that an edit of our own configuration is
//! never taken for a word of the directory.

use super::desire::{Ask, Scope, judge};
use crate::model::{Cause, DirectoryUser, ProvisionedUser};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// One set of those settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Regime {
    source: Value,
    scope: Scope,
}

#[derive(Deserialize)]
struct Stored {
    directory: Value,
    scope: StoredScope,
}

#[derive(Deserialize)]
struct StoredScope {
    groups: Vec<String>,
    protected: Vec<String>,
}

impl Regime {
    /// Reads what the state remembers; none where that is nothing this program wrote.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        let Stored { directory, scope } = serde_json::from_str(json).ok()?;
        Some(Self { source: directory, scope: Scope::new(&scope.groups, &scope.protected) })
    }
}

/// The present settings by their number in the state, and the earlier ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Regimes {
    /// The number of the present ones.
    pub present: i64,
    /// All that the state remembers, by number.
    pub known: BTreeMap<i64, Regime>,
}

impl Regimes {
    /// Whether a row was last wanted under other settings.
    #[must_use]
    pub fn is_earlier(&self, settings: i64) -> bool {
        settings != self.present
    }

    /// Why a user whom a record does not want any more is removed: `cause`, unless the earlier settings, applied to the
    /// same record, would not ask for it.
    #[must_use]
    pub fn cause_of_record(&self, user: &DirectoryUser<'_>, row: &ProvisionedUser, cause: Cause) -> Cause {
        if !self.is_earlier(row.settings) {
            return cause;
        }
        let Some(earlier) = self.known.get(&row.settings) else { return Cause::ScopeChanged };
        let protects = |name: &str| earlier.scope.protects(name);
        let asked_too = judge(user, &earlier.scope).is_ok_and(|desire| {
            desire.ask != Ask::Provision && !protects(desire.user_name) && !protects(row.user_name.as_str())
        });
        if asked_too { cause } else { Cause::ScopeChanged }
    }

    /// Why a user who is in no record is removed.
    #[must_use]
    pub fn cause_of_absence(&self, row: &ProvisionedUser) -> Cause {
        if !self.is_earlier(row.settings) {
            return Cause::Gone;
        }
        let (Some(earlier), Some(present)) = (self.known.get(&row.settings), self.known.get(&self.present)) else {
            return Cause::SourceChanged;
        };
        match earlier {
            _ if earlier.source != present.source => Cause::SourceChanged,
            _ if earlier.scope.protects(row.user_name.as_str()) => Cause::ScopeChanged,
            _ => Cause::Gone,
        }
    }
}
