//! BASE: folders that only our user may enter.

use crate::files;
use rustix::fs::OFlags;
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Creates a folder with mode 0700, and those on the way to it, if they do not exist yet. What root makes belongs to the owner of
/// the folder that holds it.
///
/// # Errors
/// It cannot be created.
pub fn create(folder: &Path) -> std::io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        create(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        // Somebody else made it meanwhile.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => give(folder),
    }
}

fn give(folder: &Path) -> std::io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let made = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(folder)?;
    // What another one put there instead is not given away.
    if made.metadata()?.uid() != 0 {
        return Ok(());
    }
    files::give(&made, folder)
}
