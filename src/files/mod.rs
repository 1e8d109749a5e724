//! BASE: every file of ours, and every file that others write, is opened here. A file is opened without waiting and asked by its
//! handle what it is: between a look at a path and its opening, a pipe or a device may take the place of a file. Then it is
//! judged by what it is to us: whose it is, who may write to it, and who may put another one in its place.
//!
//! Deliberately absent: what is in a file.

mod judge;
mod make;
mod refusal;
mod way;
mod whose;

pub use make::{create_new, create_to_keep, create_unnamed, give};
pub use refusal::{Refusal, Why, refusal_of};
pub use whose::{Strictness, Trust, keep_company};

use judge::{Looks, judge, looseness};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What a file is to us: it decides whose it may be and who may write to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The configuration.
    Configuration,
    /// A token or a key.
    Secret,
    /// A certificate, of an authority or of ours.
    Certificate,
    /// An export, its checksum, or the memberships beside it.
    Export,
    /// The state, what lies beside it, and its lock.
    State,
    /// A sink's file.
    Sink,
    /// What a person names for one call. Whose it is, that person knows.
    Named,
}

impl Role {
    /// Whether we write to it: the last step of its path may not be a link.
    const fn is_written(self) -> bool {
        match self {
            Self::State | Self::Sink => true,
            Self::Configuration | Self::Secret | Self::Certificate | Self::Export | Self::Named => false,
        }
    }
}

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Write {
    /// Anywhere.
    Anywhere,
    /// At its end.
    AtItsEnd,
}

/// Whether a file is made if it is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Make {
    /// It is, with this mode.
    IfMissing(u32),
    /// It is not.
    Never,
}

/// Opens a regular file to read it, and judges it. Links are followed, but for the last step of what we write.
///
/// # Errors
/// It cannot be opened, or is [refused](refusal_of).
pub fn open(path: &Path, role: Role) -> Result<File> {
    let file = open_unjudged(path, role)?;
    admit(path, &file, role).map(|()| file)
}

/// The same for a file that has to be read before it can be judged.
///
/// # Errors
/// It cannot be opened, or is not a regular file.
pub fn open_unjudged(path: &Path, role: Role) -> Result<File> {
    open_regular(path, role, OpenOptions::new().read(true), OFlags::empty())
}

/// The same for one that is not read; we need not be allowed to.
///
/// # Errors
/// It cannot be looked at, or is not a regular file.
pub fn open_to_look(path: &Path, role: Role) -> Result<File> {
    open_regular(path, role, OpenOptions::new().read(true), OFlags::PATH)
}

/// Judges a file that is open.
///
/// # Errors
/// It is [refused](refusal_of), or cannot be asked.
pub fn admit(path: &Path, file: &File, role: Role) -> Result<()> {
    admit_for(path, file, role, &whose::company())
}

/// The same, where it is not known yet whom this process trusts.
///
/// # Errors
/// As [`admit`].
pub fn admit_for(path: &Path, file: &File, role: Role, trust: &Trust) -> Result<()> {
    let looks = Looks::of_file(file)?;
    trust.settle(judge(role, path, Some(&looks), &way::to(path)?, &trust.who()))
}

/// Opens a file of ours to read and write it; one that is made belongs to the owner of its folder.
///
/// # Errors
/// As [`open`].
pub fn open_to_write(path: &Path, role: Role, write: Write, make: Make) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(write == Write::Anywhere).append(write == Write::AtItsEnd);
    let trust = whose::company();
    // Somebody else may make it meanwhile, or take it away: once.
    for _ in 0..2 {
        match (open_regular(path, role, &options, OFlags::empty()), make) {
            (Err(error), Make::IfMissing(mode)) if error.kind() == ErrorKind::NotFound => {
                trust.settle(judge(role, path, None, &way::to(path)?, &trust.who()))?;
                match open_regular(path, role, options.clone().create_new(true).mode(mode), OFlags::empty()) {
                    Ok(file) => return give(&file, path).map(|()| file),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
            }
            (opened, Make::IfMissing(_) | Make::Never) => {
                let file = opened?;
                return admit_for(path, &file, role, &trust).map(|()| file);
            }
        }
    }
    Err(Error::other("it comes and goes"))
}

/// Looks at a file and judges it. Nothing of it is read, and we need not be allowed to.
///
/// # Errors
/// It cannot be looked at, or is [refused](refusal_of).
pub fn look(path: &Path, role: Role) -> Result<Metadata> {
    let file = open_to_look(path, role)?;
    admit(path, &file, role)?;
    file.metadata()
}

/// What is allowed and yet loose, if anything is: whose group may write to it or to its folder, or that others can read what is ours.
/// For `check`.
#[must_use]
pub fn loose(path: &Path, role: Role) -> Option<Refusal> {
    let file = open_to_look(path, role).ok()?;
    looseness(role, path, &Looks::of_file(&file).ok()?, &way::to(path).ok()?, &whose::company().who())
}

/// The beginning of a regular file, at most so many bytes.
///
/// # Errors
/// As [`open`], or it cannot be read.
pub fn read_start(path: &Path, role: Role, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, role)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A whole regular file of at most so many bytes.
///
/// # Errors
/// As [`open`], or it cannot be read, or is longer.
pub fn read(path: &Path, role: Role, bytes_max: u64) -> Result<Vec<u8>> {
    read_whole(&open(path, role)?, bytes_max)
}

/// The same of a file that is open.
///
/// # Errors
/// It cannot be read, or is longer.
pub fn read_whole(file: &File, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::new(ErrorKind::InvalidData, format!("it is longer than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Without waiting: opening a pipe waits for a writer, and a terminal may become ours.
fn open_regular(path: &Path, role: Role, options: &OpenOptions, more: OFlags) -> Result<File> {
    let no_link = if role.is_written() { OFlags::NOFOLLOW } else { OFlags::empty() };
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | no_link | more;
    let file = options.clone().custom_flags(flags.bits().cast_signed()).open(path);
    let file = file.map_err(|error| match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP) if role.is_written() && path.is_symlink() => Refusal::new(path, Why::Link).into(),
        // A folder, a socket, or a device without a driver.
        Some(Errno::ISDIR | Errno::NXIO | Errno::NODEV) => Refusal::new(path, Why::NotRegular).into(),
        Some(_) | None => error,
    })?;
    let kind = file.metadata()?.file_type();
    match (kind.is_file(), kind.is_symlink()) {
        (true, _) => Ok(file),
        (false, true) => Err(Refusal::new(path, Why::Link).into()),
        (false, false) => Err(Refusal::new(path, Why::NotRegular).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_not_a_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().expect("it runs");
        assert!(made.success());
        let _listener = UnixListener::bind(path("socket")).expect("a socket");
        std::os::unix::fs::symlink(path("pipe"), path("link")).expect("a link");
        for special in [path("pipe"), path("socket"), path("link"), folder.path().to_owned(), "/dev/null".into()] {
            for role in [Role::Configuration, Role::Secret, Role::Certificate, Role::Export, Role::Named] {
                let error = open(&special, role).expect_err("it is special");
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{special:?}: {error}");
                assert_eq!(look(&special, role).expect_err("it is special").kind(), ErrorKind::InvalidInput);
            }
            for role in [Role::State, Role::Sink] {
                for make in [Make::Never, Make::IfMissing(0o600)] {
                    let error = open_to_write(&special, role, Write::AtItsEnd, make).expect_err("it is special");
                    assert!(refusal_of(&error).is_some(), "{special:?}: {error}");
                }
            }
        }
        assert_eq!(open(&path("none"), Role::Export).expect_err("nothing").kind(), ErrorKind::NotFound);
        std::fs::write(path("file"), "abcdef").expect("written");
        std::os::unix::fs::symlink(path("file"), path("good")).expect("a link");
        assert_eq!(read_start(&path("good"), Role::Export, 4).expect("read"), b"abcd");
        assert_eq!(read(&path("good"), Role::Secret, 6).expect("read"), b"abcdef");
        assert!(read(&path("good"), Role::Secret, 5).is_err(), "longer than allowed");
    }

    #[test]
    fn the_last_step_of_what_we_write_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "x").expect("written");
        std::os::unix::fs::symlink("file", path("link")).expect("a link");
        std::os::unix::fs::symlink("nowhere", path("loose")).expect("a link");
        std::fs::create_dir(path("real")).expect("a folder");
        std::os::unix::fs::symlink("real", path("way")).expect("a link");
        for role in [Role::State, Role::Sink] {
            for link in ["link", "loose"] {
                let error = open_to_write(&path(link), role, Write::Anywhere, Make::IfMissing(0o600)).expect_err(link);
                assert_eq!(refusal_of(&error).map(|refusal| &refusal.why), Some(&Why::Link), "{link}: {error}");
            }
            assert!(open(&path("link"), role).is_err() && look(&path("link"), role).is_err());
            drop(open_to_write(&path("way/new"), role, Write::Anywhere, Make::IfMissing(0o600)).expect("on the way"));
        }
        assert!(!path("nowhere").exists() && path("real/new").exists());
        assert!(open(&path("link"), Role::Export).is_ok());
    }
}
