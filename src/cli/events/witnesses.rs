//! What a log is compared with: the state's events and head, the note in the lock file, the places of the sinks and the mark of
//! what was pruned. Each is read so that a sender which writes at the same time contradicts none of them.

use crate::config::SinkConfig;
use crate::deployment::Deployment;
use crate::event::Head;
use crate::failure::Failure;
use crate::model::{Clock, Duration, Moment};
use crate::process::SystemClock;
use crate::store::{self, Access, NotedHead, SinkPlace};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The witnesses beside a log.
pub(super) struct Witnesses {
    /// A reader that sees one moment of the state.
    pub(super) reader: Connection,
    pub(super) head: Head,
    /// The note of the lock file; `None` if there is none.
    pub(super) noted: Option<NotedHead>,
    pub(super) places: Vec<SinkPlace>,
    /// Up to which event the log was pruned, and its chain; `None` if the mark is missing.
    pub(super) pruned: Option<(i64, String)>,
    /// What can have been pruned by now.
    pub(super) terms: PruneTerms,
    /// Whether somebody sends, who writes events before the lock file names them.
    pub(super) is_sending: bool,
    /// How long each sink's file was, in bytes.
    lengths: BTreeMap<PathBuf, u64>,
}

/// Since when this installation has a log, and for how long its events are kept.
pub(super) struct PruneTerms {
    pub(super) since: Moment,
    pub(super) keep: Duration,
    pub(super) now: Moment,
}

impl Witnesses {
    /// Asks them, the ones that go first in time first: what is delivered stands in the file, and what stands there or in the
    /// lock file stands in the state.
    pub(super) fn ask(deployment: &Deployment, file: Option<&Path>) -> Result<Self, Failure> {
        let (reader, _) = deployment.state(Access::Read)?;
        let places = store::sink_places(&reader)?;
        let is_sending = store::holder(&deployment.state_path).is_some();
        let noted = store::noted_beside(&deployment.state_path);
        let files = deployment.config.sinks.iter().filter_map(SinkConfig::file).chain(file);
        let length =
            |path: &Path| Some((path.to_owned(), std::fs::metadata(path).ok().filter(|file| file.is_file())?.len()));
        let lengths = files.filter_map(length).collect();
        reader.execute_batch("BEGIN")?;
        // Without its row, the log has no end that anything could be compared with.
        let no_head = || Head { sequence: 0, chain: String::new(), timestamp: Moment(0) };
        let head = store::head_of(&reader).optional()?.unwrap_or_else(no_head);
        let pruned = store::pruned(&reader)?;
        let terms = PruneTerms {
            since: store::installed_at(&reader)?,
            keep: deployment.config.settings.keep_history,
            now: SystemClock.now().max(head.timestamp),
        };
        Ok(Self { reader, head, noted, places, pruned, terms, is_sending, lengths })
    }

    /// How much of a file was there when the state was read; none if it was not, or is not a file.
    pub(super) fn length(&self, path: &Path) -> Option<u64> {
        self.lengths.get(path).copied()
    }

    /// The last event that this sink has; `None` if nothing was ever noted for it.
    pub(super) fn delivered(&self, place: &str) -> Option<i64> {
        self.places.iter().find(|sink| sink.name == place).map(|sink| sink.delivered)
    }

    /// The chain of an event, from the state's events, its head or its mark.
    pub(super) fn chain(&self, sequence: i64) -> rusqlite::Result<Option<String>> {
        if let Some(line) = store::event_line(&self.reader, sequence)? {
            return Ok(crate::event::chain_of(&line).map(str::to_owned));
        }
        let known = |(at, chain): &(i64, String)| *at == sequence && !chain.is_empty();
        Ok(self.pruned.clone().filter(known).map(|(_, chain)| chain))
    }
}
