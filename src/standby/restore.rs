//! Brings the state of the last leader to this host: `litestream restore` into a private folder, then into its place. What was there
//! is moved aside.

use crate::files;
use crate::model::clean;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{Error, Read, Result};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program.
const LITESTREAM: &str = "litestream";
/// The longest that a restore takes: a state of a million users from a distant bucket needs minutes.
const RESTORE_MAX: Duration = Duration::from_secs(900);
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// As much of what the program says as fits into a message.
const SAID_BYTES_MAX: u64 = 4_096;
const STATE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// SQLite keeps these beside a database.
const SIDES: [&str; 3] = ["", "-wal", "-shm"];

/// Restores what stands below `replica` into a file beside `state`; [`put_in_place`] puts it there.
///
/// # Errors
/// The program is not there, fails or does not end, or the folder cannot be used.
pub fn restore(replica: &str, state: &Path) -> Result<PathBuf> {
    let folder = beside(state, ".restoring");
    let _ = std::fs::remove_dir_all(&folder);
    DirBuilder::new().mode(FOLDER_MODE).create(&folder)?;
    files::give(&File::open(&folder)?, &folder)?;
    let restored = folder.join("state.db");
    run(replica, &restored)?;
    let file = File::options().write(true).open(&restored)?;
    file.set_permissions(Permissions::from_mode(STATE_MODE))?;
    files::give(&file, &folder)?;
    file.sync_all()?;
    Ok(restored)
}

/// Puts a restored state in the place of the one that is there, if there is one; that one then has `.superseded` behind its name.
///
/// # Errors
/// The folder cannot be used.
pub fn put_in_place(restored: &Path, state: &Path) -> Result<()> {
    // A state without its side files would be an older one.
    for side in SIDES {
        let (here, aside) = (beside(state, side), beside(state, &format!(".superseded{side}")));
        let _ = std::fs::remove_file(&aside);
        match std::fs::rename(&here, &aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    forget_replication(state)?;
    std::fs::rename(restored, state)?;
    let folder = state.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    let _ = std::fs::remove_dir_all(beside(state, ".restoring"));
    Ok(())
}

/// Removes what Litestream keeps beside a state: with it, the next replica would not begin with a whole copy.
///
/// # Errors
/// It is there, and cannot be removed.
pub fn forget_replication(state: &Path) -> Result<()> {
    let Some(name) = state.file_name() else { return Ok(()) };
    let folder = state.with_file_name(format!(".{}-litestream", name.to_string_lossy()));
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn beside(state: &Path, more: &str) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(more);
    PathBuf::from(name)
}

fn run(replica: &str, into: &Path) -> Result<()> {
    let mut child = Command::new(LITESTREAM)
        .arg("restore")
        .arg("-o")
        .arg(into)
        .arg(replica)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::new(error.kind(), format!("the program {LITESTREAM} cannot be run: {error}")))?;
    let said = child.stderr.take().map(|stderr| std::thread::spawn(move || first_of(stderr)));
    let status = ended(&mut child)?;
    let said = said.and_then(|said| said.join().ok()).unwrap_or_default();
    if status.success() && into.exists() {
        return Ok(());
    }
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Err(Error::other(format!("{LITESTREAM} restore {replica} fails ({status}): {}", clean(last))))
}

fn ended(child: &mut Child) -> Result<std::process::ExitStatus> {
    let until = Instant::now() + RESTORE_MAX;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::other(format!("{LITESTREAM} restore does not end")));
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// What it says first; the rest is read and forgotten, so that it never blocks.
fn first_of(mut said: impl Read) -> String {
    let mut first = Vec::new();
    let _ = said.by_ref().take(SAID_BYTES_MAX).read_to_end(&mut first);
    let _ = std::io::copy(&mut said, &mut std::io::sink());
    String::from_utf8_lossy(&first).into_owned()
}
