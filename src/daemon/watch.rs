//! Notices that the export has changed and is quiet again. It polls once a second: that sees a rename over the file, a folder
//! that appears later and the target of a link, all of which a watch on a file or a folder loses.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime};

/// How long a changed export must be quiet.
const QUIET: Duration = Duration::from_secs(1);
/// The same if only one of export and members file has changed: the job may be about to write the other one.
const HALF_QUIET: Duration = Duration::from_secs(5);

/// A file's metadata: device, inode, length, mtime and ctime (each in seconds and nanoseconds).
type Look = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// The granularity of a file system's timestamps.
const CLOCK_GRAIN: Duration = Duration::from_millis(10);
/// How often the export is polled.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// A thread that polls an export, so that a file system that hangs blocks nothing else. It ends if this handle is dropped.
pub(super) struct Watch {
    path: PathBuf,
    members_path: Option<PathBuf>,
    changes: tokio::sync::mpsc::Receiver<()>,
    _end: std::sync::mpsc::Sender<()>,
}

impl Watch {
    /// Starts watching. The files as they are now count as known.
    pub(super) fn start(path: &Path, members_path: Option<&Path>) -> std::io::Result<Self> {
        let (change, changes) = tokio::sync::mpsc::channel(1);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (of, members, since) = (path.to_owned(), members_path.map(Path::to_owned), SystemTime::now());
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            let mut export = ExportLook::new(&of, members.as_deref());
            export.changed_since(since, Instant::now());
            while ended.recv_timeout(LOOK_PAUSE) == Err(RecvTimeoutError::Timeout) {
                if export.has_settled(Instant::now()) {
                    // Full: the last change has not been received yet.
                    let _ = change.try_send(());
                }
            }
        })?;
        Ok(Self { path: path.to_owned(), members_path: members_path.map(Path::to_owned), changes, _end: end })
    }

    /// Whether it watches these files.
    pub(super) fn is_of(&self, path: &Path, members_path: Option<&Path>) -> bool {
        self.path == path && self.members_path.as_deref() == members_path
    }

    /// Waits until the export has changed and is quiet; forever, if the thread has ended.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// The last known metadata of an export, of its members file, and of their checksum files.
#[derive(Debug)]
struct ExportLook {
    files: Vec<FileLook>,
    changed_at: Option<Instant>,
}

/// The last known metadata of one of them.
#[derive(Debug)]
struct FileLook {
    path: PathBuf,
    checksum: PathBuf,
    known: [Look; 2],
    changed: bool,
}

impl ExportLook {
    fn new(path: &Path, members_path: Option<&Path>) -> Self {
        let files = std::iter::once(path).chain(members_path);
        Self { files: files.map(FileLook::new).collect(), changed_at: None }
    }

    /// Counts a file as changed if it was modified between the start of the watch and the first poll.
    fn changed_since(&mut self, since: SystemTime, now: Instant) {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(CLOCK_GRAIN);
        let touched = |look: &Look| {
            let (seconds, nanoseconds) =
                look.map(|(.., seconds, nanoseconds)| (seconds, nanoseconds)).unwrap_or_default();
            Duration::new(seconds.max(0).unsigned_abs(), u32::try_from(nanoseconds).unwrap_or(0)) >= since
        };
        for file in &mut self.files {
            file.changed |= file.known.iter().any(touched);
        }
        if self.files.iter().any(|file| file.changed) {
            self.changed_at = Some(now);
        }
    }

    /// Whether a file has changed and all have then been quiet for long enough. Returns true once per change.
    fn has_settled(&mut self, now: Instant) -> bool {
        let mut is_quiet = true;
        for file in &mut self.files {
            is_quiet &= !file.changes();
        }
        if !is_quiet {
            self.changed_at = Some(now);
            return false;
        }
        let quiet = if self.files.iter().all(|file| file.changed) { QUIET } else { HALF_QUIET };
        let settled = self.changed_at.is_some_and(|at| now.duration_since(at) >= quiet)
            && self.files.iter().all(|file| file.known[0].is_some());
        if settled {
            self.changed_at = None;
            self.files.iter_mut().for_each(|file| file.changed = false);
        }
        settled
    }
}

impl FileLook {
    fn new(path: &Path) -> Self {
        let mut checksum = path.as_os_str().to_owned();
        checksum.push(".sha256");
        let mut file = Self { path: path.to_owned(), checksum: checksum.into(), known: [None, None], changed: false };
        file.known = file.look();
        file
    }

    /// Whether it is another one than at the last look.
    fn changes(&mut self) -> bool {
        let look = self.look();
        let changes = look != self.known;
        self.changed |= changes;
        self.known = look;
        changes
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
        let mut watch = ExportLook::new(&path, None);
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
        let mut watch = ExportLook::new(&link, None);
        std::os::unix::fs::symlink(of("two"), of("next")).expect("a link");
        std::fs::rename(of("next"), &link).expect("renamed over");
        let now = Instant::now();
        assert!(!watch.has_settled(now) && watch.has_settled(now + Duration::from_secs(2)));
    }
    #[test]
    fn a_pair_of_which_only_one_has_changed_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, members) = (folder.path().join("d.csv"), folder.path().join("m.csv"));
        std::fs::write(&path, "1").expect("written");
        std::fs::write(&members, "1").expect("written");
        let mut watch = ExportLook::new(&path, Some(&members));
        let (start, later) = (Instant::now(), |seconds| Duration::from_secs(seconds));
        std::fs::write(&members, "22").expect("written");
        assert!(!watch.has_settled(start) && !watch.has_settled(start + later(2)), "the export may follow");
        std::fs::write(&path, "22").expect("written");
        assert!(!watch.has_settled(start + later(3)) && watch.has_settled(start + later(4)), "both are there");
        std::fs::write(&path, "333").expect("written");
        assert!(!watch.has_settled(start + later(10)) && !watch.has_settled(start + later(14)));
        assert!(watch.has_settled(start + later(15)) && !watch.has_settled(start + later(30)), "it came alone, once");
        std::fs::remove_file(&members).expect("removed");
        std::fs::write(&path, "4444").expect("written");
        assert!(!watch.has_settled(start + later(40)) && !watch.has_settled(start + later(60)), "half a pair");
    }
}
