//! A daemon's configuration and token, read again: all or nothing, and proven by one read at Rhombus before they are taken.

use super::daemon::{Daemon, now};
use super::failure::Failure;
use super::scene::Scene;
use crate::config::TokenPlace;
use crate::event::Source;
use crate::http::Client;
use crate::outcome::Outcome;
use crate::secret::Token;
use crate::store;
use crate::target::ScimTarget;

impl Daemon<'_> {
    /// SIGHUP. What cannot be taken leaves the old in force, and is said.
    pub(super) async fn reload(&mut self) {
        match self.try_reload().await {
            Ok(()) => tracing::info!("the configuration was read again and is in force"),
            Err(failure) => {
                self.say(&format!("the reload was refused, the old configuration stays: {}", failure.in_one_line()))
            }
        }
    }

    async fn try_reload(&mut self) -> Result<(), Failure> {
        let scene = Scene::load(self.arguments)?;
        if scene.state_path != self.scene.state_path || scene.endpoint()? != self.scene.endpoint()? {
            let hint = "restart the service; for another endpoint run `rhombus-sync activate` first";
            return Err(Failure::new(78, "[state] path and [rhombus] base_url need a restart", Some(hint)));
        }
        let place = scene.config.rhombus.as_ref().map(|rhombus| &rhombus.token);
        if matches!(place, Some(TokenPlace::Credential(_))) {
            tracing::info!("systemd credentials do not change on a reload; restart the service for a new token");
        }
        let token = if scene.rehearsal { None } else { Some(scene.token()?) };
        if let Some(token) = &token {
            prove(&scene, token).await?;
        }
        let sinks_changed = scene.config.sinks != self.scene.config.sinks;
        let before = std::mem::replace(&mut self.scene, scene);
        if let Err(failure) = self.keep_time() {
            self.scene = before;
            return Err(failure);
        }
        self.token = token;
        let Some(sending) = &mut self.sending else { return Ok(()) };
        if sinks_changed {
            sending.ship_anew(&self.scene)?;
        }
        self.note_token(Source::Signal).await
    }

    /// A token that was replaced on disk, while Rhombus refuses the one in use. True where a new one was proven.
    pub(super) async fn take_up_new_token(&mut self) -> bool {
        let Ok(token) = self.scene.token() else { return false };
        if self.token.as_ref().is_some_and(|used| used.expose() == token.expose()) {
            return false;
        }
        if let Err(failure) = prove(&self.scene, &token).await {
            self.say(&format!("another token lies there, and is not good either: {}", failure.in_one_line()));
            return false;
        }
        self.token = Some(token);
        tracing::info!("a new token was proven and is in use");
        if let Err(failure) = self.note_token(Source::Schedule).await {
            self.say(&failure.in_one_line());
        }
        true
    }

    async fn note_token(&mut self, source: Source) -> Result<(), Failure> {
        let (Some(sending), Some(token)) = (&self.sending, &self.token) else { return Ok(()) };
        let (fingerprint, number) = (token.fingerprint(&sending.installation_id), self.scene.config.settings.number());
        sending
            .journal
            .write(move |transaction| {
                store::note_token(transaction, &fingerprint, source, now())?;
                store::note_settings(transaction, number, source, now())
            })
            .await?;
        sending.shipping.knock();
        Ok(())
    }
}

/// One read, by which endpoint and token are good.
async fn prove(scene: &Scene, token: &Token) -> Result<(), Failure> {
    let target: ScimTarget<Client> = scene.target_with(Some(token.clone()))?;
    let turn = target.turn().await;
    let page = target.list_page(1, &mut |_| {}, turn).await;
    if page.judged.outcome == Outcome::Accepted && page.value.is_some() {
        return Ok(());
    }
    let hint = "put a valid token into the token file, or look at the network; nothing was changed";
    Err(Failure {
        exit: 1,
        error: vec!["Rhombus cannot be read with it".to_owned(), page.judged.reason],
        hint: Some(hint.to_owned()),
    })
}
