//! Whom we trust with our files: root, our user, and, if root runs the program beside a service, the service's user, to whom the
//! folder of the state belongs.

use super::judge::Who;
use super::refusal::{Refusal, Why};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

/// What becomes of a file that is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strictness {
    /// It is not used.
    #[default]
    Refuse,
    /// It is said, and used: a sandbox run harms nobody.
    Say,
}

/// Whom this process trusts beside root and its own user.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trust {
    /// The owner of the state's folder, if we are root.
    stands_in_for: Option<u32>,
    strictness: Strictness,
}

/// The company of this process: it has one state.
static COMPANY: RwLock<Trust> = RwLock::new(Trust { stands_in_for: None, strictness: Strictness::Refuse });

/// What was said already: once is enough.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Decides whom this process trusts from now on.
pub fn keep_company(trust: &Trust) {
    *COMPANY.write().unwrap_or_else(PoisonError::into_inner) = trust.clone();
}

pub(super) fn company() -> Trust {
    COMPANY.read().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Trust {
    /// Whom a process trusts whose state lies there, or will.
    #[must_use]
    pub fn beside(state: &Path, strictness: Strictness) -> Self {
        let folders =
            state.ancestors().skip(1).map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        let owner = || folders.map(std::fs::metadata).find_map(|found| found.ok().map(|found| found.uid()));
        Self { stands_in_for: if rustix::process::geteuid().is_root() { owner() } else { None }, strictness }
    }

    /// Refuses, or only says.
    pub(super) fn settle(&self, verdict: Result<(), Refusal>) -> std::io::Result<()> {
        match (verdict, self.strictness) {
            (Ok(()), _) => Ok(()),
            (Err(refusal), Strictness::Say) if !is_about_itself(&refusal.why) => {
                let said = refusal.to_string();
                if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(said.clone()) {
                    tracing::warn!(hint = refusal.hint(), "{said}: only a sandbox run goes on");
                }
                Ok(())
            }
            (Err(refusal), Strictness::Say | Strictness::Refuse) => Err(refusal.into()),
        }
    }

    pub(super) fn who(&self) -> Who<'static> {
        let us = rustix::process::geteuid().as_raw();
        Who {
            us,
            trusted: [0, us].into_iter().chain(self.stands_in_for).collect(),
            is_own_group: &is_own_group,
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }
}

/// Whether it is about what a file is, and not about who may write to it.
const fn is_about_itself(why: &Why) -> bool {
    match why {
        Why::NotRegular | Why::Link | Why::Linked { .. } => true,
        Why::OthersWrite { .. }
        | Why::OthersRead { .. }
        | Why::GroupWrites { .. }
        | Why::InTheOpen { .. }
        | Why::Owner { .. }
        | Why::Owners { .. } => false,
    }
}

/// Whether a group is its owner's own: it has the owner's number or is the owner's first one; or it is ours, and what it may write is
/// ours or root's (a container's volume). And nobody else is known to be in it.
fn is_own_group(uid: u32, gid: u32) -> bool {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let ours = || {
        let groups = rustix::process::getgroups().unwrap_or_default();
        let us = rustix::process::geteuid();
        let may_share = !us.is_root() && [0, us.as_raw()].contains(&uid);
        may_share && groups.into_iter().chain([rustix::process::getegid()]).any(|group| group.as_raw() == gid)
    };
    stands_alone(uid, gid, &file("/etc/passwd"), &file("/etc/group"), &ours)
}

fn stands_alone(uid: u32, gid: u32, passwd: &str, groups: &str, ours: &dyn Fn() -> bool) -> bool {
    let accounts = || passwd.lines().filter_map(account);
    let name = accounts().find(|(_, of, _)| *of == uid).map(|(name, ..)| name);
    let is_first = accounts().any(|(_, of, first)| of == uid && first == gid);
    // Root's is the first group of a few accounts that nobody uses (`sync`, `halt`).
    let is_anothers = gid != 0 && accounts().any(|(_, of, first)| of != uid && first == gid);
    let has_others = groups.lines().any(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [_, _, number, members] = fields[..] else { return false };
        let is_it = number.parse() == Ok(gid);
        is_it && members.split(',').any(|member| !member.trim().is_empty() && Some(member.trim()) != name)
    });
    (gid == uid || is_first || ours()) && !is_anothers && !has_others
}

/// Name, number and first group of a line of passwd(5).
fn account(line: &str) -> Option<(&str, u32, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    Some((name, fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_the_owners_own_if_nobody_else_is_in_it() {
        let passwd = "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:100::/:/bin/sh\nzoe:x:1002:100::/:/bin/sh\neve:x:1003:50::/:/bin/sh\n";
        let groups = "root:x:0:\nann:x:1000:ann\nusers:x:100:\nstaff:x:50:\nops:x:1004:ann,bob\nroots:x:1005:\n";
        for (uid, gid, ours, expected) in [
            (0, 0, false, true),
            (1000, 1000, false, true),
            // Nobody has an entry: containers, and users that exist while a service runs.
            (61_184, 61_184, false, true),
            (61_184, 2000, false, false),
            (61_184, 2000, true, true),
            (1001, 100, false, false),
            (1001, 100, true, false),
            (1003, 50, false, true),
            (1000, 1004, true, false),
            (1004, 1004, false, false),
            (0, 12_345, false, false),
        ] {
            assert_eq!(stands_alone(uid, gid, passwd, groups, &|| ours), expected, "{uid}:{gid} ours={ours}");
        }
        assert!(!stands_alone(0, 0, passwd, "root:x:0:root,ann\n", &|| false), "somebody is in root's group");
    }
}
