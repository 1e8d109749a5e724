//! `sandbox`: runs the Rhombus simulator as a server until it is stopped. Its token is kept beside its accounts.

use super::{Arguments, Output, show, show_document};
use crate::config::{Config, ConfigError};
use crate::deployment::sandbox_folder;
use crate::failure::Failure;
use crate::files::{self, Strictness, Trust};
use crate::model::hex;
use crate::process::random;
use crate::sandbox::{Faults, Sandbox, Settings};
use crate::secret::Token;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn run(
    arguments: &Arguments,
    listen: SocketAddr,
    users: Option<PathBuf>,
    faults: Faults,
) -> Result<Output, Failure> {
    let folder = match Config::load_with(&arguments.config, Strictness::Say) {
        Ok(config) => sandbox_folder(&config),
        Err(ConfigError::Missing(_)) => PathBuf::from("sandbox"),
        Err(error) => return Err(error.into()),
    };
    files::keep_company(&Trust::beside(&folder, Strictness::Say));
    crate::folder::create(&folder)?;
    let token_file = folder.join("token");
    let token = token(&token_file)?;
    let accounts = folder.join("accounts.db");
    let sandbox = Sandbox::start(Settings { listen, token: token.expose().to_owned(), accounts, users, faults })?;
    if !listen.ip().is_loopback() {
        tracing::warn!(
            %listen,
            "the sandbox is open to other machines, in clear text; a base_url that is not https only works on loopback"
        );
    }
    if arguments.json {
        let document = serde_json::json!({"base_url": sandbox.base_url(), "token_file": token_file});
        show_document(&format!("{document}\n"))?;
    } else {
        show(&format!(
            "[rhombus]\nbase_url = \"{}\"\ntoken_file = \"{}\"\n",
            sandbox.base_url(),
            token_file.display()
        ))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok::<_, Failure>(())
    })?;
    Ok(Output::done(""))
}

/// The token of an earlier run, or a new one.
fn token(path: &Path) -> Result<Token, Failure> {
    if path.symlink_metadata().is_err() {
        writeln!(files::create_new(path)?, "{}", hex(&random()))?;
    }
    Ok(Token::read(path)?)
}
