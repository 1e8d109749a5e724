//! A daemon's configuration and token, read again: all or nothing, and proven by one read at Rhombus before they are taken.
//! All of it happens on a thread of its own; the loop goes on, and a signal to stop does not wait for it.

use super::Daemon;
use crate::config::TokenPlace;
use crate::deployment::{Deployment, Mode};
use crate::event::Source;
use crate::failure::Failure;
use crate::health::Latest;
use crate::model::{Clock, Exit};
use crate::probe::prove;
use crate::process::{Aside, SystemClock, aside};
use crate::secret::Token;
use crate::store;
use std::path::Path;

/// A proof under way.
pub(super) struct Proving {
    thread: Aside<Proven>,
    is_reload: bool,
}

/// What came of it.
pub(super) enum Proven {
    /// A configuration, and the token that goes with it.
    Reload(Box<Result<(Deployment, Option<Token>), Failure>>),
    /// The token that lies on the disk, while Rhombus refuses the one in use.
    Token(FoundToken),
}

/// What lies there.
pub(super) enum FoundToken {
    /// One that is known to be no good.
    Known,
    Unreadable(Failure),
    Bad(Token, Failure),
    Good(Token),
}

impl Proving {
    pub(super) async fn ended(&mut self) -> Proven {
        let crashed = || Failure::new(Exit::Failed, "checking what was read crashed (this is a bug)", None);
        self.thread.done().await.unwrap_or_else(|| match self.is_reload {
            true => Proven::Reload(Box::new(Err(crashed()))),
            false => Proven::Token(FoundToken::Unreadable(crashed())),
        })
    }
}

impl Daemon {
    /// SIGHUP. What cannot be taken leaves the old in force, and is said.
    pub(super) fn reload(&mut self) -> Result<(), Failure> {
        let (config, mode, before) = (self.config.clone(), self.mode, self.deployment.clone());
        let thread = aside("reload", move || Proven::Reload(Box::new(load(&config, mode, &before))))?;
        self.proving = Some(Proving { thread, is_reload: true });
        Ok(())
    }

    /// A token that was replaced on disk, while Rhombus refuses the one in use: it is proven once, and taken if it is good.
    pub(super) fn look_for_new_token(&mut self) -> Result<(), Failure> {
        let known: Vec<_> = [&self.token, &self.refused_token].into_iter().flatten().cloned().collect();
        let deployment = self.deployment.clone();
        let thread = aside("token", move || Proven::Token(find_token(&deployment, &known)))?;
        self.proving = Some(Proving { thread, is_reload: false });
        Ok(())
    }

    /// The proof has ended: what was proven is in force from now on, for the next cycle.
    pub(super) fn take(&mut self, proven: Proven) -> Result<(), Failure> {
        self.proving = None;
        match proven {
            Proven::Reload(loaded) => match *loaded {
                Ok((deployment, token)) => self.take_configuration(deployment, token)?,
                Err(failure) => {
                    self.health.latest = Latest::ReloadRefused(failure.in_one_line());
                    let said = self.health.line();
                    tracing::warn!("{said}");
                    self.manager.status(&said);
                }
            },
            Proven::Token(FoundToken::Known) => {}
            Proven::Token(FoundToken::Unreadable(failure)) => {
                let why = failure.in_one_line();
                self.say(Latest::NoToken(format!("Rhombus refuses the token, and another cannot be read: {why}")));
            }
            Proven::Token(FoundToken::Bad(token, failure)) => {
                self.refused_token = Some(token);
                let why = failure.in_one_line();
                let said =
                    format!("the token file has changed, but Rhombus cannot be read with the new token either: {why}");
                self.say(Latest::NoToken(said));
            }
            Proven::Token(FoundToken::Good(token)) => {
                self.token = Some(token);
                self.health.token_is_refused = false;
                tracing::info!("a new token was proven and is in use");
                self.note_token(Source::Schedule);
                self.triggers.want(Source::Schedule, false);
            }
        }
        Ok(())
    }

    fn take_configuration(&mut self, deployment: Deployment, token: Option<Token>) -> Result<(), Failure> {
        let before = std::mem::replace(&mut self.deployment, deployment);
        self.triggers.follow(&self.deployment.config, Some(&before.config), SystemClock.now())?;
        self.token = token;
        if let Some(sending) = &mut self.sending {
            sending.shipping.change(&self.deployment.config.sinks)?;
        }
        self.note_token(Source::Signal);
        if !self.say(Latest::Reloaded) {
            tracing::info!("{}", self.health.line());
        }
        Ok(())
    }

    fn note_token(&mut self, source: Source) {
        let Some(sending) = &self.sending else { return };
        let fingerprint = self.token.as_ref().map(|token| token.fingerprint(&sending.installation_id));
        let keys = self.deployment.config.settings.keys.clone();
        self.note(move |transaction| {
            if let Some(fingerprint) = fingerprint {
                store::note_token(transaction, &fingerprint, source, SystemClock.now())?;
            }
            store::note_config(transaction, &keys, source, SystemClock.now())
        });
    }
}

fn load(config: &Path, mode: Mode, before: &Deployment) -> Result<(Deployment, Option<Token>), Failure> {
    let deployment = Deployment::load(config, mode)?.with_simulator_of(before);
    let state = |deployment: &Deployment| (deployment.state_path.clone(), deployment.config.settings.keep_history);
    if state(&deployment) != state(before) || deployment.endpoint()? != before.endpoint()? {
        let hint = "restart the service; for another endpoint run `rhombus-sync activate` first";
        return Err(Failure::new(Exit::Misconfigured, "[state] and [rhombus] base_url need a restart", Some(hint)));
    }
    let place = deployment.config.rhombus.as_ref().map(|rhombus| &rhombus.token);
    if matches!(place, Some(TokenPlace::Credential(_))) {
        tracing::info!("systemd credentials do not change on a reload; restart the service for a new token");
    }
    let token = if deployment.is_sandbox { None } else { Some(deployment.token()?) };
    prove_with(&deployment, token.clone())?;
    Ok((deployment, token))
}

fn find_token(deployment: &Deployment, known: &[Token]) -> FoundToken {
    let token = match deployment.token() {
        Ok(token) => token,
        Err(failure) => return FoundToken::Unreadable(failure),
    };
    if known.iter().any(|known| known.expose() == token.expose()) {
        return FoundToken::Known;
    }
    match prove_with(deployment, Some(token.clone())) {
        Ok(()) => FoundToken::Good(token),
        Err(failure) => FoundToken::Bad(token, failure),
    }
}

fn prove_with(deployment: &Deployment, token: Option<Token>) -> Result<(), Failure> {
    let target = deployment.target_with(token)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(prove(&target))
}
