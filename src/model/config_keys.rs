//! A configuration by its keys, so that the log can name the keys that an edit changed.
//!
//! Only a digest of each value that is not the default is kept: a key that a release adds or drops is then not an edit,
//! and no value is repeated anywhere.

use super::short_digest;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Every key of a configuration, with a digest of its value unless that is the default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConfigKeys(BTreeMap<String, Option<String>>);

impl ConfigKeys {
    /// Takes a configuration and the defaults, both as nested objects.
    #[must_use]
    pub fn of(config: &Value, defaults: &Value) -> Self {
        let mut keys = BTreeMap::new();
        flatten("", config, defaults, &mut keys);
        Self(keys)
    }

    /// The form that the state stores.
    #[must_use]
    pub fn to_json(&self) -> String {
        let set = self.0.iter().filter_map(|(key, digest)| Some((key.clone(), Value::from(digest.clone()?))));
        Value::Object(set.collect()).to_string()
    }

    /// The keys whose value differs from a stored configuration.
    #[must_use]
    pub fn changed_since(&self, remembered: &str) -> Vec<&str> {
        let before: Map<String, Value> = serde_json::from_str(remembered).unwrap_or_default();
        let changed = |(key, digest): &(&String, &Option<String>)| {
            before.get(key.as_str()).and_then(Value::as_str) != digest.as_deref()
        };
        self.0.iter().filter(changed).map(|(key, _)| key.as_str()).collect()
    }
}

fn flatten(name: &str, value: &Value, default: &Value, keys: &mut BTreeMap<String, Option<String>>) {
    match (value, default) {
        (Value::Object(members), Value::Object(defaults)) if !defaults.is_empty() => {
            for (key, default) in defaults {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, members.get(key).unwrap_or(default), default, keys);
            }
        }
        _ => {
            let digest = (value != default).then(|| short_digest([value.to_string().as_str()]));
            keys.insert(name.to_owned(), digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(before: (Value, Value), after: (Value, Value), changed: &[&str]) {
        let (before, after) = (ConfigKeys::of(&before.0, &before.1), ConfigKeys::of(&after.0, &after.1));
        assert_eq!(after.changed_since(&before.to_json()), changed);
    }

    #[test]
    fn an_edit_is_known_by_the_keys_that_it_changed() {
        let defaults = || json!({"guard": {"window": "1d", "absent": {"count_max": 50}}, "sinks": []});
        let edited = json!({"guard": {"window": "1d", "absent": {"count_max": 5}}, "sinks": [{"kind": "stdout"}]});
        check((defaults(), defaults()), (edited.clone(), defaults()), &["guard.absent.count_max", "sinks"]);
        check((edited.clone(), defaults()), (defaults(), defaults()), &["guard.absent.count_max", "sinks"]);
        check((edited.clone(), defaults()), (edited, defaults()), &[]);
    }

    #[test]
    fn what_a_release_brings_or_drops_is_no_edit() {
        let earlier = || json!({"path": "a", "format": "csv", "dropped": 1});
        let earlier_defaults = || json!({"path": "", "format": "auto", "dropped": 0});
        let later = || json!({"path": "a", "format": "csv", "columns": {"id": null}, "without_state": "refuse"});
        let later_defaults =
            || json!({"path": "", "format": "auto", "columns": {"id": null}, "without_state": "refuse"});
        check((earlier(), earlier_defaults()), (later(), later_defaults()), &[]);
        let mut used = later();
        used["columns"]["id"] = "userId".into();
        check((earlier(), earlier_defaults()), (used, later_defaults()), &["columns.id"]);
    }

    #[test]
    fn no_value_is_remembered() {
        let keys = ConfigKeys::of(&json!({"proxy": "http://user:s3cret@proxy"}), &json!({"proxy": null}));
        assert!(!keys.to_json().contains("s3cret"), "{}", keys.to_json());
    }
}
