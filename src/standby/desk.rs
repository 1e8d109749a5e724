//! What a command asks etcd, and what it asks of the hosts.

use super::gateway::{AskedBy, Gateway, GatewayError};
use super::keys::{Keys, Left, Note, Seen, Wanted, Wish, json};
use super::wire;
use crate::config::LeaseConfig;

/// So long a person's wish stands if nobody fulfils it, in seconds.
const WISH_S: i64 = 120;

/// Who leads, as etcd says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overview {
    /// The host that has the lease.
    pub leader: Option<String>,
    /// How long ago it was renewed, in milliseconds.
    pub renewed_ago_ms: Option<i64>,
    /// The head of the log, as the last leader noted it.
    pub note: Option<Note>,
}

/// Asks for commands.
pub struct Desk {
    gateway: Gateway,
    keys: Keys,
}

impl Desk {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used.
    pub fn new(config: &LeaseConfig) -> Result<Self, GatewayError> {
        Ok(Self { gateway: Gateway::new(config, AskedBy::Command)?, keys: Keys::below(&config.name) })
    }

    /// Who leads.
    ///
    /// # Errors
    /// etcd does not say.
    pub async fn look(&self) -> Result<Overview, GatewayError> {
        let seen = Seen::of(self.gateway.look(&self.keys.prefix).await?, &self.keys)?;
        let Some((key, leader)) = seen.leader else {
            return Ok(Overview { leader: None, renewed_ago_ms: None, note: seen.note });
        };
        let (age_ms, _) = self.gateway.age_ms(key.lease).await?;
        Ok(Overview { leader: Some(leader.host), renewed_ago_ms: Some(age_ms), note: seen.note })
    }

    /// Asks the hosts that `host` leads, or leads no more.
    ///
    /// # Errors
    /// etcd does not take it.
    pub async fn wish(&self, host: &str, what: Wanted) -> Result<(), GatewayError> {
        let lasting = self.gateway.grant(WISH_S).await?;
        let wish = json(&Wish { host: host.to_owned(), what });
        self.gateway.decide(&[], &[wire::put(&self.keys.wish, &wish, lasting.lease)], &[]).await.map(drop)
    }

    /// Notes that the host that led last, and has no process that leads, leads no more. Answers false if somebody leads again.
    ///
    /// # Errors
    /// etcd does not take it.
    pub async fn leave(&self, note: &Note) -> Result<bool, GatewayError> {
        let left = json(&Note { left: Some(Left::Resigned), ..note.clone() });
        let nobody = [wire::was_made_at(&self.keys.leader, 0)];
        Ok(self.gateway.decide(&nobody, &[wire::put(&self.keys.log, &left, 0)], &[]).await?.succeeded)
    }

    /// Nobody asks for anything any more.
    ///
    /// # Errors
    /// etcd does not take it.
    pub async fn withdraw(&self) -> Result<(), GatewayError> {
        self.gateway.decide(&[], &[wire::delete(&self.keys.wish)], &[]).await.map(drop)
    }
}
