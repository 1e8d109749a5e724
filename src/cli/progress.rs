//! The progress bar of a terminal: users done, rate, time left. A pipe, `--json` and `NO_COLOR` get none.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;

/// The most often that the bar is redrawn in a second.
const DRAWS_PER_SECOND: u8 = 10;

/// How often the time that a question takes is told.
const ASKING_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// A bar that appears when the first user is done.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A sign of life on a terminal while Rhombus is asked.
    pub(super) fn asking(quiet: bool) -> Self {
        let this = Self::on_terminal(quiet);
        if let Ok(style) = ProgressStyle::with_template("asking Rhombus, {elapsed}") {
            this.bar.set_style(style);
        }
        this.bar.enable_steady_tick(ASKING_PAUSE);
        this
    }

    /// A bar on stderr, if that is a terminal; hidden if `quiet`.
    pub(super) fn on_terminal(quiet: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let shown = !quiet && !plain && std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30.green} {pos} of {len} users, {rate}, {eta} left") {
            let rate = |state: &ProgressState, out: &mut dyn Write| {
                // A bar that cannot be drawn is no failure.
                let _ = write!(out, "{:.0}/s", state.per_sec());
            };
            // Letters that every locale has.
            bar.set_style(style.with_key("rate", rate).progress_chars("=> "));
        }
        Self { bar }
    }

    /// Prints a line on stdout, above the bar if there is one.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| {
            let mut out = anstream::stdout().lock();
            // Who has read enough goes away; what is done is done all the same.
            let _ = std::io::Write::write_all(&mut out, format!("{line}\n").as_bytes());
            let _ = std::io::Write::flush(&mut out);
        });
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
