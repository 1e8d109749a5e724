//! Notices that the export is another one and complete, and that the token was replaced. The kernel tells of a rename and of the
//! end of a write at once ([`ears`]); a look each second sees what it does not tell: network file systems, folders that
//! appear later ([`look`]).

mod ears;
mod look;
mod steps;

use ears::{Ears, Heard};
use look::ExportLook;
use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::{Receiver, channel};

/// How often the export is looked at, whatever the kernel tells.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// What is watched.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Watched {
    /// The export, and its members file. Their checksums go along.
    pub(super) export: Vec<PathBuf>,
    /// The file of the token.
    pub(super) token: Option<PathBuf>,
}

/// What has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Changed {
    /// The export: it is there and complete, as far as that can be told.
    Export,
    /// The token's file was put in place.
    Token,
}

/// A thread that listens and looks, so that a file system that hangs blocks nothing else. It ends if this handle is dropped.
pub(super) struct Watch {
    watched: Watched,
    exports: Receiver<()>,
    tokens: Receiver<()>,
    _end: PipeWriter,
}

impl Watch {
    /// Starts watching. The files as they are now count as known.
    pub(super) fn start(watched: Watched) -> std::io::Result<Self> {
        let (export, exports) = channel(1);
        let (token, tokens) = channel(1);
        let (ended, end) = std::io::pipe()?;
        let (of, since) = (watched.clone(), SystemTime::now());
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            let mut look = ExportLook::new(&of.export);
            let parts: Vec<_> = look.paths().map(Path::to_owned).collect();
            let (parts_count, has_export) = (parts.len(), !parts.is_empty());
            let mut ears = Ears::new(parts.into_iter().chain(of.token).collect(), ended);
            // What changed before the kernel was asked to tell is seen now.
            look.changed_since(since, Instant::now());
            let mut looked_at = Instant::now();
            loop {
                let next_look = looked_at + LOOK_PAUSE;
                let until = look.due().map_or(next_look, |due| due.min(next_look));
                let Heard::Files(heard) = ears.listen(until) else { return };
                let now = Instant::now();
                if now >= next_look || !heard.is_empty() {
                    ears.follow();
                    looked_at = now;
                }
                // Full: the last one has not been received yet.
                if heard.iter().any(|(number, _)| *number >= parts_count) {
                    let _ = token.try_send(());
                }
                if has_export && look.has_settled(now, &heard) {
                    let _ = export.try_send(());
                }
            }
        })?;
        Ok(Self { watched, exports, tokens, _end: end })
    }

    /// Whether it watches just this.
    pub(super) fn is_of(&self, watched: &Watched) -> bool {
        self.watched == *watched
    }

    /// Whether it watches an export, and this one.
    pub(super) fn is_of_export(&self, export: &[PathBuf]) -> bool {
        !export.is_empty() && self.watched.export == export
    }

    /// Waits until something has changed; forever, if the thread has ended.
    pub(super) async fn changed(&mut self) -> Changed {
        let changed = tokio::select! {
            changed = self.exports.recv() => changed.map(|()| Changed::Export),
            changed = self.tokens.recv() => changed.map(|()| Changed::Token),
        };
        match changed {
            Some(changed) => changed,
            None => std::future::pending().await,
        }
    }
}
