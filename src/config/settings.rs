//! What a cycle needs of the configuration.

use super::SourceConfig;
use crate::model::{ConfigKeys, Duration, ExistingAccounts, GuardKind, Layout, WithoutState};
use crate::plan::{Limits, Policy, Scope, ScopeVersion};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a cycle needs of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where users come from.
    pub source: SourceConfig,
    /// Where an export that was fetched lies.
    pub spool: PathBuf,
    /// How it is written down.
    pub layout: Layout,
    /// What becomes of one that says nothing of anybody's state.
    pub without_state: WithoutState,
    /// A number of the settings under which what exports say is compared.
    pub directory_number: i64,
    /// How long a checksum that does not fit yet is read again.
    pub checksum_patience: Duration,
    /// An export with fewer users is rejected as a whole.
    pub users_count_min: u64,
    /// An export older than this is rejected as a whole.
    pub max_age: Option<Duration>,
    /// Who is wanted.
    pub scope: Scope,
    /// What is done with others.
    pub policy: Policy,
    /// Whether accounts that were there are taken over.
    pub existing_accounts: ExistingAccounts,
    /// The guard's limits.
    pub limits: BTreeMap<GuardKind, Limits>,
    /// The guard's window.
    pub window: Duration,
    /// Requests at once.
    pub concurrency_max: u32,
    /// Requests a second; none: as fast as it goes.
    pub requests_per_second_max: Option<u32>,
    /// How long an account may stay unseen after a create whose answer was lost.
    pub settle_time: Duration,
    /// Events older than this and shipped are pruned.
    pub keep_history: Duration,
    /// The sinks' names in the state.
    pub sink_names: Vec<String>,
    /// The `[directory]` and `[scope]` settings that each link remembers.
    pub wanted_under: ScopeVersion,
    /// Every key of the file, so that the log can say which an edit changed.
    pub keys: ConfigKeys,
}

impl Settings {
    /// A number that changes with everything that a plan depends on: under another, an export is not "the same as last time".
    #[must_use]
    pub fn number(&self) -> i64 {
        let limits: BTreeMap<_, _> = self.limits.iter().map(|(kind, limits)| (kind.as_str(), limits)).collect();
        let named = serde_json::json!({
            "source": self.source,
            "layout": self.layout,
            "without_state": self.without_state,
            "users_count_min": self.users_count_min,
            "max_age": self.max_age,
            "scope": self.scope,
            "policy": self.policy,
            "existing_accounts": self.existing_accounts,
            "limits": limits,
            "window": self.window,
            "wanted_under": self.wanted_under,
        });
        xxhash_rust::xxh3::xxh3_64(named.to_string().as_bytes()).cast_signed()
    }
}
