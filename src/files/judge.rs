//! The verdict on a file, from what the system says of it and of the folders on the way. It asks the system nothing.
//!
//! Whoever may write to a file, or put another one in its place, speaks for it. For what decides where a token goes, and for what
//! only we write, that may be root and we alone; for what an export job writes, one user more.

use super::Role;
use super::refusal::{Refusal, Why};
use std::fs::{File, Metadata};
use std::io::Result;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
/// On a folder like `/tmp`: only its owner may replace a file there.
const STICKY: u32 = 0o1000;

/// What the system says of a file or folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Looks {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    pub(super) links_count: u64,
    /// Whether it lies in a read-only mount.
    pub(super) is_read_only: bool,
}

impl Looks {
    pub(super) fn of_file(file: &File) -> Result<Self> {
        let flags = rustix::fs::fstatvfs(file)?.f_flag;
        Ok(Self::of(&file.metadata()?, flags))
    }

    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        let flags = rustix::fs::statvfs(folder)?.f_flag;
        Ok(Self::of(&std::fs::metadata(folder)?, flags))
    }

    fn of(found: &Metadata, flags: rustix::fs::StatVfsMountFlags) -> Self {
        Self {
            uid: found.uid(),
            gid: found.gid(),
            mode: found.mode(),
            links_count: found.nlink(),
            is_read_only: flags.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        }
    }
}

/// A folder in which a step of the path was looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) folder: PathBuf,
    pub(super) looks: Looks,
    /// The owner of what was found there; `None` if nothing was.
    pub(super) child_uid: Option<u32>,
    /// Whether the file, or a link on the way to it, lies there.
    pub(super) is_holder: bool,
}

/// Who asks.
pub(super) struct Who<'w> {
    /// Our user.
    pub(super) us: u32,
    /// Root, our user, and whomever we stand in for.
    pub(super) trusted: Vec<u32>,
    /// Whether nobody else is in the group (second) of an owner (first).
    pub(super) is_own_group: &'w dyn Fn(u32, u32) -> bool,
    /// systemd's folder of credentials: it asks for owners itself.
    pub(super) credentials: Option<PathBuf>,
}

impl Who<'_> {
    fn trusts(&self, uid: u32) -> bool {
        self.trusted.contains(&uid)
    }
}

/// The verdict; `file` is none where it is about to be made.
pub(super) fn judge(
    role: Role,
    path: &Path,
    file: Option<&Looks>,
    way: &[Step],
    who: &Who<'_>,
) -> std::result::Result<(), Refusal> {
    if role == Role::Named {
        return Ok(());
    }
    if let Some(looks) = file {
        others_write(path, looks)?;
    }
    if who.credentials.as_ref().is_some_and(|folder| path.starts_with(folder)) {
        return Ok(());
    }
    let file_uid = file.map_or(who.us, |looks| looks.uid);
    if role.is_written()
        && let Some(looks) = file.filter(|looks| looks.links_count > 1)
        // Of a log, somebody may keep a second name; only root could be led to write into a file of its own.
        && (role == Role::State || (who.us == 0 && way.last().is_some_and(|step| step.looks.uid != 0)))
    {
        return Err(Refusal::new(path, Why::Linked { count: looks.links_count }));
    }
    owners(role, path, file, way, who)?;
    folders(path, file_uid, way, who)?;
    if is_private(role) {
        if let Some(looks) = file {
            group_writes(path, looks, who)?;
        }
        for step in way.iter().filter(|step| step.is_holder && step.looks.mode & STICKY == 0) {
            group_writes(&step.folder, &step.looks, who)?;
        }
    }
    Ok(())
}

/// What is allowed and yet loose: a group that writes beside an export job or a log shipper, and others who read what is ours.
pub(super) fn looseness(role: Role, path: &Path, file: &Looks, way: &[Step], who: &Who<'_>) -> Option<Refusal> {
    if role == Role::Named {
        return None;
    }
    let mut folders = way.iter().filter(|step| step.is_holder && step.looks.mode & STICKY == 0);
    let found = group_writes(path, file, who)
        .and_then(|()| folders.try_for_each(|step| group_writes(&step.folder, &step.looks, who)));
    // What we write holds names and addresses.
    let is_read = role.is_written() && file.mode & OTHERS_READ != 0 && !file.is_read_only;
    found.err().or_else(|| is_read.then(|| Refusal::new(path, Why::OthersRead { mode: file.mode })))
}

/// Whose group may not write to it.
const fn is_private(role: Role) -> bool {
    match role {
        Role::Configuration | Role::Secret | Role::State => true,
        Role::Certificate | Role::Export | Role::Sink | Role::Named => false,
    }
}

/// Nobody else may put something else on the way. In a folder like `/tmp`, only the owner of a thing can replace it.
fn folders(path: &Path, file_uid: u32, way: &[Step], who: &Who<'_>) -> std::result::Result<(), Refusal> {
    let Some((last, before)) = way.split_last() else { return Ok(()) };
    let is_sticky = |step: &Step| step.looks.mode & STICKY != 0;
    for step in way.iter().filter(|step| !is_sticky(step)) {
        others_write(&step.folder, &step.looks)?;
    }
    let of_a_stranger = |step: &Step, uid: u32| {
        let writable = step.looks.mode & OTHERS_WRITE != 0 && is_sticky(step) && !step.looks.is_read_only;
        writable && !who.trusts(uid)
    };
    // A stranger whose folder may hold the file holds it there as well.
    let on_the_way = before.iter().filter_map(|step| Some((step, step.child_uid?)));
    let found = on_the_way.filter(|(_, uid)| *uid != last.looks.uid).chain([(last, file_uid)]);
    match found.into_iter().find(|(step, uid)| of_a_stranger(step, *uid)) {
        Some((step, uid)) => Err(Refusal::new(path, Why::InTheOpen { folder: step.folder.clone(), uid })),
        None => Ok(()),
    }
}

fn others_write(path: &Path, looks: &Looks) -> std::result::Result<(), Refusal> {
    if looks.mode & OTHERS_WRITE != 0 && !looks.is_read_only {
        return Err(Refusal::new(path, Why::OthersWrite { mode: looks.mode }));
    }
    Ok(())
}

fn group_writes(path: &Path, looks: &Looks, who: &Who<'_>) -> std::result::Result<(), Refusal> {
    let Looks { uid, gid, mode, is_read_only, .. } = *looks;
    if mode & GROUP_WRITES != 0 && !is_read_only && !(who.is_own_group)(uid, gid) {
        return Err(Refusal::new(path, Why::GroupWrites { mode, gid }));
    }
    Ok(())
}

/// The file and the folders that hold it belong to those whom we trust, or, for an export or in a read-only mount, to one user more.
fn owners(
    role: Role,
    path: &Path,
    file: Option<&Looks>,
    way: &[Step],
    who: &Who<'_>,
) -> std::result::Result<(), Refusal> {
    let folders = way.iter().filter(|step| step.is_holder).map(|step| (step.folder.as_path(), &step.looks));
    let mut stranger = None;
    for (path, looks) in file.map(|looks| (path, looks)).into_iter().chain(folders) {
        if who.trusts(looks.uid) {
            continue;
        }
        if role != Role::Export && !looks.is_read_only {
            return Err(Refusal::new(path, Why::Owner { uid: looks.uid }));
        }
        let known = *stranger.get_or_insert(looks.uid);
        if known != looks.uid {
            return Err(Refusal::new(path, Why::Owners { uid: known, other: looks.uid }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `uid[:gid] mode [ro] [links=N]`; `-`: it is to be made.
    fn looks(text: &str) -> Option<Looks> {
        let mut words = text.split(' ').filter(|word| *word != "-");
        let (owner, mode) = (words.next()?, words.next().expect("a mode"));
        let (uid, gid) = owner.split_once(':').unwrap_or((owner, owner));
        let number = |text: &str| text.parse().expect("a number");
        let mut looks = Looks {
            uid: number(uid),
            gid: number(gid),
            mode: u32::from_str_radix(mode, 8).expect("octal"),
            links_count: 1,
            is_read_only: false,
        };
        for word in words {
            match word.strip_prefix("links=") {
                Some(count) => looks.links_count = u64::from(number(count)),
                None => looks.is_read_only = true,
            }
        }
        Some(looks)
    }

    /// Folders from the outermost to the one that holds the file, and the file, as `us` and whom we stand in for see them.
    #[track_caller]
    fn check(role: Role, (us, stands_in_for): (u32, Option<u32>), way: &str, expected: &str) {
        let things: Vec<_> = way.split(" / ").map(looks).collect();
        let (file, folders) = things.split_last().expect("a file");
        let steps: Vec<_> = folders
            .iter()
            .zip(&things[1..])
            .enumerate()
            .map(|(place, (folder, child))| Step {
                folder: PathBuf::from(format!("/{place}")),
                looks: folder.expect("a folder"),
                child_uid: child.map(|child| child.uid),
                is_holder: place + 1 == folders.len(),
            })
            .collect();
        let who = Who {
            us,
            trusted: [0, us].into_iter().chain(stands_in_for).collect(),
            is_own_group: &|uid, gid| uid == gid,
            credentials: Some("/credentials".into()),
        };
        let found = match judge(role, Path::new("/f"), file.as_ref(), &steps, &who) {
            Ok(()) => "ok".to_owned(),
            Err(Refusal { path, why }) => format!("{} {why:?}", path.display()),
        };
        assert!(found.starts_with(expected), "{role:?} {us} {way}: {found}");
    }

    #[test]
    fn whose_a_file_may_be_and_who_may_write_to_it() {
        const SERVICE: (u32, Option<u32>) = (500, None);
        const ROOT_BESIDE_IT: (u32, Option<u32>) = (0, Some(500));
        let strict = [Role::Configuration, Role::Secret, Role::Certificate, Role::State, Role::Sink];
        for role in strict.into_iter().chain([Role::Export]) {
            for who in [SERVICE, ROOT_BESIDE_IT] {
                check(role, who, "0 755 / 0 755 / 0 644", "ok");
                check(role, who, "0 755 / 500 700 / 500 600", "ok");
                check(role, who, "0 755 / 500 700 / 0 600", "ok");
                check(role, who, "0 755 / 0 755 / 500 602", "/f OthersWrite");
                check(role, who, "0 755 / 500 777 / 500 600", "/1 OthersWrite");
                check(role, who, "0 777 / 500 700 / 500 600", "/0 OthersWrite");
                check(role, who, "0 1777 / 500 700 / 500 600", "ok");
                check(role, who, "0 755 / 0 1777 / 500 600", "ok");
                check(
                    role,
                    who,
                    "0 755 / 0 1777 / 9 600",
                    if role == Role::Export { "/f InTheOpen" } else { "/f Owner" },
                );
                check(role, who, "0 755 / 0 777 ro / 0 666 ro", "ok");
                check(role, who, "0 755 / 7 777 ro / 7 666 ro", "ok");
                check(role, who, "0 755 / 7 777 ro / 8 666 ro", "/1 Owners");
            }
            check(role, (0, None), "0 755 / 0 700 / 500 600", if role == Role::Export { "ok" } else { "/f Owner" });
        }
        for role in strict {
            check(role, SERVICE, "0 755 / 0 755 / 7 644", "/f Owner { uid: 7 }");
            check(role, SERVICE, "0 755 / 7 755 / 0 644", "/1 Owner { uid: 7 }");
        }
        for (way, expected) in [
            ("0 755 / 7 755 / 7 644", "ok"),
            ("0 755 / 0 755 / 7 644", "ok"),
            ("0 755 / 7 755 / 0 644", "ok"),
            ("0 755 / 7 755 / 8 644", "/1 Owners"),
            ("0 1777 / 7 755 / 7 644", "ok"),
            ("0 1777 / 7 755 / 0 755 / 0 644", "/f InTheOpen"),
            ("0 755 / 0:9 775 / 7:9 664", "ok"),
        ] {
            check(Role::Export, SERVICE, way, expected);
        }
        for role in [Role::Configuration, Role::Secret, Role::State] {
            check(role, SERVICE, "0 755 / 500 770 / 500 660", "ok");
            check(role, SERVICE, "0 755 / 500 700 / 500:9 660", "/f GroupWrites");
            check(role, SERVICE, "0 755 / 500:9 770 / 500 600", "/1 GroupWrites");
            check(role, SERVICE, "0 755 / 500:9 1770 / 500 600", "ok");
            check(role, SERVICE, "0 755 / 0:9 770 ro / 0:9 660 ro", "ok");
        }
        check(Role::Sink, SERVICE, "0 755 / 0:9 775 / 500:9 660", "ok");
        check(Role::State, SERVICE, "0 755 / 500 700 / -", "ok");
        check(Role::Sink, SERVICE, "0 755 / 0 1777 / -", "ok");
        check(Role::Sink, SERVICE, "0 755 / 9 755 / -", "/1 Owner");
        check(Role::State, SERVICE, "0 755 / 500 700 / 500 600 links=2", "/f Linked");
        check(Role::Sink, SERVICE, "0 755 / 500 700 / 500 600 links=2", "ok");
        check(Role::Sink, ROOT_BESIDE_IT, "0 755 / 500 700 / 0 600 links=2", "/f Linked");
        check(Role::Named, SERVICE, "0 777 / 9 777 / 9 666", "ok");
    }
}
