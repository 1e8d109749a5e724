//! Colour for people. A text always has it; what prints the text takes it out for a pipe, a dumb terminal and `NO_COLOR`, so
//! that the words alone say the same.

use anstyle::{AnsiColor, Style};

/// What a colour says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Paint {
    /// Takes access away, or failed.
    Bad,
    /// Gives access, or went well.
    Good,
    /// Changes, or waits for somebody.
    Notice,
    /// A headline.
    Strong,
    /// Beside the point.
    Faint,
}

impl Paint {
    /// A text in this colour.
    pub(super) fn over(self, text: &str) -> String {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        let style = match self {
            Self::Bad => colour(AnsiColor::Red),
            Self::Good => colour(AnsiColor::Green),
            Self::Notice => colour(AnsiColor::Yellow),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }
}
