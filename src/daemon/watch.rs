//! Notices that the export has changed and is quiet again. It polls once a second: that sees a rename over the file, a folder
//! that appears later and the target of a link, all of which a watch on a file or a folder loses.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime};

/// How long a changed export must be quiet.
const QUIET: Duration = Duration::from_secs(1);

/// A file's metadata: device, inode, length, mtime and ctime (each in seconds and nanoseconds).
type Look = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// The granularity of a file system's timestamps.
const CLOCK_GRAIN: Duration = Duration::from_millis(10);
/// How often the export is polled.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// A thread that polls an export, so that a file system that hangs blocks nothing else. It ends if this handle is dropped.
pub(super) struct Watch {
    path: PathBuf,
    changes: tokio::sync::mpsc::Receiver<()>,
    _end: std::sync::mpsc::Sender<()>,
}

impl Watch {
    /// Starts watching. The file as it is now counts as known.
    pub(super) fn start(path: &Path) -> std::io::Result<Self> {
        let (change, changes) = tokio::sync::mpsc::channel(1);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (of, since) = (path.to_owned(), SystemTime::now());
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            let mut export = ExportLook::new(&of);
            export.changed_since(since, Instant::now());
            while ended.recv_timeout(LOOK_PAUSE) == Err(RecvTimeoutError::Timeout) {
                if export.has_settled(Instant::now()) {
                    // Full: the last change has not been received yet.
                    let _ = change.try_send(());
                }
            }
        })?;
        Ok(Self { path: path.to_owned(), changes, _end: end })
    }

    /// Whether it watches this file.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Waits until the export has changed and is quiet; forever, if the thread has ended.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// The last known metadata of an export and of its checksum file.
#[derive(Debug)]
struct ExportLook {
    path: PathBuf,
    checksum: PathBuf,
    known: [Look; 2],
    changed_at: Option<Instant>,
}

impl ExportLook {
    fn new(path: &Path) -> Self {
        let mut checksum = path.as_os_str().to_owned();
        checksum.push(".sha256");
        let mut watch =
            Self { path: path.to_owned(), checksum: checksum.into(), known: [None, None], changed_at: None };
        watch.known = watch.look();
        watch
    }

    /// Counts the file as changed if it was modified between the start of the watch and the first poll.
    fn changed_since(&mut self, since: SystemTime, now: Instant) {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(CLOCK_GRAIN);
        let touched = |look: &Look| {
            let (seconds, nanoseconds) =
                look.map(|(.., seconds, nanoseconds)| (seconds, nanoseconds)).unwrap_or_default();
            Duration::new(seconds.max(0).unsigned_abs(), u32::try_from(nanoseconds).unwrap_or(0)) >= since
        };
        if self.known.iter().any(touched) {
            self.changed_at = Some(now);
        }
    }

    /// Whether the export has changed and has then been quiet for a second. Returns true once per change.
    fn has_settled(&mut self, now: Instant) -> bool {
        let look = self.look();
        if look != self.known {
            self.known = look;
            self.changed_at = Some(now);
            return false;
        }
        let settled = self.changed_at.is_some_and(|at| now.duration_since(at) >= QUIET) && self.known[0].is_some();
        if settled {
            self.changed_at = None;
        }
        settled
    }

    fn look(&self) -> [Look; 2] {
        [&self.path, &self.checksum].map(|path| {
            let file = std::fs::metadata(path).ok()?;
            let (size, dev, ino) = (file.size(), file.dev(), file.ino());
            // The ctime also changes if the file is linked or unlinked, so a rename over it is seen twice: harmless.
            Some((dev, ino, size, file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once_whatever_way_it_was_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, later) =
            (folder.path().join("later/d.json"), |seconds| Instant::now() + Duration::from_secs(seconds));
        let mut watch = ExportLook::new(&path);
        assert!(!watch.has_settled(later(0)) && !watch.has_settled(later(9)), "nothing is there");
        std::fs::create_dir(folder.path().join("later")).expect("a folder that appears later");
        std::fs::write(&path, "1").expect("written");
        assert!(!watch.has_settled(later(10)), "it is not quiet yet");
        assert!(watch.has_settled(later(12)) && !watch.has_settled(later(14)), "once");
        std::fs::write(folder.path().join("new"), "2").expect("written");
        std::fs::rename(folder.path().join("new"), &path).expect("renamed over");
        assert!(!watch.has_settled(later(20)) && watch.has_settled(later(22)));
        std::fs::write(path.with_extension("json.sha256"), "x").expect("a checksum");
        assert!(!watch.has_settled(later(30)) && watch.has_settled(later(32)));
        std::fs::remove_file(&path).expect("removed");
        assert!(!watch.has_settled(later(40)) && !watch.has_settled(later(42)), "a missing file is not an export");
    }

    #[test]
    fn a_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (link, of) = (folder.path().join("link"), |name: &str| folder.path().join(name));
        std::fs::write(of("one"), "1").expect("written");
        std::fs::write(of("two"), "22").expect("written");
        std::os::unix::fs::symlink(of("one"), &link).expect("a link");
        let mut watch = ExportLook::new(&link);
        std::os::unix::fs::symlink(of("two"), of("next")).expect("a link");
        std::fs::rename(of("next"), &link).expect("renamed over");
        let now = Instant::now();
        assert!(!watch.has_settled(now) && watch.has_settled(now + Duration::from_secs(2)));
    }
}
