//! The `[directory]` and `[scope]` settings under which a user was last wanted, so that an edit of our own configuration is
//! never taken for a word of the directory.
//!
//! They are named fields with defaults, compared one by one: a key that a release brings, or no longer knows, is no edit.
//! What only says which exports are refused whole (`min_users`, `max_age`) is not among them: an edit of it holds nothing.

use super::mapping::{Requested, Scope, map_record};
use crate::model::{Cause, DirectoryUser, Format, ProvisionedUser, SourceKind, UserName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

macro_rules! remembered {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $of:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $of,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

remembered! {
    /// What a link remembers of `[directory]`: where users come from, and what says who a record is. One line a key, with the
    /// value that it has where a state or a configuration does not name it.
    SourceSettings {
        /// Which kind of source.
        source: SourceKind = SourceKind::File,
        /// The file, as the configuration names it.
        path: PathBuf = PathBuf::new(),
        /// How it is written down.
        format: Format = Format::Auto,
        /// The immutable key of a user.
        id_attribute: String = "_id".to_owned(),
        /// What the export calls other columns of ours.
        columns: BTreeMap<String, String> = BTreeMap::new(),
        /// The words of each state.
        states: BTreeMap<String, Vec<String>> = BTreeMap::new(),
        /// What stands between two groups.
        group_separator: char = ';',
        /// The JSON member that holds the records.
        records: Option<String> = None,
        /// The members file.
        members_path: Option<PathBuf> = None,
    }
}

impl SourceSettings {
    /// A number of them: what an export said is compared with the next one only under the same. A key at its default counts
    /// as one that is not there, so that a key that a release brings changes nothing.
    #[must_use]
    pub fn number(&self) -> i64 {
        let (mut value, defaults) = (serde_json::json!(self), serde_json::json!(Self::default()));
        if let Some(members) = value.as_object_mut() {
            members.retain(|key, value| defaults.get(key) != Some(value));
        }
        i64::from_be_bytes(xxhash_rust::xxh3::xxh3_64(value.to_string().as_bytes()).to_be_bytes())
    }
}

/// One set of those settings.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ScopeVersion {
    /// Of `[directory]`.
    pub directory: SourceSettings,
    /// `[scope]`.
    pub scope: Scope,
}

impl ScopeVersion {
    /// Reads what the state remembers; none where that is nothing this program wrote.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// As the state remembers it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
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
        // Two numbers may stand for the same: an earlier release wrote them down otherwise.
        let same = || self.known.get(&settings).is_some_and(|known| Some(known) == self.known.get(&self.present));
        settings != self.present && !same()
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
            && self
                .both(row)
                .is_none_or(|(earlier, present)| earlier.directory.id_attribute != present.directory.id_attribute)
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
        let as_good_as_absent = cause == Cause::OutOfGroups && earlier.directory != present.directory;
        if as_good_as_absent || earlier.directory.id_attribute != present.directory.id_attribute {
            return Cause::SourceChanged;
        }
        let protects = |name: &str| earlier.scope.protects(name);
        let asked_too = map_record(user, &earlier.scope).is_ok_and(|mapped| {
            mapped.ask != Requested::Provision && !protects(mapped.user_name) && !protects(row.user_name.as_str())
        });
        if asked_too { cause } else { Cause::ScopeChanged }
    }

    /// Why a user whom the members file lists in no scoped group is removed. Only the present groups are looked for in it, so
    /// that another scope may have wanted the user.
    #[must_use]
    pub fn cause_of_unlisted(&self, row: &ProvisionedUser) -> Cause {
        if !self.is_earlier(row.settings) {
            return Cause::OutOfGroups;
        }
        match self.both(row) {
            Some((earlier, present)) if earlier.directory != present.directory => Cause::SourceChanged,
            Some((earlier, present))
                if earlier.scope.groups().eq(present.scope.groups())
                    && !earlier.scope.protects(row.user_name.as_str()) =>
            {
                Cause::OutOfGroups
            }
            Some(_) | None => Cause::ScopeChanged,
        }
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
            Some((earlier, present)) if earlier.directory != present.directory => Cause::SourceChanged,
            Some((earlier, _)) if earlier.scope.protects(row.user_name.as_str()) => Cause::ScopeChanged,
            Some(_) if doubtful.contains(&row.settings) => Cause::ScopeChanged,
            Some(_) => Cause::Gone,
        }
    }
}
