//! The configuration as the log detects edits of it: every key by its name in the file.

use super::directory::RawDirectory;
use super::monitor::RawMonitor;
use super::raw::{Raw, RawGuard, RawRhombus, RawSchedule, RawScope, RawState};
use super::sinks::RawSink;
use super::standby::RawStandby;
use crate::model::ConfigKeys;
use serde_json::{Value, json};

/// All keys of a configuration.
pub(super) fn keys_of(raw: &Raw) -> ConfigKeys {
    let mut rhombus = raw.rhombus.clone().unwrap_or_default();
    rhombus.proxy = rhombus.proxy.as_deref().map(without_user);
    let config = json!({
        "directory": raw.directory, "scope": raw.scope, "rhombus": rhombus, "schedule": raw.schedule, "guard": raw.guard,
        "state": raw.state, "sinks": raw.sinks.iter().map(set_keys).collect::<Vec<_>>(),
        "monitor": raw.monitor.clone().unwrap_or_default(), "standby": raw.standby.clone().unwrap_or_default(),
    });
    let defaults = json!({
        "directory": RawDirectory::default(), "scope": RawScope::default(), "rhombus": RawRhombus::default(),
        "schedule": RawSchedule::default(), "guard": RawGuard::default(), "state": RawState::default(), "sinks": [],
        "monitor": RawMonitor::default(), "standby": RawStandby::default(),
    });
    ConfigKeys::of(&config, &defaults)
}

/// What a sink sets. A key that a release adds has its default, and is not an edit.
fn set_keys(sink: &RawSink) -> Value {
    let mut set = json!(sink);
    let plain: Option<RawSink> = serde_json::from_value(json!({"kind": set["kind"]})).ok();
    let defaults = json!(plain);
    if let Some(members) = set.as_object_mut() {
        members.retain(|key, value| key == "kind" || defaults.get(key) != Some(value));
    }
    set
}

/// A proxy without the user and password that may stand in it.
fn without_user(proxy: &str) -> String {
    match proxy.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}/{path}")
        }
        None => proxy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::raw::parse;
    use super::*;

    const BASE: &str = "[directory]\npath = \"d.json\"\n";

    #[track_caller]
    fn check(before: &str, after: &str, changed: &[&str]) {
        let keys = |text: &str| match parse(&format!("{BASE}{text}")) {
            Ok(raw) => keys_of(&raw),
            Err(problem) => panic!("{text}: {problem}"),
        };
        assert_eq!(keys(after).changed_since(&keys(before).to_json()), changed, "{before} -> {after}");
    }

    #[test]
    fn an_edit_of_any_key_is_noticed_by_its_name() {
        for (edit, key) in [
            ("max_age = \"26h\"\n", "directory.max_age"),
            ("[scope]\ngroups = [\"R\"]\n", "scope.groups"),
            ("[rhombus]\nupdate_method = \"put\"\n", "rhombus.update_method"),
            ("[rhombus]\ntimeout = \"5s\"\n", "rhombus.timeout"),
            ("[rhombus]\nca_file = \"ca.pem\"\n", "rhombus.ca_file"),
            ("[rhombus]\nproxy = \"http://proxy.example/\"\n", "rhombus.proxy"),
            ("[rhombus]\non_removed = \"keep\"\n", "rhombus.on_removed"),
            ("[schedule]\ncron = \"0 0 * * * *\"\n", "schedule.cron"),
            ("[guard.absent]\ncount_max = 5\n", "guard.absent.count_max"),
            ("[guard]\nwindow = \"1h\"\n", "guard.window"),
            ("[state]\nkeep_history = \"30d\"\n", "state.keep_history"),
            ("[[sinks]]\nkind = \"stdout\"\n", "sinks"),
            ("[monitor]\nunhealthy_after = \"2h\"\n", "monitor.unhealthy_after"),
            ("[standby]\nlag_max = \"1m\"\n", "standby.lag_max"),
        ] {
            check("", edit, &[key]);
            check(edit, "", &[key]);
            check(edit, edit, &[]);
        }
    }

    #[test]
    fn what_is_written_out_at_its_default_is_no_edit() {
        check("", "[schedule]\nwatch = true\n[rhombus]\nupdate_method = \"patch\"\n[guard]\nwindow = \"24h\"\n", &[]);
        check("[[sinks]]\nkind = \"stdout\"\n", "[[sinks]]\nkind = \"stdout\"\nformat = \"directory-insights\"\n", &[]);
    }

    #[test]
    fn the_user_of_a_proxy_is_not_looked_at() {
        let proxy = |url: &str| format!("[rhombus]\nproxy = \"{url}\"\n");
        check(&proxy("http://u:s3cret@proxy.example:3128/"), &proxy("http://u:other@proxy.example:3128/"), &[]);
        check(&proxy("http://proxy.example/"), &proxy("http://other.example/"), &["rhombus.proxy"]);
    }
}
