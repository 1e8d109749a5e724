//! `[[sinks]]`: where events go. One variant a kind; what does not go with a kind is refused here and nowhere else.

mod remote;

pub use remote::{Facility, HttpSink, HttpStyle, SyslogAddress, SyslogSink, TlsFiles};

use super::error::Problem;
use crate::event::{EventFormat, OcsfVersion};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The mode of a sink's file.
pub const FILE_MODE: u32 = 0o600;
/// Where journald listens.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSink {
    kind: RawKind,
    name: Option<String>,
    #[serde(default)]
    format: EventFormat,
    ocsf_version: Option<OcsfVersion>,
    path: Option<PathBuf>,
    mode: Option<String>,
    group: Option<String>,
    address: Option<String>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    facility: Option<Facility>,
    length_max: Option<u32>,
    url: Option<String>,
    style: Option<HttpStyle>,
    token_file: Option<PathBuf>,
    index: Option<String>,
}

impl RawSink {
    /// The keys of one kind or another that are set.
    fn given(&self) -> [(&'static str, bool); 13] {
        [
            ("path", self.path.is_some()),
            ("mode", self.mode.is_some()),
            ("group", self.group.is_some()),
            ("address", self.address.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("cert_file", self.cert_file.is_some()),
            ("key_file", self.key_file.is_some()),
            ("facility", self.facility.is_some()),
            ("length_max", self.length_max.is_some()),
            ("url", self.url.is_some()),
            ("style", self.style.is_some()),
            ("token_file", self.token_file.is_some()),
            ("index", self.index.is_some()),
        ]
    }
}

#[derive(Deserialize, Serialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    File,
    Stdout,
    Journald,
    Syslog,
    Http,
}

impl RawKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stdout => "stdout",
            Self::Journald => "journald",
            Self::Syslog => "syslog",
            Self::Http => "http",
        }
    }

    /// The keys that it takes beside those that all take.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::File => &["path", "mode", "group"],
            Self::Stdout => &[],
            Self::Journald => &["address"],
            Self::Syslog => &["address", "ca_file", "cert_file", "key_file", "facility", "length_max"],
            Self::Http => &["url", "style", "token_file", "index", "ca_file"],
        }
    }
}

/// A sink that can be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkConfig {
    /// What people call it.
    pub name: String,
    /// How events are written down.
    pub format: EventFormat,
    /// The version of that format, if it is OCSF.
    pub ocsf_version: OcsfVersion,
    /// Where they go.
    pub kind: SinkKind,
    /// Whether others go there, too.
    pub company: SinkCompany,
}

/// Whether a destination has several sinks: one receiver may take the log in more than one format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SinkCompany {
    /// It is the only one.
    #[default]
    Alone,
    /// The one that goes on where the destination's only sink was before.
    First,
    /// One of the others.
    Later,
}

/// Where events go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SinkKind {
    /// A file of whole lines.
    File {
        /// Absolute.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The group that owns it, by name.
        group: Option<String>,
    },
    /// The standard output.
    Stdout,
    /// The journal, by its own protocol.
    Journald {
        /// The socket.
        socket: PathBuf,
    },
    /// A syslog receiver.
    Syslog(SyslogSink),
    /// A receiver that is posted to.
    Http(HttpSink),
}

impl SinkKind {
    /// A file of the usual mode.
    #[must_use]
    pub const fn file(path: PathBuf) -> Self {
        Self::File { path, mode: FILE_MODE, group: None }
    }

    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Stdout => "stdout",
            Self::Journald { .. } => "journald",
            Self::Syslog(_) => "syslog",
            Self::Http(_) => "http",
        }
    }

    /// The key of its place in the log: a sink that moves to another file begins there anew, one that is renamed goes on.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::File { path, .. } => format!("file:{}", path.display()),
            Self::Stdout => "stdout".to_owned(),
            Self::Journald { socket } if socket == Path::new(JOURNAL_SOCKET) => "journald".to_owned(),
            Self::Journald { socket } => format!("journald:{}", socket.display()),
            Self::Syslog(syslog) => format!("syslog:{}", syslog.address),
            // A URL has no fragment here: the index stands in its place.
            Self::Http(http) => {
                let index = http.index.as_ref().map(|index| format!("#{index}")).unwrap_or_default();
                format!("http:{}{index}", http.url)
            }
        }
    }
}

impl SinkConfig {
    /// A sink that is called after its place.
    #[must_use]
    pub fn new(kind: SinkKind) -> Self {
        let (format, ocsf_version, company) = Default::default();
        Self { name: kind.place(), format, ocsf_version, kind, company }
    }

    /// The key of its place in the log: its destination's, and where others go there too, with its name.
    #[must_use]
    pub fn place(&self) -> String {
        match self.company {
            SinkCompany::Alone => self.kind.place(),
            SinkCompany::First | SinkCompany::Later => self.named_place(),
        }
    }

    /// The key that its place had before others came to its destination, or before they went; `None`: it has no past there.
    #[must_use]
    pub fn former_place(&self) -> Option<String> {
        let former = match self.company {
            SinkCompany::Alone => self.named_place(),
            SinkCompany::First => self.kind.place(),
            SinkCompany::Later => return None,
        };
        (former != self.place()).then_some(former)
    }

    /// No address and no URL has a space.
    fn named_place(&self) -> String {
        let place = self.kind.place();
        if self.name == place { place } else { format!("{place} as {}", self.name) }
    }

    /// The file that it writes; `None` if it writes to something else.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.kind {
            SinkKind::File { path, .. } => Some(path),
            SinkKind::Stdout | SinkKind::Journald { .. } | SinkKind::Syslog(_) | SinkKind::Http(_) => None,
        }
    }

    /// Its private certificate authority.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        match &self.kind {
            SinkKind::Syslog(syslog) => syslog.tls.ca_file.as_deref(),
            SinkKind::Http(http) => http.ca_file.as_deref(),
            SinkKind::File { .. } | SinkKind::Stdout | SinkKind::Journald { .. } => None,
        }
    }

    /// The certificates that it goes by.
    #[must_use]
    pub fn certificates(&self) -> Vec<&Path> {
        let paths = match &self.kind {
            SinkKind::Syslog(syslog) => [syslog.tls.ca_file.as_deref(), syslog.tls.cert_file.as_deref()],
            SinkKind::Http(http) => [http.ca_file.as_deref(), None],
            SinkKind::File { .. } | SinkKind::Stdout | SinkKind::Journald { .. } => [None, None],
        };
        paths.into_iter().flatten().collect()
    }

    /// The files of it that others must not be able to read.
    #[must_use]
    pub fn secrets(&self) -> Vec<&Path> {
        let secret = match &self.kind {
            SinkKind::Syslog(syslog) => syslog.tls.key_file.as_deref(),
            SinkKind::Http(http) => http.token_file.as_deref(),
            SinkKind::File { .. } | SinkKind::Stdout | SinkKind::Journald { .. } => None,
        };
        secret.into_iter().collect()
    }

    /// Whether it writes to the standard output, which `--json` keeps for one document.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        self.kind == SinkKind::Stdout
    }

    fn of(raw: &RawSink, absolute: &dyn Fn(&PathBuf) -> PathBuf) -> Result<Self, Problem> {
        let (kind, keys) = (raw.kind.as_str(), raw.kind.keys());
        if let Some((key, _)) = raw.given().into_iter().find(|(key, given)| *given && !keys.contains(key)) {
            return Err(Problem::owned(format!("[[sinks]] kind = \"{kind}\" has no {key}")));
        }
        let needs = |key: &str| Problem::owned(format!("[[sinks]] kind = \"{kind}\" needs {key}"));
        if raw.ocsf_version.is_some() && raw.format != EventFormat::Ocsf {
            return Err(Problem::plain("[[sinks]] ocsf_version goes with format = \"ocsf\""));
        }
        let kind = match raw.kind {
            RawKind::File => SinkKind::File {
                path: absolute(raw.path.as_ref().ok_or_else(|| needs("a path"))?),
                mode: raw.mode.as_deref().map_or(Ok(FILE_MODE), mode)?,
                group: raw.group.clone(),
            },
            RawKind::Stdout => SinkKind::Stdout,
            RawKind::Journald => SinkKind::Journald { socket: journal_socket(raw.address.as_deref())? },
            RawKind::Syslog => {
                let address = raw.address.as_deref().ok_or_else(|| needs("an address"))?;
                let files = TlsFiles {
                    ca_file: raw.ca_file.as_ref().map(absolute),
                    cert_file: raw.cert_file.as_ref().map(absolute),
                    key_file: raw.key_file.as_ref().map(absolute),
                };
                SinkKind::Syslog(SyslogSink::of(address, files, raw.facility, raw.length_max)?)
            }
            RawKind::Http => SinkKind::Http(HttpSink::of(
                raw.url.as_deref().ok_or_else(|| needs("a url"))?,
                raw.style.ok_or_else(|| needs("a style"))?,
                raw.token_file.as_ref().map(absolute),
                raw.ca_file.as_ref().map(absolute),
                raw.index.as_deref(),
            )?),
        };
        let name = raw.name.clone().unwrap_or_else(|| kind.place());
        if name.trim().is_empty() || crate::model::has_control(&name) {
            return Err(Problem::plain("[[sinks]] name is empty or has a control character"));
        }
        let (format, ocsf_version, company) =
            (raw.format, raw.ocsf_version.unwrap_or_default(), SinkCompany::default());
        Ok(Self { name, format, ocsf_version, kind, company })
    }
}

/// Octal, as `chmod` takes it. The log names people: nobody else may write it or read it, but for a group.
fn mode(text: &str) -> Result<u32, Problem> {
    let octal = text.len() <= 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8).ok().filter(|_| octal) {
        Some(mode) if mode & 0o600 != 0o600 => Err(Problem::plain("[[sinks]] mode keeps us from writing the file")),
        Some(mode) if mode & !0o660 != 0 => Err(Problem::plain(
            "[[sinks]] mode gives more than reading and writing to owner and group: use \"0640\" and a group",
        )),
        Some(mode) => Ok(mode),
        None => Err(Problem::plain("[[sinks]] mode is not octal, like \"0640\"")),
    }
}

fn journal_socket(address: Option<&str>) -> Result<PathBuf, Problem> {
    let path = match address {
        None => JOURNAL_SOCKET,
        Some(address) => address.strip_prefix("unix://").unwrap_or_default(),
    };
    if path.starts_with('/') {
        return Ok(PathBuf::from(path));
    }
    Err(Problem::plain("[[sinks]] address of kind = \"journald\" is not unix:///path"))
}

/// All sinks, each with its own name and place.
pub(super) fn sinks(raw: &[RawSink], absolute: &dyn Fn(&PathBuf) -> PathBuf) -> Result<Vec<SinkConfig>, Problem> {
    let mut sinks = raw.iter().map(|sink| SinkConfig::of(sink, absolute)).collect::<Result<Vec<_>, _>>()?;
    let mut destinations: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, sink) in sinks.iter().enumerate() {
        destinations.entry(sink.kind.place()).or_default().push(number);
    }
    for (destination, numbers) in destinations.into_iter().filter(|(_, numbers)| numbers.len() > 1) {
        // Lines of two sinks in one file, or on one output, could not be told apart.
        let is_one_stream = numbers.iter().any(|number| sinks[*number].file().is_some() || sinks[*number].is_stdout());
        if is_one_stream || numbers.iter().filter(|number| sinks[**number].name == destination).count() > 1 {
            return Err(Problem::plain("[[sinks]] two sinks have the same destination"));
        }
        // One without a name keeps the place that is called after the destination.
        let is_free = numbers.iter().all(|number| sinks[*number].name != destination);
        for (position, number) in numbers.into_iter().enumerate() {
            sinks[number].company = if is_free && position == 0 { SinkCompany::First } else { SinkCompany::Later };
        }
    }
    let names: BTreeSet<_> = sinks.iter().map(|sink| &sink.name).collect();
    let places: BTreeSet<_> = sinks.iter().map(SinkConfig::place).collect();
    if names.len() < sinks.len() || places.len() < sinks.len() {
        return Err(Problem::plain("[[sinks]] two sinks have the same name"));
    }
    Ok(sinks)
}
