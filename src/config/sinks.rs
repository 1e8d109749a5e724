//! `[[sinks]]`: where events go. One variant a kind; what does not go with a kind is refused here and nowhere else.

use super::error::Fault;
use crate::event::EventFormat;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSink {
    kind: RawKind,
    name: Option<String>,
    #[serde(default)]
    format: EventFormat,
    path: Option<PathBuf>,
}

#[derive(Deserialize, Serialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    File,
    Stdout,
}

/// A sink that can be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkConfig {
    /// What people call it.
    pub name: String,
    /// How events are written down.
    pub format: EventFormat,
    /// Where they go.
    pub kind: SinkKind,
}

/// Where events go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SinkKind {
    /// A file of whole lines.
    File {
        /// Absolute.
        path: PathBuf,
    },
    /// The standard output.
    Stdout,
}

impl SinkKind {
    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Stdout => "stdout",
        }
    }

    /// The key of its place in the log: a sink that moves to another file begins there anew, one that is renamed goes on.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::File { path } => format!("file:{}", path.display()),
            Self::Stdout => "stdout".to_owned(),
        }
    }
}

impl SinkConfig {
    /// A sink that is called after its place.
    #[must_use]
    pub fn new(kind: SinkKind) -> Self {
        Self { name: kind.place(), format: EventFormat::default(), kind }
    }

    /// The key of its place in the log.
    #[must_use]
    pub fn place(&self) -> String {
        self.kind.place()
    }

    /// The file that it writes; none where it writes to something else.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.kind {
            SinkKind::File { path } => Some(path),
            SinkKind::Stdout => None,
        }
    }

    /// Whether it writes to the standard output, which `--json` keeps for one document.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        self.kind == SinkKind::Stdout
    }

    fn of(raw: &RawSink, absolute: &dyn Fn(&PathBuf) -> PathBuf) -> Result<Self, Fault> {
        let kind = match (raw.kind, &raw.path) {
            (RawKind::File, Some(path)) => SinkKind::File { path: absolute(path) },
            (RawKind::File, None) => return Err(Fault::plain("[[sinks]] kind = \"file\" needs a path")),
            (RawKind::Stdout, None) => SinkKind::Stdout,
            (RawKind::Stdout, Some(_)) => return Err(Fault::plain("[[sinks]] kind = \"stdout\" has no path")),
        };
        let name = raw.name.clone().unwrap_or_else(|| kind.place());
        if name.trim().is_empty() || crate::model::has_control(&name) {
            return Err(Fault::plain("[[sinks]] name is empty or has a control character"));
        }
        Ok(Self { name, format: raw.format, kind })
    }
}

/// All sinks, each with a name and a place of its own.
pub(super) fn sinks(raw: &[RawSink], absolute: &dyn Fn(&PathBuf) -> PathBuf) -> Result<Vec<SinkConfig>, Fault> {
    let sinks = raw.iter().map(|sink| SinkConfig::of(sink, absolute)).collect::<Result<Vec<_>, _>>()?;
    let of_each = |key: fn(&SinkConfig) -> String| sinks.iter().map(key).collect::<BTreeSet<_>>().len();
    if of_each(SinkConfig::place) < sinks.len() {
        return Err(Fault::plain("[[sinks]] two of them go to the same place"));
    }
    if of_each(|sink| sink.name.clone()) < sinks.len() {
        return Err(Fault::plain("[[sinks]] two of them have the same name"));
    }
    Ok(sinks)
}
