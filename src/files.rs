//! BASE: opens files that others may have put there. A file is opened without waiting and asked by its handle what it is: between
//! a look at a path and its opening, a pipe or a device may take the place of a file.

use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file to read it; links on the way are followed.
///
/// # Errors
/// It cannot be opened, or is not a regular file (`InvalidInput`).
pub fn open(path: &Path) -> Result<File> {
    // Without it, opening a pipe waits for a writer, and a terminal may become ours.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    // A socket, or a device without a driver.
    let is_special =
        |error: &Error| [Errno::NXIO, Errno::NODEV].map(Errno::raw_os_error).map(Some).contains(&error.raw_os_error());
    let file = file.map_err(|error| if is_special(&error) { not_regular() } else { error })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// The beginning of a regular file, at most so many bytes.
///
/// # Errors
/// It cannot be opened or read, or is not a regular file (`InvalidInput`).
pub fn read_start(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn not_regular() -> Error {
    Error::new(ErrorKind::InvalidInput, "it is not a regular file")
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
            let error = open(&special).expect_err("it is special");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{special:?}: {error}");
        }
        assert_eq!(open(&path("none")).expect_err("nothing").kind(), ErrorKind::NotFound);
        std::fs::write(path("file"), "abcdef").expect("written");
        std::os::unix::fs::symlink(path("file"), path("good")).expect("a link");
        assert_eq!(read_start(&path("good"), 4).expect("read"), b"abcd");
    }
}
