//! The file's own shape: every key, with its default.

use super::directory::RawDirectory;
use super::error::Problem;
use super::monitor::RawMonitor;
use super::sinks::RawSink;
use super::standby::RawStandby;
use crate::model::{Duration, ExistingAccounts, OnDrift, Removals, UpdateMethod};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

pub(super) fn parse(text: &str) -> Result<Raw, Problem> {
    toml::from_str(text).map_err(|error| Problem::of_toml(text, &error))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) directory: RawDirectory,
    #[serde(default)]
    pub(super) scope: RawScope,
    pub(super) rhombus: Option<RawRhombus>,
    #[serde(default)]
    pub(super) schedule: RawSchedule,
    #[serde(default)]
    pub(super) guard: RawGuard,
    #[serde(default)]
    pub(super) state: RawState,
    #[serde(default)]
    pub(super) sinks: Vec<RawSink>,
    pub(super) monitor: Option<RawMonitor>,
    pub(super) standby: Option<RawStandby>,
}

#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawScope {
    pub(super) groups: Vec<String>,
    pub(super) protected: Vec<String>,
}

#[derive(Deserialize, Serialize, Clone)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRhombus {
    pub(super) base_url: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) token_credential: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) proxy: Option<String>,
    pub(super) update_method: UpdateMethod,
    pub(super) on_suspended: Removals,
    pub(super) on_removed: Removals,
    pub(super) existing_accounts: ExistingAccounts,
    pub(super) on_drift: OnDrift,
    pub(super) concurrency_max: u32,
    pub(super) requests_per_second_max: u32,
    pub(super) timeout: Duration,
    pub(super) settle_time: Duration,
}

impl Default for RawRhombus {
    fn default() -> Self {
        Self {
            base_url: None,
            token_file: None,
            token_credential: None,
            ca_file: None,
            proxy: None,
            update_method: UpdateMethod::Patch,
            on_suspended: Removals::Deactivate,
            on_removed: Removals::Delete,
            existing_accounts: ExistingAccounts::Adopt,
            on_drift: OnDrift::Repair,
            concurrency_max: 8,
            requests_per_second_max: 20,
            timeout: Duration::from_seconds(30),
            settle_time: Duration::from_seconds(60),
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSchedule {
    pub(super) cron: String,
    pub(super) refresh_cron: String,
    pub(super) time_zone: String,
    pub(super) watch: bool,
}

impl Default for RawSchedule {
    fn default() -> Self {
        Self {
            cron: "0 */5 * * * *".to_owned(),
            refresh_cron: "0 0 3 * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            watch: true,
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGuard {
    pub(super) window: Duration,
    pub(super) absent: AbsentLimits,
    pub(super) suspended: SuspendedLimits,
    pub(super) create: CreateLimits,
    pub(super) update: UpdateLimits,
}

impl Default for RawGuard {
    fn default() -> Self {
        Self {
            window: Duration::from_seconds(86_400),
            absent: AbsentLimits::default(),
            suspended: SuspendedLimits::default(),
            create: CreateLimits::default(),
            update: UpdateLimits::default(),
        }
    }
}

#[derive(Serialize, Clone, Copy)]
pub(super) struct RawLimits {
    pub(super) count_free: u32,
    pub(super) percent_max: u32,
    pub(super) count_max: u32,
}

/// Limits whose defaults differ by kind, each key of which may be left out alone.
macro_rules! limits {
    ($name:ident, $free:literal, $percent:literal, $max:literal) => {
        #[derive(Serialize, Clone, Copy)]
        pub(super) struct $name(pub(super) RawLimits);

        impl Default for $name {
            fn default() -> Self {
                Self(RawLimits { count_free: $free, percent_max: $percent, count_max: $max })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Keys {
                    count_free: Option<u32>,
                    percent_max: Option<u32>,
                    count_max: Option<u32>,
                }
                let keys = Keys::deserialize(deserializer)?;
                let Self(default) = Self::default();
                Ok(Self(RawLimits {
                    count_free: keys.count_free.unwrap_or(default.count_free),
                    percent_max: keys.percent_max.unwrap_or(default.percent_max),
                    count_max: keys.count_max.unwrap_or(default.count_max),
                }))
            }
        }
    };
}

limits!(AbsentLimits, 3, 10, 50);
limits!(SuspendedLimits, 5, 20, 200);
limits!(CreateLimits, 25, 50, 1000);
limits!(UpdateLimits, 25, 30, 1000);

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawState {
    pub(super) path: PathBuf,
    pub(super) keep_history: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seal_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seal_key_credential: Option<String>,
}

impl Default for RawState {
    fn default() -> Self {
        Self {
            path: PathBuf::from("state/rhombus-sync.db"),
            keep_history: Duration::from_seconds(365 * 86_400),
            seal_key_file: None,
            seal_key_credential: None,
        }
    }
}
