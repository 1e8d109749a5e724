//! The folders on the way to a file. Whoever may write to one of them decides which file lies at its end, also if a link leads
//! there.

use super::judge::{Looks, Step};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{Error, Result};
use std::path::{Component, Path, PathBuf};

/// So many links are followed, as the system does.
const LINKS_MAX: usize = 40;

/// Every folder in which a step of this path is looked up, outermost first; the last one holds the file, which may be missing.
pub(super) fn to(path: &Path) -> Result<Vec<Step>> {
    let whole = std::path::absolute(path)?;
    let mut ahead: VecDeque<OsString> = steps(&whole);
    let (mut folder, mut found, mut links_count) = (PathBuf::from("/"), Vec::new(), 0);
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            folder.pop();
            continue;
        }
        let next = folder.join(&name);
        let child = match std::fs::symlink_metadata(&next) {
            Ok(child) => Some(child),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && ahead.is_empty() => None,
            Err(error) => return Err(error),
        };
        let is_link = child.as_ref().is_some_and(std::fs::Metadata::is_symlink);
        let child_uid = child.as_ref().map(std::os::unix::fs::MetadataExt::uid);
        let is_holder = is_link || ahead.is_empty();
        found.push(Step { looks: Looks::of_folder(&folder)?, folder: folder.clone(), child_uid, is_holder });
        if is_link {
            links_count += 1;
            if links_count > LINKS_MAX {
                return Err(Error::other("too many links"));
            }
            let target = std::fs::read_link(&next)?;
            if target.is_absolute() {
                folder = PathBuf::from("/");
            }
            for step in steps(&target).into_iter().rev() {
                ahead.push_front(step);
            }
        } else {
            folder = next;
        }
    }
    Ok(found)
}

fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}
