//! What a daemon holds while it may send: the lock, the journal, the shipping thread, and an eye on what other commands write.

use super::failure::Failure;
use super::scene::Scene;
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
    seen: i64,
    approvals: i64,
}

/// What another process wrote since the last look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Orders {
    /// Nobody is managed any more, or the state was bound to another endpoint.
    pub(super) deactivated: bool,
    /// Something that was held is released.
    pub(super) approved: bool,
}

impl Sending {
    /// Takes the lock and opens the state.
    pub(super) fn begin(scene: &Scene) -> Result<Self, Failure> {
        let (lock, writer, installation) = scene.sender()?;
        let (orders, _) = scene.state(Access::Read)?;
        let (reader, _) = scene.state(Access::Read)?;
        let journal = Journal::start(writer, Some(lock), None)?;
        let shipping = Self::ship(scene, reader, &journal)?;
        let (seen, approvals) = (data_version(&orders)?, store::approvals_count(&orders)?);
        Ok(Self { journal, shipping, installation_id: installation.installation_id, orders, seen, approvals })
    }

    fn ship(scene: &Scene, reader: Connection, journal: &Journal) -> Result<Shipping, Failure> {
        let config = scene.config.clone();
        Ok(Shipping::start(move || super::scene::sinks_of(&config, false), reader, journal.clone())?)
    }

    /// Ships to the sinks of another configuration from now on.
    pub(super) fn ship_anew(&mut self, scene: &Scene) -> Result<(), Failure> {
        let (reader, _) = scene.state(Access::Read)?;
        self.shipping = Self::ship(scene, reader, &self.journal)?;
        Ok(())
    }

    /// What other commands wrote.
    pub(super) fn orders(&mut self, scene: &Scene) -> Result<Orders, Failure> {
        let version = data_version(&self.orders)?;
        if std::mem::replace(&mut self.seen, version) == version {
            return Ok(Orders::default());
        }
        let installation = store::installation(&self.orders)?;
        let approvals = store::approvals_count(&self.orders)?;
        let approved = approvals > self.approvals;
        self.approvals = approvals;
        let elsewhere = installation.base_url != scene.endpoint()?;
        Ok(Orders { deactivated: !installation.active || elsewhere, approved })
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
