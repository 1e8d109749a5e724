//! How the daemon comes to hold what it sends with: the state, the lock and the token; or why it is idle instead.

use super::run::deactivated;
use super::sending::Sending;
use super::{Daemon, Opening};
use crate::config::TokenPlace;
use crate::event::Source;
use crate::failure::Failure;
use crate::health::{Idle, Latest};
use crate::model::{Exit, command};
use crate::process::spawn;
use crate::secret::Token;
use crate::store;

impl Daemon {
    /// Takes the lock and opens the state on another thread, or says why the daemon is idle.
    pub(super) fn open(&mut self, source: Source) -> Result<(), Failure> {
        if self.opening.is_some() || self.closing.is_some() {
            return Ok(());
        }
        if let Some(why) = self.not_our_turn() {
            self.say(why);
            self.ready();
            return Ok(());
        }
        // Only a missing file means "no state yet": one that this user may not look at is a failure.
        if !self.deployment.is_sandbox
            && !self.brings_the_state()
            && self.deployment.state_path.try_exists().is_ok_and(|exists| !exists)
        {
            let activate = command("activate");
            let why = format!("there is no state yet; run `{activate}`, or restore a backup");
            self.say(Latest::Idle(Idle::NoState, why));
            self.ready();
            return Ok(());
        }
        if let Some(missing) = self.missing_token()? {
            self.say(Latest::Idle(Idle::CannotSend, missing));
            self.ready();
            return Ok(());
        }
        // A reload while the state is being opened may bring a newer token than the one read now.
        self.token = None;
        let (deployment, lead) = (self.deployment.clone(), self.lead.clone());
        let state = spawn("opening", move || {
            if !deployment.is_sandbox && !matches!(deployment.state_path.try_exists(), Ok(false)) {
                store::may_be_used(&deployment.state_path)?;
            }
            let token = if deployment.is_sandbox { None } else { Some(deployment.token()?) };
            if token.is_some() {
                // Fails now if no client can be built. A token that others can read is never used.
                deployment.target_with(token.clone())?;
            }
            Ok((token, Sending::begin(&deployment, lead.as_ref())?))
        })?;
        self.opening = Some(Opening { state, source });
        Ok(())
    }

    /// What is missing if the token file is not there: it may still come, as a state may.
    ///
    /// # Errors
    /// systemd passes the token, and has none: it will not come while this process runs.
    fn missing_token(&self) -> Result<Option<String>, Failure> {
        let place = self.deployment.config.rhombus.as_ref().filter(|_| !self.deployment.is_sandbox);
        match place.map(|rhombus| &rhombus.token) {
            Some(TokenPlace::File(path)) if path.try_exists().is_ok_and(|exists| !exists) => {
                let path = path.display();
                Ok(Some(format!(
                    "there is no token in {path}; put the token that the Rhombus console shows into this file"
                )))
            }
            Some(token @ TokenPlace::Credential(_)) => match token.read() {
                Ok(_) => Ok(None),
                Err(error) => Err(Failure { exit: Exit::Misconfigured, ..error.into() }),
            },
            Some(TokenPlace::File(_)) | None => Ok(None),
        }
    }

    /// Called when the state is open, or cannot be opened. Only at the daemon's start does a failure end it.
    pub(super) fn opened(
        &mut self,
        source: Source,
        opened: Result<(Option<Token>, Sending), Failure>,
    ) -> Result<(), Failure> {
        self.opening = None;
        match opened {
            Ok((token, mut sending)) => {
                // A reload may have changed the sinks in the meantime.
                sending.shipping.change(&self.deployment.config.sinks)?;
                self.health.waits = sending.waits();
                if self.monitor.is_some() {
                    self.health.past.begin_with(sending.earlier().into_iter());
                }
                (self.could_not_lead, self.is_at_rest) = (None, false);
                (self.token, self.sending) = (self.token.take().or(token), Some(sending));
                // The same cycle covers any other request made in the meantime.
                let refresh = self.triggers.take().is_some_and(|wanted| wanted.refresh);
                self.triggers.want(source, refresh);
                self.say(Latest::Active);
            }
            Err(failure) if self.lead.is_some() && failure.exit != Exit::Inactive => {
                self.cannot_lead(&failure);
            }
            Err(failure) if failure.exit == Exit::Inactive => {
                self.say(Latest::Idle(Idle::Deactivated, deactivated()));
            }
            Err(failure) if source == Source::Startup => return Err(failure),
            Err(failure) => {
                self.say(Latest::Idle(Idle::CannotSend, failure.in_one_line()));
            }
        }
        self.ready();
        Ok(())
    }

    pub(super) fn ready(&mut self) {
        if !std::mem::replace(&mut self.is_ready, true) {
            self.manager.ready();
        }
    }
}
