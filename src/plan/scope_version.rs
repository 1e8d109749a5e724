//! The `[directory]` and `[scope]` settings under which a user was last wanted, so that an edit of our own configuration is
//! never taken for a word of the directory.
//!
//! They are named fields with defaults, compared one by one: a key that a release adds or drops is not an edit.
//! What only says which exports are rejected as a whole (`min_users`, `max_age`) is not among them: an edit of it holds nothing.

use super::mapping::{Requested, map_record};
use super::scope::Scope;
use crate::model::{Cause, DirectoryUser, Format, ProvisionedUser, ScopeVersionId, SourceKind, UserName};
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
    /// value that it has if a state or a configuration does not name it.
    SourceSettings {
        /// Which kind of source.
        source: SourceKind = SourceKind::File,
        /// The file, as the configuration names it.
        path: PathBuf = PathBuf::new(),
        /// What says whose users these are, if they do not come from a file: keys of `[directory]` and their values.
        place: BTreeMap<String, String> = BTreeMap::new(),
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
    /// Reads what the state remembers; `None` if this program did not write it.
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
    pub present: ScopeVersionId,
    /// All that the state remembers, by number.
    pub known: BTreeMap<ScopeVersionId, ScopeVersion>,
}

impl ScopeVersions {
    /// Whether a row was last wanted under other settings.
    #[must_use]
    pub fn is_earlier(&self, scope_version: ScopeVersionId) -> bool {
        // Two numbers may stand for the same: an earlier release wrote them down otherwise.
        let same = || self.known.get(&scope_version).is_some_and(|known| Some(known) == self.known.get(&self.present));
        scope_version != self.present && !same()
    }

    /// The settings of a row and the present ones, if both are known.
    fn both(&self, row: &ProvisionedUser) -> Option<(&ScopeVersion, &ScopeVersion)> {
        self.known.get(&row.scope_version).zip(self.known.get(&self.present))
    }

    /// Whether a record may be another person's than the row of its id: the id was another member when that was linked, and
    /// the username is not the linked one.
    #[must_use]
    pub fn may_be_another(&self, row: &ProvisionedUser, user_name: &UserName) -> bool {
        self.is_earlier(row.scope_version)
            && !user_name.same_as(&row.user_name)
            && self
                .both(row)
                .is_none_or(|(earlier, present)| earlier.directory.id_attribute != present.directory.id_attribute)
    }

    /// Earlier settings under which a record that names nobody could be a user in scope.
    pub fn could_want<'r>(&'r self, user: &'r DirectoryUser<'r>) -> impl Iterator<Item = ScopeVersionId> + 'r {
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
        if !self.is_earlier(row.scope_version) {
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
            mapped.requested != Requested::Provision && !protects(mapped.user_name) && !protects(row.user_name.as_str())
        });
        if asked_too { cause } else { Cause::ScopeChanged }
    }

    /// Why a user whom the members file lists in no scoped group is removed. Only the present groups are looked for in it, so
    /// that another scope may have wanted the user.
    #[must_use]
    pub fn cause_of_unlisted(&self, row: &ProvisionedUser) -> Cause {
        if !self.is_earlier(row.scope_version) {
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
    pub fn cause_of_absence(&self, row: &ProvisionedUser, doubtful: &BTreeSet<ScopeVersionId>) -> Cause {
        if !self.is_earlier(row.scope_version) {
            return Cause::Gone;
        }
        match self.both(row) {
            None => Cause::SourceChanged,
            Some((earlier, present)) if earlier.directory != present.directory => Cause::SourceChanged,
            Some((earlier, _)) if earlier.scope.protects(row.user_name.as_str()) => Cause::ScopeChanged,
            Some(_) if doubtful.contains(&row.scope_version) => Cause::ScopeChanged,
            Some(_) => Cause::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Format, ScopeVersionId};
    use crate::plan::shorthand::{plan, text};
    use crate::plan::{Scope, ScopeVersion, SourceSettings};

    /// The plan for two links of earlier settings, which `edit` makes.
    #[track_caller]
    fn check(records: &str, edit: impl FnOnce(&mut ScopeVersion), expected: &str) {
        let plan = plan(records, "a a@x.example +earlier|b b@x.example +earlier", |inputs, _| {
            if let Some(earlier) = inputs.scope_versions.known.get_mut(&ScopeVersionId(1)) {
                edit(earlier);
            }
        });
        assert_eq!(text(&plan), expected, "{records}");
    }

    #[test]
    fn a_removal_that_the_earlier_settings_would_not_ask_for_is_an_edit() {
        let scope = |group: &'static str| {
            move |version: &mut ScopeVersion| version.scope = Scope::new(&[group.to_owned()], &[])
        };
        let both = "a a@x.example|b b@x.example";
        check(both, |_| {}, "");
        check(&format!("{both} +in:Other"), |_| {}, "delete b out_of_group");
        check(&format!("{both} +in:Other"), scope("Other"), "delete b configuration_scope");
        check(&format!("{both} +in:More"), scope("Other"), "delete b out_of_group");
        check(&format!("{both} +suspended"), scope("Other"), "deactivate b suspended");
    }

    #[test]
    fn an_absence_from_another_source_is_an_edit() {
        let other = |version: &mut ScopeVersion| version.directory.path = "other.csv".into();
        check("a a@x.example", |_| {}, "delete b absent");
        check("a a@x.example", other, "delete b configuration_directory");
        check("a a@x.example", |version| version.directory.format = Format::Csv, "delete b configuration_directory");
        let unknown = plan("", "a a@x.example +unknown", |_, _| {});
        assert_eq!(text(&unknown), "delete a configuration_directory");
    }

    #[test]
    fn a_key_at_its_default_changes_no_number() {
        let plain = SourceSettings { path: "d.json".into(), ..SourceSettings::default() };
        assert_eq!(plain.number(), SourceSettings { place: Default::default(), ..plain.clone() }.number());
        let keys = SourceSettings { place: [("url".to_owned(), "https://x".to_owned())].into(), ..plain.clone() };
        assert_ne!(plain.number(), keys.number());
    }
}
