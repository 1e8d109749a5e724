//! The heartbeat: one GET after each good cycle, so that a dead man's switch elsewhere rings if they stop. The address is a secret:
//! who has it can silence the switch.

use crate::config::check_heartbeat;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::http::{Ask, Auth, BodyMode, Fetcher};
use crate::model::{Duration, Exit};
use crate::secret::Token;

/// The deadline of one request; `--reconcile` waits for it, the daemon does not.
const TIMEOUT: Duration = Duration::from_seconds(10);

/// Where it goes.
#[derive(Clone)]
pub(crate) struct Heartbeat {
    url: Token,
}

impl Heartbeat {
    /// Reads the address. A sandbox run has none: it would say that the real thing is well.
    ///
    /// # Errors
    /// The file cannot be read, is readable by others, or holds no address to which a secret may go.
    pub(crate) fn read(deployment: &Deployment) -> Result<Option<Self>, Failure> {
        let file = deployment.config.monitor.as_ref().and_then(|monitor| monitor.heartbeat_url_file.as_ref());
        let Some(file) = file.filter(|_| !deployment.is_sandbox) else { return Ok(None) };
        let with_hint = |failure: Failure| {
            let hint = "put the address that the dead man's switch shows into this file, and nothing else";
            let hint = if failure.exit == Exit::Failed { Some(hint.to_owned()) } else { failure.hint.clone() };
            Failure { hint, ..failure }
        };
        let url = Token::read(file).map_err(|error| with_hint(error.into()))?;
        check_heartbeat(url.expose()).map_err(|problem| {
            Failure::new(Exit::Misconfigured, problem.to_string(), Some("it is in the file of heartbeat_url_file"))
        })?;
        Ok(Some(Self { url }))
    }

    /// Asks the address. Only the log hears of a failure, and never the address.
    pub(crate) async fn send(&self) {
        let url = self.url.expose();
        let answered = match Fetcher::new(TIMEOUT, None, None) {
            Ok(fetcher) => {
                let asked = fetcher.ask(&Ask::get(url, Auth::Nothing, "*/*"), BodyMode::Whole).await;
                asked.map(|answer| answer.status).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match answered {
            Ok(200..=299) => tracing::debug!("the heartbeat was answered"),
            Ok(status) => tracing::warn!(status, "the heartbeat was not accepted; redirects are not followed"),
            Err(error) => {
                let error = error.replace(url, "[secret]");
                tracing::warn!(error, "the heartbeat was not answered; it is sent again after the next good cycle");
            }
        }
    }
}
