//! BASE: the configuration file, from text to types once. Unknown keys and values are errors with line, column and the
//! nearest name; the line itself is never shown, because a token may stand in it.

mod address;
mod api;
mod check;
mod directory;
mod error;
mod layout;
mod monitor;
mod noticed;
mod raw;
mod roles;
mod settings;
mod sinks;
mod standby;

pub use api::{ApiCredential, JumpCloudConfig, UrlConfig};
pub use directory::SourceConfig;
pub use error::ConfigError;
pub use monitor::{MonitorConfig, check_heartbeat};
pub use roles::Places;
pub use settings::Settings;
pub use sinks::{
    FILE_MODE, Facility, HttpSink, HttpStyle, SinkCompany, SinkConfig, SinkKind, SyslogAddress, SyslogSink, TlsFiles,
};
pub use standby::{LeaseConfig, StandbyConfig};

use crate::files::{self, Role, Strictness, Trust};
use crate::model::{Duration, GuardKind, UpdateMethod};
use crate::plan::{Limits, Policy, Scope, ScopeVersion};
use crate::secret::{SecretError, Token};
use std::path::{Path, PathBuf};

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Config {
    /// What a cycle needs of it.
    pub settings: Settings,
    /// The endpoint; a sandbox run needs none.
    pub rhombus: Option<Rhombus>,
    /// How names are updated.
    pub update_method: UpdateMethod,
    /// The deadline of one request.
    pub timeout: Duration,
    /// When a cycle starts.
    pub schedule: Schedule,
    /// Where the state lies.
    pub state_path: PathBuf,
    /// Where the key of the log's seals is, if events are sealed.
    pub seal_key: Option<TokenPlace>,
    /// Where events go.
    pub sinks: Vec<SinkConfig>,
    /// Where the monitor listens, if there is one.
    pub monitor: Option<MonitorConfig>,
    /// What carries the state to another host, and who says which one leads; without it there is one host.
    pub standby: Option<StandbyConfig>,
}

/// `[rhombus]`: the endpoint.
#[derive(Clone, Debug)]
pub struct Rhombus {
    /// Without a slash at its end.
    pub base_url: String,
    /// Where the token lies.
    pub token: TokenPlace,
    /// A private certificate authority.
    pub ca_file: Option<PathBuf>,
    /// The only proxy.
    pub proxy: Option<String>,
}

/// Where a token lies. Never a value, never an environment variable.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub enum TokenPlace {
    /// In a file.
    File(PathBuf),
    /// In systemd's credential folder, by its name.
    Credential(String),
}

impl TokenPlace {
    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read, others may read or write it, or it is not a token.
    pub fn read(&self) -> Result<Token, SecretError> {
        Token::read(&self.path()?)
    }

    /// The file.
    ///
    /// # Errors
    /// systemd passed no credentials.
    pub fn path(&self) -> Result<PathBuf, SecretError> {
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(SecretError::NoCredentials)?;
                Ok(PathBuf::from(folder).join(name))
            }
        }
    }
}

/// `[schedule]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Seconds first.
    pub cron: String,
    /// Cycles with a refresh; empty for none.
    pub refresh_cron: String,
    /// The zone in which both are meant.
    pub time_zone: String,
    /// Whether a changed export starts a cycle.
    pub watch: bool,
}

/// The longest configuration, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// How long a checksum that does not fit yet is read again.
const CHECKSUM_PATIENCE: Duration = Duration::from_seconds(5);

impl Config {
    /// Reads a configuration file; paths in it are relative to it.
    ///
    /// # Errors
    /// It cannot be read, or it is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, Strictness::Refuse)
    }

    /// The same; what becomes of a file that somebody else may write to is up to `strictness`.
    ///
    /// # Errors
    /// It cannot be read or used, or it is wrong.
    pub fn load_with(path: &Path, strictness: Strictness) -> Result<Self, ConfigError> {
        let unreadable = |cause| ConfigError::unreadable(path, cause);
        let file = files::open_unjudged(path, Role::Configuration).map_err(unreadable)?;
        let bytes = files::read_whole(&file, CONFIG_BYTES_MAX).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|error| unreadable(std::io::Error::other(error.utf8_error())))?;
        // However the file was called: where a sink writes is its name in the state.
        let whole = std::path::absolute(path).map_err(unreadable)?;
        let folder = whole.parent().map(Path::to_owned).unwrap_or_default();
        let config =
            Self::from_text(&text, &folder).map_err(|problem| ConfigError::Wrong { path: path.to_owned(), problem })?;
        // Root may stand in for whom the state belongs to, which only the file says.
        let trust = Trust::beside(&config.state_path, strictness);
        files::admit_for(path, &file, Role::Configuration, &trust).map_err(unreadable)?;
        Ok(config)
    }

    fn from_text(text: &str, folder: &Path) -> Result<Self, error::Problem> {
        let raw = raw::parse(text)?;
        check::check(&raw)?;
        // Without `.` in the middle, so that one place has one name.
        let place = |path: &PathBuf| folder.join(path).components().collect::<PathBuf>();
        let rhombus = raw.rhombus.clone().unwrap_or_default();
        let sinks = sinks::sinks(&raw.sinks, &place)?;
        let limits = |limits: &raw::RawLimits| Limits {
            count_free: limits.count_free,
            percent_max: limits.percent_max,
            count_max: limits.count_max,
        };
        let scope = Scope::new(&directory::groups_wanted(&raw.directory, &raw.scope.groups), &raw.scope.protected);
        let layout = layout::layout(&raw.directory)?;
        let remembered = directory::source_settings(&raw.directory, &layout);
        let settings = Settings {
            source: directory::source(&raw.directory, !raw.scope.groups.is_empty(), &place)?,
            spool: spool_beside(&place(&raw.state.path)),
            layout,
            without_state: raw.directory.without_state,
            directory_number: remembered.number(),
            checksum_patience: CHECKSUM_PATIENCE,
            users_count_min: raw.directory.min_users,
            max_age: raw.directory.max_age,
            scope: scope.clone(),
            policy: Policy {
                on_suspended: rhombus.on_suspended,
                on_removed: rhombus.on_removed,
                on_drift: rhombus.on_drift,
            },
            existing_accounts: rhombus.existing_accounts,
            limits: [
                (GuardKind::Absent, limits(&raw.guard.absent.0)),
                (GuardKind::Suspended, limits(&raw.guard.suspended.0)),
                (GuardKind::Create, limits(&raw.guard.create.0)),
                (GuardKind::Update, limits(&raw.guard.update.0)),
            ]
            .into(),
            window: raw.guard.window,
            concurrency_max: rhombus.concurrency_max,
            requests_per_second_max: Some(rhombus.requests_per_second_max),
            settle_time: rhombus.settle_time,
            keep_history: raw.state.keep_history,
            sink_names: sinks.iter().map(SinkConfig::place).collect(),
            wanted_under: ScopeVersion { directory: remembered, scope },
            keys: noticed::keys_of(&raw),
        };
        Ok(Self {
            settings,
            rhombus: endpoint(&rhombus, &place),
            update_method: rhombus.update_method,
            timeout: rhombus.timeout,
            schedule: Schedule {
                cron: raw.schedule.cron,
                refresh_cron: raw.schedule.refresh_cron,
                time_zone: raw.schedule.time_zone,
                watch: raw.schedule.watch,
            },
            state_path: place(&raw.state.path),
            seal_key: match (&raw.state.seal_key_file, &raw.state.seal_key_credential) {
                (Some(path), _) => Some(TokenPlace::File(place(path))),
                (None, name) => name.clone().map(TokenPlace::Credential),
            },
            sinks,
            monitor: raw.monitor.as_ref().map(|raw| monitor::monitor(raw, &place)).transpose()?,
            standby: raw.standby.as_ref().map(|raw| standby::standby(raw, rhombus.timeout, &place)).transpose()?,
        })
    }
}

/// Where an export that was fetched lies: beside the state.
#[must_use]
pub fn spool_beside(state: &Path) -> PathBuf {
    let mut path = state.as_os_str().to_owned();
    path.push(".spool");
    path.into()
}

/// The endpoint, if one is configured.
fn endpoint(rhombus: &raw::RawRhombus, place: &dyn Fn(&PathBuf) -> PathBuf) -> Option<Rhombus> {
    let token = match (&rhombus.token_file, &rhombus.token_credential) {
        (Some(path), _) => TokenPlace::File(place(path)),
        (None, Some(name)) => TokenPlace::Credential(name.clone()),
        (None, None) => return None,
    };
    Some(Rhombus {
        base_url: rhombus.base_url.as_ref()?.trim_end_matches('/').to_owned(),
        token,
        ca_file: rhombus.ca_file.as_ref().map(place),
        proxy: rhombus.proxy.clone(),
    })
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match Config::from_text(text, Path::new("/etc/rhombus-sync")) {
            Ok(_) => "ok".to_owned(),
            Err(problem) => problem.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    const BASE: &str = "[directory]\npath = \"d.json\"\n";
    const RHOMBUS: &str = "[rhombus]\nbase_url = \"https://x.example/scim/v2\"\ntoken_file = \"t\"\n";

    #[test]
    fn what_is_left_out_has_its_default() {
        check(&format!("{BASE}{RHOMBUS}"), "ok");
        check(BASE, "ok");
        let config = Config::from_text(&format!("{BASE}{RHOMBUS}"), Path::new("/etc/rhombus-sync")).expect("good");
        assert_eq!(config.state_path, Path::new("/etc/rhombus-sync/state/rhombus-sync.db"));
        assert_eq!(
            config.settings.limits[&GuardKind::Absent],
            Limits { count_free: 3, percent_max: 10, count_max: 50 }
        );
        assert_eq!(
            config.settings.limits[&GuardKind::Update],
            Limits { count_free: 25, percent_max: 30, count_max: 1000 }
        );
    }

    #[test]
    fn a_mistake_is_named_with_its_place_and_the_nearest_name() {
        check(
            &format!("{BASE}[guard.absent]\ncount_maxx = 3\n"),
            "line 4, column 1: unknown key `count_maxx`; did you mean `count_max`?",
        );
        check(&format!("{BASE}[gaurd]\n"), "line 3, column 2: unknown key `gaurd`; did you mean `guard`?");
        check(
            &format!("{BASE}{RHOMBUS}update_method = \"ptch\"\n"),
            "line 6, column 17: unknown value of `update_method`; did you mean `patch`? (patch, put)",
        );
        check("[directory]\nsource = \"file\"\n", "[directory] path is missing");
        let sink = |path: &str| format!("[[sinks]]\nkind = \"file\"\npath = \"{path}\"\n");
        check(
            &format!("{BASE}{}{}", sink("e.ndjson"), sink("./e.ndjson")),
            "[[sinks]] two sinks have the same destination",
        );
        let named = |name: &str| format!("[[sinks]]\nkind = \"file\"\nname = \"{name}\"\npath = \"{name}-events\"\n");
        check(&format!("{BASE}{}{}", named("a"), named("b")), "ok");
        check(
            &format!("{BASE}{}{}[[sinks]]\nkind = \"stdout\"\nname = \"b\"\n", named("a"), named("b")),
            "[[sinks]] two sinks have the same name",
        );
        check(
            &format!("{BASE}{RHOMBUS}token = \"s3cret\"\n"),
            "line 6, column 1: unknown key `token`; did you mean `token_file`?",
        );
        check(
            &format!("{BASE}{RHOMBUS}timeout = \"-3s\"\n"),
            "line 6, column 11: `timeout`: a duration is an integer and s, m, h or d, like \"30s\"",
        );
        check(
            &format!("{BASE}{RHOMBUS}timeout = 30\n"),
            "line 6, column 11: `timeout` has the wrong type, expected a string",
        );
        check(
            &format!("{BASE}[guard.absent]\npercent_max = \"5%\"\n"),
            "line 4, column 15: `percent_max` has the wrong type, expected u32",
        );
        check(
            &format!("{BASE}[guard.absent]\npercent_max = -1\n"),
            "line 4, column 15: `percent_max` has the wrong type, expected u32",
        );
        check(
            &format!("{BASE}[guard.absent]\npercent_max = nan\n"),
            "line 4, column 15: `percent_max` has the wrong type, expected u32",
        );
        check(&format!("{BASE}[guard.absent]\npercent_max = 101\n"), "[guard.absent] percent_max is more than 100");
        check(&format!("{BASE}[schedule]\ncron = \"0 0 0 30 2 *\"\n"), "[schedule] cron never fires");
    }

    #[test]
    fn the_names_that_an_export_gives_our_columns_are_checked() {
        let directory = |text: &str| format!("[directory]\npath = \"d.json\"\n{text}\n");
        for good in [
            "id_attribute = \"uid\"\n[directory.columns]\nid = \"uid\"",
            "group_separator = \"\\n\"\nrecords = \"users\"\nwithout_state = \"activated\"",
            "[directory.columns]\nstate = \"enabled\"\n[directory.states]\nactivated = [\"true\"]",
            "[directory.columns]\nstate = \"\"\nfirstname = \"\"",
            "[directory.states]",
        ] {
            check(&directory(good), "ok");
        }
        for (wrong, problem) in [
            (
                "id_attribute = \"_id\"\n[directory.columns]\nid = \"uid\"",
                "[directory] id_attribute is the older name of [directory.columns] id, and they differ: remove one",
            ),
            ("id_attribute = \"\"", "[directory] id_attribute is empty"),
            ("[directory.columns]\nid = \"\"", "[directory.columns] id is empty, but every user needs one"),
            (
                "[directory.columns]\nusername = \" \"",
                "[directory.columns] username is empty, but every user needs one",
            ),
            (
                "[directory.states]\nactivated = [\"true\"]",
                "[directory.states] needs the column of the states: set [directory.columns] state",
            ),
            (
                "[directory.columns]\nstate = \"x\"\n[directory.states]\nactivated = [\"A\"]\nstaged = [\"a\"]",
                "[directory.states] has one word for two states (letter case does not matter)",
            ),
            ("group_separator = \"/\"", "[directory] group_separator is not one of \";\", \",\", \"|\" and \"\\n\""),
            (
                "[directory.columns]\nusernam = \"mail\"",
                "line 4, column 1: unknown key `usernam`; did you mean `username`?",
            ),
        ] {
            check(&directory(wrong), problem);
        }
    }

    #[test]
    fn a_link_remembers_what_the_export_calls_our_columns_and_not_what_it_lacks() {
        let under = |text: &str| {
            let text = format!("[directory]\npath = \"d.json\"\n{text}\n");
            let config = Config::from_text(&text, Path::new("")).expect("good");
            (config.settings.wanted_under, config.settings.directory_number)
        };
        let plain = under("");
        for same in [
            "id_attribute = \"_id\"",
            "min_users = 5\nmax_age = \"1h\"\nwithout_state = \"activated\"",
            "[directory.columns]\nid = \"_id\"\nstate = \"\"\ngroups = \"\"",
        ] {
            assert_eq!(under(same), plain, "{same}");
        }
        assert_eq!(under("id_attribute = \"id\""), under("[directory.columns]\nid = \"id\""));
        for other in [
            "[directory.columns]\nusername = \"mail\"",
            "[directory.columns]\nstate = \"state\"",
            "[directory.columns]\nid = \"id\"",
            "group_separator = \",\"",
            "records = \"users\"",
        ] {
            let other = under(other);
            assert!(other.0 != plain.0 && other.1 != plain.1, "{other:?}");
        }
    }

    #[test]
    fn an_endpoint_is_https_or_on_loopback() {
        for (url, problem) in [
            ("http://127.0.0.1:8000/scim/v2", None),
            ("http://[::1]:8000/x", None),
            ("http://localhost/x", None),
            ("http://rhombus.example/x", Some("[rhombus] base_url must be https (http only on loopback)")),
            ("ftp://rhombus.example/x", Some("[rhombus] base_url must be https (http only on loopback)")),
            ("https://u:p@rhombus.example/x", Some("[rhombus] base_url must not carry a user, a query or a fragment")),
            ("https://rhombus.example/x?a=1", Some("[rhombus] base_url must not carry a user, a query or a fragment")),
            ("https://rhombus.example/x#a", Some("[rhombus] base_url must not carry a user, a query or a fragment")),
            ("rhombus", Some("[rhombus] base_url is not a valid URL")),
        ] {
            check(&format!("{BASE}[rhombus]\nbase_url = \"{url}\"\ntoken_file = \"t\"\n"), problem.unwrap_or("ok"));
        }
    }

    #[test]
    fn a_token_that_stands_in_the_file_is_never_repeated() {
        for line in [
            "s3cret",
            "s3cret = ",
            "base_url = s3cret",
            "timeout = \"s3cret\"",
            "update_method = \"s3cret\"",
            "\"s3cret",
            "concurrency_max = \"s3cret\"",
        ] {
            let text = format!("{BASE}[rhombus]\n{line}\n");
            let problem =
                Config::from_text(&text, Path::new("")).err().map(|problem| problem.to_string()).unwrap_or_default();
            assert!(!problem.is_empty() && !problem.contains("s3cret"), "{line}: {problem}");
        }
    }
}
