//! What the loop waits for. If it is not in progress, the wait never ends.

use super::reload::{Verification, Verified};
use super::sending::Sending;
use super::{Opening, Running};
use crate::cycle_thread::CycleEnded;
use crate::event::Source;
use crate::failure::Failure;
use crate::leading::Lead;
use crate::model::Exit;
use crate::secret::Token;
use std::future::pending;
use tokio::task::JoinHandle;

/// Waits for the end of the running cycle.
pub(super) async fn ended(running: &mut Option<Running>) -> CycleEnded {
    match running {
        Some(running) => running.cycle.ended().await,
        None => pending().await,
    }
}

/// Waits for the state that is being opened.
pub(super) async fn opened(opening: &mut Option<Opening>) -> (Source, Result<(Option<Token>, Sending), Failure>) {
    let Some(Opening { state, source }) = opening else { return pending().await };
    let crashed = || Err(Failure::new(Exit::Failed, "opening the state crashed (this is a bug)", None));
    (*source, state.done().await.unwrap_or_else(crashed))
}

/// Waits until the state is closed.
pub(super) async fn closed(closing: &mut Option<JoinHandle<()>>) {
    match closing {
        Some(closing) => drop(closing.await),
        None => pending().await,
    }
}

/// Waits until this host may be something else to the others.
pub(super) async fn lead_changed(lead: Option<&Lead>) {
    match lead {
        Some(lead) => lead.changed().await,
        None => pending().await,
    }
}

/// Waits for the check of a configuration or a token.
pub(super) async fn verified(verification: &mut Option<Verification>) -> Verified {
    match verification {
        Some(verification) => verification.ended().await,
        None => pending().await,
    }
}
