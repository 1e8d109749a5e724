//! How the watched files look, and when what has changed is complete: at once where it was renamed into place, else once it was
//! left alone for a second.

use super::ears::How;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How long a file that was written in place must be left alone.
const QUIET: Duration = Duration::from_secs(1);
/// The same after a rename: the file is complete, but a job sets its mode or owner right after.
const RENAMED_QUIET: Duration = Duration::from_millis(40);
/// The same if only one of export and members file has changed: the job may be about to write the other one.
const HALF_QUIET: Duration = Duration::from_secs(5);
/// The granularity of a file system's timestamps.
const CLOCK_GRAIN: Duration = Duration::from_millis(10);

/// A file's metadata: device, inode, length and mtime, and its ctime (times in seconds and nanoseconds).
type Look = Option<((u64, u64, u64, i64, i64), (i64, i64))>;

/// The last known metadata of an export, of its members file, and of their checksum files.
#[derive(Debug)]
pub(super) struct ExportLook {
    files: Vec<[Part; 2]>,
}

/// One file: an export, or the checksum beside it.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    known: Look,
    changed: Option<Change>,
}

/// A change that nobody was told of yet.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// When it was seen, or heard of, last.
    at: Instant,
    how: Option<How>,
}

impl ExportLook {
    pub(super) fn new(files: &[PathBuf]) -> Self {
        let pair = |file: &PathBuf| {
            let mut checksum = file.as_os_str().to_owned();
            checksum.push(".sha256");
            [Part::new(file.clone()), Part::new(checksum.into())]
        };
        Self { files: files.iter().map(pair).collect() }
    }

    /// Every file that is looked at, in the order of the numbers by which something is heard of it.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.parts().map(|part| part.path.as_path())
    }

    /// Counts a file as changed if it was modified between the start of the watch and the first look.
    pub(super) fn changed_since(&mut self, since: SystemTime, now: Instant) {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(CLOCK_GRAIN);
        for part in self.files.as_flattened_mut() {
            part.known = look(&part.path);
            let (seconds, nanoseconds) = part.known.map(|(_, changed)| changed).unwrap_or_default();
            let changed = Duration::new(seconds.max(0).unsigned_abs(), u32::try_from(nanoseconds).unwrap_or(0));
            if changed >= since {
                part.changed = Some(Change { at: now, how: None });
            }
        }
    }

    /// Looks at every file, knowing what was heard of them. Whether a file has changed and all are complete; true once per
    /// change.
    pub(super) fn has_settled(&mut self, now: Instant, heard: &[(usize, How)]) -> bool {
        for (number, part) in self.files.as_flattened_mut().iter_mut().enumerate() {
            let how = heard.iter().rev().find(|(of, _)| *of == number).map(|(_, how)| *how);
            part.look(now, how);
        }
        let settled = self.due().is_some_and(|due| now >= due);
        if settled {
            self.files.as_flattened_mut().iter_mut().for_each(|part| part.changed = None);
        }
        settled
    }

    /// When all that has changed is complete, if nothing else happens; `None` if nothing has changed, or a file is missing.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.files.iter().any(|[file, _]| file.known.is_none()) {
            return None;
        }
        let changes = self.files.iter().flat_map(|[file, checksum]| [(file, checksum), (checksum, file)]);
        let due = changes.filter_map(|(part, other)| {
            let Change { at, how } = part.changed?;
            // The other one of the two may be about to be written too.
            let other_may_come = other.known.is_some() && other.changed.is_none();
            let quiet = if how == Some(How::Renamed) && !other_may_come { RENAMED_QUIET } else { QUIET };
            Some((at, at + quiet))
        });
        let due: Vec<_> = due.collect();
        let last = due.iter().map(|(at, _)| *at).max()?;
        let has_changed = |[file, checksum]: &[Part; 2]| file.changed.is_some() || checksum.changed.is_some();
        if self.files.iter().all(has_changed) {
            due.into_iter().map(|(_, due)| due).max()
        } else {
            Some(last + HALF_QUIET)
        }
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.files.iter().flatten()
    }
}

impl Part {
    fn new(path: PathBuf) -> Self {
        let known = look(&path);
        Self { path, known, changed: None }
    }

    /// Looks whether it is another file than at the last look, or has other contents; heard of it: how it was put in place.
    fn look(&mut self, now: Instant, heard: Option<How>) {
        let found = look(&self.path);
        let before = std::mem::replace(&mut self.known, found);
        let same_contents = found.map(|(contents, _)| contents) == before.map(|(contents, _)| contents);
        match &mut self.changed {
            // What was looked at just before it was heard of.
            Some(change) if found == before => {
                if heard.is_some() {
                    *change = Change { at: now, how: heard };
                }
            }
            // Only its mode, its owner or its number of names.
            Some(change) if same_contents && heard.is_none() => change.at = now,
            _ if found == before => {}
            _ => self.changed = Some(Change { at: now, how: heard }),
        }
    }
}

fn look(path: &Path) -> Look {
    let file = std::fs::metadata(path).ok()?;
    let contents = (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec());
    // The ctime also changes if the file is linked or unlinked, so a rename over it is seen twice: harmless.
    Some((contents, (file.ctime(), file.ctime_nsec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ExportLook {
        /// Nothing is heard.
        fn settles(&mut self, now: Instant) -> bool {
            self.has_settled(now, &[])
        }
    }

    #[test]
    fn a_change_is_seen_once_whatever_way_it_was_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, later) =
            (folder.path().join("later/d.json"), |seconds| Instant::now() + Duration::from_secs(seconds));
        let mut watch = ExportLook::new(std::slice::from_ref(&path));
        assert!(!watch.settles(later(0)) && !watch.settles(later(9)), "nothing is there");
        std::fs::create_dir(folder.path().join("later")).expect("a folder that appears later");
        std::fs::write(&path, "1").expect("written");
        assert!(!watch.settles(later(10)), "it is not quiet yet");
        assert!(watch.settles(later(12)) && !watch.settles(later(14)), "once");
        std::fs::write(folder.path().join("new"), "2").expect("written");
        std::fs::rename(folder.path().join("new"), &path).expect("renamed over");
        assert!(!watch.settles(later(20)) && watch.settles(later(22)));
        std::fs::write(path.with_extension("json.sha256"), "x").expect("a checksum");
        assert!(!watch.settles(later(30)) && watch.settles(later(32)));
        std::fs::remove_file(&path).expect("removed");
        assert!(!watch.settles(later(40)) && !watch.settles(later(42)), "a missing file is not an export");
        assert_eq!(watch.due(), None, "and nobody waits for it but the look each second");
    }

    #[test]
    fn a_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (link, of) = (folder.path().join("link"), |name: &str| folder.path().join(name));
        std::fs::write(of("one"), "1").expect("written");
        std::fs::write(of("two"), "22").expect("written");
        std::os::unix::fs::symlink(of("one"), &link).expect("a link");
        let mut watch = ExportLook::new(std::slice::from_ref(&link));
        std::os::unix::fs::symlink(of("two"), of("next")).expect("a link");
        std::fs::rename(of("next"), &link).expect("renamed over");
        let now = Instant::now();
        assert!(!watch.settles(now) && watch.settles(now + Duration::from_secs(2)));
    }
    #[test]
    fn a_pair_of_which_only_one_has_changed_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, members) = (folder.path().join("d.csv"), folder.path().join("m.csv"));
        std::fs::write(&path, "1").expect("written");
        std::fs::write(&members, "1").expect("written");
        let mut watch = ExportLook::new(&[path.clone(), members.clone()]);
        let (start, later) = (Instant::now(), |seconds| Duration::from_secs(seconds));
        std::fs::write(&members, "22").expect("written");
        assert!(!watch.settles(start) && !watch.settles(start + later(2)), "the export may follow");
        std::fs::write(&path, "22").expect("written");
        assert!(!watch.settles(start + later(3)) && watch.settles(start + later(4)), "both are there");
        std::fs::write(&path, "333").expect("written");
        assert!(!watch.settles(start + later(10)) && !watch.settles(start + later(14)));
        assert!(watch.settles(start + later(15)) && !watch.settles(start + later(30)), "it came alone, once");
        std::fs::remove_file(&members).expect("removed");
        std::fs::write(&path, "4444").expect("written");
        assert!(!watch.settles(start + later(40)) && !watch.settles(start + later(60)), "half a pair");
    }

    #[test]
    fn what_is_heard_to_be_renamed_into_place_is_complete_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, next) = (folder.path().join("d.csv"), folder.path().join("next"));
        std::fs::write(&path, "1").expect("written");
        let mut watch = ExportLook::new(std::slice::from_ref(&path));
        let put = |text: &str, to: &Path| {
            std::fs::write(&next, text).expect("written");
            std::fs::rename(&next, to).expect("renamed over");
        };
        let (start, later) = (Instant::now(), |ms| Duration::from_millis(ms));
        put("22", &path);
        assert!(!watch.has_settled(start, &[(0, How::Renamed)]));
        assert!(watch.settles(start + later(40)) && !watch.settles(start + later(5_000)), "once");
        // Its mode is set right after.
        put("333", &path);
        assert!(!watch.has_settled(start + later(6_000), &[(0, How::Renamed)]));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("set");
        assert!(!watch.settles(start + later(6_020)) && !watch.settles(start + later(6_050)));
        assert!(watch.settles(start + later(6_060)));
        // The look of the second saw it first.
        put("4444", &path);
        assert!(
            !watch.settles(start + later(10_000)) && !watch.has_settled(start + later(10_010), &[(0, How::Renamed)])
        );
        assert!(watch.settles(start + later(10_050)));
        // Written in place.
        std::fs::write(&path, "55555").expect("written");
        assert!(
            !watch.has_settled(start + later(20_000), &[(0, How::Closed)]) && !watch.settles(start + later(20_900))
        );
        assert!(watch.settles(start + later(21_000)));
        // Somebody goes on writing after the rename.
        put("666666", &path);
        assert!(!watch.has_settled(start + later(30_000), &[(0, How::Renamed)]));
        std::fs::write(&path, "7777777").expect("written");
        assert!(!watch.settles(start + later(30_030)) && !watch.settles(start + later(30_900)));
        assert!(watch.settles(start + later(31_030)));
        // A checksum lies beside it, and may come next.
        put("1", &path.with_extension("csv.sha256"));
        assert!(
            !watch.has_settled(start + later(40_000), &[(1, How::Renamed)]) && watch.settles(start + later(41_000))
        );
        put("88888888", &path);
        assert!(
            !watch.has_settled(start + later(50_000), &[(0, How::Renamed)]) && !watch.settles(start + later(50_900))
        );
        put("22", &path.with_extension("csv.sha256"));
        assert!(
            !watch.has_settled(start + later(50_950), &[(1, How::Renamed)]) && watch.settles(start + later(50_990))
        );
    }

    #[test]
    fn both_of_a_pair_renamed_into_place_are_complete_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, members) = (folder.path().join("d.csv"), folder.path().join("m.csv"));
        let mut watch = ExportLook::new(&[path.clone(), members.clone()]);
        let (start, later) = (Instant::now(), |ms| Duration::from_millis(ms));
        std::fs::write(&path, "1").expect("written");
        assert!(!watch.has_settled(start, &[(0, How::Renamed)]) && !watch.settles(start + later(4_900)), "half a pair");
        std::fs::write(&members, "1").expect("written");
        assert!(!watch.has_settled(start + later(4_950), &[(2, How::Renamed)]) && watch.settles(start + later(4_990)));
    }
}
