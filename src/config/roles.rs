//! Two roles never share a file: an export, a token or a state into which a sink writes is gone. Files are one if their paths lead
//! to one place, or if they are two names of one file.

use super::{Config, ConfigError, LeaseConfig, SinkKind, SourceConfig, TlsFiles, TokenPlace, spool_beside};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The files of a deployment, by what they are.
pub struct Places {
    config: PathBuf,
    places: Vec<Place>,
}

struct Place {
    what: String,
    path: PathBuf,
    is_written: bool,
    identity: Identity,
}

/// Where a path leads, and which file is there.
struct Identity {
    real: PathBuf,
    file: Option<(u64, u64)>,
}

impl Identity {
    fn of(path: &Path) -> Self {
        let file = std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
        let real = path.canonicalize().ok().or_else(|| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(folder.canonicalize().ok()?.join(path.file_name()?))
        });
        Self { real: real.unwrap_or_else(|| path.to_owned()), file }
    }

    fn is(&self, other: &Self) -> bool {
        self.real == other.real || (self.file.is_some() && self.file == other.file)
    }
}

impl Places {
    /// The files that this configuration, read from `path`, names; the state and the sinks may be a sandbox run's.
    #[must_use]
    pub fn of(config: &Config, path: &Path, state: &Path) -> Self {
        let mut places = Self { config: path.to_owned(), places: Vec::new() };
        places.read("the configuration", path);
        places.source(&config.settings.source);
        if let Some(rhombus) = &config.rhombus {
            places.secret("[rhombus] token_file", &rhombus.token);
            places.read_if_any("[rhombus] ca_file", rhombus.ca_file.as_deref());
        }
        if let Some(key) = &config.seal_key {
            places.secret("[state] seal_key_file", key);
        }
        places.written("[state] path", state);
        for suffix in ["-wal", "-shm", "-journal", ".lock"] {
            places.written(&format!("the state's {suffix}"), &beside(state, suffix));
        }
        let former_lock = state.with_extension("lock");
        if former_lock != state {
            places.written("the lock file of earlier releases", &former_lock);
        }
        let spool = spool_beside(state);
        for suffix in [".json", ".wait"] {
            places.written("the spool of the export", &beside(&spool, suffix));
        }
        places.written("the spool of the export", &spool);
        let heartbeat = config.monitor.as_ref().and_then(|monitor| monitor.heartbeat_url_file.as_deref());
        places.read_if_any("[monitor] heartbeat_url_file", heartbeat);
        places.lease(config.standby.as_ref().and_then(|standby| standby.lease.as_ref()));
        for sink in &config.sinks {
            let what = format!("the sink {}", sink.name);
            match &sink.kind {
                SinkKind::File { path, .. } => places.written(&what, path),
                SinkKind::Syslog(syslog) => {
                    let TlsFiles { ca_file, cert_file, key_file } = &syslog.tls;
                    for (key, path) in [("ca_file", ca_file), ("cert_file", cert_file), ("key_file", key_file)] {
                        places.read_if_any(&format!("{key} of {what}"), path.as_deref());
                    }
                }
                SinkKind::Http(http) => {
                    places.read_if_any(&format!("token_file of {what}"), http.token_file.as_deref());
                    places.read_if_any(&format!("ca_file of {what}"), http.ca_file.as_deref());
                }
                SinkKind::Stdout | SinkKind::Journald { .. } => {}
            }
        }
        places
    }

    /// # Errors
    /// Two of them are one file, and one of them is written.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (number, second) in self.places.iter().enumerate() {
            self.check_against(second, &self.places[..number])?;
        }
        Ok(())
    }

    /// # Errors
    /// A file that is about to be written, `what`, is one of them.
    pub fn check_written(&self, what: &str, path: &Path) -> Result<(), ConfigError> {
        let place =
            Place { what: what.to_owned(), path: path.to_owned(), is_written: true, identity: Identity::of(path) };
        self.check_against(&place, &self.places)
    }

    fn check_against(&self, second: &Place, others: &[Place]) -> Result<(), ConfigError> {
        let same = |first: &&Place| (first.is_written || second.is_written) && first.identity.is(&second.identity);
        match others.iter().find(same) {
            Some(first) => Err(ConfigError::SameFile {
                path: self.config.clone(),
                first: first.what.clone(),
                second: second.what.clone(),
                file: second.path.clone(),
            }),
            None => Ok(()),
        }
    }

    fn source(&mut self, source: &SourceConfig) {
        match source {
            SourceConfig::File { path, members_path } => {
                for (key, path) in [("path", Some(path)), ("members_path", members_path.as_ref())] {
                    if let Some(path) = path {
                        self.read(&format!("[directory] {key}"), path);
                        self.read(&format!("the checksum of [directory] {key}"), &beside(path, ".sha256"));
                    }
                }
            }
            SourceConfig::Url(from) => self.read_if_any("[directory] ca_file", from.ca_file.as_deref()),
            SourceConfig::JumpCloud(from) => self.read_if_any("[directory] ca_file", from.ca_file.as_deref()),
        }
        for secret in source.secrets() {
            self.secret("the secret of [directory]", secret);
        }
    }

    fn lease(&mut self, lease: Option<&LeaseConfig>) {
        let Some(LeaseConfig { ca_file, identity, token_file, .. }) = lease else { return };
        let (certificate, key) = identity.as_ref().map(|(certificate, key)| (certificate, key)).unzip();
        let files = [("ca_file", ca_file.as_ref()), ("cert_file", certificate), ("key_file", key)];
        for (name, path) in files.into_iter().chain([("token_file", token_file.as_ref())]) {
            self.read_if_any(&format!("[standby] {name}"), path.map(PathBuf::as_path));
        }
    }

    fn secret(&mut self, what: &str, place: &TokenPlace) {
        self.read_if_any(what, place.path().ok().as_deref());
    }

    fn read_if_any(&mut self, what: &str, path: Option<&Path>) {
        if let Some(path) = path {
            self.read(what, path);
        }
    }

    fn read(&mut self, what: &str, path: &Path) {
        self.add(what, path, false);
    }

    fn written(&mut self, what: &str, path: &Path) {
        self.add(what, path, true);
    }

    fn add(&mut self, what: &str, path: &Path, is_written: bool) {
        let identity = Identity::of(path);
        self.places.push(Place { what: what.to_owned(), path: path.to_owned(), is_written, identity });
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
