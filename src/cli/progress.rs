//! The progress bar of a terminal: users done, rate, time left. A pipe, `--json` and `NO_COLOR` get none.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// The most often that the bar is redrawn in a second.
const DRAWS_PER_SECOND: u8 = 10;

/// A bar that appears when the first user is done.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar on stderr, if that is a terminal; hidden if `quiet`.
    pub(super) fn on_terminal(quiet: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let shown = !quiet && !plain && std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30.green} {pos} of {len} users, {per_sec}, {eta} left") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// `done` of `all` users are done.
    pub(super) fn set(&self, done: u64, all: u64) {
        self.bar.set_length(all);
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
