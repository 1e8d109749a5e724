//! The names on the way to a file: where one of them is put in place anew, the path leads to another file.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// More links than this on one way are a circle.
const LINKS_MAX: usize = 40;

/// A name in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) folder: PathBuf,
    pub(super) name: OsString,
}

/// Every link on the way to a file, and the file itself, each in the folder where it really lies.
pub(super) fn steps(path: &Path) -> Vec<Step> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (mut steps, mut links_count, mut here) = (Vec::new(), 0, PathBuf::from("/"));
    let mut rest: VecDeque<OsString> = names(&absolute).collect();
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let there = here.join(&name);
        match std::fs::read_link(&there) {
            Ok(target) if links_count < LINKS_MAX => {
                links_count += 1;
                steps.push(Step { folder: here.clone(), name });
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(name);
                }
            }
            Ok(_) | Err(_) if rest.is_empty() => steps.push(Step { folder: here.clone(), name }),
            Ok(_) | Err(_) => here = there,
        }
    }
    steps
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn each_link_on_the_way_is_a_step() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().canonicalize().expect("a real folder");
        let of = |path: &str| {
            let steps = steps(&base.join(path)).into_iter();
            let ours = steps.filter_map(|step| {
                Some((step.folder.strip_prefix(&base).ok()?.to_str()?.to_owned(), step.name.to_str()?.to_owned()))
            });
            ours.map(|(folder, name)| format!("{folder}:{name}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("d.json"), ":d.json", "also where there is nothing yet");
        assert_eq!(of("later/d.json"), "later:d.json");
        // As Kubernetes mounts a ConfigMap.
        std::fs::create_dir(base.join("..2026")).expect("a folder");
        symlink("..2026", base.join("..data")).expect("a link");
        symlink("..data/d.json", base.join("d.json")).expect("a link");
        assert_eq!(of("d.json"), ":d.json :..data ..2026:d.json");
        symlink(base.join("elsewhere/../other"), base.join("absolute")).expect("a link");
        assert_eq!(of("absolute"), ":absolute :other");
        symlink("circle", base.join("circle")).expect("a link");
        assert_eq!(steps(&base.join("circle")).len(), LINKS_MAX + 1);
    }
}
