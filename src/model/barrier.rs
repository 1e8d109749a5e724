//! What a commit waits for before anything leaves on its strength: that another host could go on from it.

use super::Moment;

/// The end of the log as a commit left it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Committed {
    /// Sequence of the last event.
    pub sequence: i64,
    /// Its chain.
    pub chain: String,
    /// The reign under which the log is written.
    pub reign: i64,
}

/// A replica that does not answer for longer than it may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behind {
    /// Since when.
    pub since: Moment,
    /// Why.
    pub why: String,
}

/// What every commit has to pass. A trait, because the state knows no replica, and tests replace it.
///
/// # Guarantees
/// Once [`Barrier::pass`] has returned, the commit is at the replica, or the replica is [behind](Barrier::behind), or the process
/// [ends](Barrier::hurry) and sends no request any more.
pub trait Barrier: Send + Sync {
    /// Waits for this commit, and with it for every earlier one.
    fn pass(&self, committed: &Committed);

    /// Up to which event the log may leave; every event may if the replica is behind.
    fn leaves_up_to(&self) -> i64;

    /// Since when nobody waits for the replica, if nobody does.
    fn behind(&self) -> Option<Behind>;

    /// The process ends: nothing waits for long any more.
    fn hurry(&self);
}
