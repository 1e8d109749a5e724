//! A daemon's configuration and token, read again: all or nothing, and proven by one read at Rhombus before they are taken.
//! The proof is a task of its own; the loop goes on, and a signal to stop does not wait for it.

use super::daemon::{Daemon, now};
use super::deployment::Deployment;
use super::failure::Failure;
use crate::config::TokenPlace;
use crate::event::Source;
use crate::http::Client;
use crate::outcome::Outcome;
use crate::scim::ScimTarget;
use crate::secret::Token;
use crate::store;
use tokio::task::JoinHandle;

/// A proof under way, and what is taken when it succeeds.
pub(super) struct Proving {
    task: JoinHandle<Result<(), Failure>>,
    /// None: only the token.
    deployment: Option<Box<Deployment>>,
    token: Option<Token>,
}

/// The end of the proof under way; never, where none is.
pub(super) async fn proven(proving: &mut Option<Proving>) -> Result<(), Failure> {
    let Some(proving) = proving else { return std::future::pending().await };
    match (&mut proving.task).await {
        Ok(result) => result,
        Err(error) => Err(Failure::new(1, format!("the proof came to an end of its own: {error}"), None)),
    }
}

impl Daemon<'_> {
    /// SIGHUP. What cannot be taken leaves the old in force, and is said.
    pub(super) fn reload(&mut self) {
        if let Err(failure) = self.begin_reload() {
            self.refuse_reload(&failure);
        }
    }

    fn refuse_reload(&mut self, failure: &Failure) {
        let said = format!("the reload was refused, the old configuration stays: {}", failure.in_one_line());
        tracing::warn!("{said}");
        self.manager.status(&said);
    }

    fn begin_reload(&mut self) -> Result<(), Failure> {
        let deployment = Deployment::load(self.arguments)?.with_simulator_of(&self.deployment);
        let state = |deployment: &Deployment| (deployment.state_path.clone(), deployment.config.settings.keep_history);
        if state(&deployment) != state(&self.deployment) || deployment.endpoint()? != self.deployment.endpoint()? {
            let hint = "restart the service; for another endpoint run `rhombus-sync activate` first";
            return Err(Failure::new(78, "[state] and [rhombus] base_url need a restart", Some(hint)));
        }
        let place = deployment.config.rhombus.as_ref().map(|rhombus| &rhombus.token);
        if matches!(place, Some(TokenPlace::Credential(_))) {
            tracing::info!("systemd credentials do not change on a reload; restart the service for a new token");
        }
        let token = if deployment.is_sandbox { None } else { Some(deployment.token()?) };
        let target = deployment.target_with(token.clone())?;
        let task = tokio::task::spawn_local(prove(target));
        self.proving = Some(Proving { task, deployment: Some(Box::new(deployment)), token });
        Ok(())
    }

    /// A token that was replaced on disk, while Rhombus refuses the one in use: it is proven once, and taken if it is good.
    pub(super) fn look_for_new_token(&mut self) {
        let token = match self.deployment.token() {
            Ok(token) => token,
            Err(error) => {
                self.say(&format!("Rhombus refuses the token, and another cannot be read: {}", error.in_one_line()));
                return;
            }
        };
        let known = [&self.token, &self.refused_token];
        if known.iter().any(|known| known.as_ref().is_some_and(|known| known.expose() == token.expose())) {
            return;
        }
        match self.deployment.target_with(Some(token.clone())) {
            Ok(target) => {
                let task = tokio::task::spawn_local(prove(target));
                self.proving = Some(Proving { task, deployment: None, token: Some(token) });
            }
            Err(failure) => drop(self.say(&failure.in_one_line())),
        }
    }

    /// The proof has ended: what was proven is in force from now on, for the next cycle.
    pub(super) async fn take(&mut self, result: Result<(), Failure>) {
        let Some(Proving { deployment, token, .. }) = self.proving.take() else { return };
        match (result, deployment) {
            (Ok(()), Some(deployment)) => {
                let sinks_changed = deployment.config.sinks != self.deployment.config.sinks;
                let before = std::mem::replace(&mut self.deployment, *deployment);
                self.keep_time(Some(&before));
                self.token = token;
                if sinks_changed
                    && let Some(Err(failure)) = self.sending.as_mut().map(|s| s.ship_anew(&self.deployment))
                {
                    tracing::error!("the new sinks cannot be used: {}", failure.in_one_line());
                }
                self.note_token(Source::Signal).await;
                if !self.say("the configuration was read again and is in force") {
                    tracing::info!("the configuration was read again and is in force");
                }
            }
            (Ok(()), None) => {
                self.token = token;
                self.token_is_refused = false;
                tracing::info!("a new token was proven and is in use");
                self.note_token(Source::Schedule).await;
                self.want(Source::Schedule, false);
            }
            (Err(failure), Some(_)) => self.refuse_reload(&failure),
            (Err(failure), None) => {
                self.refused_token = token;
                self.say(&format!("another token lies there, and is not good either: {}", failure.in_one_line()));
            }
        }
    }

    async fn note_token(&mut self, source: Source) {
        let Some(sending) = &self.sending else { return };
        let fingerprint = self.token.as_ref().map(|token| token.fingerprint(&sending.installation_id));
        let keys = self.deployment.config.settings.keys.clone();
        let noted = sending.journal.write(move |transaction| {
            if let Some(fingerprint) = fingerprint {
                store::note_token(transaction, &fingerprint, source, now())?;
            }
            store::note_config(transaction, &keys, source, now())
        });
        // The next cycle meets the same error, and ends the process with it.
        if let Err(error) = noted.await {
            tracing::error!(error = %error, "it is not in the log");
        }
        sending.shipping.knock();
    }
}

/// One read, by which endpoint and token are good.
async fn prove(target: ScimTarget<Client>) -> Result<(), Failure> {
    let permit = target.permit().await;
    let page = target.list_page(1, &mut |_| {}, permit).await;
    if page.judged.outcome == Outcome::Accepted && page.value.is_some() {
        return Ok(());
    }
    let hint = "put a valid token into the token file, or look at the network; nothing was changed";
    let error = vec!["Rhombus cannot be read with it".to_owned(), page.judged.bare()];
    Err(Failure { exit: 1, error, hint: Some(hint.to_owned()) })
}
