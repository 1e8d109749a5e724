//! What the loop waits for. If it is not in progress, the wait never ends.

use super::reload::{Proven, Proving};
use super::sending::Sending;
use super::{Opening, Running};
use crate::cycle_thread::CycleEnded;
use crate::event::Source;
use crate::failure::Failure;
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

/// Waits for the check of a configuration or a token.
pub(super) async fn proven(proving: &mut Option<Proving>) -> Proven {
    match proving {
        Some(proving) => proving.ended().await,
        None => pending().await,
    }
}
