//! What stands in etcd, below the configured name: who leads (as long as the lease lasts), the head of the log (for ever), and what a
//! person asked for.

use super::gateway::GatewayError;
use super::wire::KeyValue;
use serde::{Deserialize, Serialize};

/// The names of our keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Everything of ours begins with it.
    pub(super) prefix: String,
    /// Who leads; it ends with the lease.
    pub(super) leader: String,
    /// The [`Note`].
    pub(super) log: String,
    /// The [`Wish`].
    pub(super) wish: String,
}

impl Keys {
    pub(super) fn below(name: &str) -> Self {
        let below = |last: &str| format!("{name}/{last}");
        Self { prefix: below(""), leader: below("leader"), log: below("log"), wish: below("wish") }
    }
}

/// Who leads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Leader {
    /// Its host.
    pub(super) host: String,
}

/// The head of the log, off the host: nothing leaves before what it rests on is noted here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Which host wrote it.
    pub host: String,
    /// The installation whose log it is.
    pub installation: String,
    /// The reign under which that host led.
    pub reign: i64,
    /// The last event.
    pub sequence: i64,
    /// Its chain.
    pub chain: String,
    /// The reign whose replica is to be restored; none before the first copy was there.
    pub replica: Option<i64>,
    /// Whether the replica may lack what was committed.
    pub behind: bool,
    /// How the host stopped leading, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
}

/// How a host stopped leading.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Left {
    /// Its process ended; it may only be restarting.
    Stopped,
    /// It handed over, and waits until another host has led.
    Resigned,
}

/// What a person asked for. It ends by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Wish {
    /// The host where it was asked.
    pub(super) host: String,
    /// What.
    pub(super) what: Wanted,
}

/// What a person can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// That host leads.
    Lead,
    /// That host does not.
    Resign,
}

/// What stands in etcd.
pub(super) struct Seen {
    pub(super) leader: Option<(KeyValue, Leader)>,
    pub(super) note: Option<Note>,
    pub(super) wish: Option<Wish>,
}

impl Seen {
    /// # Errors
    /// The head of the log is not readable: whoever led without it could lead with an old state.
    pub(super) fn of(found: Vec<KeyValue>, keys: &Keys) -> Result<Self, GatewayError> {
        let mut seen = Self { leader: None, note: None, wish: None };
        for key in found {
            if key.key == keys.leader {
                // Whoever made it leads, whatever it says.
                let unknown = || Leader { host: "an unknown host".to_owned() };
                let leader = serde_json::from_str(&key.value).unwrap_or_else(|_| unknown());
                seen.leader = Some((key, leader));
            } else if key.key == keys.log {
                let not_ours = |_| GatewayError::Refused(format!("what stands at {} is not a note of ours", keys.log));
                seen.note = Some(serde_json::from_str(&key.value).map_err(not_ours)?);
            } else if key.key == keys.wish {
                seen.wish = serde_json::from_str(&key.value).ok();
            }
        }
        Ok(seen)
    }
}

pub(super) fn json<T: Serialize>(value: &T) -> String {
    // Texts and numbers always become JSON.
    serde_json::to_string(value).unwrap_or_default()
}
