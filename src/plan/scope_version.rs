//! The `[directory]` and `[scope]` settings under which a user was last wanted, so that an edit of our own configuration is
//! never taken for a word of the directory.

use super::Whole;
use super::mapping::{Requested, Scope, map_record};
use crate::model::{Cause, DirectoryUser, Duration, Moment, ProvisionedUser, UserName};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// One set of those settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScopeVersion {
    /// `[directory]` without what says which exports are refused whole.
    source: Value,
    id_attribute: Option<String>,
    users_count_min: u64,
    max_age: Option<Duration>,
    scope: Scope,
}

#[derive(Deserialize)]
struct Stored {
    directory: Map<String, Value>,
    scope: StoredScope,
}

#[derive(Deserialize)]
struct StoredScope {
    groups: Vec<String>,
    protected: Vec<String>,
}

impl ScopeVersion {
    /// Reads what the state remembers; none where that is nothing this program wrote.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        let Stored { mut directory, scope } = serde_json::from_str(json).ok()?;
        let users_count_min = directory.remove("min_users").and_then(|count| count.as_u64()).unwrap_or(0);
        let max_age = directory.remove("max_age").and_then(|age| serde_json::from_value(age).ok());
        let id_attribute = directory.get("id_attribute").and_then(Value::as_str).map(str::to_owned);
        let scope = Scope::new(&scope.groups, &scope.protected);
        Some(Self { source: directory.into(), id_attribute, users_count_min, max_age, scope })
    }
}

/// The present settings by their number in the state, and the earlier ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScopeVersions {
    /// The number of the present ones.
    pub present: i64,
    /// All that the state remembers, by number.
    pub known: BTreeMap<i64, ScopeVersion>,
}

impl ScopeVersions {
    /// Whether a row was last wanted under other settings.
    #[must_use]
    pub fn is_earlier(&self, settings: i64) -> bool {
        settings != self.present
    }

    /// The settings of a row and the present ones, where both are known.
    fn both(&self, row: &ProvisionedUser) -> Option<(&ScopeVersion, &ScopeVersion)> {
        self.known.get(&row.settings).zip(self.known.get(&self.present))
    }

    /// Whether a record may be another person's than the row of its id: the id was another member when that was linked, and
    /// the username is not the linked one.
    #[must_use]
    pub fn may_be_another(&self, row: &ProvisionedUser, user_name: &UserName) -> bool {
        self.is_earlier(row.settings)
            && !user_name.same_as(&row.user_name)
            && self.both(row).is_none_or(|(earlier, present)| earlier.id_attribute != present.id_attribute)
    }

    /// Earlier settings under which a record that names nobody could be a user in scope.
    pub fn could_want<'r>(&'r self, user: &'r DirectoryUser<'r>) -> impl Iterator<Item = i64> + 'r {
        let earlier = self.known.iter().filter(|(number, _)| self.is_earlier(**number));
        earlier
            .filter(|(_, scope_version)| {
                map_record(user, &scope_version.scope).is_err_and(|reject| reject.could_be_in_scope)
            })
            .map(|(number, _)| *number)
    }

    /// Why a user whom a record does not want any more is removed: `cause`, unless the earlier settings, applied to the
    /// same record, would not ask for it.
    #[must_use]
    pub fn cause_of_record(&self, user: &DirectoryUser<'_>, row: &ProvisionedUser, cause: Cause) -> Cause {
        if !self.is_earlier(row.settings) {
            return cause;
        }
        let Some((earlier, present)) = self.both(row) else { return Cause::ScopeChanged };
        // Out of its groups is as good as absent, and groups are written otherwise by another source.
        let as_good_as_absent = cause == Cause::OutOfGroups && earlier.source != present.source;
        if as_good_as_absent || earlier.id_attribute != present.id_attribute {
            return Cause::SourceChanged;
        }
        let protects = |name: &str| earlier.scope.protects(name);
        let asked_too = map_record(user, &earlier.scope).is_ok_and(|mapped| {
            mapped.ask != Requested::Provision && !protects(mapped.user_name) && !protects(row.user_name.as_str())
        });
        if asked_too { cause } else { Cause::ScopeChanged }
    }

    /// Why a user who is in no record is removed. `doubtful`: settings under which a record that names nobody might have
    /// been this user.
    #[must_use]
    pub fn cause_of_absence(&self, row: &ProvisionedUser, doubtful: &BTreeSet<i64>) -> Cause {
        if !self.is_earlier(row.settings) {
            return Cause::Gone;
        }
        match self.both(row) {
            None => Cause::SourceChanged,
            Some((earlier, present)) if earlier.source != present.source => Cause::SourceChanged,
            Some((earlier, _)) if earlier.scope.protects(row.user_name.as_str()) => Cause::ScopeChanged,
            Some(_) if doubtful.contains(&row.settings) => Cause::ScopeChanged,
            Some(_) => Cause::Gone,
        }
    }

    /// Whether earlier settings would have refused an export whole.
    #[must_use]
    pub fn would_refuse(&self, settings: i64, whole: &Whole, now: Moment) -> bool {
        self.is_earlier(settings)
            && self.known.get(&settings).is_some_and(|earlier| {
                let age_ms = now.since_ms(whole.written_at);
                whole.users_count < earlier.users_count_min
                    || earlier.max_age.is_some_and(|max_age| age_ms > max_age.milliseconds())
            })
    }
}
