//! Notes the commit of a release build for `--version`, if it is built in a checkout and git is there. Without git, or from a
//! tarball, there is none, and that is no error.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RHOMBUS_SYNC_COMMIT");
    // A debug build would be made anew after each commit.
    if std::env::var("PROFILE").is_ok_and(|profile| profile != "release")
        || std::env::var("RHOMBUS_SYNC_COMMIT").is_ok()
    {
        return;
    }
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    let here = std::env::current_dir().ok().and_then(|here| here.canonicalize().ok());
    // A tarball inside somebody else's checkout is not that checkout.
    let ours = git(&["rev-parse", "--show-toplevel"]).and_then(|top| Path::new(&top).canonicalize().ok());
    if ours.is_none() || ours != here {
        return;
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo:rustc-env=RHOMBUS_SYNC_COMMIT={commit}");
    }
}
