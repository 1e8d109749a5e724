//! What commands act on: the real state and endpoint, or those of a sandbox run.

use crate::config::{Config, LeaseConfig, Places, SinkConfig, SinkKind, SourceConfig, TokenPlace, spool_beside};
use crate::cycle::{door, find_user, open_export};
use crate::event::SealKey;
use crate::failure::Failure;
use crate::files::{self, Refusal, Role, Strictness, Trust, Why};
use crate::http::{self, Client, ClientSettings, Dialect};
use crate::meter::Meter;
use crate::model::{Barrier, Clock, DirectoryId, Duration, Exit, command, hex, note_token_comes_from_systemd, quoted};
use crate::process::{SystemClock, random};
use crate::report::UNHEALTHY_AFTER;
use crate::sandbox::{Faults, Sandbox, Settings as SandboxSettings};
use crate::scim::{RateLimit, ScimTarget};
use crate::secret::{self, SecretError, Token};
use crate::source::{self, Door, Export, Keep, SourceError};
use crate::standby::{Replica, Socket};
use crate::store::{self, Access, InstallationRow, JournalError, Lock, LockError, StateError, WithoutNote};
use rusqlite::Connection;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// The endpoint that a sandbox run's state is bound to, whatever port the simulator gets.
const SANDBOX_ENDPOINT: &str = "sandbox:";

/// Reads the key of a log's seals.
///
/// # Errors
/// It cannot be read, is readable by others, or is not printable text.
pub(crate) fn read_seal_key(path: &Path) -> Result<SealKey, Failure> {
    let unfit = |error: SecretError| {
        let hint = format!("to make a key: (umask 077; openssl rand -hex 32 >{})", quoted(&path.display().to_string()));
        Failure { hint: Some(hint), ..error.into() }
    };
    Token::read(path).map(|key| SealKey::new(key.expose())).map_err(unfit)
}

/// Whether a command acts on the real endpoint, or on a simulator with its own state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Real,
    Sandbox,
}

/// What a command acts on. Work on another thread gets a copy.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) config: Config,
    pub(crate) state_path: PathBuf,
    pub(crate) is_sandbox: bool,
    /// The simulator of a sandbox run, once it runs: base URL and token.
    simulator: Arc<OnceLock<(String, Token)>>,
    /// What happens at the endpoint, counted since the process began.
    pub(crate) meter: Arc<Meter>,
}

impl Deployment {
    /// Reads the configuration. A sandbox run has its own state and sink, in `sandbox/` beside the state, and no rate limit.
    pub(crate) fn load(config: &Path, mode: Mode) -> Result<Self, Failure> {
        let strictness = match mode {
            Mode::Real => Strictness::Refuse,
            Mode::Sandbox => Strictness::Say,
        };
        let path = config;
        let mut config = Config::load_with(path, strictness)?;
        let mut state_path = config.state_path.clone();
        if mode == Mode::Sandbox {
            let folder = sandbox_folder(&config);
            state_path = folder.join("rhombus-sync.db");
            config.settings.spool = spool_beside(&state_path);
            config.settings.requests_per_second_max = None;
            // An old export is said, and tried all the same.
            config.settings.max_age = None;
            config.standby = None;
            let sink = SinkConfig::new(SinkKind::file(folder.join("events.ndjson")));
            config.settings.sink_names = vec![sink.place()];
            config.sinks = vec![sink];
        }
        files::keep_company(&Trust::beside(&state_path, strictness));
        Places::of(&config, path, &state_path).check()?;
        let heartbeat = config.monitor.as_ref().and_then(|monitor| monitor.heartbeat_url_file.as_deref());
        let lease = || config.standby.iter().filter_map(|standby| standby.lease.as_ref());
        let secrets = config.sinks.iter().flat_map(SinkConfig::secrets).chain(lease().flat_map(LeaseConfig::secrets));
        for secret in secrets.chain(heartbeat) {
            secret::refuse_exposed(secret)?;
        }
        let certificates = config.sinks.iter().flat_map(SinkConfig::certificates);
        for certificate in certificates.chain(lease().flat_map(LeaseConfig::certificates)) {
            http::refuse_exposed(certificate)?;
        }
        let deployment = Self {
            config,
            state_path,
            is_sandbox: mode == Mode::Sandbox,
            simulator: Arc::default(),
            meter: Arc::default(),
        };
        deployment.note_token_place();
        Ok(deployment)
    }

    /// From now on hints say how to replace the token of this configuration.
    pub(crate) fn note_token_place(&self) {
        note_token_comes_from_systemd(self.token_is_a_credential());
    }

    /// Whether systemd passes the token: then it never changes while the process runs.
    pub(crate) fn token_is_a_credential(&self) -> bool {
        let place = self.config.rhombus.as_ref().map(|rhombus| &rhombus.token);
        matches!(place, Some(TokenPlace::Credential(_)))
    }

    /// The endpoint that the state is bound to.
    pub(crate) fn endpoint(&self) -> Result<String, Failure> {
        match (&self.config.rhombus, self.is_sandbox) {
            (_, true) => Ok(SANDBOX_ENDPOINT.to_owned()),
            (Some(rhombus), false) => Ok(rhombus.base_url.clone()),
            (None, false) => Err(Failure::new(
                Exit::Misconfigured,
                "[rhombus] base_url is missing",
                Some("the Rhombus console shows it; `--sandbox` runs against a simulator without one"),
            )),
        }
    }

    /// So long without a good cycle is red.
    pub(crate) fn unhealthy_after(&self) -> Duration {
        self.config.monitor.as_ref().map_or(UNHEALTHY_AFTER, |monitor| monitor.unhealthy_after)
    }

    /// Opens the state, which must be bound to this endpoint. A sandbox run creates its own.
    pub(crate) fn state(&self, access: Access) -> Result<(Connection, InstallationRow), Failure> {
        let endpoint = self.endpoint()?;
        let connection = match store::open(&self.state_path, access) {
            Err(StateError::Missing(path)) if self.is_sandbox => {
                store::create(&path, &endpoint, SystemClock.now(), random())?
            }
            Err(StateError::Older { .. }) if access == Access::Write => {
                // A command that writes upgrades it, unless an older program still sends.
                let _lock = Lock::acquire(&self.state_path)?;
                self.upgrade()?;
                store::open(&self.state_path, access)?
            }
            opened => opened?,
        };
        // A reader believes approvals for their sealed events; whoever may not read the key has the chain.
        if access == Access::Write || self.seal_key().is_ok() {
            self.seal(&connection)?;
        }
        let installation = store::installation(&connection)?;
        if installation.base_url != endpoint {
            return Err(StateError::OtherEndpoint { bound: installation.base_url, configured: endpoint }.into());
        }
        Ok((connection, installation))
    }

    /// The state for a command that writes one row, even while another process sends. First notices whether the state was
    /// restored from a backup.
    pub(crate) fn command(&self) -> Result<(Connection, InstallationRow), Failure> {
        let (mut connection, _) = self.state(Access::Write)?;
        self.notice_restored(&mut connection)?;
        let installation = store::installation(&connection)?;
        Ok((connection, installation))
    }

    /// Notices whether the state was restored, before a command writes an event: it must not get a number that the lost log gave to
    /// another one.
    pub(crate) fn notice_restored(&self, connection: &mut Connection) -> Result<(), Failure> {
        let path = &self.state_path;
        let noted = store::noted_beside(path);
        // Where no sender ever was, this command goes first.
        let mut lock = if noted.is_none() { Lock::acquire(path).ok() } else { None };
        let without_note = if lock.is_some() { WithoutNote::IsRestored } else { WithoutNote::IsUnknown };
        let restored = store::continue_log(connection, noted.as_ref(), without_note, SystemClock.now())
            .map_err(|error| error.at(path))?;
        match (&mut lock, restored) {
            (Some(lock), _) => lock.note(connection).map_err(JournalError::from)?,
            (None, Some(_)) => store::note_beside(path, connection)?,
            (None, None) => {}
        }
        Ok(())
    }

    /// Everything that a process needs to send: the lock, and the state, upgraded to this program's schema. An unusable state
    /// is reported even if another process has the lock.
    pub(crate) fn sender(&self) -> Result<(Lock, Connection, InstallationRow), Failure> {
        let cut_short = store::was_cut_short(&self.state_path);
        match store::open(&self.state_path, Access::Read) {
            Err(StateError::Missing(_)) if self.is_sandbox => drop(self.state(Access::Write)?),
            Err(StateError::Older { .. }) => {}
            // Whoever has the state by its own name has it.
            Err(error @ StateError::Refused { refusal: Refusal { why: Why::Link, .. }, .. }) => {
                return Err(Lock::acquire(&self.state_path)
                    .err()
                    .filter(LockError::is_held)
                    .map_or(error.into(), Failure::from));
            }
            Err(error) => return Err(error.into()),
            Ok(reader) if !store::installation(&reader)?.active => return Err(inactive()),
            Ok(_) => {}
        }
        let mut lock = Lock::acquire(&self.state_path)?;
        self.upgrade()?;
        let (mut writer, _) = self.state(Access::Write)?;
        if cut_short {
            store::note_check(&writer, None).map_err(JournalError::from)?;
        }
        let noted = lock.noted().cloned();
        if let Some(what) = store::continue_log(&mut writer, noted.as_ref(), WithoutNote::IsRestored, SystemClock.now())
            .map_err(|error| error.at(&self.state_path))?
        {
            tracing::warn!(
                "the state was restored from a backup: {what}; this cycle is a refresh, and its removals are held"
            );
        }
        lock.note(&writer).map_err(JournalError::from)?;
        let installation = store::installation(&writer)?;
        if installation.active { Ok((lock, writer, installation)) } else { Err(inactive()) }
    }

    /// What each commit has to pass before anything leaves on its strength; none without `[standby]`.
    pub(crate) fn barrier(&self) -> Result<Option<Arc<dyn Barrier>>, Failure> {
        let Some(standby) = &self.config.standby else { return Ok(None) };
        let reign = store::open(&self.state_path, Access::Read)
            .map_err(Failure::from)
            .and_then(|state| Ok(store::reign(&state)?))?;
        let socket = Socket::new(&standby.litestream, &self.state_path);
        let socket = socket.replicating_to(format!("{}/{reign}", standby.replica));
        let replica = Replica::start(socket, standby.lag_max.std(), || SystemClock.now())?;
        Ok(Some(Arc::new(replica)))
    }

    /// Brings the state to this program's schema, and says so.
    pub(crate) fn upgrade(&self) -> Result<(), Failure> {
        let key = self.seal_key()?;
        let upgraded = store::upgrade(&self.state_path, SystemClock.now(), key.as_ref());
        if let Some(upgraded) = upgraded.map_err(|error| error.at(&self.state_path))? {
            tracing::warn!(backup = %upgraded.copy.display(), "the state was upgraded to this program's schema");
            if let Some(said) = upgraded.approvals_ended() {
                tracing::warn!("{said}");
            }
        }
        Ok(())
    }

    /// Where the secrets lie that a cycle needs.
    pub(crate) fn secrets(&self) -> Vec<&TokenPlace> {
        let rhombus = self.config.rhombus.as_ref().filter(|_| !self.is_sandbox).map(|rhombus| &rhombus.token);
        let key = self.config.seal_key.as_ref().filter(|_| !self.is_sandbox);
        self.config.settings.source.secrets().into_iter().chain(rhombus).chain(key).collect()
    }

    /// What is allowed and yet loose: whose group may write to it, or what others can read.
    pub(crate) fn loose_files(&self) -> Vec<(PathBuf, Refusal)> {
        let inputs = self.config.settings.source.watched().into_iter().flat_map(|path| {
            let mut checksum = path.as_os_str().to_owned();
            checksum.push(".sha256");
            [(path.to_owned(), Role::Export), (checksum.into(), Role::Export)]
        });
        let ca_file =
            self.config.rhombus.iter().filter(|_| !self.is_sandbox).filter_map(|rhombus| rhombus.ca_file.clone());
        let sinks = self.config.sinks.iter();
        let certificates = sinks.clone().flat_map(SinkConfig::certificates).map(Path::to_owned).chain(ca_file);
        let files = inputs
            .chain(certificates.map(|path| (path, Role::Certificate)))
            .chain(std::iter::once((self.state_path.clone(), Role::State)))
            .chain(sinks.filter_map(SinkConfig::file).map(|path| (path.to_owned(), Role::Sink)));
        files.filter_map(|(path, role)| files::loose(&path, role).map(|refusal| (path, refusal))).collect()
    }

    /// The token of the real endpoint.
    pub(crate) fn token(&self) -> Result<Token, Failure> {
        let Some(rhombus) = &self.config.rhombus else {
            return Err(Failure::new(Exit::Misconfigured, "[rhombus] is missing", None));
        };
        Ok(rhombus.token.read()?)
    }

    /// The key of the log's seals, if events are sealed. A sandbox run seals nothing.
    pub(crate) fn seal_key(&self) -> Result<Option<SealKey>, Failure> {
        match self.config.seal_key.as_ref().filter(|_| !self.is_sandbox) {
            Some(place) => read_seal_key(&place.path()?).map(Some),
            None => Ok(None),
        }
    }

    /// Gives a connection that writes the key with which events are sealed.
    pub(crate) fn seal(&self, connection: &Connection) -> Result<(), Failure> {
        if let Some(key) = self.seal_key()? {
            store::seal_with(connection, &key)?;
        }
        Ok(())
    }

    /// The endpoint, real or simulated, with the token as it is on disk now.
    pub(crate) fn target(&self) -> Result<ScimTarget<Client>, Failure> {
        let token = if self.is_sandbox { None } else { Some(self.token()?) };
        self.target_with(token)
    }

    /// The endpoint, real or simulated, with this token.
    pub(crate) fn target_with(&self, token: Option<Token>) -> Result<ScimTarget<Client>, Failure> {
        let settings = &self.config.settings;
        let (base_url, token, ca_file, proxy) = match (&self.config.rhombus, token) {
            (Some(rhombus), Some(token)) => {
                (rhombus.base_url.clone(), token, rhombus.ca_file.clone(), rhombus.proxy.clone())
            }
            (None, Some(_)) => return Err(Failure::new(Exit::Misconfigured, "[rhombus] is missing", None)),
            (_, None) => {
                let (base_url, token) = self.simulator()?;
                (base_url, token, None, None)
            }
        };
        let client = Client::new(ClientSettings {
            base_url,
            token: Some(token),
            dialect: Dialect::scim(),
            ca_file,
            proxy,
            timeout: self.config.timeout,
        });
        if self.config.rhombus.as_ref().is_some_and(|rhombus| rhombus.ca_file.is_some() || rhombus.proxy.is_some())
            && !self.is_sandbox
        {
            client.prepare()?;
        }
        let rate_limit = RateLimit::new(settings.concurrency_max, settings.requests_per_second_max);
        Ok(ScimTarget::new(client, rate_limit, self.config.update_method).counted_by(self.meter.clone()))
    }

    /// The simulator inside the process; one for all cycles.
    fn simulator(&self) -> Result<(String, Token), Failure> {
        if let Some(running) = self.simulator.get() {
            return Ok(running.clone());
        }
        let secret = hex(&random());
        let sandbox = Sandbox::start(SandboxSettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: secret.clone(),
            accounts: sandbox_folder(&self.config).join("accounts.db"),
            users: None,
            faults: Faults::default(),
        })?;
        let token = Token::from_text(&secret).ok_or(SecretError::NoCredentials)?;
        Ok(self.simulator.get_or_init(|| (sandbox.base_url(), token)).clone())
    }

    /// Keeps the simulator, and what was counted, after a reload of the configuration.
    pub(crate) fn with_simulator_of(mut self, before: &Self) -> Self {
        self.simulator.clone_from(&before.simulator);
        self.meter.clone_from(&before.meter);
        self
    }

    /// The export, whatever its age.
    pub(crate) fn open_export(&self) -> Result<Export, SourceError> {
        self.at_the_door(|door| source::open(&self.config.settings, door))
    }

    /// The export, whatever its age and whosever organisation it is: `activate` binds the state to it.
    pub(crate) fn open_export_to_bind(&self) -> Result<Export, SourceError> {
        self.at_the_door(|door| {
            source::open(&self.config.settings, &Door { organization: None, ..std::mem::take(door) })
        })
    }

    /// The export, if its age allows it.
    pub(crate) fn open_current_export(&self, installation: &InstallationRow) -> Result<Export, SourceError> {
        self.at_the_door(|door| open_export(&self.config.settings, SystemClock.now(), installation, door))
    }

    /// Every command that looks at the export comes in here. Only a source that is read in pages asks what the state knows.
    fn at_the_door<T>(&self, open: impl FnOnce(&mut Door<'_>) -> T) -> T {
        let asks = matches!(self.config.settings.source, SourceConfig::JumpCloud(_));
        let state = if asks { store::open(&self.state_path, Access::Read).ok() } else { None };
        let known = state.as_ref().and_then(|reader| Some((reader, store::installation(reader).ok()?)));
        match known {
            Some((reader, row)) => open(&mut door(reader, &row, Keep::Nothing, &CancellationToken::new())),
            None => open(&mut Door::default()),
        }
    }

    /// The directory id of the user that this text names.
    pub(crate) fn find_user(&self, reader: &Connection, text: &str) -> rusqlite::Result<Option<DirectoryId>> {
        find_user(text, reader, &self.config.settings, || self.open_export().ok())
    }
}

/// The failure of a command that needs an active deployment.
pub(crate) fn inactive() -> Failure {
    let hint = format!("run `{}` to manage users again", command("activate"));
    Failure::new(Exit::Inactive, "deactivated: no user is managed", Some(&hint))
}

/// Where a sandbox run keeps its files.
pub(crate) fn sandbox_folder(config: &Config) -> PathBuf {
    config.state_path.parent().map(|folder| folder.join("sandbox")).unwrap_or_else(|| PathBuf::from("sandbox"))
}
