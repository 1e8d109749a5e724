//! What a cycle needs of the configuration.

use crate::model::{Duration, ExistingAccounts, Format, GuardKind};
use crate::plan::{Limits, Policy, Scope};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a cycle needs of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The export.
    pub export_path: PathBuf,
    /// How it is written down.
    pub format: Format,
    /// The immutable key of a user.
    pub id_attribute: String,
    /// How long a checksum that does not fit yet is read again.
    pub checksum_patience: Duration,
    /// An export with fewer users is refused whole.
    pub users_count_min: u64,
    /// An export older than this is refused whole.
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
    /// The `[directory]` and `[scope]` settings as JSON, remembered with each link.
    pub wanted_under: String,
}

impl Settings {
    /// A number that changes when any of them does.
    #[must_use]
    pub fn number(&self) -> i64 {
        let text = format!("{self:?}");
        xxhash_rust::xxh3::xxh3_64(text.as_bytes()).cast_signed()
    }
}
