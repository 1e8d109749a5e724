//! EDGE: reads the users that should exist. Records are handed over one by one, borrowed; what they mean is `plan`'s.
//!
//! A read ends with "whole" or allows no conclusion at all: every doubt is an error that refuses the export.

mod age;
mod blocks;
mod census;
mod checksum;
mod csv;
mod failed;
mod file;
mod header;
mod json;
mod jumpcloud;
mod lead;
mod lines;
mod members;
mod memberships;
mod outline;
mod pair;
mod parse;
mod proposal;
mod refusal;
mod seen;
mod shapes;
mod sight;
mod spool;
mod status;
mod strange;
mod url;
mod utf16;
mod value;
mod wait;

pub use blocks::FileDigest;
pub use file::Export;
pub use jumpcloud::{HandedOver, JobSign, NewUser, hand_over};
pub use lead::Flaw;
pub use memberships::{MembershipsRead, OfNobody};

use crate::config::{Settings, SourceConfig};
use crate::fingerprints::Said;
use crate::http::ClientError;
use crate::model::{Column, DirectoryId, DirectoryUser, Exit, Moment, Proof, Spoken, command};
use crate::secret::SecretError;
use tokio_util::sync::CancellationToken;

/// Takes one record. It may not fail: what cannot be used is remembered and refused by name.
pub type TakeUser<'a> = dyn FnMut(&DirectoryUser<'_>) + 'a;

/// Takes the records of one reading, with their bytes.
pub trait Recipient {
    /// What the records begin with: their kind, or the header of a CSV. Called once, before the first of them.
    fn begins(&mut self, _opening: &[u8]) {}

    /// Whether the record at the start of a text is known by its bytes, so that it need not be parsed: how many bytes it has, and
    /// what it adds to the counts. `silent`: only one that is known to have no member called like a status may be.
    fn knows(&mut self, _text: &str, _silent: bool) -> Option<(usize, Said)> {
        None
    }

    /// Takes one record that was parsed. It may not fail: what cannot be used is remembered and refused by name.
    fn take(&mut self, user: &DirectoryUser<'_>, record: &str, said: Said);
}

/// Whoever knows no record.
struct Everything<'t, 'u>(&'t mut TakeUser<'u>);

impl Recipient for Everything<'_, '_> {
    fn take(&mut self, user: &DirectoryUser<'_>, _: &str, _: Said) {
        (self.0)(user);
    }
}

/// Whom the state has links to, or why it cannot say.
pub type Linked<'d> = dyn Fn() -> Result<Vec<DirectoryId>, String> + 'd;

/// Whether an export that is fetched becomes the one of last time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// It does: a cycle reads it.
    AsTheLast,
    /// It does not: somebody only looks.
    #[default]
    Nothing,
}

/// Who wants an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Asked {
    /// A tick, or the start of the daemon: a directory that wants to be left alone is left alone.
    BySchedule,
    /// Somebody who is there.
    #[default]
    BySomebody,
}

/// What stands behind whoever opens an export.
#[derive(Default)]
pub struct Door<'d> {
    /// Once it is cancelled, nothing is waited for or read any more.
    pub stop: CancellationToken,
    /// Whether it becomes the export of last time.
    pub keep: Keep,
    /// Who wants it.
    pub asked: Asked,
    /// Asked by a source that is read in pages: whoever is linked and not shown is asked for alone.
    pub linked: Option<Box<Linked<'d>>>,
    /// The organisation that the state is bound to, if it is bound to one.
    pub organization: Option<String>,
}

/// Opens the export that the configuration names; one that is somewhere else is fetched first.
///
/// # Errors
/// It cannot be read, or its checksum does not fit.
pub fn open(settings: &Settings, door: &Door<'_>) -> Result<Export, SourceError> {
    match &settings.source {
        SourceConfig::File { path, members_path: None } => {
            Export::open(path, &settings.layout, settings.checksum_patience, &door.stop)
        }
        SourceConfig::File { path, members_path: Some(members_path) } => {
            pair::open(settings, path, members_path, &door.stop)
        }
        SourceConfig::Url(from) => url::open(settings, from, door),
        SourceConfig::JumpCloud(from) => jumpcloud::open(settings, from, door),
    }
}

/// Runs a fetch on a thread and a runtime of its own: its caller may be on a runtime already. It ends once `stop` is cancelled.
fn on_a_runtime<T: Send, F: Future<Output = Result<T, SourceError>>>(
    described: &str,
    stop: &CancellationToken,
    fetch: impl FnOnce() -> F + Send,
) -> Result<T, SourceError> {
    let failed =
        |what: String| SourceError::NotFetched { path: described.to_owned(), cause: Doubt { what, hint: None } };
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(SourceError::Stopped { path: described.to_owned() }),
                fetched = fetch() => fetched,
            }
        })
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("fetch".to_owned()).spawn_scoped(scope, run);
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        thread.join().unwrap_or_else(|_| Err(failed("the fetch crashed (this is a bug)".to_owned())))
    })
}

/// What one reading of an export held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportRead {
    /// How many records.
    pub users_count: u64,
    /// How many of them said what speaks for or against access.
    pub spoken: Spoken,
    /// How many of them have groups, if only an empty list.
    pub with_groups_count: u64,
    /// How many of them said a state that is known.
    pub known_states_count: u64,
    /// A column that is called like a status and is none of those that are read.
    pub status: Option<String>,
    /// Mapped columns that the header of a CSV does not have.
    pub lacking: Vec<Column>,
    /// What "the same file as last time" goes by; never a proof.
    pub digest: FileDigest,
    /// Whether an absence counts.
    pub proof: Proof,
    /// When it was written.
    pub written_at: Moment,
    /// What the members file beside it came to, if there is one.
    pub memberships: Option<MembershipsRead>,
}

/// Why an export is rejected as a whole.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened or read.
    #[error("the export {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// Somebody who asked to stop did not want to wait for the rest of it.
    #[error("reading the export {path} was stopped")]
    Stopped {
        /// Which file.
        path: String,
    },
    /// It could not be fetched from where it is.
    #[error("the directory {path} cannot be read")]
    NotFetched {
        /// Its address.
        path: String,
        /// What is wrong.
        #[source]
        cause: Doubt,
    },
    /// It is the directory of another organisation than the one that the state is bound to.
    #[error("the directory {path} is that of the organisation {found}, but the state belongs to {bound}")]
    OtherOrganization {
        /// Its address.
        path: String,
        /// The organisation that the state is bound to.
        bound: String,
        /// The one that the key opens.
        found: String,
    },
    /// A secret of the directory cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A certificate authority or a proxy of the directory cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It was read, but cannot be trusted.
    #[error("the export {path} is rejected as a whole")]
    Refused {
        /// Which file.
        path: String,
        /// What is wrong with it.
        #[source]
        cause: Doubt,
    },
}

/// What is wrong with an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Doubt {
    /// In words, without a value of the export.
    pub what: String,
    /// How the reader can mend it.
    pub hint: Option<String>,
}

impl SourceError {
    /// How the reader can mend it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => Some(
                "set [directory] path (and members_path) to the file that the export job writes; nothing was sent"
                    .to_owned(),
            ),
            Self::Unreadable { cause, .. } if cause.kind() == std::io::ErrorKind::InvalidInput => Some(
                "set [directory] path (and members_path) to a regular file that is replaced by a rename, not to a \
                 pipe or folder; nothing was sent"
                    .to_owned(),
            ),
            Self::Unreadable { .. } => Some(
                "the service's user must be able to read it: give the unit its group (SupplementaryGroups=), and keep it out of \
                 /home and /tmp, which the unit does not see; nothing was sent"
                    .to_owned(),
            ),
            Self::Stopped { .. } => None,
            Self::Secret(error) => Some(error.hint()),
            Self::Client(error) => Some(error.hint()),
            Self::OtherOrganization { .. } => Some(format!(
                "use the key of the bound organisation again, or bind the state to this one: `{}`; nothing was sent",
                command("activate")
            )),
            Self::NotFetched { cause, .. } | Self::Refused { cause, .. } => cause.hint.clone(),
        }
    }

    /// The exit code of a command or a cycle that needed it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Secret(SecretError::Exposed(_) | SecretError::Refused { .. })
            | Self::Client(_)
            | Self::OtherOrganization { .. } => Exit::Misconfigured,
            Self::Unreadable { .. }
            | Self::Stopped { .. }
            | Self::NotFetched { .. }
            | Self::Secret(_)
            | Self::Refused { .. } => Exit::Failed,
        }
    }
}
