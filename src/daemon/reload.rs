//! Reloads the daemon's configuration and token: all or nothing, and checked by one read at Rhombus before they take effect.
//! This runs on its own thread: the loop keeps running, and a stop signal does not wait for it.

use super::Daemon;
use crate::deployment::{Deployment, Mode};
use crate::event::{Initiator, Source};
use crate::failure::Failure;
use crate::health::Latest;
use crate::model::{Clock, Exit, token_place};
use crate::monitor::Heartbeat;
use crate::probe::{NotProven, prove, prove_organisation};
use crate::process::{SystemClock, Task, spawn};
use crate::secret::Token;
use crate::store::{self, Access};
use std::path::Path;

/// A check in progress.
pub(super) struct Verification {
    thread: Task<Verified>,
    is_reload: bool,
}

/// The result of a check.
pub(super) enum Verified {
    /// A configuration and its token.
    Reload(Box<Result<(Deployment, Option<Token>), Failure>>),
    /// The token on disk, while Rhombus refuses the one in use.
    Token(FoundToken),
}

/// The token on disk, checked.
pub(super) enum FoundToken {
    /// It is already known not to work.
    Known,
    Unreadable(Failure),
    Bad(Token, Failure),
    /// Nothing that was answered says whether it works: it is asked again.
    Unproven(Failure),
    Good(Token),
}

impl Verification {
    pub(super) async fn ended(&mut self) -> Verified {
        let crashed =
            || Failure::new(Exit::Failed, "checking the new configuration or token crashed (this is a bug)", None);
        self.thread.done().await.unwrap_or_else(|| match self.is_reload {
            true => Verified::Reload(Box::new(Err(crashed()))),
            false => Verified::Token(FoundToken::Unreadable(crashed())),
        })
    }
}

impl Daemon {
    /// SIGHUP. If the new configuration fails its check, the old one stays in force and the error is logged.
    pub(super) fn reload(&mut self) -> Result<(), Failure> {
        let (config, mode, before) = (self.config.clone(), self.mode, self.deployment.clone());
        let thread = spawn("reload", move || Verified::Reload(Box::new(load(&config, mode, &before))))?;
        self.verification = Some(Verification { thread, is_reload: true });
        Ok(())
    }

    /// While Rhombus refuses the token in use: checks a new token on disk once, and uses it if it works.
    pub(super) fn look_for_new_token(&mut self) -> Result<(), Failure> {
        if self.deployment.token_is_a_credential() {
            // It changes with a restart only.
            return Ok(());
        }
        let known: Vec<_> = [&self.token, &self.refused_token].into_iter().flatten().cloned().collect();
        let deployment = self.deployment.clone();
        let thread = spawn("token", move || Verified::Token(find_token(&deployment, &known)))?;
        self.verification = Some(Verification { thread, is_reload: false });
        Ok(())
    }

    /// Called when the check has ended. What passed takes effect with the next cycle.
    pub(super) fn take(&mut self, verified: Verified) -> Result<(), Failure> {
        self.verification = None;
        match verified {
            Verified::Reload(loaded) => match *loaded {
                Ok((deployment, token)) => self.take_configuration(deployment, token)?,
                Err(failure) => {
                    self.deployment.note_token_place();
                    let why = failure.in_one_line();
                    tracing::warn!("the reload was refused, the old configuration stays: {why}");
                    self.health.reload_refused = Some(why);
                    self.tell();
                }
            },
            Verified::Token(FoundToken::Known) => {}
            Verified::Token(FoundToken::Unreadable(failure)) => {
                let why = failure.in_one_line();
                self.say(Latest::NoToken(format!(
                    "Rhombus refuses the token, and {} cannot be read: {why}",
                    token_place()
                )));
            }
            Verified::Token(FoundToken::Bad(token, failure)) => {
                self.refused_token = Some(token);
                let why = failure.in_one_line();
                let why = format!("the token file has changed, but the new token does not work either: {why}");
                self.say(Latest::NoToken(why));
            }
            Verified::Token(FoundToken::Unproven(failure)) => {
                self.triggers.ask_for_token_later();
                let why = failure.in_one_line();
                self.say(Latest::NoToken(format!(
                    "the token file has changed, but the new token is not verified yet: {why}"
                )));
            }
            Verified::Token(FoundToken::Good(token)) => {
                self.token = Some(token);
                self.health.token_is_refused = false;
                self.tell();
                tracing::info!("the new token works and is in use");
                self.note_token(Source::Schedule);
                self.triggers.want(Source::Schedule, false);
            }
        }
        Ok(())
    }

    pub(super) fn take_configuration(&mut self, deployment: Deployment, token: Option<Token>) -> Result<(), Failure> {
        let before = std::mem::replace(&mut self.deployment, deployment);
        self.triggers.follow(&self.deployment.config, Some(&before.config), SystemClock.now())?;
        self.token = token;
        self.health.unhealthy_after = self.deployment.unhealthy_after();
        if let Some(Err(failure)) = self.monitor.as_ref().map(|monitor| monitor.follow(&self.deployment)) {
            // It was readable a moment ago; what the monitor shows is no reason to stop.
            tracing::warn!(error = failure.in_one_line(), "the monitor follows the old configuration");
        }
        if let Some(sending) = &mut self.sending {
            sending.shipping.change(&self.deployment.config.sinks)?;
        }
        self.note_token(Source::Signal);
        self.health.reload_refused = None;
        tracing::info!("the configuration was read again and is in force");
        self.tell();
        Ok(())
    }

    fn note_token(&mut self, source: Source) {
        let Some(sending) = &self.sending else { return };
        let fingerprint = self.token.as_ref().map(|token| token.fingerprint(&sending.installation_id));
        let keys = self.deployment.config.settings.keys.clone();
        self.note(move |transaction| {
            if let Some(fingerprint) = fingerprint {
                store::note_token(transaction, &fingerprint, (source, Initiator::System), SystemClock.now())?;
            }
            store::note_config(transaction, &keys, source, SystemClock.now())
        });
    }
}

fn load(config: &Path, mode: Mode, before: &Deployment) -> Result<(Deployment, Option<Token>), Failure> {
    let deployment = Deployment::load(config, mode)?.with_simulator_of(before);
    let state = |deployment: &Deployment| (deployment.state_path.clone(), deployment.config.settings.keep_history);
    if state(&deployment) != state(before) || deployment.endpoint()? != before.endpoint()? {
        let hint =
            format!("restart the service; for another endpoint run `{}` first", crate::model::command("activate"));
        return Err(Failure::new(Exit::Misconfigured, "[state] and [rhombus] base_url need a restart", Some(&hint)));
    }
    let listen = |deployment: &Deployment| deployment.config.monitor.as_ref().map(|monitor| monitor.listen);
    if listen(&deployment) != listen(before) {
        return Err(Failure::new(Exit::Misconfigured, "[monitor] listen needs a restart", Some("restart the service")));
    }
    if deployment.config.standby != before.config.standby {
        return Err(Failure::new(Exit::Misconfigured, "[standby] needs a restart", Some("restart the service")));
    }
    Heartbeat::read(&deployment)?;
    if deployment.token_is_a_credential() {
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
        Err(NotProven::Bad(failure)) => FoundToken::Bad(token, failure),
        Err(NotProven::Unknown(failure)) => FoundToken::Unproven(failure),
    }
}

/// Proves a token by one read; one that the state does not know, by accounts of ours that it shows, too.
fn prove_with(deployment: &Deployment, token: Option<Token>) -> Result<(), NotProven> {
    let target = deployment.target_with(token.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(prove(&target))?;
    // Before `activate` there is no state, and nothing to compare with.
    if deployment.state_path.try_exists().is_ok_and(|exists| !exists) {
        return Ok(());
    }
    let (state, installation) = deployment.state(Access::Read)?;
    let is_new = |token: Token| token.fingerprint(&installation.installation_id) != installation.token_fingerprint;
    if token.is_some_and(is_new) {
        runtime.block_on(prove_organisation(&target, &state))?;
    }
    Ok(())
}
