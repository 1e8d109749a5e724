//! What is made belongs to the owner of its folder: if root makes a file of a service, the service can go on using it.

use std::fs::{File, OpenOptions};
use std::io::Result;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Makes a file that only we may read and write, and that stays ours; one that is there, or a link, is an error.
///
/// # Errors
/// It is there, or cannot be made.
pub fn create_to_keep(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// The same, for the owner of its folder.
///
/// # Errors
/// It is there, or cannot be made.
pub fn create_new(path: &Path) -> Result<File> {
    let file = create_to_keep(path)?;
    give(&file, path).map(|()| file)
}

/// As root, gives a file or folder that it has just made to the owner of the folder that holds it.
///
/// # Errors
/// The folder cannot be looked at, or the system does not let root do it.
pub fn give(made: &File, path: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = std::fs::metadata(folder)?;
    if owner.uid() == 0 {
        return Ok(());
    }
    let (uid, gid) = (rustix::fs::Uid::from_raw(owner.uid()), rustix::fs::Gid::from_raw(owner.gid()));
    match rustix::fs::fchown(made, Some(uid), Some(gid)) {
        // Root of a container may give nothing away; what it made stays its own.
        Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL) => Ok(()),
        given => Ok(given?),
    }
}

/// Makes a file without a name in a folder: it is gone with its handle.
///
/// # Errors
/// It cannot be made there; some file systems know no such files.
pub fn create_unnamed(folder: &Path) -> Result<File> {
    let unnamed = rustix::fs::OFlags::TMPFILE.bits().cast_signed();
    OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(unnamed).open(folder)
}
