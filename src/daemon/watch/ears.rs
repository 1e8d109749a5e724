//! What the kernel tells of the folders in which watched files lie (inotify). It may tell nothing: of network file systems, of
//! folders that are not there yet, where its limits are used up. Whoever listens looks for himself each second.

use super::steps::steps;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::time::Timespec;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::PipeReader;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is told of a folder. Not each write: a file that is being written is not one to be read.
const TOLD: WatchFlags = WatchFlags::MOVED_TO.union(WatchFlags::CLOSE_WRITE).union(WatchFlags::ONLYDIR);
/// How long what concerns other files is not listened to, so that a busy folder costs nothing: the kernel keeps it meanwhile.
const STRANGERS_PAUSE: Duration = Duration::from_millis(40);
/// Room for some hundred events, in bytes.
const EVENTS_BYTES: usize = 16 << 10;

/// How a file was put in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// By a rename, so it is complete.
    Renamed,
    /// Whoever wrote it has closed it.
    Closed,
}

/// What was heard.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// That it is time to end.
    End,
    /// These files, by number, or nothing until the time was over. The kernel may have lost some: look at all.
    Files(Vec<(usize, How)>),
}

/// Listens, until the other end of a pipe is dropped.
pub(super) struct Ears {
    /// `None`: the kernel has none for us.
    inotify: Option<OwnedFd>,
    end: PipeReader,
    files: Vec<PathBuf>,
    /// By the kernel's number of a folder: the names in it that lead to a file.
    folders: BTreeMap<i32, Vec<(OsString, usize)>>,
}

impl Ears {
    /// Ears for these files.
    pub(super) fn new(files: Vec<PathBuf>, end: PipeReader) -> Self {
        let made = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        if let Err(error) = &made {
            tracing::warn!(%error, "the kernel does not tell when a file changes (inotify); it is looked at each second");
        }
        let mut ears = Self { inotify: made.ok(), end, files, folders: BTreeMap::new() };
        ears.follow();
        ears
    }

    /// Listens where the paths lead now. A folder that is told of already stays so; one that is not there is tried again next
    /// time.
    pub(super) fn follow(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let mut folders: BTreeMap<i32, Vec<(OsString, usize)>> = BTreeMap::new();
        for (number, file) in self.files.iter().enumerate() {
            for step in steps(file) {
                if let Ok(folder) = inotify::add_watch(inotify, &step.folder, TOLD) {
                    folders.entry(folder).or_default().push((step.name, number));
                }
            }
        }
        for left in self.folders.keys().filter(|folder| !folders.contains_key(*folder)) {
            // The kernel has ended it already if the folder is gone.
            let _ = inotify::remove_watch(inotify, *left);
        }
        self.folders = folders;
    }

    /// Listens until one of the files is put in place, or until then.
    pub(super) fn listen(&mut self, until: Instant) -> Heard {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.wait(left) {
                Waited::End => return Heard::End,
                Waited::Over => return Heard::Files(Vec::new()),
                Waited::Told => {}
            }
            let Told { files, lost } = self.told();
            if lost || !files.is_empty() {
                return Heard::Files(files);
            }
            let left = until.saturating_duration_since(Instant::now());
            if let Waited::End = self.wait_for_end(left.min(STRANGERS_PAUSE)) {
                return Heard::End;
            }
        }
    }

    fn wait(&self, left: Duration) -> Waited {
        let mut both = vec![PollFd::new(&self.end, PollFlags::IN)];
        both.extend(self.inotify.as_ref().map(|inotify| PollFd::new(inotify, PollFlags::IN)));
        wait(&mut both, left)
    }

    fn wait_for_end(&self, left: Duration) -> Waited {
        wait(&mut [PollFd::new(&self.end, PollFlags::IN)], left)
    }

    /// Everything that the kernel has to tell now.
    fn told(&self) -> Told {
        let mut told = Told::default();
        let Some(inotify) = &self.inotify else { return told };
        let mut room = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut events = inotify::Reader::new(inotify, &mut room);
        loop {
            match events.next() {
                Ok(event) => {
                    told.lost |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    let how = if event.events().contains(ReadFlags::MOVED_TO) { How::Renamed } else { How::Closed };
                    let names = self.folders.get(&event.wd()).map(Vec::as_slice).unwrap_or_default();
                    let is_it = |name: &OsString| event.file_name().is_some_and(|it| it.to_bytes() == name.as_bytes());
                    told.files.extend(names.iter().filter(|(name, _)| is_it(name)).map(|(_, number)| (*number, how)));
                }
                Err(Errno::INTR) => {}
                Err(_) => return told,
            }
        }
    }
}

#[derive(Default)]
struct Told {
    files: Vec<(usize, How)>,
    /// The kernel's queue was full.
    lost: bool,
}

enum Waited {
    End,
    Told,
    Over,
}

/// The first one is the end's.
fn wait(ends: &mut [PollFd<'_>], left: Duration) -> Waited {
    // Rounded up: a wait that ends early would be waited again.
    let left = left.saturating_add(Duration::from_nanos(1));
    let timeout = Timespec::try_from(left).ok();
    match poll(ends, timeout.as_ref()) {
        Ok(0) => Waited::Over,
        Ok(_) if !ends[0].revents().is_empty() => Waited::End,
        Ok(_) | Err(Errno::INTR) => Waited::Told,
        // It cannot be waited: as if the time were over, but not at once.
        Err(_) => {
            std::thread::sleep(left);
            Waited::Over
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{rename, write};
    use std::os::unix::fs::symlink;

    /// What is heard of the file `d.json` of a folder while `change` is made in it.
    fn check(begin: impl FnOnce(&std::path::Path), change: impl FnOnce(&std::path::Path), expected: &[How]) {
        let folder = tempfile::tempdir().expect("a folder");
        begin(folder.path());
        let (reader, _end) = std::io::pipe().expect("a pipe");
        let ears = Ears::new(vec![folder.path().join("d.json")], reader);
        change(folder.path());
        let heard = ears.told().files.into_iter();
        assert_eq!(heard.map(|(_, how)| how).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_renamed_or_closed_is_heard_and_nothing_of_others() {
        let renamed = |at: &std::path::Path| {
            write(at.join("new"), "2").expect("written");
            rename(at.join("new"), at.join("d.json")).expect("renamed over");
        };
        check(|_| {}, renamed, &[How::Renamed]);
        check(|_| {}, |at| write(at.join("d.json"), "2").expect("written"), &[How::Closed]);
        check(|_| {}, |at| write(at.join("other.json"), "2").expect("written"), &[]);
        check(|at| write(at.join("d.json"), "1").expect("written"), |at| drop(std::fs::read(at.join("d.json"))), &[]);
    }

    #[test]
    fn a_swapped_link_on_the_way_is_heard() {
        let begin = |at: &std::path::Path| {
            for version in ["..1", "..2"] {
                std::fs::create_dir(at.join(version)).expect("a folder");
                write(at.join(version).join("d.json"), version).expect("written");
            }
            symlink("..1", at.join("..data")).expect("a link");
            symlink("..data/d.json", at.join("d.json")).expect("a link");
        };
        let swap = |at: &std::path::Path| {
            symlink("..2", at.join("..data_tmp")).expect("a link");
            rename(at.join("..data_tmp"), at.join("..data")).expect("swapped");
        };
        check(begin, swap, &[How::Renamed]);
        check(begin, |at| write(at.join("..1/d.json"), "3").expect("written"), &[How::Closed]);
    }

    #[test]
    fn it_ends_with_the_other_end_of_its_pipe_and_strangers_do_not_wake_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (reader, end) = std::io::pipe().expect("a pipe");
        let mut ears = Ears::new(vec![folder.path().join("d.json")], reader);
        write(folder.path().join("other"), "1").expect("written");
        assert_eq!(ears.listen(Instant::now() + Duration::from_millis(5)), Heard::Files(Vec::new()));
        drop(end);
        assert_eq!(ears.listen(Instant::now() + Duration::from_secs(60)), Heard::End);
    }

    #[test]
    fn a_folder_that_appears_later_is_listened_to_from_the_next_look_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let (reader, _end) = std::io::pipe().expect("a pipe");
        let mut ears = Ears::new(vec![folder.path().join("later/d.json")], reader);
        std::fs::create_dir(folder.path().join("later")).expect("a folder");
        ears.follow();
        write(folder.path().join("later/d.json"), "1").expect("written");
        assert_eq!(ears.told().files, [(0, How::Closed)]);
    }
}
