//! What rhombus-sync reads of others, each as a function of bytes: nothing panics, takes long, or is believed that cannot be
//! believed. `tests/proof/run fuzz` calls them with bytes that lead to new code; so does cargo-fuzz.
//!
//! `cargo test` plays them as well, without a fuzzer (tests/it/fuzzing.rs). A target uses the public API alone: what is private is reached through a file, or a receiver on loopback.

mod directory;
mod edges;
mod endpoint;
mod journal;
mod responder;

pub use directory::{columns, export, jumpcloud};
pub use edges::{config, cron, receivers};
pub use endpoint::{answer, sandbox, scim};
pub use journal::{events, log, state};

use rhombus_sync::config::{Config, ConfigError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A private folder of this process; whoever runs it removes the temporary folder that it lies in.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("rhombus-sync-fuzz-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a folder of our own");
        path
    })
}

/// Removes it, where the process has an end.
pub fn clean_up() {
    let _ = std::fs::remove_dir_all(folder());
}

/// Writes a private file there.
fn write(name: &str, content: &[u8]) -> PathBuf {
    use std::io::Write;
    let path = folder().join(name);
    let mut options = std::fs::File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.expect("a file").write_all(content).expect("written");
    path
}

/// A configuration from text.
fn configured(text: &[u8]) -> Result<Config, ConfigError> {
    Config::load(&write("config.toml", text))
}

/// The first byte as a choice, and the rest.
fn choice(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(first, rest)| (*first, rest))
}

/// Runs something to its end on this thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
