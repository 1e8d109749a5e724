//! A person says which host leads: a mark beside the state. A copy of the state does not carry it to another host.

use super::led::{Led, Turn};
use super::{refusals, replica};
use crate::deployment::{Deployment, inactive};
use crate::failure::Failure;
use crate::files::{self, Role};
use crate::model::{Clock, Fence};
use crate::process::SystemClock;
use crate::report::LeadStanding;
use crate::standby::this_host;
use crate::store::{self, Access, Copied, JournalError, Lock};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A mark is a number.
const MARK_BYTES_MAX: u64 = 64;

/// Whether the mark is there.
#[derive(Clone)]
pub(crate) struct ByHand {
    mark: PathBuf,
}

impl ByHand {
    pub(super) fn new(state: &Path) -> Self {
        Self { mark: beside(state) }
    }

    pub(super) fn turn(&self) -> Turn {
        if self.may_send() { Turn::Send } else { Turn::Wait }
    }

    pub(super) fn standing(&self) -> LeadStanding {
        match reign_of(&self.mark) {
            Some(reign) => LeadStanding::Leading { reign },
            None => LeadStanding::Standby { name: None, leader: None, renewed_at: None, resigned: false },
        }
    }

    /// The first time after it was told to lead, another reign begins: its replica has a place of its own.
    pub(super) fn open(&self, deployment: &Deployment) -> Result<Led, Failure> {
        let Some(marked) = reign_of(&self.mark) else { return Err(refusals::not_told()) };
        let is_begun = match store::open(&deployment.state_path, Access::Read) {
            Ok(state) => marked == Some(store::reign(&state)?),
            // An older one is upgraded, any other is refused, as ever.
            Err(_) => true,
        };
        if is_begun {
            let (lock, writer, installation) = deployment.sender()?;
            let barrier = Some(replica::barrier(deployment)?);
            return Ok(Led { lock, writer, installation, barrier });
        }
        let mut lock = Lock::acquire(&deployment.state_path)?;
        deployment.upgrade()?;
        let (mut writer, _) = deployment.state(Access::Write)?;
        let noted = lock.noted().cloned();
        let at = |error: store::StateError| error.at(&deployment.state_path);
        let taken = store::take_over(
            &mut writer,
            noted.as_ref(),
            Copied::AsFarAsALockFileKnows,
            &this_host(),
            SystemClock.now(),
        )
        .map_err(at)?;
        if let Some(what) = &taken.restored {
            tracing::warn!("the state was restored: {what}; this cycle is a refresh, and its removals are held");
        }
        lock.note(&writer).map_err(JournalError::from)?;
        write(&self.mark, Some(taken.reign))?;
        let installation = store::installation(&writer)?;
        let barrier = Some(replica::barrier(deployment)?);
        if installation.active { Ok(Led { lock, writer, installation, barrier }) } else { Err(inactive()) }
    }
}

impl Fence for ByHand {
    fn may_send(&self) -> bool {
        self.mark.exists()
    }
}

/// From now on this host leads.
///
/// # Errors
/// The mark cannot be written.
pub(crate) fn mark(state: &Path) -> std::io::Result<()> {
    write(&beside(state), None)
}

/// From now on it does not. Answers whether it did.
///
/// # Errors
/// The mark cannot be removed.
pub(crate) fn unmark(state: &Path) -> std::io::Result<bool> {
    match std::fs::remove_file(beside(state)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

fn beside(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(".lead");
    PathBuf::from(name)
}

/// `None`: not told to lead; `Some(None)`: told, and not begun.
fn reign_of(mark: &Path) -> Option<Option<i64>> {
    let text = files::read(mark, Role::State, MARK_BYTES_MAX).ok()?;
    Some(std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()))
}

/// Written beside it, then renamed: a mark that is torn would begin another reign.
fn write(mark: &Path, reign: Option<i64>) -> std::io::Result<()> {
    let mut new = mark.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    let mut file = files::create_new(&new)?;
    file.write_all(format!("{}\n", reign.map(|reign| reign.to_string()).unwrap_or_default()).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, mark)
}
