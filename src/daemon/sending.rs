//! What a daemon holds while it may send: the lock, the journal, the shipping thread, and an eye on what other commands write.

use super::deployment::Deployment;
use super::failure::Failure;
use crate::daemon::Shipping;
use crate::model::Moment;
use crate::store::{self, Access, Journal};
use rusqlite::Connection;

/// The right to send, with everything that goes with it.
pub(super) struct Sending {
    pub(super) journal: Journal,
    pub(super) shipping: Shipping,
    pub(super) installation_id: String,
    orders: Connection,
    identity: Option<(u64, u64)>,
    seen: i64,
    approval_ends: i64,
}

impl Drop for Sending {
    /// Lets go of the lock, whatever a sink that blocks still holds.
    fn drop(&mut self) {
        self.shipping.end();
        self.journal.end();
    }
}

/// What another process wrote since the last look.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Orders {
    /// Nobody is managed any more, or the state was bound to another endpoint.
    pub(super) deactivated: bool,
    /// Something that was held is released.
    pub(super) approved: bool,
    /// The state was removed or replaced: what is held is of the old one.
    pub(super) moved: bool,
    /// Another token than this one was proven by a command.
    pub(super) token_fingerprint: Option<String>,
}

impl Sending {
    /// Takes the lock and opens the state.
    pub(super) fn begin(deployment: &Deployment) -> Result<Self, Failure> {
        let (lock, writer, installation) = deployment.sender()?;
        let (orders, _) = deployment.state(Access::Read)?;
        let (reader, _) = deployment.state(Access::Read)?;
        store::quick_check(&writer)?;
        let identity = store::identity(&orders);
        let journal = Journal::start(writer, Some(lock), None)?;
        let shipping = Self::ship(deployment, reader, &journal)?;
        let (seen, approval_ends) = (data_version(&orders)?, store::last_approval_ends(&orders)?);
        Ok(Self {
            journal,
            shipping,
            installation_id: installation.installation_id,
            orders,
            identity,
            seen,
            approval_ends,
        })
    }

    fn ship(deployment: &Deployment, reader: Connection, journal: &Journal) -> Result<Shipping, Failure> {
        let config = deployment.config.clone();
        Ok(Shipping::start(move || super::deployment::sinks_of(&config, false), reader, journal.clone())?)
    }

    /// Ships to the sinks of another configuration from now on.
    pub(super) fn ship_anew(&mut self, deployment: &Deployment) -> Result<(), Failure> {
        let (reader, _) = deployment.state(Access::Read)?;
        // One thread at a time writes to a file.
        self.shipping.end();
        self.shipping = Self::ship(deployment, reader, &self.journal)?;
        Ok(())
    }

    /// Whether another file, or none, lies where the state was.
    pub(super) fn has_moved(&self) -> bool {
        store::identity(&self.orders) != self.identity
    }

    /// What other commands wrote.
    pub(super) fn orders(&mut self, deployment: &Deployment) -> Result<Orders, Failure> {
        if self.has_moved() {
            return Ok(Orders { moved: true, ..Orders::default() });
        }
        let version = data_version(&self.orders)?;
        if std::mem::replace(&mut self.seen, version) == version {
            return Ok(Orders::default());
        }
        let installation = store::installation(&self.orders)?;
        let approval_ends = store::last_approval_ends(&self.orders)?;
        let approved = approval_ends > self.approval_ends;
        self.approval_ends = approval_ends;
        let elsewhere = installation.base_url != deployment.endpoint()?;
        let token_fingerprint = Some(installation.token_fingerprint).filter(|print| !print.is_empty());
        Ok(Orders { deactivated: !installation.active || elsewhere, approved, moved: false, token_fingerprint })
    }

    /// Before this, Rhombus asked not to be called; none where that is over.
    pub(super) fn not_before(&self, now: Moment) -> Option<Moment> {
        store::installation(&self.orders).ok().map(|row| row.not_before).filter(|until| *until > now)
    }

    /// How many users are provisioned.
    pub(super) fn provisioned(&self) -> i64 {
        store::installation(&self.orders).map_or(0, |row| row.provisioned_count)
    }
}

/// Changes whenever another connection has committed.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0))
}
