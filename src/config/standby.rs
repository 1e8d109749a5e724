//! `[standby]`: which engine carries the state to the other host, and which one says who leads.

use super::address::{Query, address};
use super::error::Problem;
use crate::model::Duration;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The longest name of a lease, in bytes: it begins the names of a few keys in etcd.
const NAME_BYTES_MAX: usize = 255;
const TTL: Duration = Duration::from_seconds(60);

#[derive(Deserialize, Serialize, Clone)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStandby {
    litestream: Option<String>,
    replica: Option<String>,
    lag_max: Duration,
    etcd: Vec<String>,
    name: Option<String>,
    ttl: Duration,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
}

impl Default for RawStandby {
    fn default() -> Self {
        Self {
            litestream: None,
            replica: None,
            lag_max: Duration::from_seconds(10),
            etcd: Vec::new(),
            name: None,
            ttl: TTL,
            ca_file: None,
            cert_file: None,
            key_file: None,
            token_file: None,
        }
    }
}

/// `[standby]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandbyConfig {
    /// Litestream's control socket.
    pub litestream: PathBuf,
    /// Where Litestream replicates the state to, each reign below its own number: a URL without a slash at its end.
    pub replica: String,
    /// For how long everything waits for a replica that does not answer.
    pub lag_max: Duration,
    /// Who says which host leads; without it, a person does.
    pub lease: Option<LeaseConfig>,
}

/// The lease in etcd.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseConfig {
    /// The members' addresses, without a slash at the end; at least one.
    pub endpoints: Vec<String>,
    /// What the names of our keys begin with.
    pub name: String,
    /// How long a lease lasts without being renewed; longer than `[rhombus] timeout`.
    pub ttl: Duration,
    /// A private certificate authority.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The file that holds a token of etcd.
    pub token_file: Option<PathBuf>,
}

impl LeaseConfig {
    /// The files that hold a secret.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Path> {
        let key = self.identity.as_ref().map(|(_, key)| key.as_path());
        key.into_iter().chain(self.token_file.as_deref())
    }

    /// The files that hold a certificate.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Path> {
        let certificate = self.identity.as_ref().map(|(certificate, _)| certificate.as_path());
        certificate.into_iter().chain(self.ca_file.as_deref())
    }
}

/// `timeout` is `[rhombus] timeout`.
pub(super) fn standby(
    raw: &RawStandby,
    timeout: Duration,
    place: &dyn Fn(&PathBuf) -> PathBuf,
) -> Result<StandbyConfig, Problem> {
    let missing =
        |key: &str| Problem::owned(format!("[standby] {key} is missing: another host could not go on with the state"));
    let socket = raw.litestream.as_deref().ok_or_else(|| missing("litestream"))?;
    let litestream = socket.strip_prefix("unix://").map(Path::new).filter(|path| path.is_absolute());
    let litestream = litestream.ok_or_else(|| Problem::plain("[standby] litestream is not unix:///path"))?;
    let replica = replica(raw.replica.as_deref().ok_or_else(|| missing("replica"))?)?;
    if raw.lag_max == Duration::from_seconds(0) {
        return Err(Problem::plain("[standby] lag_max is 0: nothing would wait for the replica"));
    }
    // The default alone is no reason to refuse a long timeout.
    if raw.ttl <= timeout && (!raw.etcd.is_empty() || raw.ttl != TTL) {
        return Err(Problem::plain(
            "[standby] ttl must be more than [rhombus] timeout, so that every request has ended when the lease does",
        ));
    }
    let lease = lease(raw, place)?;
    Ok(StandbyConfig { litestream: litestream.to_owned(), replica, lag_max: raw.lag_max, lease })
}

fn lease(raw: &RawStandby, place: &dyn Fn(&PathBuf) -> PathBuf) -> Result<Option<LeaseConfig>, Problem> {
    let RawStandby { etcd, name, ttl, ca_file, cert_file, key_file, token_file, .. } = raw;
    if etcd.is_empty() {
        let files = [ca_file, cert_file, key_file, token_file];
        return match files.iter().any(|file| file.is_some()) {
            true => Err(Problem::plain("[standby] ca_file, cert_file, key_file and token_file go with etcd")),
            false => Ok(None),
        };
    }
    for endpoint in etcd {
        address(endpoint, "[standby] etcd", Query::Refused)?;
    }
    let name = name.clone().ok_or_else(|| {
        Problem::plain("[standby] name is missing: it tells the leases of several organisations apart in etcd")
    })?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Problem::plain("[standby] name must be 1 to 255 visible ASCII characters without spaces"));
    }
    let identity = match (cert_file, key_file) {
        (Some(certificate), Some(key)) => Some((place(certificate), place(key))),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(Problem::plain("[standby] cert_file and key_file go together"));
        }
    };
    Ok(Some(LeaseConfig {
        endpoints: etcd.iter().map(|endpoint| endpoint.trim_end_matches('/').to_owned()).collect(),
        name,
        ttl: *ttl,
        ca_file: ca_file.as_ref().map(place),
        identity,
        token_file: token_file.as_ref().map(place),
    }))
}

/// A password in it would be one in the configuration.
fn replica(text: &str) -> Result<String, Problem> {
    let wrong = || Problem::plain("[standby] replica is not a URL such as s3://bucket/folder or file:///folder");
    let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
    if !text.contains("://") || (url.path().trim_matches('/').is_empty() && !url.has_host()) {
        return Err(wrong());
    }
    if url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(Problem::plain("[standby] replica must not carry a password, a query or a fragment"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE: &str = "litestream = \"unix:///run/l.sock\"\nreplica = \"s3://bucket/acme/\"\n";
    const ETCD: &str = "etcd = [\"https://e1:2379/\", \"http://127.0.0.1:2379\"]\nname = \"rhombus-sync/acme\"\n";

    fn parsed(text: &str, timeout_s: u32) -> Result<StandbyConfig, String> {
        let raw: RawStandby = toml::from_str(text).expect("keys and types are right");
        let place = |path: &PathBuf| Path::new("/etc").join(path);
        standby(&raw, Duration::from_seconds(timeout_s), &place).map_err(|problem| problem.to_string())
    }

    #[track_caller]
    fn check(text: &str, timeout_s: u32, expected: &str) {
        let found = parsed(text, timeout_s).map(|_| "ok".to_owned()).unwrap_or_else(|problem| problem);
        let is_so = if expected == "ok" { found == "ok" } else { found.contains(expected) };
        assert!(is_so, "{text}: {found}");
    }

    #[test]
    fn what_goes_together_is_there_together() {
        check("", 30, "litestream is missing");
        check("replica = \"s3://bucket/acme\"\n", 30, "litestream is missing");
        check("litestream = \"unix:///run/l.sock\"\n", 30, "replica is missing");
        check(ETCD, 30, "litestream is missing");
        check(ENGINE, 30, "ok");
        check(&format!("{ENGINE}ca_file = \"ca.pem\"\n"), 30, "go with etcd");
        check(&format!("{ENGINE}{ETCD}"), 30, "ok");
        check(&format!("{ENGINE}etcd = [\"https://e1:2379\"]\n"), 30, "name is missing");
        check(&format!("{ENGINE}{ETCD}cert_file = \"c.pem\"\n"), 30, "go together");
        check(&format!("{ENGINE}{ETCD}cert_file = \"c.pem\"\nkey_file = \"k.pem\"\n"), 30, "ok");
    }

    #[test]
    fn every_request_has_ended_when_the_lease_does() {
        check(&format!("{ENGINE}{ETCD}ttl = \"30s\"\n"), 30, "ttl must be more than [rhombus] timeout");
        check(&format!("{ENGINE}{ETCD}ttl = \"31s\"\n"), 30, "ok");
        check(&format!("{ENGINE}{ETCD}"), 60, "ttl must be more than [rhombus] timeout");
        check(&format!("{ENGINE}ttl = \"10s\"\n"), 30, "ttl must be more than [rhombus] timeout");
        check(ENGINE, 90, "ok");
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_refused() {
        check("litestream = \"/run/l.sock\"\n", 30, "litestream is not unix:///path");
        check("litestream = \"unix://run/l.sock\"\n", 30, "litestream is not unix:///path");
        check(&format!("{ENGINE}lag_max = \"0s\"\n"), 30, "lag_max is 0");
        for replica in ["/backup", "bucket", "s3:bucket", "file:///"] {
            check(
                &format!("litestream = \"unix:///l\"\nreplica = \"{replica}\"\n"),
                30,
                "replica is not a URL such as",
            );
        }
        let with_password = "litestream = \"unix:///l\"\nreplica = \"sftp://u:s3cret@host/x\"\n";
        check(with_password, 30, "must not carry a password");
        assert!(!parsed(with_password, 30).expect_err("refused").contains("s3cret"));
        check(&format!("{ENGINE}name = \"a\"\netcd = [\"http://e1:2379\"]\n"), 30, "etcd must be https");
        check(&format!("{ENGINE}name = \"a b\"\netcd = [\"https://e1:2379\"]\n"), 30, "name must be 1 to 255");
    }

    #[test]
    fn what_is_left_out_has_its_default_and_addresses_end_without_a_slash() {
        let config = parsed(&format!("{ENGINE}{ETCD}token_file = \"t\"\n"), 30).expect("good");
        assert_eq!(config.litestream, Path::new("/run/l.sock"));
        assert_eq!((config.replica.as_str(), config.lag_max), ("s3://bucket/acme", Duration::from_seconds(10)));
        let lease = config.lease.expect("etcd");
        assert_eq!(lease.endpoints, ["https://e1:2379", "http://127.0.0.1:2379"]);
        assert_eq!((lease.ttl, lease.token_file), (TTL, Some(PathBuf::from("/etc/t"))));
    }
}
